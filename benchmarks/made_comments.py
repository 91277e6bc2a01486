"""Columns of made comments: what nodes write, from random numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers spread over 64 bits one to one, as keys are (splitmix64's finisher)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    spread: np.ndarray = numbers ^ (numbers >> np.uint64(31))
    return spread


def random_ids(generator: np.random.Generator, count: int) -> pa.Array:
    """Comment ids: 64 bits each."""
    return pa.array(np.frombuffer(generator.bytes(8 * count), np.int64))


def keys_of(raw: bytes | np.ndarray, size: int) -> pa.Array:
    """Keys of one size from the bytes of all of them."""
    buffer = pa.py_buffer(raw)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), buffer.size // size, [None, buffer])
