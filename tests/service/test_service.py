"""The collection node at the size of a service: `make service-test`; numbers can be changed by SERVICE_* variables."""

import os
from dataclasses import replace

import pytest

from sandbox.faults import FaultConfig
from tests.service.trial import Scale, run_trial


def number(name, default):
    """A number of the environment, of the default's type."""
    return type(default)(os.environ.get(f"SERVICE_{name}", default))


FULL = Scale(
    videos=number("VIDEOS", 20_000),
    users=number("USERS", 135_700),  # whose comments on what is not deleted are a million
    with_media=number("WITH_MEDIA", 2_000),
    hosts=number("HOSTS", 8),
    rate=number("RATE", 100.0),
    concurrency=number("CONCURRENCY", 16),
    kill_every_s=number("KILL_EVERY_S", 20.0),
    most_kills=number("MOST_KILLS", 10_000),
    deadline_s=number("DEADLINE_S", 1200.0),
    seeds=number("SEEDS", 400),
    related_per_page=24,
    depth=8,
    repeats_per_end=120,
    faults=FaultConfig(
        seed=1, error_share=0.05, stall_share=0.002, cut_share=0.01, burst_every=1_500, burst_s=3.0, stall_s=10.0
    ),
)

pytestmark = [pytest.mark.service, pytest.mark.timeout(FULL.deadline_s + 600)]


@pytest.fixture(scope="module")
def media_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


def test_a_killed_cluster_on_failing_hosts_collects_the_truth(tmp_path, media_dir):
    """Nothing is lost, nothing is doubled, and no host gets more than its budget, by its own log."""
    outcome = run_trial(FULL, tmp_path, media_dir)

    assert {"error", "burst", "stall", "cut"} == set(outcome.faults)


def test_the_same_with_redis_lost_in_the_middle(tmp_path, media_dir):
    """Redis loses its data: `recover` completes the crawl, as if nothing had been. The ledger is in PostgreSQL here."""
    outcome = run_trial(replace(FULL, has_loss=True, has_postgres=True), tmp_path, media_dir)

    assert outcome.losses == 1
