"""A report as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.reports.sections import Report, Section


def to_markdown(report: Report) -> str:
    lines = [f"# {_escaped(report.title)}", "", *(f"- {_escaped(fact)}" for fact in report.facts)]
    for section in report.sections:
        lines += ["", *_section(section)]
    return "\n".join(lines) + "\n"


def _section(section: Section) -> list[str]:
    sides = ["---:" if is_number else "---" for is_number in numbers_of(section.rows, len(section.header))]
    lines = [f"## {_escaped(section.title)}", "", _line(list(map(_escaped, section.header))), _line(sides)]
    lines += [_line([_escaped(cell) for cell in row]) for row in section.rows]
    return [*lines, "", *(f"- {_escaped(note)}" for note in section.notes)] if section.notes else lines


def numbers_of(rows: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Which columns hold numbers, and nothing but numbers, apart from dashes: they stand to the right."""
    return [all(re.match(r"[-+\u2013\d]", row[i]) for row in rows) for i in range(width)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """A text on one line, none of whose letters Markdown or its HTML would read."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split()))
