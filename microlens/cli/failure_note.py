"""What a command says at its end if many items were given up: why, and what can be done about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from microlens.backlog import NODE_KINDS
from microlens.outcomes import PASSING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from microlens.cli.reporter import Reporter
    from microlens.records import WorkKind
    from microlens.runs import Run
    from microlens.settings import Settings

_NO_FAULT = frozenset({"no_audio"})
"""Written down like failures, but nothing is wrong: the video has no sound."""
_MENDED_BY_PEOPLE = frozenset({"crawler_error", "extractor_broken", "node_error", "page_changed"})


def note_failures(run: Run, settings: Settings, reporter: Reporter, *, of_pages: bool, of_files: bool) -> None:
    """Say it where more than the settings' share was given up, of the crawl's pages and of what nodes fetch."""
    for line in failure_lines(run, share=settings.warn_failure_share, of_pages=of_pages, of_files=of_files):
        reporter.note(line)


def failure_lines(run: Run, *, share: float, of_pages: bool = True, of_files: bool = True) -> list[str]:
    """How many of how many were given up, by reason, and the commands that open again what may pass.

    None where the share is not above `share`.
    """
    progress, found, tried = run.ledger.progress(), Counter[str](), 0
    if of_pages:
        found.update(_given_up(run, ["page"]))
        tried = max(progress["pages"], found.total())  # a page that could not be read is a page there
    if of_files:
        files = _given_up(run, NODE_KINDS)
        found.update(files)
        tried += progress["assets"] + progress["collected"] + files.total()
    if found.total() <= share * tried:
        return []
    told = ", ".join(f"{reason} {count:,}" for reason, count in found.most_common())
    lines = [f"{found.total():,} of {tried:,} items ({found.total() / tried:.0%}) were given up: {told}"]
    passing = [reason for reason, _ in found.most_common() if reason in PASSING]
    if by_itself := [reason for reason in passing if reason not in _MENDED_BY_PEOPLE]:
        lines.append(f"to try what may have passed: {_retry(run, by_itself)}, then the same command")
    if mended := [reason for reason in passing if reason in _MENDED_BY_PEOPLE]:
        lines.append(f"once the adapter or the bug behind it is mended: {_retry(run, mended)}, then the same command")
    return lines


def _given_up(run: Run, kinds: Collection[WorkKind]) -> Counter[str]:
    counts = run.ledger.given_up_for(kinds)
    return Counter({reason: count for reason, count in sorted(counts.items()) if reason not in _NO_FAULT})


def _retry(run: Run, reasons: Iterable[str]) -> str:
    return f"`microlens-build retry {run.run_id} {' '.join(f'--reason {reason}' for reason in reasons)}`"
