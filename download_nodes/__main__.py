"""`python -m download_nodes RUN_FOLDER REDIS_URL`: one worker process; `microlens-build work` starts it."""

from __future__ import annotations

from microlens.garbage import collect_seldom

if __name__ == "__main__":
    collect_seldom()
    from download_nodes.worker import serve
    from microlens.stage_process import run_stage

    run_stage("download node", serve)
