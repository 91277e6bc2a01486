"""SIGKILL in the midst of transfers, measurements and commits."""

import pytest

from tests.download_nodes.kills import run_trial


@pytest.mark.slow
def test_killed_nodes_leave_nothing_wrong_and_fetch_nothing_twice(tmp_path, redis_url, make_cover, clip):
    """Every object is what its name says, what was committed is not asked for again, large files are taken up again."""
    cover = make_cover(tmp_path / "cover.jpg").read_bytes()
    told = run_trial(tmp_path, redis_url, cover, clip.read_bytes(), kills=10, seed=1)

    assert 12 == told["kills"]
    assert told["resumed"]
    assert told["large_served"] < 2
