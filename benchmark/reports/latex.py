r"""A report as LaTeX: one `table` of the booktabs package a section, to be read into a paper with `\input`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.reports.markdown import numbers_of

if TYPE_CHECKING:
    from benchmark.reports.sections import Report, Section

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\u2013": "--",
}


def to_latex(report: Report) -> str:
    head = [f"% {_comment(fact)}" for fact in [report.title, *report.facts]]
    return "\n".join([*head, r"% needs \usepackage{booktabs}", *map(_table, report.sections)]) + "\n"


def _table(section: Section) -> str:
    sides = "".join("r" if is_number else "l" for is_number in numbers_of(section.rows, len(section.header)))
    lines = [
        "",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escaped(section.title)}}}",
        rf"  \begin{{tabular}}{{{sides}}}",
        r"    \toprule",
        f"    {_row(section.header)}",
        r"    \midrule",
        *(f"    {_row(row)}" for row in section.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
        *(f"% {_comment(note)}" for note in section.notes),
    ]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"


def escaped(text: str) -> str:
    """A text on one line; letters that TeX reads are spelled as what prints them, control letters are left out."""
    return "".join(_COMMANDS.get(letter, letter) for letter in " ".join(text.split()) if letter.isprintable())


def _comment(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
