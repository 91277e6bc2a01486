"""The official MicroLens files, and those of its readers (docs/importing.md lists them).

NAME_pairs.csv        header user,item,timestamp; milliseconds
NAME_pairs.tsv        user TAB items, oldest first; read where there is no _pairs.csv
NAME_titles.csv       header item,title; quoted as CSV. Or NAME_title_en.csv: no header, what follows the first comma
NAME_likes_and_views.txt, NAME_duration.txt, NAME_comment_en.txt, tags_to_summary.csv
NAME_covers/ID.jpg or covers/ID.jpg, so with videos and audios; and *.npy with a row an item
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integration.imports.errors import ForeignFileError, shown
from integration.imports.foreign import Files, Foreign, PairsWriter
from integration.imports.lines import read_lines, read_quoted
from integration.imports.sequences import read_sequences
from integration.imports.sources import names_in, one_dataset
from integration.imports.times import TimeRange
from microlens.errors import RecipeError
from microlens.records import ASSET_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from integration.imports.foreign import Options
    from integration.imports.lines import Lines, Tell

_PAIRS = ("_pairs.csv", "_pairs.tsv")
_BESIDE = {
    "titles": ("_titles.csv", "_title_en.csv"),
    "counts": ("_likes_and_views.txt",),
    "durations": ("_duration.txt",),
    "comments": ("_comment_en.txt",),
}
_CATEGORIES = "tags_to_summary.csv"
_COLUMNS = {"user", "item", "timestamp"}
_HASHTAG = re.compile("[#\uff03]\\s*([^#\uff03]+)")


def find(source: Path) -> Files:
    """Find the files of one dataset in a folder, or beside its file of pairs."""
    name, pairs, folder = one_dataset(source, _PAIRS)
    names = names_in(folder)
    tables = {"pairs": pairs}
    for what, endings in _BESIDE.items():
        found = next((name + ending for ending in endings if name + ending in names), None)
        tables |= {what: folder / found} if found else {}
    if _CATEGORIES in names:
        tables["categories"] = folder / _CATEGORIES
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    media: dict[str, Path] = {}
    for kind in ASSET_KINDS:
        wanted = {f"{before}{kind}{end}".lower() for before in (f"{name}_", "") for end in ("s", "")}
        own = next((path for path in folders if path.name.lower() in wanted), None)
        if own is not None:
            media[kind] = own
    features = _features([folder, *(path for path in folders if "feature" in path.name.lower())])
    read = {path.name for path in (*tables.values(), *media.values(), *features)} | {
        path.parent.name for path in features
    }
    left_out = (
        *(name for name in names if name not in read),
        *(f"{path.name}/" for path in folders if path.name not in read),
    )
    return Files(name, tables, media, features, left_out)


def _features(folders: Sequence[Path]) -> tuple[Path, ...]:
    """The .npy files of these folders; RecipeError for two of one name."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in names_in(folder):
            if name.endswith(".npy") and found.setdefault(name, folder / name) != folder / name:
                raise RecipeError(f"{found[name]} and {folder / name} have one name", hint="rename one of them")
    return tuple(found.values())


def read(files: Files, options: Options, work: Path, tell: Tell) -> Foreign:
    """Read all of them; what is wrong is a ForeignFileError."""
    pairs = files.tables["pairs"]
    if pairs.suffix == ".csv":
        foreign = _read_pairs(pairs, work / "foreign_pairs.parquet", options, tell)
    else:
        unit = TimeRange(pairs).unit(options.time_unit)
        rows = read_sequences(pairs, "\t", work / "foreign_pairs.parquet", tell)
        foreign = Foreign(work / "foreign_pairs.parquet", unit, counts={"rows": rows})
    for what, reader in (
        ("titles", _titles),
        ("counts", _counts),
        ("durations", _durations),
        ("categories", _categories),
    ):
        if what in files.tables:
            told = list(reader(files.tables[what], tell))
            foreign.items += [pa.concat_tables(told)] if told else []
    if "comments" in files.tables:
        foreign.comments = work / "foreign_comments.parquet"
        foreign.counts |= _read_comments(files.tables["comments"], foreign.comments, tell)
    return foreign


def _read_pairs(path: Path, output: Path, options: Options, tell: Tell) -> Foreign:
    names: list[str] = []
    with PairsWriter(output, path, pa.int64()) as writer:
        for some in read_lines(path, tell):
            lines = some
            if not names:
                names = _header(lines)
                lines = lines.rest(1)
            columns = dict(zip(names, lines.split(",", names), strict=True))
            times = lines.numbers_of(columns["timestamp"], "the timestamp")
            users, items = (lines.whole_numbers(columns[what], f"the {what}") for what in ("user", "item"))
            writer.add(users, items, times=times)
            writer.times.add(lines, times)
    return Foreign(output, writer.times.unit(options.time_unit), counts={"rows": writer.rows})


def _header(lines: Lines) -> list[str]:
    names = [name.strip().strip('"') for name in lines.text[0].as_py().split(",")]
    if set(names) != _COLUMNS or len(names) != len(_COLUMNS):
        unknown = [name for name in names if name not in _COLUMNS]
        raise ForeignFileError(
            lines.path,
            f"the header is {shown(','.join(names))}, not user,item,timestamp"
            + (f": unknown column {shown(unknown[0])}" if unknown else ""),
            line=int(lines.numbers[0]),
            hint="give it this header, and no other columns; a file without times is NAME_pairs.tsv",
        )
    return names


def _titles(path: Path, tell: Tell) -> Iterator[pa.Table]:
    if path.name.endswith("_title_en.csv"):
        for lines in read_lines(path, tell):
            first, text = lines.split(",", ("item", "title"), last_takes_all=True)
            yield _titled(lines.whole_numbers(first, "the item"), pc.utf8_trim_whitespace(text))
        return
    items, titles = [], []
    for line, row in read_quoted(path, tell):
        if line == 1 and row == ["item", "title"]:
            continue
        if len(row) != 2 or not (row[0].isascii() and row[0].isdecimal()):  # noqa: PLR2004 - item and title
            raise ForeignFileError(path, f"is not an item's number and its title: {shown(','.join(row))}", line=line)
        items.append(int(row[0]))
        titles.append(row[1].strip())
    yield _titled(pa.array(items, pa.int64()), pa.array(titles, pa.string()))


def _titled(items: pa.Array, titles: pa.Array) -> pa.Table:
    """Items (N,) with titles (N,) and, as tags, the hashtags in them: MicroLens published no others."""
    tags = pa.array([_hashtags(title) for title in titles.to_pylist()], pa.list_(pa.string()))
    return pa.table({"item_token": items, "title": titles, "tags": tags})


def _hashtags(title: str) -> list[str]:
    """In small letters, each once: what stands after a # up to the next one, for translation has put spaces in."""
    return list(dict.fromkeys(word for tag in _HASHTAG.findall(title) if (word := tag.strip().lower())))


def _counts(path: Path, tell: Tell) -> Iterator[pa.Table]:
    for lines in read_lines(path, tell):
        columns = lines.split("\t", ("item", "likes", "views"))
        item, likes, views = (
            lines.whole_numbers(column, what)
            for column, what in zip(columns, ("the item", "likes", "views"), strict=True)
        )
        yield pa.table({"item_token": item, "like_count": likes, "view_count": views})


def _durations(path: Path, tell: Tell) -> Iterator[pa.Table]:
    for lines in read_lines(path, tell):
        item, seconds = lines.split(",", ("item", "seconds"))
        yield pa.table(
            {
                "item_token": lines.whole_numbers(item, "the item"),
                "duration_s": lines.numbers_of(seconds, "the duration"),
            }
        )


def _categories(path: Path, tell: Tell) -> Iterator[pa.Table]:
    for lines in read_lines(path, tell):
        item, category = lines.split(",", ("item", "category"), last_takes_all=True)
        yield pa.table(
            {
                "item_token": lines.whole_numbers(item, "the item"),
                "category": pc.utf8_trim_whitespace(category),
            }
        )


def _read_comments(path: Path, output: Path, tell: Tell) -> dict[str, int]:
    """Texts may hold line ends that nothing marks: lines that do not begin a comment are left out, and counted."""
    left_out = 0
    with PairsWriter(output, path, pa.int64(), text="text") as writer:
        for some in read_lines(path, tell):
            is_comment = pc.match_substring_regex(some.text, r"^[0-9]{1,18}\t[0-9]{1,18}\t")
            left_out += len(some.text) - (pc.sum(is_comment).as_py() or 0)
            lines = some.only(is_comment)
            user, item, text = lines.split("\t", ("user", "item", "text"), last_takes_all=True)
            writer.add(lines.whole_numbers(user, "the user"), lines.whole_numbers(item, "the item"), text)
    return {"comments_read": writer.rows, "comment_lines_left_out": left_out}
