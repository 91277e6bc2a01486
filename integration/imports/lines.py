"""Text files as columns: blocks of whole lines, checked, with no Python object a line.

Every check names the first line that fails it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from integration.imports.errors import ForeignFileError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Tell = Callable[[str, int, int], None]
    """Told of a file's name, the bytes that are read, and its size."""

_BLOCK_BYTES = 16 << 20
_LONGEST_BYTES = 256 << 20
_LONGEST_NUMBER = 18
"""Digits that always fit 64 bits."""
_UNSIGNED = r"^([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_SIGNED = _UNSIGNED.replace("^", "^-?")
_BOM = b"\xef\xbb\xbf"
_TO_UTF8 = "convert it first, as `iconv -f GB18030 -t UTF-8 OLD > NEW` does, then import again"


@dataclass(frozen=True)
class Lines:
    """Some lines of a file, N of them."""

    path: Path
    text: pa.Array
    """(N,) strings without their line ends."""
    numbers: NDArray[np.int64]
    """(N,) where each stands in the file, from 1."""

    def split(self, separator: str, names: Sequence[str], *, last_takes_all: bool = False) -> list[pa.Array]:
        """One column for each of `names`; ForeignFileError for a line that has more fields or fewer.

        `last_takes_all` has the last field hold whatever follows, separators as well.
        """
        fields = pc.split_pattern(self.text, separator, max_splits=len(names) - 1 if last_takes_all else None)
        lengths = pc.list_value_length(fields)
        word = {"\t": "tabs", " ": "spaces", ",": "commas"}.get(separator, separator)
        self.require(
            pc.equal(lengths, len(names)),
            self.text,
            lambda at: f"has {lengths[at]} fields, not the {len(names)} ({', '.join(names)}) between {word}",
        )
        return [pc.list_element(fields, place) for place in range(len(names))]

    def whole_numbers(self, column: pa.Array, what: str) -> pa.Array:
        """Read a column (N,) as int64, 0 or more; ForeignFileError for anything else."""
        column = pc.ascii_trim_whitespace(column)
        is_number = pc.and_(pc.ascii_is_decimal(column), pc.less_equal(pc.binary_length(column), _LONGEST_NUMBER))
        self.require(is_number, column, lambda _: f"{what} is not a whole number of 0 or more")
        return column.cast(pa.int64())

    def numbers_of(self, column: pa.Array, what: str, *, is_signed: bool = False) -> pa.Array:
        """Read a column (N,) as float64; ForeignFileError for what is no number, not finite, or (unsigned) below 0."""
        column = pc.ascii_trim_whitespace(column)
        is_number = pc.match_substring_regex(column, _SIGNED if is_signed else _UNSIGNED)
        self.require(is_number, column, lambda _: f"{what} is not a number" + " of 0 or more" * (not is_signed))
        found = column.cast(pa.float64())
        self.require(pc.is_finite(found), column, lambda _: f"{what} is larger than a number can be")
        return found

    def words(self, column: pa.Array, what: str) -> pa.Array:
        """A column (N,) of ids in letters; ForeignFileError for an empty one."""
        column = pc.utf8_trim_whitespace(column)
        self.require(pc.greater(pc.binary_length(column), 0), self.text, lambda _: f"{what} is empty")
        return column

    def require(self, is_right: pa.Array, values: pa.Array, problem: Callable[[int], str]) -> None:
        """ForeignFileError for the first line whose flag (N,) is false, with its value of `values` (N,)."""
        if pc.all(is_right, min_count=0).as_py():
            return
        at = int(pc.index(is_right, value=False).as_py())
        raise ForeignFileError(
            self.path, f"{problem(at)}: {shown(values[at].as_py())}", line=int(self.numbers[at]), hint=_MEND
        )

    def rest(self, start: int) -> Lines:
        return Lines(self.path, self.text.slice(start), self.numbers[start:])

    def only(self, is_wanted: pa.Array) -> Lines:
        """Those whose flag (N,) is set."""
        if pc.all(is_wanted, min_count=0).as_py():
            return self
        return Lines(self.path, self.text.filter(is_wanted), self.numbers[is_wanted.to_numpy(zero_copy_only=False)])


_MEND = "mend or take out that line, then import again; nothing was imported"


def read_lines(path: Path, tell: Tell, *, block_bytes: int = _BLOCK_BYTES, has_blank: bool = False) -> Iterator[Lines]:
    """Read a UTF-8 file by blocks of whole lines, ended by LF or CRLF; blank ones are passed over unless `has_blank`.

    ForeignFileError for NUL bytes, another encoding, and a line of more than 256 MB.
    """
    number = 1
    for body in _blocks(path, tell, block_bytes):
        ends = np.flatnonzero(np.frombuffer(body, np.uint8) == ord("\n")) + 1
        offsets = pa.py_buffer(np.concatenate([[0], ends]).astype(np.int32))
        text = pa.Array.from_buffers(pa.string(), len(ends), [None, offsets, pa.py_buffer(body)])
        _check_bytes(path, body, text, number)
        text = pc.ascii_rtrim(text, "\r\n")
        numbers = np.arange(number, number + len(ends))
        number += len(ends)
        lines = Lines(path, text, numbers)
        if not has_blank:
            lines = lines.only(pc.greater(pc.binary_length(pc.ascii_trim_whitespace(text)), 0))
        if len(lines.text):
            yield lines


def read_quoted(path: Path, tell: Tell) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV file with quotes, and the line where each ends; for files of a line an item."""

    def lines() -> Iterator[str]:
        for some in read_lines(path, tell, has_blank=True):  # a quoted field may hold them
            yield from (f"{line}\n" for line in some.text.to_pylist())

    rows = csv.reader(lines(), strict=True)
    try:
        for row in rows:
            if row:
                yield rows.line_num, row
    except csv.Error as error:
        raise ForeignFileError(path, f"is no CSV: {error}", line=rows.line_num, hint=_MEND) from error


def _blocks(path: Path, tell: Tell, block_bytes: int) -> Iterator[bytes]:
    """The file in pieces that end with a line's end; the last one is given one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(block_bytes) + file.readline(_LONGEST_BYTES):
            done = file.tell()
            if done == len(piece):
                _check_head(path, piece)
                piece = piece.removeprefix(_BOM)
            tell(path.name, done, size)
            if not piece.endswith(b"\n"):
                if done < size:
                    raise ForeignFileError(path, "has a line of more than 256 MB, so it is no table of text")
                piece += b"\n"
            yield piece


def _check_head(path: Path, piece: bytes) -> None:
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ForeignFileError(path, "is UTF-16, not UTF-8", hint=_TO_UTF8.replace("GB18030", "UTF-16"))
    if piece.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise ForeignFileError(path, "is compressed", hint="unpack it, then import again")


def _check_bytes(path: Path, body: bytes, text: pa.Array, number: int) -> None:
    nul = body.find(b"\0")
    if nul >= 0:
        line = number + body.count(b"\n", 0, nul)
        raise ForeignFileError(path, "holds a NUL byte: it is damaged, or no text", line=line, hint="fetch it again")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        place = body.count(b"\n", 0, error.start)
        wrong = text[place].as_buffer().to_pybytes().rstrip(b"\r\n")
        raise ForeignFileError(path, f"is not UTF-8: {shown(wrong)}", line=number + place, hint=_TO_UTF8) from error
