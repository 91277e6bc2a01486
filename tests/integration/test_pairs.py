"""The merge bucket by bucket: the same bytes however comments came in, killed or not, and no part read twice."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integration.engines.duckdb import DuckEngine
from integration.gather import gather
from integration.pair_state import PAIRS, READINGS, PairState, bits_for, bucket_condition, read_state, sweep
from integration.pairs import merge_pairs
from microlens.comment_lists import CommentList, that_stand
from microlens.errors import CorruptDataError
from microlens.parts import write_part
from microlens.settings import Settings
from microlens.tables import CRAWLED_COMMENTS
from tests.integration.made import comment_key

SMALL = {"MICROLENS_MEMORY_LIMIT": "120MB", "MICROLENS_THREADS": "2"}
BUCKET_ROWS = 60
KILLS = 5


@dataclass
class Comments:
    """Readings of comments as nodes commit them, and the pairs that are due, by hand."""

    folder: Path
    parts: dict = field(default_factory=dict)
    lists: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)
    """Rows of every reading, by (video, refresh)."""
    bucket_rows: int = BUCKET_ROWS

    def commit(self, readings, *, additions=()):
        """One part of whole readings: {(video, refresh): rows}, all of one refresh."""
        rows = [row for own in readings.values() for row in own]
        table = pa.Table.from_pylist(rows, schema=CRAWLED_COMMENTS)
        part = write_part(self.folder, "comments", table, group_rows=50) if rows else None
        if part:
            self.parts[part.path] = part
        for (video, refresh), own in readings.items():
            is_full = (video, refresh) not in additions
            self.lists.append(CommentList(video, refresh, len(own), is_full, None, part.path if part and own else None))
        self.rows |= readings

    def take_in(self, state, *, closed=(), folder="pairs"):
        place = self.folder / folder
        place.mkdir(exist_ok=True)
        told = [asdict(one) for one in that_stand(self.lists) if one.path and one.video_id not in closed]
        standing = pa.Table.from_pylist(told, schema=READINGS)
        return gather(place, state, standing, run_folder=self.folder, parts=self.parts, bucket_rows=self.bucket_rows)

    def merge(self, state, *, folder="pairs"):
        with DuckEngine(Settings(), self.folder / "tmp") as engine:
            return merge_pairs(engine, self.folder / folder, state, self.bucket_rows)

    def tell(self):
        """Write down what a process of its own is to merge."""
        told = {"lists": [astuple(one) for one in self.lists], "bucket_rows": self.bucket_rows}
        told["parts"] = [astuple(part) for part in self.parts.values()]
        (self.folder / "told.json").write_text(json.dumps(told))

    def command(self):
        return [sys.executable, "-m", "tests.integration.merging", str(self.folder)]

    def go_on(self):
        """What `integrate` does with comments: finish the merge that was killed, take in, merge."""
        place = self.folder / "pairs"
        place.mkdir(exist_ok=True)
        state = read_state(place)
        sweep(place, state)
        if state.bits is not None:
            state = self.merge(state)
        return self.merge(self.take_in(state))

    def due(self, closed=()):
        """The pairs by hand, in their order."""
        first = {}
        standing = [one for one in that_stand(self.lists) if one.video_id not in closed]
        rows = [row for one in standing for row in self.rows[one.video_id, one.refresh]]
        for row in sorted(rows, key=lambda row: (row["commented_at_ms"], row["comment_id"])):
            first.setdefault((row["user_key"], row["video_id"]), row)
        kept = [{name: row[name] for name in PAIRS.names} for row in first.values()]
        return sorted(
            kept, key=lambda row: (row["user_key"], row["commented_at_ms"], row["comment_id"], row["video_id"])
        )


@pytest.fixture
def comments(tmp_path):
    return Comments(tmp_path)


def some_rows(dice, video, count):
    return [
        {
            "video_id": video,
            "comment_id": comment_key(f"c{dice.randrange(10**6):06d}"),
            "user_key": bytes([dice.randrange(256)]) * 16,
            "commented_at_ms": dice.randrange(50),
        }
        for _ in range(count)
    ]


def crawl(comments, dice, *, days=3, videos=12, mean=25):
    """Some days of a site: yields after every part. Later days replace lists of some videos and add to others."""
    for day in range(days):
        names = [f"v{number}" for number in range(videos) if day == 0 or dice.random() < 0.5]
        dice.shuffle(names)
        while names:
            some, names = names[:4], names[4:]
            readings = {(name, day): some_rows(dice, name, dice.randrange(2 * mean)) for name in some}
            additions = {key for key in readings if day and dice.random() < 0.5}
            comments.commit(readings, additions=additions)
            yield day


def bytes_of(folder, state):
    return [(folder / file.path).read_bytes() for file in state.merged]


def rows_of(folder, state):
    return [row for file in state.merged for row in pq.read_table(folder / file.path, schema=PAIRS).to_pylist()]


@pytest.mark.parametrize("seed", range(8))
def test_any_division_into_increments_gives_the_same_bytes(comments, seed):
    """Taken in and merged whenever it likes, a crawl with replaced and added lists ends as if merged at once."""
    dice = random.Random(seed)
    state, often = PairState(), dice.choice([0.3, 0.7, 1])
    for _ in crawl(comments, dice):
        if dice.random() < often:
            state = comments.take_in(state)
        if dice.random() < often / 2:
            state = comments.merge(state)
    bits = bits_for(sum(one.comments for one in comments.lists), BUCKET_ROWS)
    state = comments.merge(comments.take_in(state))
    at_once = comments.merge(comments.take_in(PairState(), folder="at-once"), folder="at-once")
    place, other = comments.folder / "pairs", comments.folder / "at-once"

    assert comments.due() == rows_of(place, state) == rows_of(other, at_once)
    assert 1 < len(at_once.merged) <= len(state.merged) <= 1 << bits
    if len(at_once.merged) == len(state.merged):
        assert bytes_of(other, at_once) == bytes_of(place, state)


def test_closed_comments_leave_and_may_come_back(comments):
    """Of a video whose comments were closed nothing stays; once they are read again they are in as they were."""
    for _ in crawl(comments, random.Random(1), days=1):
        pass
    place = comments.folder / "pairs"
    first = comments.merge(comments.take_in(PairState()))
    closed = comments.merge(comments.take_in(first, closed={"v0", "v1"}))
    without = rows_of(place, closed)
    back = comments.merge(comments.take_in(closed))

    assert comments.due({"v0", "v1"}) == without
    assert comments.due() == rows_of(place, back)
    assert not {"v0", "v1"} & {row["video_id"] for row in without}


def test_what_is_merged_needs_its_part_no_longer(comments):
    """Parts may be deleted once they are taken in; nothing new is nothing to do."""
    state = PairState()
    for _ in crawl(comments, random.Random(2), days=1):
        state = comments.take_in(state)
        for path in comments.parts:
            (comments.folder / path).unlink(missing_ok=True)
    state = comments.merge(state)

    assert comments.due() == rows_of(comments.folder / "pairs", state)
    assert state == comments.take_in(state) == comments.merge(state)


def test_a_part_that_is_needed_again_and_gone_is_named(comments):
    """A closed video that is open again needs its old part."""
    comments.commit({("v0", 0): some_rows(random.Random(3), "v0", 9)})
    state = comments.merge(comments.take_in(PairState()))
    state = comments.merge(comments.take_in(state, closed={"v0"}))
    (path,) = comments.parts
    (comments.folder / path).unlink()

    with pytest.raises(CorruptDataError, match=f"{path} holds nothing"):
        comments.take_in(state)


def test_a_part_that_was_changed_is_named(comments):
    """Only new parts are checked: what was taken in before does not count again."""
    dice = random.Random(4)
    comments.commit({("v0", 0): some_rows(dice, "v0", 9)})
    state = comments.take_in(PairState())
    (old,) = comments.parts
    comments.commit({("v1", 0): some_rows(dice, "v1", 9)})
    (new,) = comments.parts.keys() - {old}
    for path in (old, new):
        with (comments.folder / path).open("ab") as file:
            file.write(b"x")

    with pytest.raises(CorruptDataError, match=f"{new} holds [0-9a-f]{{64}}; the ledger says"):
        comments.take_in(state)


def test_every_bad_part_is_named_and_the_others_are_taken_in(comments):
    """One damaged file keeps nobody else's comments away, and comes in once it is mended."""
    dice = random.Random(24)
    for number in range(4):
        comments.commit({(f"v{number}", 0): some_rows(dice, f"v{number}", 9)})
    good, *bad = [comments.folder / path for path in comments.parts][:3]
    bodies = [path.read_bytes() for path in bad]
    bad[0].write_bytes(bodies[0][:-1])
    bad[1].unlink()
    with pytest.raises(CorruptDataError) as refused:
        comments.take_in(PairState())
    state = read_state(comments.folder / "pairs")
    for path, body in zip(bad, bodies, strict=True):
        path.write_bytes(body)

    assert [True, True, False] == [path.name in refused.value.message for path in (*bad, good)]
    assert 18 == state.rows
    assert comments.due() == rows_of(comments.folder / "pairs", comments.merge(comments.take_in(state)))


def test_a_part_with_other_rows_than_the_ledger_says_is_named(comments):
    """A part with the right hash may still lack a reading that it should hold."""
    dice = random.Random(5)
    comments.commit({("v0", 0): some_rows(dice, "v0", 9), ("v1", 0): some_rows(dice, "v1", 3)})
    (path,) = comments.parts
    comments.lists[0] = replace(comments.lists[0], comments=8)

    with pytest.raises(CorruptDataError, match=f"{path} holds 12 comments of 2 readings; the ledger says 11"):
        comments.take_in(PairState())


@pytest.mark.parametrize("which", ["merged", "waiting"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_file_of_the_state_that_is_not_as_it_was_is_named(comments, which, is_gone):
    """Neither a merge nor a look at a finished state takes a file for what it was."""
    for _ in crawl(comments, random.Random(6), days=1):
        pass
    state = comments.take_in(PairState())
    if which == "merged":
        state = comments.merge(state)
    file = getattr(state, which)[-1]
    path = comments.folder / "pairs" / file.path
    if is_gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CorruptDataError, match=file.path):
        comments.merge(state)


@pytest.mark.parametrize("which", ["waiting", "readings", "replaced"])
def test_one_bit_of_the_state_that_flips_is_noticed(comments, which):
    """The parts may be gone by then: pairs that are wrong must not be taken for right."""
    for _ in crawl(comments, random.Random(8), days=1):
        pass
    state = comments.take_in(PairState())
    comments.commit({("v0", 1): some_rows(random.Random(9), "v0", 9)})
    state = comments.take_in(state)
    listed = getattr(state, which)
    path = comments.folder / "pairs" / (listed[0] if which == "waiting" else listed).path
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)

    with pytest.raises(CorruptDataError, match=path.name):
        comments.take_in(comments.merge(state), closed={"v1"})


def test_buckets_grow_in_number_with_the_rows(comments):
    """Twice the rows make twice the buckets, each with the users of half of one, still in the order of users."""
    dice = random.Random(7)
    place, state, counts = comments.folder / "pairs", PairState(), []
    for number in range(5):
        rows = some_rows(dice, f"v{number}", 100)
        for row, user in zip(rows, dice.sample(range(256), 100), strict=True):
            row["user_key"] = bytes([user]) * 16
        comments.commit({(f"v{number}", 0): rows})
        state = comments.merge(comments.take_in(state))
        counts.append(len(state.merged))

    assert [2, 4, 8, 8, 16] == counts
    assert comments.due() == rows_of(place, state)
    for bucket, file in enumerate(state.merged):
        assert {bucket} >= {row["user_key"][0] >> 4 for row in pq.read_table(place / file.path).to_pylist()}


def test_the_condition_of_a_bucket_is_its_range(tmp_path):
    """Each key lies in one bucket, the one that its top bits name."""
    with DuckEngine(Settings(), tmp_path) as engine:
        engine.add_table("keys", pa.table({"user_key": [bytes([first]) * 16 for first in range(256)]}))
        found = {
            bits: [
                engine.query(f"SELECT * FROM keys WHERE {bucket_condition(bits, bucket)}").num_rows
                for bucket in range(1 << bits)
            ]
            for bits in (0, 1, 3, 8)
        }

    assert {bits: [256 >> bits] * (1 << bits) for bits in (0, 1, 3, 8)} == found


def test_a_bucket_without_news_is_not_written_again(comments):
    """Its file stays the very same."""
    dice = random.Random(8)
    comments.commit({("v0", 0): some_rows(dice, "v0", 200)})
    before = comments.merge(comments.take_in(PairState()))
    row = {**some_rows(dice, "v1", 1)[0], "user_key": bytes([255]) * 16}
    comments.commit({("v1", 0): [row]})
    after = comments.merge(comments.take_in(before))

    assert before.merged[:-1] == after.merged[:-1]
    assert before.merged[-1].rows + 1 == after.merged[-1].rows


def test_what_the_state_does_not_list_is_swept(comments):
    """Leftovers of a crash do not fill the disk."""
    comments.commit({("v0", 0): some_rows(random.Random(9), "v0", 200)})
    place = comments.folder / "pairs"
    state = comments.take_in(PairState())
    (place / "merge-7").mkdir()
    for name in ("merge-7/000.parquet", "waiting-1/999.parquet", "readings-9.parquet"):
        (place / name).write_bytes(b"left")
    state = comments.merge(state)
    there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}

    assert {"_state.json", "readings-1.parquet", *(file.path for file in state.merged)} == there


def test_a_merge_that_was_killed_anywhere_goes_on_where_it_stopped(comments):
    """SIGKILL at random moments, again and again: the bytes of an undisturbed merge, and no bucket is done twice."""
    dice = random.Random(10)
    for _ in crawl(comments, dice, days=3, videos=20, mean=60):
        pass
    calm = comments.merge(comments.take_in(PairState(), folder="calm"), folder="calm")
    comments.tell()
    ended = []
    while not ended or ended[-1] < 0:
        with subprocess.Popen(comments.command(), stdout=subprocess.PIPE) as process:
            assert b"ready\n" == process.stdout.readline()
            if len(ended) < KILLS:
                time.sleep(dice.random() * 1.5)
                process.send_signal(signal.SIGKILL)
            process.communicate()
        ended.append(process.returncode)
    place = comments.folder / "pairs"
    state = read_state(place)

    assert comments.due() == rows_of(place, state)
    assert bytes_of(comments.folder / "calm", calm) == bytes_of(place, state)
    assert (1, 0) == (state.merge, ended[-1])


def test_memory_does_not_grow_with_the_rows(comments):
    """Four times the rows take no more of it: 900,000 rows more would be 50 MB, and the same again while sorted."""
    generator, peaks = np.random.default_rng(0), []
    comments.bucket_rows = 50_000
    for upto in (3, 12):
        while len(comments.lists) < upto:
            part = write_part(comments.folder, "comments", many_rows(generator, f"v{len(comments.lists)}"))
            comments.parts[part.path] = part
            comments.lists.append(CommentList(f"v{len(comments.lists)}", 0, part.rows, True, None, part.path))
        comments.tell()
        shutil.rmtree(comments.folder / "pairs", ignore_errors=True)
        with subprocess.Popen(comments.command(), stdout=subprocess.PIPE, env={**os.environ, **SMALL}) as process:
            peaks.append(int(process.stdout.read().split()[-1]) / 1024)

    assert peaks[1] < peaks[0] + 40
    assert 12 * 100_000 == read_state(comments.folder / "pairs").rows


def many_rows(generator, video, rows=100_000):
    keys = pa.py_buffer(generator.bytes(16 * rows))
    return pa.table(
        {
            "video_id": pa.repeat(pa.scalar(video), rows),
            "comment_id": pa.array(np.arange(rows)),
            "user_key": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, keys]),
            "commented_at_ms": pa.array(generator.integers(0, 10**9, rows)),
        },
        schema=CRAWLED_COMMENTS,
    )


def test_what_does_not_fit_goes_where_the_setting_says(tmp_path):
    """MICROLENS_TEMPORARY_DIR takes the place of the run's own folder; what spills is gone afterwards."""
    settings = Settings(temporary_dir=tmp_path / "large", memory_limit="40MB", threads=1)
    with DuckEngine(settings, tmp_path / "own") as engine:
        engine.add_view("numbers", "SELECT hash(range) AS number FROM range(3000000)")
        found = engine.query("SELECT number FROM numbers ORDER BY number")

    assert 3_000_000 == found.num_rows
    assert ((tmp_path / "own").exists(), list((tmp_path / "large").iterdir())) == (False, [])
