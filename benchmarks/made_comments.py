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
    """Comment ids: strings of 32 digits."""
    offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int32) * 32)
    return pa.StringArray.from_buffers(count, offsets, pa.py_buffer(generator.bytes(16 * count).hex().encode()))
