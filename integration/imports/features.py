"""Extracted features of items: `.npy` tables with a row an item, put in the order of the public ids.

N items, M the highest of their own ids, D numbers a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from integration.imports.errors import ForeignFileError
from integration.imports.numbering import highest_number

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_ROWS_AT_ONCE = 1 << 14


def import_features(path: Path, tokens: pa.Array, output: Path) -> dict[str, int]:
    """Write features (N, D), row i of item i + 1; gives the rows read, left out, and with what is no finite number.

    `tokens` (N,) are the items' own ids in the order of the public ones. Read are tables of M rows, row i of the item
    with the own id i + 1, and of N rows, in the order of the own ids; if N = M these are the same. ForeignFileError for
    any other number of rows, and for what is no table of numbers: nothing is unpickled.
    """
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ForeignFileError(path, f"is no .npy table that can be read: {error}", hint="fetch it again") from error
    if features.ndim != 2 or features.dtype.kind not in "fiu":  # noqa: PLR2004 - items and numbers
        raise ForeignFileError(
            path,
            f"holds {features.dtype} of shape {features.shape}, not numbers of shape (items, numbers)",
            hint=_TAKE_OUT,
        )
    highest, count = highest_number(tokens), len(tokens)
    if len(features) == highest:
        rows = tokens.to_numpy() - 1
    elif len(features) == count:
        rows = np.arange(count)
    else:
        wanted = f"{count:,} items" + (f", whose highest id is {highest:,}" if highest not in {None, count} else "")
        raise ForeignFileError(path, f"has {len(features):,} rows for {wanted}", hint=_TAKE_OUT)
    output.parent.mkdir(parents=True, exist_ok=True)
    is_small = features.dtype in {np.dtype(np.float16), np.dtype(np.float32)}
    dtype = features.dtype if is_small else np.dtype(np.float32)
    written = np.lib.format.open_memmap(output, mode="w+", dtype=dtype, shape=(count, features.shape[1]))
    strange = 0
    for start in range(0, count, _ROWS_AT_ONCE):
        some = features[rows[start : start + _ROWS_AT_ONCE]]
        strange += int((~np.isfinite(some).all(axis=1)).sum())
        written[start : start + len(some)] = some
    written.flush()
    return {"rows": len(features), "rows_left_out": len(features) - count, "rows_not_finite": strange}


_TAKE_OUT = "take the file out of the folder, or put the one there that belongs to these pairs"
