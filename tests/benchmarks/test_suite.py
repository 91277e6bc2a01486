"""The speed suite runs: a bench that nobody can run measures nothing."""

import pytest

from benchmarks import merge, scale


@pytest.mark.parametrize(("bench", "words"), [(merge, "merge, ours"), (scale, "CPU of taking in and merge / COPY")])
def test_a_bench_of_tables_says_what_it_measured(bench, words, monkeypatch):
    """At a size that takes seconds."""
    monkeypatch.setattr(scale, "_INCREMENTS", 2)

    assert words in "\n".join(bench.run(6_000))
