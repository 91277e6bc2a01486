"""`docker compose up`, for real: from a site to a release that is the site's truth, whoever is killed on the way."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from microlens.privacy import Pseudonymiser
from microlens.recipe import Recipe, load_recipe
from microlens.store import sha256_of
from sandbox.__main__ import _parser
from sandbox.truth import collect_frozen, expected_release
from sandbox.world import WorldConfig, generate
from tests.cluster.compose import Compose
from tests.cluster.engine import ROOT, docker_engine
from tests.e2e.harness import read_back

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]

RECIPE = ROOT / "deploy/recipes/sandbox.yaml"
ENOUGH_TO_LOSE = 100
"""Files that are stored when a node is killed: some hundreds are still to come."""


@dataclass
class CopiedRun:
    """A run's folder without its ledger, as `read_back` wants it."""

    folder: Path
    recipe: Recipe

    @property
    def pseudonyms(self):
        return Pseudonymiser(bytes.fromhex((self.folder / "private/pseudonym.key").read_text()))

    @property
    def integrated(self):
        return self.folder / "integrated"

    def release_folder(self, name):
        return self.folder / "releases" / name


@pytest.fixture(scope="module")
def compose():
    """The cluster of this checkout, built; in the end it is taken down with all that it stored."""
    with docker_engine() as environment:
        # Whatever this machine's own environment says, the compose file's defaults are what is tried.
        plain = {name: value for name, value in environment.items() if not name.startswith("MICROLENS_")}
        compose = Compose(plain, f"microlens-test-{os.getpid()}")
        try:
            compose("build")
            yield compose
        finally:
            compose("down", "--volumes", "--remove-orphans", "--timeout=5")


@pytest.fixture(scope="module")
def world(compose):
    """The sandbox's, as the compose file asks for it."""
    command = yaml.safe_load(compose("config"))["services"]["sandbox"]["command"]
    options = _parser().parse_args(command)
    return generate(WorldConfig(options.videos, options.users, options.seed))


def check_release(run_folder, recipe, world):
    """Items, reasons, interactions and users are those of the world, nothing more and nothing less."""
    seeds = recipe.seeds
    truth = collect_frozen(world, run_seed=recipe.seed, target=seeds.target, stale_refreshes=seeds.max_stale_refreshes)
    expected = expected_release(world, truth.ids)
    reasons = {**expected.dropped, **dict.fromkeys(truth.unpopular, "unpopular"), **dict.fromkeys(truth.gone, "gone")}
    published = read_back(CopiedRun(run_folder, recipe), recipe.releases[0].name, world.user_ids)

    assert {**reasons, **dict.fromkeys(expected.kept)} == published.verdicts
    assert expected.observed == published.kept
    assert expected.interactions == published.interactions
    assert expected.users == published.users


def test_a_cluster_builds_the_truth_though_a_node_is_killed(compose, world, tmp_path):
    """With no further setting; the node that lost all its processes comes back, and no page is read twice."""
    compose("up", "--detach")
    stored = "SELECT count(*) FROM microlens_sandbox.asset"
    compose.until(lambda: (compose.query(stored) or 0) >= ENOUGH_TO_LOSE, "the first files")
    compose("exec", "--no-TTY", "--index=1", "node", "sh", "-c", "kill -9 -1", check=False)
    before = compose.query(stored)
    said = compose.await_release()
    nodes, pages = compose.containers("node"), {p: n for p, n in compose.asked().items() if p.startswith("/v/")}

    assert "release sandbox: /runs/sandbox/releases/sandbox" in said
    check_release(compose.copy_run("sandbox", tmp_path), load_recipe(RECIPE), world)
    assert [True, False] == [node["RestartCount"] > 0 for node in nodes]
    assert compose.query(stored) > before + ENOUGH_TO_LOSE
    assert 2 == compose.query("SELECT count(DISTINCT node_id) FROM microlens_sandbox.asset")
    assert dict.fromkeys(pages, 1) == pages


def test_what_is_built_is_not_built_again(compose, tmp_path):
    """Taken down and brought up again, the cluster asks the site for nothing, says so, and leaves the release alone."""
    manifest = "releases/sandbox/_manifest.json"
    before = sha256_of(compose.copy_run("sandbox", tmp_path / "before") / manifest)
    compose("down")
    compose("up", "--detach")
    said = compose.await_release()
    compose.until(lambda: "crawl: pages" in compose("logs", "collector"), "the collector's first look")

    assert "sandbox: nothing to do, all is built already" in said
    assert {} == compose.asked()
    assert before == sha256_of(compose.copy_run("sandbox", tmp_path / "after") / manifest)


def test_another_recipe_is_another_run(compose, world, tmp_path):
    """MICROLENS_RECIPE names what to build; runs of one cluster stand side by side."""
    recipe = load_recipe(RECIPE).model_copy(update={"name": "other", "seed": 3})
    path = tmp_path / "other.yaml"
    path.write_text(recipe.to_yaml())
    compose("up", "--detach", recipe=path)
    said = compose.await_release()

    assert "release sandbox: /runs/other/releases/sandbox" in said
    check_release(compose.copy_run("other", tmp_path), recipe, world)
