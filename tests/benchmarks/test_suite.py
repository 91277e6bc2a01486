"""The speed suite runs: a bench that nobody can run measures nothing."""

import pytest

from benchmarks import merge, ranking, scale, train


@pytest.mark.parametrize(("bench", "words"), [(merge, "merge, ours"), (scale, "CPU of taking in and merge / COPY")])
def test_a_bench_of_tables_says_what_it_measured(bench, words, monkeypatch):
    """At a size that takes seconds."""
    monkeypatch.setattr(scale, "_INCREMENTS", 2)

    assert words in "\n".join(bench.run(6_000))


def test_the_bench_of_ranking_says_what_it_measured(monkeypatch):
    monkeypatch.delenv(ranking.RELEASE_VARIABLE, raising=False)
    monkeypatch.setattr(ranking, "ITEMS", 300)

    assert "times (goal 2)" in "\n".join(ranking.run(400))


def test_the_bench_of_training_by_rows_says_what_it_measured():
    """On users enough for a step to be timed."""
    assert "matmul and top-20 alone" in "\n".join(train.run(2_000))
