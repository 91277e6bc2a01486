"""A comment's id as 8 bytes decides as its hexadecimal digits do."""

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.engines.duckdb import DuckEngine
from microlens.settings import Settings

VIDEOS = ["v1", "v2", "v3"]
IDS = st.binary(min_size=8, max_size=8) | st.sampled_from([bytes([first]) + bytes(7) for first in (0, 127, 128, 255)])
rows = st.lists(
    st.builds(
        lambda video, user, key, at: {
            "user_key": bytes([user]) * 16,
            "video_id": video,
            "commented_at_ms": at,
            "comment_id": key,
            "increment": 0,
        },
        st.sampled_from(VIDEOS),
        st.integers(0, 3),
        IDS,
        st.integers(0, 1),
    ),
    max_size=30,
    unique_by=lambda row: (row["video_id"], row["comment_id"]),
)


def schema_of(kind):
    return pa.schema(
        [
            ("user_key", pa.binary(16)),
            ("video_id", pa.string()),
            ("commented_at_ms", pa.int64()),
            ("comment_id", kind),
            ("increment", pa.int32()),
        ]
    )


STEPS = {
    "merged_pairs": {},
    "item_pairs": {},
    "floors": {"max_per_video": 2},
    "interactions": {},
    "sampled_pairs": {"cutoff_ms": 9},
    "release_interactions": {"timestamps": "exact"},
}
"""Every step in which a comment's id breaks a tie or is handed on, and its parameters."""


def results(folder, taken, kind):
    """What the steps make of rows that were taken in."""
    videos, users = ["v1", "v2"], [bytes([user]) * 16 for user in range(4)]
    made = {}
    with DuckEngine(Settings(threads=1, memory_limit="500MB"), folder / "tmp") as engine:
        engine.add_table("taken", pa.Table.from_pylist(taken, schema=schema_of(kind)))
        engine.add_table(
            "replaced", pa.table({"video_id": pa.array([], pa.string()), "increment": pa.array([], pa.int32())})
        )
        engine.add_table("twins", pa.table({"video_id": ["v2", "v3"], "counts_for": ["v2", "v2"]}))
        for name in ("items", "crowded", "pool_items"):
            engine.add_table(name, pa.table({"video_id": videos}))
        engine.add_table("sampled_users", pa.table({"user_key": users}))
        engine.add_table("user_ids", pa.table({"user_key": users, "user_id": [1, 2, 3, 4]}))
        engine.add_table("item_ids", pa.table({"video_id": videos, "item_id": [1, 2]}))
        for step, parameters in STEPS.items():
            engine.run(step, folder / f"{step}.parquet", parameters)
            for reads, made_by in (("drawn_from", "interactions"), ("pairs", "sampled_pairs")):
                if step == made_by:
                    engine.add_view(reads, f"SELECT * FROM {step}")
            made[step] = pq.read_table(folder / f"{step}.parquet").to_pylist()
    return made


def spelled(made):
    """Results with their ids in digits."""
    return {
        step: [{**row, "comment_id": row["comment_id"].hex()} if "comment_id" in row else row for row in rows]
        for step, rows in made.items()
    }


@given(taken=rows)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_decide_as_their_digits_do(tmp_path, taken):
    """The same pairs, floors, draws and positions, in the same order, on however many ties."""
    in_digits = [{**row, "comment_id": row["comment_id"].hex()} for row in taken]

    assert results(tmp_path, in_digits, pa.string()) == spelled(results(tmp_path, taken, pa.binary(8)))
