"""A run's leaderboard is taken as it is only where the very same would be ranked."""

from types import SimpleNamespace

import pytest

from benchmark.protocol import Protocol
from benchmark.run import run_benchmark
from microlens.cli.ranking import rank_release
from microlens.cli.reporter import Reporter
from microlens.recipe import BenchmarkPlan


@pytest.fixture
def rank(tmp_path, make_world, write_release):
    release = write_release(tmp_path / "toy", make_world(users=30))

    def call(**plan):
        plan = BenchmarkPlan(**{"models": ["popularity"]} | plan)
        run = SimpleNamespace(recipe=SimpleNamespace(benchmark=plan), results_folder=lambda _: tmp_path / "results")
        return rank_release(run, "toy", release, Reporter())

    call.release, call.out = release, tmp_path / "results"
    return call


def test_the_same_is_not_ranked_again(rank):
    """The rows that are there are given."""
    (first, did_first), (again, did_again) = rank(), rank()

    assert (True, False) == (did_first, did_again)
    assert first == again


def test_another_commands_leaderboard_is_not_the_runs(rank):
    """Settings beside the preset's, written to the run's folder by hand, are no reason to do nothing."""
    run_benchmark(rank.release, ["popularity"], overrides={"keep_interactions": 5}, out=rank.out)
    rows, did_rank = rank()

    assert did_rank
    assert 13 == rows[0]["settings"]["keep_interactions"]


def test_a_board_of_other_questions_is_not_the_runs(rank):
    """Written to the run's folder by `--warm` and `--out`, say."""
    run_benchmark(rank.release, ["popularity"], protocol=Protocol(warm=2), out=rank.out)

    assert rank()[1]
    assert not rank()[1]


def test_a_preset_that_was_edited_is_another(rank, tmp_path):
    """One that lies in a file is told by what it holds."""
    preset = tmp_path / "mine.yaml"
    preset.write_text("every_model: {keep_interactions: 6}\n")
    first, same = rank(preset=str(preset)), rank(preset=str(preset))
    preset.write_text("every_model: {keep_interactions: 7}\n")
    other = rank(preset=str(preset))

    assert [True, False, True] == [did for _, did in (first, same, other)]
    assert 7 == other[0][0]["settings"]["keep_interactions"]


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[1]", b'{"rows": 3}', b"\xff\xfe"])
def test_a_damaged_leaderboard_is_written_anew(rank, damaged):
    """It is no bug, and nothing that anyone needs is lost."""
    rank()
    (rank.out / "leaderboard.json").write_bytes(damaged)

    assert rank()[1]
    assert not rank()[1]
