"""RecBole's atomic files (Zhao et al., CIKM 2021): NAME.inter, and beside it NAME.item and NAME.user.

Fields stand between tabs; the header gives each a name and a type, as `user_id:token item_id:token timestamp:float`.
Each row of .inter is one interaction, whatever its rating, unless a lowest rating is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integration.imports.errors import ForeignFileError, shown
from integration.imports.foreign import Files, Foreign, PairsWriter
from integration.imports.lines import read_lines
from integration.imports.sources import names_in, one_dataset
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from integration.imports.foreign import Options
    from integration.imports.lines import Lines, Tell

_TYPES = ("token", "token_seq", "float", "float_seq")
_PAIR = ("user_id", "item_id", "timestamp", "rating")
_TITLES = ("title", "movie_title", "item_title", "item_name", "name")
_TAGS = ("tags", "tag", "genres", "genre", "class", "categories", "category")
"""Of each kind the first that a file has."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some rows of an atomic file, N of them."""

    lines: Lines
    columns: dict[str, pa.Array]
    """(N,) strings, by name."""
    types: dict[str, str]

    def first(self, names: Sequence[str], kinds: Sequence[str]) -> str | None:
        return next((name for name in names if self.types.get(name) in kinds), None)


def find(source: Path) -> Files:
    """Find the three files of one dataset in a folder, or beside its .inter file."""
    name, pairs, folder = one_dataset(source, (".inter",))
    names = names_in(folder)
    beside = {what: f"{name}.{what[:-1]}" for what in ("items", "users")}
    tables = {"pairs": pairs} | {what: folder / file for what, file in beside.items() if file in names}
    read = {path.name for path in tables.values()}
    return Files(name, tables, left_out=tuple(name for name in names if name not in read))


def read(files: Files, options: Options, work: Path, tell: Tell) -> Foreign:
    """Read all of them; what is wrong is a ForeignFileError."""
    foreign = _read_pairs(files.tables["pairs"], work / "foreign_pairs.parquet", options, tell)
    left_out: set[str] = set(foreign.counts["columns_left_out"])
    if "items" in files.tables:
        items = list(_items(files.tables["items"], left_out, tell))
        foreign.items += [pa.concat_tables(items)] if items else []
    if "users" in files.tables:
        users = list(_users(files.tables["users"], left_out, tell, has_gender=options.has_gender))
        foreign.users = pa.concat_tables(users) if users and options.has_gender else None
    foreign.counts["columns_left_out"] = sorted(left_out)
    return foreign


def _read_pairs(path: Path, output: Path, options: Options, tell: Tell) -> Foreign:
    rows, left_out = 0, set[str]()
    with PairsWriter(output, path, pa.string()) as writer:
        for block in _blocks(path, ("user_id", "item_id"), tell):
            lines, columns = block.lines, block.columns
            left_out |= {f"{path.name}: {name}" for name in columns if name not in _PAIR}
            rows += len(lines.text)
            wanted = [lines.words(columns[name], name) for name in ("user_id", "item_id")]
            if "timestamp" in columns:
                wanted.append(lines.numbers_of(columns["timestamp"], "timestamp"))
                writer.times.add(lines, wanted[-1])
            if options.min_rating is not None:
                is_high = pc.greater_equal(_ratings(block), options.min_rating)
                wanted = [column.filter(is_high) for column in wanted]
            users, items, *times = wanted
            writer.add(users, items, times=times[0] if times else None)
    counts = {"rows": rows, "rows_below_rating": rows - writer.rows, "columns_left_out": sorted(left_out)}
    return Foreign(output, writer.times.unit(options.time_unit), counts=counts)


def _ratings(block: _Block) -> pa.Array:
    if "rating" not in block.columns:
        raise RecipeError(
            f"--min-rating needs a column rating, and {block.lines.path} has {', '.join(block.columns)}",
            hint="leave --min-rating out",
        )
    return block.lines.numbers_of(block.columns["rating"], "rating", is_signed=True)


def _items(path: Path, left_out: set[str], tell: Tell) -> Iterator[pa.Table]:
    for block in _blocks(path, ("item_id",), tell):
        sources = {
            "title": block.first(_TITLES, ("token", "token_seq")),
            "tags": block.first(_TAGS, ("token_seq",)),
            "category": block.first(("category",), ("token",)),
            "language": block.first(("language",), ("token",)),
        }
        told = {name: block.columns[source] for name, source in sources.items() if source}
        if "tags" in told:
            told["tags"] = _sequences(told["tags"])
        left_out |= {f"{path.name}: {name}" for name in block.columns if name not in {"item_id", *sources.values()}}
        yield pa.table({"item_token": block.lines.words(block.columns["item_id"], "item_id"), **told})


def _users(path: Path, left_out: set[str], tell: Tell, *, has_gender: bool) -> Iterator[pa.Table]:
    used = {"user_id", "gender"} if has_gender else {"user_id"}
    for block in _blocks(path, ("user_id",), tell):
        left_out |= {f"{path.name}: {name}" for name in block.columns if name not in used}
        tokens = block.lines.words(block.columns["user_id"], "user_id")
        gender = block.columns.get("gender", pa.nulls(len(tokens), pa.string()))
        yield pa.table({"user_token": tokens, "gender": gender})


def _sequences(column: pa.Array) -> pa.Array:
    """Words between spaces, as lists; an empty field is an empty list."""
    words = pc.split_pattern_regex(pc.utf8_trim_whitespace(column), " +")
    return pc.if_else(pc.equal(pc.binary_length(column), 0), pa.scalar([], pa.list_(pa.string())), words)


def _blocks(path: Path, needed: Sequence[str], tell: Tell) -> Iterator[_Block]:
    """The file's rows; ForeignFileError if its header is none of RecBole's, or lacks one of the `needed` ids."""
    types: dict[str, str] = {}
    for some in read_lines(path, tell):
        lines = some
        if not types:
            types = _header(lines, needed)
            lines = lines.rest(1)
        columns = dict(zip(types, lines.split("\t", list(types)), strict=True))
        yield _Block(lines, columns, types)


def _header(lines: Lines, needed: Sequence[str]) -> dict[str, str]:
    """Names of the columns, with their types, in the order of the file."""
    line, types = int(lines.numbers[0]), {}
    for field in lines.text[0].as_py().split("\t"):
        name, colon, kind = field.strip().rpartition(":")
        if not colon or not name or kind not in _TYPES:
            raise ForeignFileError(
                lines.path,
                f"{shown(field)} in the header is no NAME:TYPE",
                line=line,
                hint=f"fields stand between tabs, each with a type of {', '.join(_TYPES)}, as user_id:token",
            )
        if name in types:
            raise ForeignFileError(lines.path, f"the header names {shown(name)} twice", line=line)
        types[name] = kind
    for name in needed:
        if types.get(name) != "token":
            raise ForeignFileError(
                lines.path,
                f"the header has no {name}:token, but {', '.join(f'{name}:{kind}' for name, kind in types.items())}",
                line=line,
                hint=f"give the column that holds it this name, {name}:token, then import again",
            )
    return types
