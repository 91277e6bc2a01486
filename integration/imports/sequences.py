"""A user a line, with the items oldest first: how MicroLens (`_pairs.tsv`) and S3-Rec tell order without times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from integration.imports.errors import ForeignFileError
from integration.imports.foreign import PairsWriter
from integration.imports.lines import Lines, read_lines

if TYPE_CHECKING:
    from pathlib import Path

    from integration.imports.lines import Tell


def read_sequences(path: Path, separator: str, output: Path, tell: Tell) -> int:
    """Write every pair to `output` as PairsWriter does, without times; gives how many.

    `separator` stands after the user; between items there are spaces. ForeignFileError for what is no whole number, a
    user without items, and one who has two lines: which of them is older nobody tells.
    """
    users, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    with PairsWriter(output, path, pa.int64()) as writer:
        for lines in read_lines(path, tell):
            first, sequences = lines.split(separator, ("user", "items"), last_takes_all=True)
            user = lines.whole_numbers(first, "the user")
            fields = pc.split_pattern_regex(pc.ascii_trim_whitespace(sequences), " +")
            owner = pc.list_parent_indices(fields)
            items = Lines(path, pc.list_flatten(fields), lines.numbers[owner.to_numpy()])
            writer.add(user.take(owner), items.whole_numbers(items.text, "an item"))
            users.append(user.to_numpy())
            numbers.append(lines.numbers)
    _check_once(path, np.concatenate(users), np.concatenate(numbers))
    return writer.rows


def _check_once(path: Path, users: np.ndarray, numbers: np.ndarray) -> None:
    order = np.argsort(users, kind="stable")
    again = np.flatnonzero(users[order][1:] == users[order][:-1])
    if len(again):
        place = order[again + 1].min()
        before = numbers[np.flatnonzero(users == users[place])[0]]
        raise ForeignFileError(
            path,
            f"user {users[place]} has a line already, {before:,}, and nothing tells which items are older",
            line=int(numbers[place]),
            hint="make one line of them, oldest item first; nothing was imported",
        )
