"""The README names what can be set, and promises what the other files do."""

import re
from pathlib import Path

from microlens.settings import Settings

ROOT = Path(__file__).parents[2]


def test_every_setting_is_told():
    """Whatever a variable can set stands in the README by its name."""
    named = set(re.findall(r"MICROLENS_[A-Z_]*[A-Z]", (ROOT / "README.md").read_text()))

    assert {f"MICROLENS_{name.upper()}" for name in Settings.model_fields} <= named


def test_a_long_test_takes_equally_long_wherever_it_is_told():
    """README, CONTRIBUTING and `make help` give `make service-test` the same minutes."""
    told = {
        "README.md": r"make service-test .*\((\d+) minutes\)",
        "CONTRIBUTING.md": r"about (\d+) minutes\. `SERVICE_VIDEOS",
        "Makefile": r"service-test:.*\((\d+) minutes\)",
    }

    assert 1 == len({re.search(pattern, (ROOT / name).read_text())[1] for name, pattern in told.items()})
