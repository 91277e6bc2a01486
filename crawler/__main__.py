"""One collection node: `python -m crawler RUN_FOLDER REDIS_URL`; started by `microlens-build run`."""

from crawler.run import crawl
from microlens.stage_process import run_stage

run_stage("crawler", crawl)
