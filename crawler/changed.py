"""Counts answers whose shape nobody knows: a few are dropped with that reason, many stop the crawl."""

from __future__ import annotations

from microlens.errors import PageChangedError

_FEW = 3
_SHARE = 0.1


class ChangedPages:
    def __init__(self) -> None:
        self._changed = 0
        self._read = 0

    def count_read(self) -> None:
        self._read += 1

    def count_changed(self, error: PageChangedError) -> None:
        """One more answer, a page's or a list's, that cannot be read; raises PageChangedError where they are many."""
        self._changed += 1
        seen = self._changed + self._read
        if self._changed > _FEW and self._changed > _SHARE * seen:
            raise PageChangedError(
                f"{self._changed} of the last {seen} pages cannot be read, so the crawl was stopped; "
                f"the last one: {error.message}",
                hint=error.hint + "; then run the same command: nothing that was collected is lost",
            )
