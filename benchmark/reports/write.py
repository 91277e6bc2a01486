"""Reports on disk: report.md, report.html and report.tex."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.reports.html import to_html
from benchmark.reports.latex import to_latex
from benchmark.reports.markdown import to_markdown
from microlens.whole_files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from benchmark.reports.sections import Report

FORMS = {"report.md": to_markdown, "report.html": to_html, "report.tex": to_latex}


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write every form; a reader sees an old file or a new one, never a half."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, form in FORMS.items():
        with replacing(folder / name) as unfinished:
            unfinished.write_text(form(report), encoding="utf-8")
    return [folder / name for name in FORMS]
