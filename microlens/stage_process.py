"""The entry of a stage that runs in a process of its own: RUN_FOLDER REDIS_URL on its command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from microlens.errors import MicrolensError
from microlens.runs import open_run
from microlens.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from microlens.runs import Run


def run_stage(name: str, work: Callable[[Run, str], None]) -> None:
    """Open the run and do the work; an expected error is told in plain words and ends in its own exit code."""
    folder, redis_url = sys.argv[1:3]
    try:
        work(open_run(Path(folder), Settings()), redis_url)
    except MicrolensError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(error.exit_code)
