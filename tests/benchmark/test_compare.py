"""Two results side by side: paired intervals, groups by popularity, and what does not compare."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmark.compare import bootstrap, compare, named_pairs
from benchmark.groups import EDGES, by_popularity, group_names
from benchmark.protocol import Protocol
from benchmark.read_results import read_result
from benchmark.reports.sections import make_report
from benchmark.run import run_benchmark
from microlens.errors import CorruptDataError, NotReadyError, RecipeError

QUICK = {"width": 16, "blocks": 1, "epochs": 2, "threads": 1}


@pytest.fixture(scope="module")
def results(tmp_path_factory, small_release):
    """Popularity and a briefly trained SASRec with two seeds, on 300 users."""
    out = tmp_path_factory.mktemp("results") / "one"
    run_benchmark(small_release, seeds=[0, 1], out=out, overrides=QUICK, device="cpu")
    return out


def test_intervals_cover_the_truth():
    """Of 200 samples with a known mean, about 95 in 100 intervals hold it: between 88 and 100 of them do."""
    rng = np.random.default_rng(0)
    truth = 0.02
    held = 0
    for seed in range(200):
        difference = (rng.random((400, 1)) < 0.10).astype(float) - (rng.random((400, 1)) < 0.10 - truth)
        low, high = bootstrap(difference, resamples=400, seed=seed)[0]
        held += low <= truth <= high

    assert 176 <= held


def test_intervals_are_those_of_resampled_users():
    """Drawing users one by one, and counting how often each distinct difference is drawn, is the same."""
    rng = np.random.default_rng(1)
    difference = rng.choice([-1.0, 0.0, 0.0, 0.5, 1.0], (300, 2))
    plain = difference[rng.integers(0, 300, (20_000, 300))].mean(1)

    interval = bootstrap(difference, resamples=20_000)

    assert np.allclose(np.quantile(plain, [0.025, 0.975], axis=0).T, interval, atol=0.006)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
@hypothesis_settings(deadline=None, max_examples=50)
def test_an_interval_stays_within_what_was_seen(values):
    """It lies between the least and the greatest difference, and its ends are in order."""
    low, high = bootstrap(np.array(values)[:, None], resamples=100)[0]

    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_a_model_does_not_differ_from_itself(results):
    """Identical results give a difference of zero, an interval of zero, and no improvement in any group."""
    result = read_result(results)
    same = compare((result, "sasrec"), (result, "sasrec"), resamples=200)

    assert [(0, 0, 0)] * 2 == [(d.mean, d.low, d.high) for d in same.differences]
    assert not any(d.is_clear for d in same.differences)
    assert {0.0, None} >= {group.improvement for group in same.groups}


def test_a_comparison_has_the_leaderboards_means(results):
    """HR@10 and NDCG@10 of both are those of their rows, averaged over seeds; every user is in one group."""
    result = read_result(results / "leaderboard.json")
    found = compare((result, "popularity"), (result, "sasrec"), resamples=200)

    for d in found.differences:
        assert result.rows["popularity"][d.metric] == pytest.approx(d.a)
        assert result.rows["sasrec"][d.metric] == pytest.approx(d.b)
        assert d.low <= d.mean <= d.high
    assert (1, 2) == found.seeds
    assert 300 == found.users == sum(group.users for group in found.groups)


def test_a_later_run_leaves_the_files_of_a_leaderboard_alone(tmp_path, small_release, results):
    """Killed before its own leaderboard is there, it has changed none of the ranks that the old one names."""
    folder = shutil.copytree(results, tmp_path / "one")
    before = (folder / "leaderboard.json").read_bytes()
    run_benchmark(small_release, ["sasrec"], seeds=[0, 1], out=folder, overrides=QUICK | {"epochs": 1}, device="cpu")
    assert before != (folder / "leaderboard.json").read_bytes()
    (folder / "leaderboard.json").write_bytes(before)

    same = compare((read_result(results), "sasrec"), (read_result(folder), "sasrec"), resamples=200)

    assert [(0, 0, 0)] * 2 == [(d.mean, d.low, d.high) for d in same.differences]


def test_the_same_seed_draws_the_same_intervals(results):
    """A comparison can be repeated; another seed gives nearly the same."""
    result = read_result(results)
    pair = ((result, "popularity"), (result, "sasrec"))

    assert compare(*pair, resamples=500, seed=3) == compare(*pair, resamples=500, seed=3)
    assert compare(*pair, resamples=500, seed=3) != compare(*pair, resamples=500, seed=4)


def test_ten_thousand_resamples_of_fifty_thousand_users():
    """Two models that guess alike do not differ: the interval of the default number of resamples holds zero."""
    rng = np.random.default_rng(0)
    places = rng.integers(1, 150, (2, 50_000))
    gain = np.where(places <= 10, 1 / np.log2(1 + places), 0)
    low, high = bootstrap((gain[1] - gain[0])[:, None])[0]

    assert low < 0 < high


def test_other_protocols_do_not_compare(tmp_path, small_release, results):
    """Warm items are another question: refused with what differs."""
    warm = tmp_path / "warm"
    run_benchmark(small_release, ["popularity"], protocol=Protocol(warm=8), out=warm, device="cpu")

    with pytest.raises(RecipeError, match="their asked is leave-one-out and leave-one-out, warm-8"):
        compare((read_result(results), "popularity"), (read_result(warm), "popularity"))


def test_other_releases_do_not_compare(tmp_path, make_world, write_release, results):
    """Their manifests differ: refused with both names."""
    other = write_release(tmp_path / "Other", make_world(users=300))
    (other / "_manifest.json").write_bytes(b'{"name": "other"}\n')
    run_benchmark(other, ["popularity"], out=tmp_path / "out", device="cpu")

    with pytest.raises(RecipeError, match=r"their release is Toy-300 \(\w{12}\) and Other"):
        compare((read_result(results), "popularity"), (read_result(tmp_path / "out"), "popularity"))


def test_the_same_release_in_another_folder_compares(tmp_path, small_release, results):
    """What a release is called where it lies says nothing about its data; a report takes both as well."""
    renamed = shutil.copytree(small_release, tmp_path / "Renamed")
    run_benchmark(renamed, ["itemknn"], out=tmp_path / "results", device="cpu")
    ours, others = read_result(results), read_result(tmp_path / "results")

    assert 300 == compare((ours, "popularity"), (others, "itemknn")).users
    assert {"Toy-300", "Renamed"} == {ours.release, others.release}
    make_report([ours, others])


def test_other_users_do_not_compare(tmp_path, small_release, results):
    """Ranks of other users beside the same leaderboard are found."""
    run_benchmark(small_release, ["popularity"], out=tmp_path, device="cpu")
    (path,) = (tmp_path / "ranks").iterdir()
    with np.load(path) as file:
        changed = dict(file) | {"user_id": file["user_id"] + 1}
    np.savez(path, **changed)

    with pytest.raises(RecipeError, match="2 users were asked about in one"):
        compare((read_result(results), "popularity"), (read_result(tmp_path), "popularity"))


def test_names_say_what_is_compared(tmp_path, small_release, results):
    """A folder alone means every common model; one name is enough for both sides."""
    run_benchmark(small_release, ["popularity"], out=tmp_path, device="cpu")

    assert [("popularity", "popularity")] == [(a[1], b[1]) for a, b in named_pairs(str(results), str(tmp_path))]
    [(a, b)] = named_pairs(f"{results}:popularity", f"{results}/leaderboard.json:sasrec")
    assert ("popularity", "sasrec") == (a[1], b[1])
    with pytest.raises(RecipeError, match="compared with itself"):
        named_pairs(str(results), str(results))
    with pytest.raises(RecipeError, match="no model 'sasrek'"):
        named_pairs(f"{results}:sasrek", str(tmp_path))


def test_what_is_no_result_is_told(tmp_path):
    """Nothing there, no JSON, another JSON, and a path that leads out of the folder."""
    with pytest.raises(NotReadyError, match="there is no result"):
        read_result(tmp_path)
    for text in ("{", "[]", '{"rows": [{"model": "x"}]}'):
        (tmp_path / "leaderboard.json").write_text(text)
        with pytest.raises(CorruptDataError, match="is no leaderboard"):
            read_result(tmp_path)
    row = {"model": "x", "hr@10": 0, "ndcg@10": 0, "runs": [{"ranks": "../../secret.npz"}]}
    (tmp_path / "leaderboard.json").write_text(json.dumps({"release": "r", "protocol": {}, "rows": [row]}))
    with pytest.raises(CorruptDataError, match="outside of its folder"):
        read_result(tmp_path).ranks("x")


def test_ranks_that_are_damaged_or_pickled_are_not_opened(tmp_path, small_release):
    """A file cut short, and one that holds objects, are corrupt data, and no code of theirs is run."""
    run_benchmark(small_release, ["popularity"], out=tmp_path, device="cpu")
    (path,) = (tmp_path / "ranks").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptDataError, match="cannot be read as ranks"):
        read_result(tmp_path).ranks("popularity")
    np.savez(path, user_id=np.array([{}], dtype=object))
    with pytest.raises(CorruptDataError, match="cannot be read as ranks"):
        read_result(tmp_path).ranks("popularity")


def test_groups_are_by_the_targets_training_count():
    """Counts on an edge begin a group; a group without users is left out; ratios are B to A."""
    count = np.array([0, 1, 4, 5, 500])
    a = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    b = np.array([1.0, 1.0, 1.0, 0.5, 1.0])
    groups = by_popularity(count, a, b)

    assert ["0", "1-4", "5-9", "200+"] == [group.name for group in groups]
    assert [1, 2, 1, 1] == [group.users for group in groups]
    assert [None, 1.0, -0.5, 0.0] == [group.improvement for group in groups]
    assert len(EDGES) == len(group_names())


def test_an_improvements_error_is_that_of_resampled_users():
    """The delta method agrees with 4,000 resamples to a tenth."""
    rng = np.random.default_rng(0)
    a = (rng.random(2_000) < 0.3).astype(float)
    b = np.where(rng.random(2_000) < 0.7, a, rng.random(2_000) < 0.4)
    drawn = rng.integers(0, 2_000, (4_000, 2_000))
    [group] = by_popularity(np.ones(2_000, dtype=np.int64), a, b)

    assert np.std(b[drawn].mean(1) / a[drawn].mean(1)) == pytest.approx(group.improvement_error, rel=0.1)
