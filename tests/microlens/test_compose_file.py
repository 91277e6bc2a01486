"""The compose file hands on what a store needs, and leaves a node room for its decoder; nothing is started here."""

import re
from pathlib import Path

import pytest
import yaml

from download_nodes.measuring import MEMORY_LIMIT_BYTES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_what_a_bucket_needs_is_handed_on(services):
    """Every variable that the page on stores names reaches collector, nodes and integrator."""
    named = set(re.findall(r"\b(?:AWS|MICROLENS_STORE)_[A-Z_]*[A-Z]\b", (ROOT / "docs/stores.md").read_text()))

    assert {"MICROLENS_STORE_URL", "MICROLENS_STORE_ALLOW_HTTP", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"} <= named
    for service in ("collector", "node", "integrator"):
        environment = services[service]["environment"]
        assert dict.fromkeys(named) == {name: environment.get(name, "is missing") for name in named}


def test_a_decoder_at_its_limit_leaves_the_node_alive(services):
    """The container holds the decoder's limit and half as much again for the node itself."""
    gigabytes = re.fullmatch(r"(\d+)g", services["node"]["mem_limit"])

    assert int(gigabytes[1]) << 30 >= MEMORY_LIMIT_BYTES * 3 // 2
