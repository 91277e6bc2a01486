"""One collection node: `python -m crawler RUN_FOLDER REDIS_URL [--forever] [--links]`; a child of the command line.

It goes on with the first crawl, or, where that is finished, with the refresh that is open; else it reads pages again
whose media links have expired, and nothing but that with --links.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from crawler.refresh import refresh
from crawler.run import crawl, read_links
from microlens.stage_process import run_stage

if TYPE_CHECKING:
    from microlens.runs import Run


def go_on(run: Run, redis_url: str) -> None:
    options = sys.argv[3:]
    is_forever = "--forever" in options
    if "--links" in options:
        read_links(run, redis_url, is_forever=is_forever)
    elif not run.ledger.is_stage_finished("crawl"):
        crawl(run, redis_url, is_forever=is_forever)
    elif run.refreshes.open_one() is not None:
        refresh(run, redis_url, is_forever=is_forever)
    else:
        read_links(run, redis_url, is_forever=is_forever)


run_stage("crawler", go_on)
