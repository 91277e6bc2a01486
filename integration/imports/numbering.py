"""Public ids of foreign users and items: from 1, in the order of their own ids.

Numbers are in the order of numbers, so ids that are 1..N already stay as they are, and with them what is told by row
(features with row i = item i + 1). Where one is no number all are in the order of their UTF-8 bytes.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = r"^(0|[1-9][0-9]{0,17})$"


def in_order(tokens: pa.Array) -> pa.Array:
    """Distinct tokens (N,) such that the one with the public id i stands at i - 1."""
    keys = tokens
    if pa.types.is_string(tokens.type) and pc.all(pc.match_substring_regex(tokens, _NUMBER)).as_py():
        keys = tokens.cast(pa.int64())
    return tokens.take(pc.sort_indices(keys))


def highest_number(tokens: pa.Array) -> int | None:
    """The last of the items' own ids (N,) if these are numbers from 1; else None."""
    if not pa.types.is_integer(tokens.type) or pc.min(tokens).as_py() < 1:
        return None
    return int(pc.max(tokens).as_py())
