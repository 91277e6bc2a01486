"""Small made tables to draw from, and what has to come out of them, counted in plain Python."""

import contextlib
import hashlib
import random
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from integration.engines.duckdb import DuckEngine
from integration.sample import sample
from microlens.settings import Settings
from tests.integration.made import comment_key

ITEMS = pa.schema([("video_id", pa.string()), ("stage", pa.string())])
SNAPSHOTS = pa.schema([("video_id", pa.string()), ("crawled_at_ms", pa.int64()), ("like_count", pa.int64())])
USERS = pa.schema([("user_key", pa.binary(16)), ("interaction_count", pa.int64()), ("sampling_hash", pa.string())])
PAIRS = pa.schema(
    [
        ("user_key", pa.binary(16)),
        ("video_id", pa.string()),
        ("commented_at_ms", pa.int64()),
        ("comment_id", pa.int64()),
        ("page_id", pa.string()),
    ]
)
SEED = 5


def place_of(user_key, seed=SEED):
    """Where a user stands in the sampling order: by key from the seed's start on, or by another seed's hash."""
    if seed != SEED:
        return hashlib.sha256(f"{seed}:{user_key.hex()}".encode()).hexdigest(), user_key
    start = hashlib.sha256(f"users from {seed}".encode()).digest()[:16]
    return f"{int(user_key < start)}{user_key.hex()}", user_key


@dataclass
class Tables:
    """Rows of the integrated tables."""

    items: list
    snapshots: list
    pairs: list

    def users(self):
        counts = Counter(row["user_key"] for row in self.pairs)
        return [
            {"user_key": key, "interaction_count": count, "sampling_hash": place_of(key)[0]}
            for key, count in counts.items()
        ]


def tables(dice, *, items=6, users=12, pairs=60, visits=3):
    """Items with one to so many visits, users with a few pairs; many equal times, likes and counts."""
    keys = [hashlib.sha256(f"user {number}".encode()).digest()[:16] for number in range(users)]
    videos = [f"v{number}" for number in range(items)]
    made = {}
    for number in range(pairs):
        key, video = keys[int(users * dice.random() ** 1.5)], dice.choice(videos)
        made.setdefault(
            (key, video),
            {
                "commented_at_ms": dice.randrange(12),
                "comment_id": comment_key(f"c{number % 7}"),
                "page_id": f"p{number % 3}",
            },
        )
    return Tables(
        items=[{"video_id": video, "stage": dice.choice(["seed", "related"])} for video in videos],
        snapshots=[
            {"video_id": video, "crawled_at_ms": dice.randrange(12), "like_count": dice.choice([None, 1, 2, 3])}
            for video in videos
            for _ in range(dice.randint(1, visits))
        ],
        pairs=[{"user_key": key, "video_id": video, **told} for (key, video), told in made.items()],
    )


@contextlib.contextmanager
def drawing(folder):
    """An engine to draw with, and a folder for what it makes."""
    with DuckEngine(Settings(threads=1, memory_limit="500MB"), folder / "tmp") as engine:
        yield engine, folder / "work"


def draw_from(made, draw, at, *, shuffle=0, parts=1):
    """What is drawn from the tables, their rows in any order and any number of parts: (sample, pairs as rows)."""
    dice = random.Random(shuffle)

    def table(rows, schema):
        mixed = dice.sample(rows, len(rows))
        pieces = [pa.Table.from_pylist(mixed[at::parts], schema=schema) for at in range(parts)]
        return pa.concat_tables(pieces)

    engine, work = at
    engine.add_table("items", table(made.items, ITEMS))
    engine.add_table("snapshots", table(made.snapshots, SNAPSHOTS))
    engine.add_table("users", table(made.users(), USERS))

    def add_pairs(arc):
        def is_there(row):
            return arc is None or arc.touches(row["user_key"][0], 256)

        engine.add_table("drawn_from", table([row for row in made.pairs if is_there(row)], PAIRS))

    drawn = sample(engine, draw, SEED, work, lambda _: None, add_pairs=add_pairs)
    return drawn, engine.query("SELECT * FROM pairs").to_pylist()


def pool_by_hand(made, draw):
    """Items of the pool, the earliest found: likes are of the last visit before the cutoff, or else of the first."""
    cutoff_ms, found = draw.cutoff_ms if draw.cutoff_ms is not None else 2**60, []
    for item in made.items:
        visits = [row for row in made.snapshots if row["video_id"] == item["video_id"]]
        before = [row["crawled_at_ms"] for row in visits if row["crawled_at_ms"] < cutoff_ms]
        at_ms = max(before) if before else min(row["crawled_at_ms"] for row in visits)
        likes = max(row["like_count"] or 0 for row in visits if row["crawled_at_ms"] == at_ms)
        if (draw.stage or item["stage"]) == item["stage"] and likes >= (draw.min_likes or 0):
            found.append((min(row["crawled_at_ms"] for row in visits), item["video_id"]))
    return {video for _, video in sorted(found)[: draw.pool]}


def drawn_by_hand(made, draw):
    """The pairs of the draw before its core, and the users in sampling order."""
    pool, cutoff_ms = pool_by_hand(made, draw), draw.cutoff_ms if draw.cutoff_ms is not None else 2**60
    pairs = [row for row in made.pairs if row["video_id"] in pool and row["commented_at_ms"] < cutoff_ms]
    counts = Counter(row["user_key"] for row in pairs)
    eligible = [key for key, count in counts.items() if draw.min_user <= count <= (draw.max_user or count)]
    seed = SEED if draw.seed is None else draw.seed
    users = sorted(eligible, key=lambda key: place_of(key, seed))[: draw.users]
    return [row for row in pairs if row["user_key"] in users], users


def core_by_hand(pairs, min_user, min_item, dice):
    """Drop what is too rare one at a time, in any order, until nothing is."""
    pairs = list(pairs)
    while True:
        users, items = (Counter(row[name] for row in pairs) for name in ("user_key", "video_id"))
        rare = [("user_key", key) for key, count in users.items() if count < min_user]
        rare += [("video_id", key) for key, count in items.items() if count < min_item]
        if not rare:
            return pairs
        name, key = dice.choice(rare)
        pairs = [row for row in pairs if row[name] != key]


def in_order(pairs):
    """As a step gives them."""
    return sorted(pairs, key=lambda row: (row["user_key"], row["commented_at_ms"], row["comment_id"], row["video_id"]))
