"""Nodes that are killed 200 times at random moments."""

import os

import pytest

from tests.download_nodes.kills import run_trial
from tests.service.trial import say

KILLS = int(os.environ.get("SERVICE_NODE_KILLS", "200"))

pytestmark = [pytest.mark.service, pytest.mark.timeout(1200)]


def test_two_hundred_kills_leave_nothing_wrong_and_fetch_nothing_twice(tmp_path, redis_url, make_cover, clip):
    """Every object is what its name says, what was committed is not asked for again, large files are taken up again."""
    cover = make_cover(tmp_path / "cover.jpg").read_bytes()
    told = run_trial(tmp_path, redis_url, cover, clip.read_bytes(), kills=KILLS, seed=2)
    say(str(told))

    assert KILLS + 2 == told["kills"]
    assert told["resumed"] > KILLS / 10
    assert told["large_served"] < 1.5
