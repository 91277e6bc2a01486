import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

from benchmark.data.release import item_ids, load_release
from benchmark.protocol import Protocol
from benchmark.recommend import load_trained, recommend
from benchmark.run import run_benchmark
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from tests.benchmark.timed import timed_release

SETTINGS = {"width": 16, "blocks": 1, "epochs": 3, "threads": 1, "chunk_scores": 5_000}


@pytest.fixture(scope="module")
def release(make_world, write_release, tmp_path_factory):
    """A release with a hole among its items, as a takedown leaves it."""
    folder = write_release(tmp_path_factory.mktemp("recommend") / "releases" / "Toy", make_world(users=120))
    for table in ("interactions", "items"):
        path = folder / "data" / f"{table}.parquet"
        rows = pq.read_table(path)
        ids = rows["item_id"].to_numpy()
        shifted = np.where(ids > 50, ids + 1_000, ids).astype(np.int32)
        pq.write_table(rows.set_column(rows.column_names.index("item_id"), "item_id", [shifted]), path)
    return folder


@pytest.fixture(scope="module")
def checkpoints(release):
    """Paths of finished checkpoints, by model."""
    out = release.parents[1] / "results" / "Toy"
    board = run_benchmark(release, ["popularity", "sasrec"], overrides=SETTINGS, out=out, device="cpu")
    return {row["model"]: out / row["runs"][0]["checkpoint"] for row in board.rows}


def lists_of(checkpoint, out, **choices):
    recommend(checkpoint, out=out, **choices)
    rows = pq.read_table(out).to_pylist()
    return {user: [row for row in rows if row["user_id"] == user] for user in {row["user_id"] for row in rows}}


@pytest.mark.parametrize("model", ["sasrec", "popularity"])
def test_lists_are_the_best_of_what_users_have_not_met(release, checkpoints, tmp_path, model):
    """For every user the ten best scores of a loop over users, in the release's ids; nothing of the history."""
    found = lists_of(checkpoints[model], tmp_path / "lists.parquet", top=10)
    world, trained, ids = load_release(release), load_trained(checkpoints[model]), item_ids(release)

    assert 120 == len(found)
    for place, user in enumerate(sorted(found)):
        met = world.item[world.user == user]
        history = torch.zeros(1, 12, dtype=torch.int64)
        history[0, -len(met[-12:]) :] = torch.from_numpy(met[-12:])
        with torch.no_grad():
            scores = trained.model.scores(torch.tensor([place]), history)[0].double()
        scores[torch.from_numpy(met)] = scores[0] = -torch.inf
        shown = [row["item_id"] for row in found[user]]
        best = scores.topk(10).values.tolist()
        assert list(range(1, 11)) == [row["rank"] for row in found[user]]
        assert pytest.approx(best, rel=1e-5) == scores[np.searchsorted(ids, shown) + 1].tolist()
        assert not set(shown) & set(ids[met - 1].tolist())


@pytest.mark.parametrize("protocol", [Protocol("temporal"), Protocol(warm=4), Protocol("temporal", warm=4)])
def test_lists_of_any_protocol_are_of_whole_histories(tmp_path, make_world, write_release, protocol):
    """Whom it knows and which items it ranks are its protocol's; what is met are all interactions with those."""
    release = timed_release(tmp_path, make_world, write_release, users=120)
    board = run_benchmark(
        release, ["sasrec"], overrides=SETTINGS, protocol=protocol, out=tmp_path / "out", device="cpu"
    )
    checkpoint = tmp_path / "out" / board.rows[0]["runs"][0]["checkpoint"]
    found, trained = lists_of(checkpoint, tmp_path / "lists.parquet", top=10), load_trained(checkpoint)
    world = load_release(release)
    items = 1 + np.flatnonzero(np.bincount(world.item, minlength=201)[1:] >= protocol.warm)

    assert sorted(found) == trained.user_ids.tolist()
    assert (protocol.warm > 0) == (len(items) < 200)
    for place, user in enumerate(sorted(found)):
        met = 1 + np.searchsorted(items, [item for item in world.item[world.user == user] if item in items])
        history = torch.zeros(1, 12, dtype=torch.int64)
        history[0, -len(met[-12:]) :] = torch.from_numpy(met[-12:])
        with torch.no_grad():
            scores = trained.model.scores(torch.tensor([place]), history)[0]
        scores[torch.from_numpy(met)] = scores[0] = -torch.inf
        assert items[scores.topk(10).indices - 1].tolist() == [row["item_id"] for row in found[user]]


def test_chosen_users_have_the_lists_that_they_have_among_all(checkpoints, tmp_path):
    """In the order that was asked for; as CSV with the same numbers."""
    everyone = lists_of(checkpoints["sasrec"], tmp_path / "all.parquet", top=3)
    recommend(checkpoints["sasrec"], users=[9, 4], top=3, out=tmp_path / "two.csv")
    rows = pyarrow.csv.read_csv(tmp_path / "two.csv").to_pylist()

    assert [9, 9, 9, 4, 4, 4] == [row["user_id"] for row in rows]
    assert [row["item_id"] for user in (9, 4) for row in everyone[user]] == [row["item_id"] for row in rows]


def test_lists_go_to_standard_output_without_a_file(checkpoints, tmp_path, capfdbinary):
    """As the CSV that a file would hold, byte for byte."""
    rows = recommend(checkpoints["sasrec"], users=[5], top=2)
    recommend(checkpoints["sasrec"], users=[5], top=2, out=tmp_path / "lists.csv")
    printed = capfdbinary.readouterr().out

    assert 2 == rows
    assert (tmp_path / "lists.csv").read_bytes() == printed
    lines = printed.decode().splitlines()
    assert '"user_id","rank","item_id","score"' == lines[0]
    assert ["5,1", "5,2"] == [line.rsplit(",", 2)[0] for line in lines[1:]]


def test_a_list_is_no_longer_than_what_is_left(checkpoints, tmp_path):
    """Of 200 items a user gets all but those of the history."""
    found = lists_of(checkpoints["sasrec"], tmp_path / "lists.parquet", top=1_000)
    met = load_trained(checkpoints["sasrec"]).met.counts(torch.arange(120))

    assert [200 - count for count in met.tolist()] == [len(found[user]) for user in sorted(found)]


def test_a_moved_release_is_named(release, checkpoints, tmp_path):
    """A checkpoint that was carried off says how to name its release, and then works."""
    moved = tmp_path / "carried.pt"
    moved.write_bytes(checkpoints["sasrec"].read_bytes())

    with pytest.raises(NotReadyError, match="--release"):
        recommend(moved)
    assert 10 == recommend(moved, users=[1], out=tmp_path / "lists.csv", release=release)


def test_another_release_is_refused(checkpoints, small_release):
    """Weights of one release say nothing of another."""
    with pytest.raises(RecipeError, match="is not the release"):
        recommend(checkpoints["sasrec"], release=small_release)


@pytest.mark.parametrize(
    ("choices", "words"),
    [({"users": [1, 99_999]}, "99999"), ({"top": 0}, "top is 0"), ({"out": "lists.xlsx"}, "neither .parquet nor .csv")],
)
def test_what_cannot_be_asked_is_told(checkpoints, tmp_path, choices, words):
    """The offending value stands in the message."""
    choices = {name: tmp_path / value if name == "out" else value for name, value in choices.items()}
    with pytest.raises(RecipeError, match=words):
        recommend(checkpoints["sasrec"], **choices)


def test_what_is_no_checkpoint_is_told(tmp_path):
    """A file that is not there, and one that is something else."""
    (tmp_path / "other.pt").write_text("words")

    with pytest.raises(NotReadyError, match="no checkpoint"):
        recommend(tmp_path / "absent.pt")
    with pytest.raises(CorruptDataError, match="other"):
        recommend(tmp_path / "other.pt")
