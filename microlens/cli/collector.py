"""The collection node beside the download nodes of one machine: a child process, there as soon as pages are wanted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from microlens.children import start_child, stop_child
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    import subprocess

    from microlens.runs import Run


class StageFailedError(MicrolensError):
    """A stage in a process of its own has ended with an error, which it has told already."""

    def __init__(self, stage: str, exit_code: int) -> None:
        super().__init__(f"the stage {stage!r} ended with exit code {exit_code}", hint="its own message stands above")
        self.exit_code = exit_code


def wants_pages(run: Run) -> bool:
    """Whether the first crawl or a refresh is to go on, or files wait for fresh links."""
    is_crawled = run.ledger.is_stage_finished("crawl") and run.refreshes.open_one() is None
    return not is_crawled or wants_links(run)


def wants_links(run: Run) -> bool:
    return run.fresh_links.counts()["pages"] > 0


class Collector:
    """Once started it stays: links may expire until the last file is fetched."""

    def __init__(self, run: Run, redis_url: str, *, is_for_links: bool = False) -> None:
        """`is_for_links` has it read nothing but pages that are wanted for fresh links."""
        self._run = run
        self._wants = wants_links if is_for_links else wants_pages
        options = ["--forever", *(["--links"] if is_for_links else [])]
        self._command = [sys.executable, "-m", "crawler", str(run.folder), redis_url, *options]
        self._child: subprocess.Popen[bytes] | None = None

    def is_done(self) -> bool:
        """Whether no page is wanted; where one is, a collection node is seen to.

        StageFailedError, with its own exit code, if that has ended in an error.
        """
        code = self._child.poll() if self._child is not None else None
        if code:
            raise StageFailedError("crawl", code if code > 0 else 128 - code)
        wants_any = self._wants(self._run)
        if wants_any and (self._child is None or code is not None):
            self._child = start_child(self._command)
        return not wants_any

    def stop(self) -> None:
        if self._child is not None:
            stop_child(self._child)
