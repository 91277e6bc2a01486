"""Parquet parts appear whole or not at all."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.visits import video_table
from microlens.parts import write_part, write_table
from microlens.records import Caption, MediaLink, VideoRecord
from microlens.store import sha256_of
from microlens.tables import CRAWLED_COMMENTS, CRAWLED_VIDEOS

VIDEO = VideoRecord(
    platform="sandbox",
    video_id="v1",
    page_url="http://site.test/v1",
    title="<b>\u202e",
    tags=("a", "猫"),
    category="音乐",
    language=None,
    published_at_ms=None,
    duration_s=1.5,
    like_count=2**62,
    view_count=None,
    comment_count=0,
    author_key=bytes(16),
    media=(MediaLink("cover", "http://site.test/c", height=90),),
    captions=(Caption("en", "http://site.test/en.vtt"),),
    refusal=None,
    crawled_at_ms=1,
)


def test_a_part_is_what_the_ledger_will_say(tmp_path):
    """A part names its place under the run, its rows and the hash of its bytes."""
    part = write_part(tmp_path, "videos", video_table([VIDEO]))

    assert (f"crawled/videos/{part.part_id}.parquet", "videos", 1) == (part.path, part.kind, part.rows)
    assert part.sha256 == sha256_of(tmp_path / part.path)
    assert [f"{part.part_id}.parquet"] == [path.name for path in (tmp_path / "crawled" / "videos").iterdir()]


def test_a_video_survives_its_part(tmp_path):
    """A record's row is read as it was written, under the public schema with a description on every column."""
    part = write_part(tmp_path, "videos", video_table([VIDEO]))
    table = pq.read_table(tmp_path / part.path)
    (row,) = table.to_pylist()
    media, captions = (
        tuple(kind(**one) for one in row.pop(name)) for name, kind in (("media", MediaLink), ("captions", Caption))
    )

    assert VIDEO == VideoRecord(**{**row, "tags": tuple(row["tags"])}, media=media, captions=captions)
    assert all(field.metadata[b"description"] for field in table.schema)


def test_two_parts_of_the_same_rows_have_two_names(tmp_path):
    """A part's name is its own, so that nothing is ever overwritten."""
    first, second = (write_part(tmp_path, "videos", pa.Table.from_pylist([], schema=CRAWLED_VIDEOS)) for _ in range(2))

    assert first.part_id != second.part_id
    assert first.sha256 == second.sha256


def test_a_row_of_another_shape_leaves_nothing(tmp_path):
    """A row that does not fit the schema is an error before anything is written."""
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_part(tmp_path, "videos", video_table([replace(VIDEO, like_count="many")]))
    assert [] == list(tmp_path.rglob("*.parquet*"))


def test_a_table_is_replaced_whole(tmp_path):
    """The same rows give the same bytes, and no temporary file stays."""
    table = pa.table({"n": [1, 2, 3]})
    hashes = set()
    for _ in range(2):
        write_table(tmp_path / "deep" / "a.parquet", table)
        hashes.add(sha256_of(tmp_path / "deep" / "a.parquet"))

    assert 1 == len(hashes)
    assert ["a.parquet"] == [path.name for path in (tmp_path / "deep").iterdir()]


comments = st.fixed_dictionaries(
    {
        "video_id": st.text(),
        "comment_id": st.integers(-(1 << 63), (1 << 63) - 1),
        "user_key": st.binary(min_size=16, max_size=16),
        "commented_at_ms": st.integers(-(2**63), 2**63 - 1),
    }
)


@given(st.lists(comments, max_size=5))
def test_comments_survive_their_part(tmp_path_factory, rows):
    """Every comment is read as it was written, in its order, whatever text it holds."""
    folder = tmp_path_factory.getbasetemp() / "parts"
    part = write_part(folder, "comments", pa.Table.from_pylist(rows, schema=CRAWLED_COMMENTS))

    assert rows == pq.read_table(folder / part.path).to_pylist()
