"""One collection node: `python -m crawler RUN_FOLDER REDIS_URL`; started by `microlens-build run`.

It goes on with the first crawl, or, where that is finished, with the refresh that is open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.refresh import refresh
from crawler.run import crawl
from microlens.stage_process import run_stage

if TYPE_CHECKING:
    from microlens.runs import Run


def go_on(run: Run, redis_url: str) -> None:
    is_refresh = run.ledger.is_stage_finished("crawl") and run.refreshes.open_one() is not None
    (refresh if is_refresh else crawl)(run, redis_url)


run_stage("crawler", go_on)
