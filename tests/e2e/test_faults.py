"""A cluster that is killed again and again on a site that fails collects the truth, within its budget.

The same at full size is `make service-test`.
"""

import pytest

from sandbox.faults import FaultConfig
from tests.service.trial import Scale, run_trial

SMALL = Scale(
    videos=120,
    users=220,
    with_media=30,
    hosts=3,
    rate=12.0,
    concurrency=6,
    kill_every_s=3.5,
    most_kills=6,
    deadline_s=200.0,
    seeds=15,
    related_per_page=10,
    depth=4,
    repeats_per_end=8,
    timeout_s=3.0,
    has_loss=True,
    faults=FaultConfig(
        seed=2, error_share=0.05, stall_share=0.01, cut_share=0.02, burst_every=120, burst_s=3.0, stall_s=4.0
    ),
)


@pytest.mark.slow
def test_a_killed_cluster_on_a_failing_site_collects_the_truth(tmp_path, media_dir):
    """With errors, bursts of 429, stalls, cuts, kills and a lost Redis all is collected once, no host is pressed."""
    outcome = run_trial(SMALL, tmp_path, media_dir)

    assert {"error", "burst", "stall", "cut"} == set(outcome.faults)
    assert outcome.kills >= 4
