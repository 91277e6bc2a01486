"""Pairs that are merged, and comments that wait to be: `integrated/pairs/`.

_state.json                           which files count; replaced at once, so what it does not list is left from a crash
merge-<number>/<bucket>.parquet       each user's earliest comment on each video, of one bucket of users, sorted
waiting-<increment>/<bucket>.parquet  comments that were taken in and are not merged yet, in no order
readings-<increment>.parquet          which readings of which videos have been taken in
replaced-<increment>.parquet          videos of which only comments of this increment, or a later one, count

A user's key is uniform, so its top bits are the bucket, and buckets in a row are in the order of users.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError
from microlens.manifest import Output, describe_output
from microlens.parts import write_table
from microlens.store import sha256_of, sync
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "_state.json"
_VERSION = 4
MOST_BITS = 8
PAIRS = pa.schema(
    [CRAWLED_COMMENTS.field(name) for name in ("user_key", "video_id", "commented_at_ms", "comment_id")]
).remove_metadata()
READINGS = pa.schema(
    [("video_id", pa.string()), ("refresh", pa.int32()), ("path", pa.string()), ("comments", pa.int64())]
)
REPLACED = pa.schema([("video_id", pa.string()), ("increment", pa.int32())])


@dataclass(frozen=True, slots=True)
class PairFile:
    """Rows of the users whose keys begin with the bits of `bucket`."""

    path: str
    """Relative to the state's folder."""
    bits: int
    bucket: int
    increment: int
    """In which its comments were taken in; 0 for merged ones."""
    rows: int
    size_bytes: int
    sha256: str

    def covers(self, bits: int, bucket: int) -> bool:
        """Whether it holds the rows of a bucket that has no fewer bits."""
        return bucket >> (bits - self.bits) == self.bucket


@dataclass(frozen=True, slots=True)
class PairState:
    increment: int = 0
    """Of the comments taken in last."""
    merge: int = 0
    """Number of the last merge, or of the one under way."""
    bits: int | None = None
    """Of the buckets of the merge under way; None where none is."""
    merged: tuple[PairFile, ...] = ()
    """In the order of users; the buckets that a merge under way has not reached."""
    waiting: tuple[PairFile, ...] = ()
    done: tuple[PairFile, ...] = ()
    """Buckets that the merge under way has finished."""
    readings: Output | None = None
    """What has been taken in; None before the first increment."""
    replaced: Output | None = None
    """What no longer counts of that; None where all does, since a merge leaves it out."""

    @property
    def is_merged(self) -> bool:
        """Whether every comment that was taken in, and still stands, is merged; without comments into no rows."""
        return self.bits is None and not self.waiting and self.replaced is None and bool(self.merged)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in (*self.merged, *self.waiting, *self.done))


def bits_for(rows: int, bucket_rows: int) -> int:
    """How many bits it takes until a bucket has no more than so many rows."""
    bits = 0
    while bits < MOST_BITS and rows > bucket_rows << bits:
        bits += 1
    return bits


def bucket_condition(bits: int, bucket: int) -> str:
    """SQL for the rows of a bucket, understood by every engine."""
    low, high = bucket << (MOST_BITS - bits), (bucket + 1) << (MOST_BITS - bits)
    upper = f" AND user_key < unhex('{high:02x}')" if high < 1 << MOST_BITS else ""
    return f"user_key >= unhex('{low:02x}'){upper}"


def read_state(folder: Path) -> PairState:
    path = folder / _NAME
    if not path.exists():
        return PairState()
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("version") == _VERSION:
            files = {name: tuple(PairFile(**file) for file in raw[name]) for name in ("merged", "waiting", "done")}
            tables = {name: Output(**raw[name]) if raw[name] else None for name in ("readings", "replaced")}
            return PairState(**{**raw, **files, **tables})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptDataError(
            f"{path} cannot be read: {error}", hint=f"delete {folder} and run `microlens-build integrate` again"
        ) from error
    raise CorruptDataError(
        f"{path} was written by another version", hint=f"delete {folder} and run `microlens-build integrate` again"
    )


def write_state(folder: Path, state: PairState) -> None:
    """Make a state the one that counts, once all that it lists is on the disk; then remove what no longer counts."""
    temporary = folder / f"{_NAME}.tmp"
    temporary.write_text(json.dumps({"version": _VERSION, **asdict(state)}, indent=1) + "\n", encoding="utf-8")
    sync(temporary)
    temporary.replace(folder / _NAME)
    sync(folder)
    sweep(folder, state)


def sweep(folder: Path, state: PairState) -> None:
    """Remove all that a state does not list."""
    listed = {file.path for file in (*state.merged, *state.waiting, *state.done)}
    own = {_NAME, *(table.path for table in (state.readings, state.replaced) if table is not None)}
    folders = {name.partition("/")[0] for name in listed}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in folders:
            shutil.rmtree(path)
        elif path.is_dir():
            for file in path.iterdir():
                if f"{path.name}/{file.name}" not in listed:
                    file.unlink()
        elif path.name not in own:
            path.unlink()


def write_listed(folder: Path, name: str, table: pa.Table) -> Output:
    """Write a small table, and have it on the disk before a state lists it."""
    path = folder / name
    write_table(path, table)
    sync(path)
    return describe_output(folder, path)


def read_table(folder: Path, listed: Output | None, schema: pa.Schema) -> pa.Table:
    """A small table of the state, an empty one where it has none; CorruptDataError if it is not as it was written."""
    return schema.empty_table() if listed is None else pq.read_table(check_file(folder, listed), schema=schema)


def pair_file(folder: Path, path: Path, bits: int, bucket: int, *, increment: int = 0) -> PairFile:
    """Describe a file that is complete, and have it on the disk."""
    sync(path)
    return PairFile(
        path=path.relative_to(folder).as_posix(),
        bits=bits,
        bucket=bucket,
        increment=increment,
        rows=int(pq.read_metadata(path).num_rows),
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


def check_file(folder: Path, file: PairFile | Output) -> Path:
    """The path of a file that is as it was written; CorruptDataError names one that is not."""
    path = folder / file.path
    size = path.stat().st_size if path.exists() else None
    if size != file.size_bytes or sha256_of(path) != file.sha256:
        found = "is missing" if size is None else "was changed"
        raise CorruptDataError(
            f"{path} {found} since it was written",
            hint=f"delete {folder} and run `microlens-build integrate` again: the parts must still be there",
        )
    return path
