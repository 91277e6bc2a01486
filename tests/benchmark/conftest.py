"""Toy worlds: seeded interactions with tastes, or with nothing but popularity."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmark.data.lists import Lists
from benchmark.data.release import Interactions
from benchmark.data.side import Side, Tags

USERS, ITEMS, TOPICS = 3_500, 200, 20


@pytest.fixture(autouse=True)
def _same_seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Two of them wait for each other where tests run side by side."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_world():
    """Make users of one to three tastes; without tastes, the same items dealt out to users at random."""
    return _make_world


@pytest.fixture(scope="session")
def without_clock():
    """Leave out of a leaderboard's rows, or of what is in them, how long it took and how much memory."""
    return _without_clock


@pytest.fixture(scope="session")
def interactions():
    """Put (user, item) rows in a release's form; their order is the order of time."""
    return _interactions


@pytest.fixture(scope="session")
def make_side():
    """Make what is known of so many items: random features named videomae, and up to three of five tags each."""
    return _make_side


@pytest.fixture(scope="session")
def write_release():
    """Write a world as a release folder."""
    return _write_release


@pytest.fixture(scope="session")
def small_release(tmp_path_factory):
    """A release of 300 users with tastes, for what does not depend on numbers."""
    world = _make_world(users=300)
    return _write_release(tmp_path_factory.mktemp("small") / "Toy-300", world)


def _without_clock(told):
    if isinstance(told, dict):
        measured = {"seconds", "peak_memory_bytes"}
        return {name: _without_clock(value) for name, value in told.items() if name not in measured}
    return [_without_clock(one) for one in told] if isinstance(told, list) else told


def _make_world(seed=0, *, users=USERS, has_tastes=True):
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, TOPICS, ITEMS)
    popularity = rng.permutation(np.arange(1, ITEMS + 1) ** -0.6)
    user = np.repeat(np.arange(1, users + 1), 3 + rng.poisson(4, users))
    tastes = rng.random((users, TOPICS)).argsort(1) < rng.integers(1, 4, users)[:, None]
    weight = popularity * np.where(tastes[:, topic], 1.0, 0.01)  # (users, items)
    # The first n to finish a race of exponential clocks are n draws without replacement.
    finish = (rng.exponential(size=weight.shape) / weight).argsort(1)
    step = np.arange(len(user)) - np.searchsorted(user, user)
    item = finish[user - 1, step] + 1
    return _interactions(user, item) if has_tastes else _deal_out(user, rng.permutation(item))


def _deal_out(user, item):
    """Drop the second time that a user gets an item."""
    _, first = np.unique(user * (ITEMS + 1) + item, return_index=True)
    first.sort()
    return _interactions(user[first], item[first])


def _interactions(user, item, *, item_count=ITEMS):
    user, item = np.asarray(user, dtype=np.int64), np.asarray(item, dtype=np.int64)
    return Interactions("toy", np.arange(1, item_count + 1), user, item, np.arange(len(user), dtype=np.int64))


def _make_side(item_count):
    rng = np.random.default_rng(0)
    features = torch.tensor(rng.normal(1, 1, (item_count + 1, 16)), dtype=torch.float32)
    features[0] = 0
    bounds = np.concatenate([[0, 0], rng.integers(0, 4, item_count).cumsum()])
    tags = Tags(Lists(torch.tensor(rng.integers(1, 6, bounds[-1])), torch.tensor(bounds)), 5)
    return Side(None, features={"videomae": features}, tags=tags)


def _write_release(folder, world):
    (folder / "data").mkdir(parents=True)
    ids = {"user_id": pa.array(world.user, pa.int32()), "item_id": pa.array(world.item, pa.int32())}
    places = {"position": pa.array(world.position, pa.int32())}
    pq.write_table(pa.table(ids | places), folder / "data" / "interactions.parquet")
    items = pa.table({"item_id": pa.array(range(1, world.item_count + 1), pa.int32())})
    pq.write_table(items, folder / "data" / "items.parquet")
    (folder / "_manifest.json").write_bytes(b'{"name": "toy"}\n')
    return folder
