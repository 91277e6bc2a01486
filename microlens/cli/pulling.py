"""What other machines keep of a run, brought here before it is integrated."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from integration.progress import progress_facts
from integration.pull import CHANNELS, pull
from integration.sources import open_source
from microlens.errors import StoreUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from integration.progress import Progress
    from integration.sources import Source
    from microlens.cli.reporter import Reporter
    from microlens.runs import Run
    from microlens.settings import Settings


def pull_from(
    run: Run, settings: Settings, urls: Sequence[str], *, channels: int | None, ca_file: Path | None, reporter: Reporter
) -> None:
    """Pull from these addresses, and say what came; NotReadyError or CorruptDataError if that is not all."""
    if not urls:
        return
    sources = {url: partial(open_source, url, run, settings, ca_file) for url in urls}
    for open_one in sources.values():
        with contextlib.suppress(StoreUnreachableError, OSError):  # one that is away is told of; the others go on
            open_one().close()  # an address or a token that cannot be used is told before anything is asked for
    _pull(run, sources, None, channels=channels, reporter=reporter)


def pull_kept(run: Run, settings: Settings, reporter: Reporter) -> None:
    """Pull the parts that others keep in the bucket of MICROLENS_PARTS_URL, if there is one and they are not here.

    NotReadyError or CorruptDataError as from `pull_from`.
    """
    if (bucket := run.parts_bucket) is not None:
        sources = {bucket.url: partial(open_source, bucket.url, run, settings)}
        _pull(run, sources, bucket.url, channels=None, reporter=reporter)


def _pull(
    run: Run,
    sources: Mapping[str, Callable[[], Source]],
    kept_at: str | None,
    *,
    channels: int | None,
    reporter: Reporter,
) -> None:
    def tick(progress: dict[str, Progress], left: int) -> None:
        if left:
            reporter.tick("pull", lambda: progress_facts(progress, left))

    pulled = pull(run, sources, kept_at=kept_at, channels=channels or CHANNELS, on_tick=tick)
    if kept_at is None or pulled.parts or pulled.left:  # nobody asked for it: that it had nothing to do is no news
        reporter.done(
            "pull",
            {"files": pulled.files, "parts": pulled.parts, "bytes": pulled.size_bytes, "missing": pulled.left},
        )
    for source, why in pulled.troubles.items():
        reporter.note(f"{source} gave nothing more: {why}")
    for path in pulled.set_aside:
        reporter.note(f"{path}: what the ledger does not list lay there; it was set aside, and the part fetched anew")
    pulled.check()
