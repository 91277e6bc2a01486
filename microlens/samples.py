"""Answers that an adapter could not read, kept under the run for whoever mends it: runs/<run>/samples/.

Their shape alone is kept (microlens.masking), a few of each kind, so that neither users nor the disk pay for a change.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from microlens.errors import PageChangedError
from microlens.logs import log
from microlens.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microlens.platforms.base import Page

MOST_OF_A_KIND = 20


class Samples:
    """One run's samples; several processes may keep theirs in the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def of(self, kind: str, page: Page) -> Iterator[None]:
        """Keep the page if it turns out to be a changed one; the error then says where the sample lies."""
        try:
            yield
        except PageChangedError as error:
            # An error that tells of a sample already is of an answer beside this page.
            path = self._keep(kind, page) if str(self._folder) not in error.hint else None
            if path is not None:
                error.hint = f"{error.hint}; the shape of the answer, without its words, lies in {path}"
            raise

    def _keep(self, kind: str, page: Page) -> Path | None:
        """Write one sample; None if there are enough of its kind."""
        name = f"{kind}-{hashlib.sha256(page.url.encode()).hexdigest()[:12]}"
        known = sorted(self._folder.glob(f"{kind}-*.*"))
        same = next((path for path in known if path.stem == name), None)
        if same is not None or len(known) >= MOST_OF_A_KIND:
            return same
        from microlens.masking import masked_page  # noqa: PLC0415 - a parser of HTML, which few processes need

        text, suffix = masked_page(page.body)
        path = self._folder / f"{name}.{suffix}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.decode("utf-8", errors="ignore"))
        except OSError as error:  # a sample is a help, and no reason to stop
            log.warning("sample_not_kept", path=str(path), error=str(error))
            return None
        return path
