"""S3-Rec's files (Zhou et al., CIKM 2020): NAME.txt, a line a user with the items oldest first, all between spaces.

NAME_item2attributes.json tells each item's attributes by number: they become its tags. Nothing tells titles or times.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from integration.imports.errors import ForeignFileError, shown
from integration.imports.foreign import Files, Foreign
from integration.imports.sequences import read_sequences
from integration.imports.sources import names_in, one_dataset
from integration.imports.times import TimeRange

if TYPE_CHECKING:
    from pathlib import Path

    from integration.imports.foreign import Options
    from integration.imports.lines import Tell

_ATTRIBUTES = "_item2attributes.json"


def find(source: Path) -> Files:
    """Find the two files of one dataset in a folder, or beside its file of sequences."""
    name, pairs, folder = one_dataset(source, (".txt",), but=("_sample.txt",))
    names = names_in(folder)
    tables = {"pairs": pairs}
    if name + _ATTRIBUTES in names:
        tables["attributes"] = folder / (name + _ATTRIBUTES)
    read = {path.name for path in tables.values()}
    return Files(name, tables, left_out=tuple(name for name in names if name not in read))


def read(files: Files, options: Options, work: Path, tell: Tell) -> Foreign:
    """Read both; what is wrong is a ForeignFileError."""
    unit = TimeRange(files.tables["pairs"]).unit(options.time_unit)
    rows = read_sequences(files.tables["pairs"], " ", work / "foreign_pairs.parquet", tell)
    foreign = Foreign(work / "foreign_pairs.parquet", unit, counts={"rows": rows})
    if "attributes" in files.tables:
        foreign.items.append(_attributes(files.tables["attributes"]))
    return foreign


def _attributes(path: Path) -> pa.Table:
    try:
        told = json.loads(path.read_bytes())
    except ValueError as error:  # of JSON, and of UTF-8
        raise ForeignFileError(path, f"is no JSON: {error}", hint="fetch it again") from error
    if not isinstance(told, dict):
        raise ForeignFileError(path, f"is a JSON {type(told).__name__}, not an object of lists by item")
    for item, attributes in told.items():
        if not _is_number(item) or not isinstance(attributes, list) or not all(map(_is_attribute, attributes)):
            raise ForeignFileError(path, f"item {shown(item)} has {shown(repr(attributes))}, not a list of numbers")
    return pa.table(
        {
            "item_token": pa.array(map(int, told), pa.int64()),
            "tags": pa.array([[str(one) for one in own] for own in told.values()], pa.list_(pa.string())),
        }
    )


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 18  # noqa: PLR2004 - digits that fit 64 bits


def _is_attribute(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
