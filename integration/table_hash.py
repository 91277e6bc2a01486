"""A hash of a table's rows: of what stands in them alone, however they are cut into batches or lie in memory.

Every column is streams of bytes, each hashed by SHA-256: whether a value is there (a byte each), then numbers as they
lie in memory (little endian; truth values a byte each; 0 where there is none), or lengths (32 bits, 0 where there is
none) and then the texts' UTF-8 or, for lists, the streams of their elements. The table's hash is that of its columns'
names and of the streams' hashes, in the schema's order.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator


class TableHash:
    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names
        empty = pa.RecordBatch.from_pylist([], schema=schema)
        self._hashes = [hashlib.sha256() for column in empty.columns for _ in _streams(column)]

    def update(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        streams = (stream for column in batch.columns for stream in _streams(column))
        for digest, stream in zip(self._hashes, streams, strict=True):
            digest.update(stream.data)

    def hexdigest(self) -> str:
        names = "\n".join(self._names).encode()
        return hashlib.sha256(names + b"".join(digest.digest() for digest in self._hashes)).hexdigest()


def _streams(column: pa.Array) -> Iterator[np.ndarray]:
    yield column.is_valid().cast(pa.uint8()).to_numpy()
    if pa.types.is_list(column.type):
        yield pc.fill_null(pc.list_value_length(column), 0).to_numpy()
        yield from _streams(column.flatten())
    elif pa.types.is_string(column.type):
        texts = pc.fill_null(column, "")
        yield pc.binary_length(texts).to_numpy()
        ends = np.frombuffer(texts.buffers()[1] or b"\0\0\0\0", np.int32)[texts.offset : texts.offset + len(texts) + 1]
        yield np.frombuffer(texts.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    else:
        numbers = column.cast(pa.uint8()) if pa.types.is_boolean(column.type) else column
        yield np.ascontiguousarray(pc.fill_null(numbers, 0).to_numpy())
