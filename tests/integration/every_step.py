"""Every step over made tables of any size, and what it gives as CSV: two engines must give the same."""

import hashlib

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from integration.anonymise import ITEM_IDS, USER_IDS
from integration.pair_state import PAIRS, REPLACED
from integration.sampling_order import start_of
from microlens.tables import CRAWLED_TEXTS, CRAWLED_VIDEOS, INTERACTIONS, MEASUREMENTS, VERDICTS

HOSTILE = [
    "it's",
    'a"b',
    "back\\slash",
    "a,b\nc\r",
    "视频",
    "😀👨‍👩‍👧",
    "e\u0301",
    "é",
    "A",
    "a",
    " a",
    "a ",
    "\x00",
    "\u202e",
    "%s",
    "",
]
EXTREMES = [b"\x00" * 16, b"\xff" * 16, b"\x7f" * 16, b"\x80" * 16]
TIMES = [0, -1, 1, 86_399_999, 86_400_000, -86_400_000, -86_400_001, 1_700_000_000_000, 2**61, -(2**61)]
COUNTS = [0, 1, -1, 10_000, 2**62, None]
SECONDS = [0.0, -0.0, 1 / 3, 1e300, float("inf"), None]


class Dice:
    """Columns from a seed."""

    def __init__(self, seed, rows):
        self.rows = rows
        self.random = np.random.default_rng(seed)

    def of(self, rows):
        """The same dice, for columns of another length."""
        other = Dice(0, rows)
        other.random = self.random
        return other

    def pick(self, values, kind):
        """Any of a few values: many are equal."""
        return pa.array(values, kind).take(pa.array(self.random.integers(0, len(values), self.rows)))

    def places(self, count, *, skew=1.0):
        """Any of so many places; the first ones oftener."""
        return pa.array((count * self.random.random(self.rows) ** skew).astype(np.int64))

    def times(self):
        """Half of them of a few moments, half of a few years."""
        years = pa.array(self.random.integers(1_600_000_000_000, 1_700_000_000_000, self.rows))
        return pc.if_else(self.coin(), self.pick(TIMES, pa.int64()), years)

    def coin(self, share=0.5):
        return pa.array(self.random.random(self.rows) < share)


def made_tables(seed, rows):
    """Inputs of all steps, by name: so many comments, and about a hundredth as many videos."""
    dice = Dice(seed, rows)
    videos, users = _videos(max(24, rows // 100)), _users(dice, max(12, rows // 8))
    user_ids, item_ids = _ids(dice, users, USER_IDS), _ids(dice, videos, ITEM_IDS)
    by_user, of_video = dice.places(len(users), skew=1.5), dice.places(len(videos), skew=2)
    taken = {
        "user_key": users.take(by_user),
        "video_id": videos.take(of_video),
        "commented_at_ms": dice.times(),
        "comment_id": dice.pick(dice.random.integers(-(1 << 63), (1 << 63) - 1, 100), pa.int64()),
    }
    some = dice.of(len(videos) // 3)
    return {
        **_crawled(dice.of(len(videos)), videos),
        "taken": _table(
            {**taken, "increment": dice.pick([0, 1, 2, 3], pa.int32())}, [*PAIRS, ("increment", pa.int32())]
        ),
        "replaced": _table(
            {"video_id": videos.take(some.places(len(videos))), "increment": some.pick([1, 2, 3], pa.int32())}, REPLACED
        ),
        "crawled_texts": _table(
            {
                **taken,
                "text": dice.pick([*HOSTILE, None], pa.string()),
                "gender": dice.pick(["f", "m", None], pa.string()),
            },
            CRAWLED_TEXTS,
        ),
        **_imported(Dice(seed, rows), len(users), len(videos)),
        "twins": _twins(videos),
        "crowded": pa.table({"video_id": videos.slice(0, 12)}),
        "user_ids": user_ids.filter(dice.of(len(users)).coin(0.7)),
        "item_ids": _with_paths(dice, item_ids.filter(dice.of(len(videos)).coin(0.7))),
        "within_pairs": _table(
            {
                "user_id": user_ids["user_id"].take(by_user),
                "item_id": item_ids["item_id"].take(of_video),
                "timestamp_ms": dice.times(),
                "position": dice.pick([1], pa.int32()),
            },
            INTERACTIONS,
        )
        .filter(dice.coin(0.5))
        .group_by(["user_id", "item_id"])
        .aggregate([("timestamp_ms", "min"), ("position", "min")])
        .rename_columns(INTERACTIONS.names),
    }


def _imported(dice, users, items):
    """Pairs of a foreign file, in microseconds; some ids are not among the public ones, some pairs are there again."""
    pairs = {
        "user_token": pc.cast(dice.places(users), pa.string()),
        "item_token": pc.cast(dice.places(items, skew=2), pa.string()),
        "place": pa.array(np.arange(dice.rows)),
    }
    moments = dice.random.integers(1_600_000_000_000_000, 1_600_000_000_009_999, dice.rows).astype(np.float64)
    return {
        "foreign_pairs": pa.table({**pairs, "time": pa.array(moments)}),
        "foreign_comments": pa.table({**pairs, "text": dice.pick(HOSTILE, pa.string())}),
        **{
            f"imported_{kind}s": pa.table(
                {
                    f"{kind}_token": pa.array(map(str, range(1, count))),
                    f"{kind}_id": np.arange(1, count, dtype=np.int32),
                }
            )
            for kind, count in (("user", users), ("item", items))
        },
    }


def run_steps(engine, tables, folder):
    """Run every step, those without an order too, each over what the ones before it gave: (step, file), one by one."""
    for name, table in tables.items():
        engine.add_table(name, table)
    limits = {"min_user": 2, "max_user": 60, "min_item": 3}
    cutoff = {"cutoff_ms": 1_690_000_000_000}
    rows = tables["taken"].num_rows
    for step, parameters in (
        ("videos", {}),
        ("measured", {}),
        ("items", {}),
        ("snapshots", {}),
        ("merged_pairs", {}),
        ("item_pairs", {}),
        ("floors", {"max_per_video": max(2, rows // 5000)}),
        ("interactions", {}),
        ("users", {"start": start_of(2026)}),
        ("pool_items", {"stage": "seed", "min_likes": 1, "pool": rows // 250 + 5, **cutoff}),
        ("candidates", {"seed": 2**40, "is_reseeded": True, "bound": "c" * 16, **limits}),
        ("pool_users", cutoff),
        ("sampled_users", {"users": rows // 20, **limits}),
        ("sampled_pairs", cutoff),
        ("core_pairs", limits),
        ("observed_items", {}),
        ("observed_users", {}),
        ("pairs_within", {}),
        ("release_items", {}),
        ("release_users", {}),
        ("release_interactions", {"timestamps": "day"}),
        ("release_comments", {}),
        ("imported_interactions", {"ms_per_unit": 0.001}),
        ("imported_comments", {}),
    ):
        path = folder / f"{step}.parquet"
        if step in {"item_pairs", "interactions"}:
            engine.add_step(step)
            _materialise(engine, step, path)
        else:
            engine.run(step, path, parameters)
        yield step, path
        if step == "interactions":
            engine.add_view("drawn_from", "SELECT * FROM interactions")
        elif step == "sampled_pairs":
            engine.add_view("pairs", "SELECT * FROM sampled_pairs")
        elif step == "core_pairs":
            engine.add_view("pairs", "SELECT * FROM core_pairs")
            engine.add_view("within_users", "SELECT * FROM user_ids")
            engine.add_view("within_items", "SELECT * FROM item_ids")


def shuffled(tables, seed):
    """The same rows in another order, on which no step may depend."""
    dice = np.random.default_rng(seed)
    return {name: table.take(pa.array(dice.permutation(table.num_rows))) for name, table in tables.items()}


def csv_sha256(path, folder):
    """Of a table's rows in their order, as one CSV writer spells them, with the types of the columns before them."""
    written = folder / "rows.csv"
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as connection:
        connection.execute(f"COPY (SELECT * FROM read_parquet('{path}')) TO '{written}' (HEADER, FORCE_QUOTE *)")
    told = hashlib.sha256(repr([(field.name, str(field.type)) for field in pq.read_schema(path)]).encode())
    with written.open("rb") as file:
        while piece := file.read(1 << 22):
            told.update(piece)
    written.unlink()
    return told.hexdigest()


def _materialise(engine, step, path):
    """A step that is but a view has no order: all its columns give it one."""
    table = engine.query(f"SELECT * FROM {step} ORDER BY user_key, video_id, commented_at_ms, comment_id, page_id")
    pq.write_table(table, path)


def _table(columns, schema):
    schema = pa.schema(schema)
    return pa.table([columns[name].cast(kind) for name, kind in zip(schema.names, schema.types, strict=True)], schema)


def _videos(count):
    return pa.array([f"{HOSTILE[number % len(HOSTILE)]}{number // len(HOSTILE) or ''}" for number in range(count)])


def _users(dice, count):
    keys = [*EXTREMES, *(dice.random.bytes(16) for _ in range(count - len(EXTREMES)))]
    return pa.array(keys, pa.binary(16))


def _ids(dice, keys, schema):
    """Ids from 1, in any order."""
    return pa.table([keys, pa.array(dice.random.permutation(len(keys)) + 1, pa.int32())], schema=schema)


def _with_paths(dice, items):
    dice = dice.of(items.num_rows)
    for kind in ("cover", "video", "audio"):
        items = items.append_column(f"{kind}_path", dice.pick([*HOSTILE, None], pa.string()))
    return items


def _twins(videos):
    """Of the last quarter of the videos every two are pages of one item."""
    copies = videos.slice(len(videos) * 3 // 4).to_pylist()
    rows = [{"video_id": one, "counts_for": copies[at - at % 2]} for at, one in enumerate(copies)]
    return pa.Table.from_pylist(rows, schema=pa.schema([("video_id", pa.string()), ("counts_for", pa.string())]))


def _crawled(dice, videos):
    """What is known of the videos: several visits, files, failures, verdicts."""
    visits = dice.of(4 * len(videos))
    visited = visits.places(len(videos))
    words, hashes = [*HOSTILE, None], ["ab" * 32, None]
    lists = [["a", *HOSTILE], [], None]
    wanted = {field.name: field for field in CRAWLED_VIDEOS}
    crawled = {
        "platform": visits.pick(["sandbox"], pa.string()),
        "video_id": videos.take(visited),
        "page_url": visits.pick(HOSTILE[:3], pa.string()),
        "title": visits.pick(HOSTILE[:5], pa.string()),
        "tags": visits.pick([one or [] for one in lists], wanted["tags"].type),
        "category": visits.pick(words, pa.string()),
        "language": visits.pick(words, pa.string()),
        "published_at_ms": visits.pick([*TIMES, None], pa.int64()),
        "duration_s": visits.pick(SECONDS, pa.float64()),
        "like_count": visits.pick(COUNTS, pa.int64()),
        "view_count": visits.pick(COUNTS, pa.int64()),
        "comment_count": visits.pick(COUNTS, pa.int64()),
        "author_key": visits.pick([*EXTREMES, None], pa.binary(16)),
        "media": visits.pick([[]], wanted["media"].type),
        "captions": dice.pick(
            [None, [], [{"language": "中文", "url": "it's", "is_generated": None}]], wanted["captions"].type
        ).take(visited),
        "refusal": visits.pick(words, pa.string()),
        "crawled_at_ms": visits.pick(TIMES[:3], pa.int64()),
    }
    kinds = ["cover", "video", "audio"]
    of_kind = dice.of(len(videos) * 3)
    every = pa.array([video for video in videos.to_pylist() for _ in kinds])
    asset = {
        "video_id": every,
        "kind": pa.array(kinds * len(videos)),
        "sha256": of_kind.pick(hashes[:1], pa.string()),
        "size_bytes": of_kind.pick([0, 99_999, 2**40], pa.int64()),
        "mime": of_kind.pick(["video/mp4", "it's"], pa.string()),
        "origin": of_kind.pick(["fetched"], pa.string()),
        **{name: of_kind.pick([0, 1920, None], pa.int32()) for name in ("width", "height", "stream_count")},
        **{name: of_kind.pick(SECONDS, pa.float64()) for name in ("duration_s", "fps", "dominant_share")},
        **{name: of_kind.pick(words, pa.string()) for name in ("container", "codecs", "error")},
        "phash": of_kind.pick(hashes, pa.string()),
        "frame_hashes": of_kind.pick(lists, pa.list_(pa.string())),
        **{
            name: of_kind.pick([True, False, None], pa.bool_())
            for name in ("first_decodes", "middle_decodes", "last_decodes", "is_decodable")
        },
    }
    names = pc.binary_join_element_wise(every, pa.array(kinds * len(videos)), "/")
    page_columns = {
        "video_id": videos,
        "failure": dice.pick(words, pa.string()),
        "refusal": dice.pick(words, pa.string()),
        "like_count": dice.pick(COUNTS, pa.int64()),
        "has_cover": dice.pick([True, False], pa.bool_()),
        "has_video": dice.pick([True, False], pa.bool_()),
    }
    verdicts = {
        "video_id": videos,
        "is_kept": dice.coin(0.8),
        **{name: dice.pick(words, pa.string()) for name in ("reason", "filter", "detail", "twin_of")},
        **{name: dice.pick(SECONDS, pa.float64()) for name in ("measured", "threshold")},
    }
    return {
        "crawled_videos": _table(crawled, CRAWLED_VIDEOS),
        "page": pa.table(page_columns),
        "selection": pa.table(
            {
                "video_id": videos,
                "stage": dice.pick(["seed", "seed", "related"], pa.string()),
                "depth": dice.pick([0, 1], pa.int32()),
            }
        ).filter(dice.coin(0.9)),
        "asset": _table(asset, MEASUREMENTS).filter(of_kind.coin(0.8)),
        "failure": pa.table({"name": names, "reason": of_kind.pick(HOSTILE, pa.string())}).filter(of_kind.coin(0.3)),
        "verdicts": _table(verdicts, VERDICTS),
    }
