"""What other machines keep of a run, brought here before it is integrated."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from integration.pull import progress_facts, pull
from integration.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from microlens.cli.output import Reporter
    from microlens.runs import Run
    from microlens.settings import Settings


def pull_from(
    run: Run, settings: Settings, urls: Sequence[str], *, channels: int, ca_file: Path | None, reporter: Reporter
) -> None:
    """Pull from these addresses, and say what came; NotReadyError or CorruptDataError if that is not all."""
    if not urls:
        return
    began = time.monotonic()
    sources = {url: partial(open_source, url, run, settings, ca_file) for url in urls}
    for open_one in sources.values():
        open_one().close()  # an address or a token that cannot be used is told before anything is asked for
    pulled = pull(
        run,
        sources,
        channels=channels,
        on_tick=lambda progress, left: reporter.tick("pull", lambda: progress_facts(progress, left, began=began)),
    )
    reporter.done(
        "pull",
        {"files": pulled.files, "parts": pulled.parts, "bytes": pulled.size_bytes, "missing": len(pulled.missing)},
    )
    for source, why in pulled.troubles.items():
        reporter.note(f"{source} gave nothing more: {why}")
    pulled.check()
