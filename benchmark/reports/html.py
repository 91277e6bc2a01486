"""A report as one page that loads nothing: tables, and plots drawn in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.reports.markdown import numbers_of
from benchmark.reports.plots import dot_plot
from microlens.pages import Html, element, page

if TYPE_CHECKING:
    from benchmark.reports.sections import Report, Section

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #222; --pale: #666; --line: #ddd; --paper: #fff; --ours: #1565c0; --theirs: #b45309;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --pale: #999; --line: #3a3a3a; --paper: #161616; --ours: #64b5f6; --theirs: #f5a742; }
}
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: var(--ink); background: var(--paper); }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; }
th, td { padding: .2rem .4rem; border-bottom: 1px solid var(--line); }
th { text-align: left; font-weight: 600; }
td.number { white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } li { color: var(--pale); overflow-wrap: anywhere; } small { color: var(--pale); }
svg text { fill: var(--ink); font-size: 12px; dominant-baseline: middle; } svg .label { text-anchor: end; }
svg .tick { text-anchor: middle; fill: var(--pale); } svg .grid { stroke: var(--line); }
svg .spread { stroke: var(--ours); stroke-width: 2; } svg .ours { fill: var(--ours); }
svg .paper { fill: none; stroke: var(--theirs); stroke-width: 2; }
"""


def to_html(report: Report) -> str:
    return page(
        report.title,
        element("h1", report.title),
        element("ul", *(element("li", fact) for fact in report.facts)),
        *(_section(section) for section in report.sections),
        style=_STYLE,
    )


def _section(section: Section) -> Html:
    numbers = ["number" if is_number else "word" for is_number in numbers_of(section.rows, len(section.header))]
    head = element(
        "tr", *(element("th", cell, class_=side) for cell, side in zip(section.header, numbers, strict=True))
    )
    rows = [
        element("tr", *(element("td", cell, class_=side) for cell, side in zip(row, numbers, strict=True)))
        for row in section.rows
    ]
    parts = [element("h2", section.title), element("div", element("table", head, *rows), class_="scroll")]
    if section.points:
        legend = "● ours, with its deviation or standard error"
        legend += "   ○ the paper's" if any(point.paper is not None for point in section.points) else ""
        plot = element("div", dot_plot(section.points, section.axis), class_="scroll")
        parts += [plot, element("small", legend)]
    return element("section", *parts, element("ul", *(element("li", note) for note in section.notes)))
