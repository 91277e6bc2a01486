"""The README of an imported release: of what files it is, what was left out, and the numbers of our own releases'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from integration.card import TABLES, column_lines, shape_lines, statistics_lines
from integration.imports.times import ORDER
from microlens import __version__
from microlens.records import ASSET_KINDS
from microlens.tables import IMPORTED_ITEM_IDS, IMPORTED_USER_IDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNTS = {
    "rows": "interactions read",
    "rows_below_rating": "left out: rated lower than was asked for",
    "repeated_pairs": "interactions of a user with an item that he met before: kept",
    "equal_times": "interactions at the same moment as another of the user: in the order of the file",
    "rows_out_of_order": "rows that stood after a later one of the user: put in order",
    "items_without_title": "items without a title",
    "items_without_interactions": "left out: items that nobody met",
    "users_without_interactions": "left out: users that met nothing",
    "item_lines_repeated": "left out: second lines on an item",
    "comments_read": "comments read",
    "comments_without_pair": "left out: comments on no interaction, and second ones",
    "comment_lines_left_out": "left out: lines that begin no comment",
}
"""And how many files of media were left out, by kind and cause."""
_MEDIA = {
    "without_item": "left out: {} of no item, or of another kind by their names",
    "repeated": "left out: second {} of an item",
    "damaged": "left out: {} that do not begin as such files do",
}
COUNTS = _COUNTS | {
    f"{kind}s_{cause}": words.format(f"{kind}s") for kind in ASSET_KINDS for cause, words in _MEDIA.items()
}


def card(name: str, counts: dict[str, Any]) -> str:
    """Markdown; nothing in it is text that users wrote, and file names stand in it as code."""
    sections = (
        _head(name, counts["imported"]),
        _left_out(counts["imported"]),
        statistics_lines(name, counts),
        shape_lines(name, counts),
        _files(counts),
        column_lines(TABLES | {"imported_item_ids": IMPORTED_ITEM_IDS, "imported_user_ids": IMPORTED_USER_IDS}),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def _head(name: str, imported: dict[str, Any]) -> Iterator[str]:
    unit = imported["time_unit"]
    times = f"in milliseconds since 1970, UTC (the source tells them in {unit})"
    yield from (
        f"# {name}",
        "",
        f"The dataset {_code(imported['dataset'])}, imported by microlens-build {__version__} from files in the format "
        f"`{imported['format']}`. Its license and its terms are those of the source: read them before you use or pass "
        "on what is here.",
        "",
        "```python",
        "import microlens",
        f"dataset = microlens.load({name!r})",
        "dataset.verify()  # every file against its SHA-256",
        "dataset.pairs, dataset.items",
        "```",
        "",
        f"Times are {'left out, and `position` gives the order' if unit == ORDER else times}.",
        "",
    )


def _left_out(imported: dict[str, Any]) -> Iterator[str]:
    rows = [(COUNTS[name], count) for name, count in imported.items() if name in COUNTS]
    yield from ("## What was read", "", "| what | count |", "| --- | ---: |")
    yield from (f"| {words} | {count:,} |" for words, count in rows)
    yield ""
    for file, told in imported["features"].items():
        yield (
            f"- {_code(file)}: {told['rows']:,} rows, of them {told['rows_left_out']:,} of no item left out, "
            f"{told['rows_not_finite']:,} with what is no finite number"
        )
    for what in ("columns_left_out", "files_left_out"):
        if imported.get(what):
            yield f"- {what.replace('_', ' ')}: {', '.join(map(_code, imported[what]))}"
    yield ""


def _files(counts: dict[str, Any]) -> Iterator[str]:
    yield from (
        "## Files",
        "",
        f"Ids count from 1 (0 is padding), of items to {counts['highest_item_id']:,}, in the order of the source's own "
        "ids, which `data/imported_item_ids.parquet` and `data/imported_user_ids.parquet` tell.",
        "Tables in `features/` have in row i what belongs to item i + 1.",
        "",
        "`media/` holds {covers:,} covers, {audios:,} audio tracks and {videos:,} videos.".format(**counts),
        "`_manifest.json` has size and SHA-256 of every file.",
        "",
    )


def _code(text: str) -> str:
    """A foreign name as Markdown's code, on one line."""
    return f"`{''.join(letter if letter.isprintable() and letter != '`' else '?' for letter in text)}`"
