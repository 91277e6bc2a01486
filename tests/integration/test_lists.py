"""What the ledger lists, written as files: the rows that a look at every object finds, in little memory."""

import random
import tracemalloc
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration import lists as lists_module
from integration.comments import standing_comments
from integration.lists import ASSET, write_lists
from integration.table_hash import TableHash
from microlens import ledger_reading
from microlens.ledger_rows import PageRow, Part, Selected
from microlens.records import AssetRecord, Failure, MediaLink
from tests.integration.made import world
from tests.microlens.test_unfinished import fill

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.int64()), ("is", pa.bool_()), ("all", pa.list_(pa.string()))])
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": TEXTS,
            "number": st.none() | st.integers(-3, 3),
            "is": st.none() | st.booleans(),
            "all": st.none() | st.lists(TEXTS, max_size=3),
        }
    ),
    max_size=8,
)


def hash_of(rows, cuts=()):
    table, hashed = pa.Table.from_pylist(rows, schema=SCHEMA), TableHash(SCHEMA)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(rows)), len(rows)]
    for start, end in pairwise(edges):
        for batch in table.slice(start, end - start).to_batches() or [pa.RecordBatch.from_pylist([], SCHEMA)]:
            hashed.update(batch)
    return hashed.hexdigest()


@given(ROWS, st.lists(st.integers(0, 8), max_size=3))
def test_a_hash_does_not_depend_on_how_rows_are_cut(rows, cuts):
    """Any batches, and slices of larger ones, give the hash of the whole."""
    assert hash_of(rows) == hash_of(rows, cuts)


@given(ROWS, ROWS)
def test_other_rows_have_another_hash(rows, others):
    """Null, empty and zero differ, and so do two texts cut elsewhere."""
    assert (rows == others) == (hash_of(rows) == hash_of(others))


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_lists_hold_what_a_look_at_every_object_finds(small, tmp_path, monkeypatch, at_once):
    """Standing pages, selection, assets and each name's last final failure of media, in their order."""
    monkeypatch.setattr(lists_module, "_AT_ONCE", at_once)
    run, ledger = small.run, small.run.ledger
    small.fill(world(3))
    fill(ledger, run.refreshes, random.Random(3))
    ledger.commit_assets(
        [AssetRecord("sandbox", "hashed", "video", "ab" * 32, 9, "x/y", frame_hashes=("cd" * 32,) * 3)]
    )
    for reason in ("timeout", "gone"):
        ledger.record_failure(Failure("media", "v1/cover", "sandbox", "v1", "u", reason, None, 1, True))
    listed = write_lists(ledger, tmp_path / "lists")
    rows = {name: pq.read_table(one.path).to_pylist() for name, one in listed.items()}
    pages = [one.page for one in run.refreshes.standings()]
    failures = {row["name"]: row["reason"] for row in ledger.final_failures("media")}

    assert [
        {
            **{name: getattr(page, name) for name in ("video_id", "failure", "refusal", "like_count")},
            "has_cover": any(link.kind == "cover" for link in page.media),
            "has_video": any(link.kind == "video" for link in page.media),
        }
        for page in pages
    ] == rows["page"]
    assert [(one.video_id, one.stage, one.depth) for one in ledger.selections()] == [
        tuple(row.values()) for row in rows["selection"]
    ]
    assert pa.Table.from_pylist(ledger.assets(), schema=ASSET).to_pylist() == rows["asset"]
    assert sorted(failures.items()) == [tuple(row.values()) for row in rows["failure"]]
    assert {name: len(some) for name, some in rows.items()} == {name: one.rows for name, one in listed.items()}


def test_hashes_of_lists_do_not_depend_on_ranges(small, tmp_path, monkeypatch):
    """The ledger's rows decide, not how many are read at once."""
    fill(small.run.ledger, small.run.refreshes, random.Random(4))
    told = []
    for at_once in (1, 7, 1000):
        monkeypatch.setattr(lists_module, "_AT_ONCE", at_once)
        told.append({name: one.sha256 for name, one in write_lists(small.run.ledger, tmp_path / "lists").items()})

    assert told[0] == told[1] == told[2]


def test_lists_and_readings_take_no_memory(small, tmp_path, monkeypatch):
    """3,000 videos with 16 hashes each, as objects over 20 MB, pass by some hundreds at a time."""
    for module in (lists_module, ledger_reading):
        monkeypatch.setattr(module, "_AT_ONCE", 300)
    ledger = small.run.ledger
    names = [f"v{number:04}" for number in range(3000)]
    links = tuple(MediaLink(kind, "u" * 500) for kind in ("cover", "video"))
    ledger.commit_crawl(
        pages=[PageRow(name, "u", media=links) for name in names],
        selections=[Selected(name, "seed", None, 0) for name in names],
    )
    hashes = tuple(f"{number:064x}" for number in range(16))
    ledger.commit_assets(
        AssetRecord("sandbox", name, "video", "ab" * 32, 1, "x/y", frame_hashes=hashes) for name in names
    )
    ledger.commit_comments(Part("p", "comments", "crawled/comments/p.parquet", 3000, "ab"), dict.fromkeys(names, 1))
    write_lists(ledger, tmp_path / "first"), standing_comments(small.run)  # what is made once for each query
    tracemalloc.start()
    try:
        rows = {name: one.rows for name, one in write_lists(ledger, tmp_path / "lists").items()}
        rows["readings"] = standing_comments(small.run).readings.num_rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert {"page": 3000, "selection": 3000, "asset": 3000, "failure": 0, "readings": 3000} == rows
    assert peak < 5_000_000
