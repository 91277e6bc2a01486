"""What is known of the items, joined: facts of several files, and the media."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from microlens.records import ASSET_KINDS
from microlens.tables import ITEMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microlens.manifest import Output

_STRINGS = pa.list_(pa.string())


def item_table(
    tokens: pa.Array, facts: Sequence[pa.Table], media: Iterable[tuple[int, str, Output]]
) -> tuple[pa.Table, dict[str, Any]]:
    """The table ITEMS of the items with these own ids (N,) in the order of the public ones, and what was left out.

    Of several lines on an item the first counts. What nobody tells is null, a title empty, tags none.
    """
    count = len(tokens)
    columns: dict[str, pa.Array] = {"item_id": pa.array(np.arange(1, count + 1), pa.int32())}
    strangers, repeated = [tokens.slice(0, 0)], 0
    for table in facts:
        known = table.column("item_token").combine_chunks()
        place = pc.index_in(tokens, value_set=known)
        columns |= {name: table.column(name).combine_chunks().take(place) for name in table.column_names[1:]}
        is_stranger = pc.invert(pc.is_in(known, value_set=tokens))
        strangers.append(known.filter(is_stranger))
        repeated += len(known) - len(pc.unique(known))
    columns["title"] = pc.fill_null(columns.get("title", pa.nulls(count, pa.string())), "")
    tags = columns.get("tags", pa.nulls(count, _STRINGS))
    columns["tags"] = pc.if_else(pc.is_null(tags), pa.scalar([], _STRINGS), tags)
    if "like_count" in columns:
        columns["has_more_likes_than_views"] = pc.greater(columns["like_count"], columns["view_count"])
    columns |= _media_columns(count, media)
    empty = pc.equal(pc.binary_length(columns["title"]), 0)
    told = {
        "items_without_title": pc.sum(empty).as_py(),
        "items_without_interactions": len(pc.unique(pa.concat_arrays(strangers))),
        "item_lines_repeated": repeated,
    }
    missing = {field.name: pa.nulls(count, field.type) for field in ITEMS if field.name not in columns}
    return pa.table({field.name: (columns | missing)[field.name] for field in ITEMS}), told


def _media_columns(count: int, media: Iterable[tuple[int, str, Output]]) -> dict[str, pa.Array]:
    told: dict[str, list[str | None]] = {
        f"{kind}_{fact}": [None] * count for kind in ASSET_KINDS for fact in ("path", "sha256")
    }
    for item_id, kind, file in media:
        told[f"{kind}_path"][item_id - 1] = file.path
        told[f"{kind}_sha256"][item_id - 1] = file.sha256
    problems = ["missing" if path is None else None for path in told["audio_path"]]
    return {name: pa.array(values, pa.string()) for name, values in told.items()} | {
        "audio_problem": pa.array(problems, pa.string())
    }
