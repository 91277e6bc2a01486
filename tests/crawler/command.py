"""`microlens-build` in a process forked from one that has its imports behind it: a crawl then starts at once.

Scrapy's reactor cannot be started twice in a process, so every crawl needs one of its own.
"""

import multiprocessing
import os
import signal
import sys

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["crawler.run", "microlens.cli", "microlens.embedded", "microlens.platforms.sandbox"])


class Command:
    """A running command; `said` is what it wrote, once it has ended."""

    def __init__(self, arguments, folder, environment):
        self._log = folder / "said.txt"
        self._process = _context.Process(target=_run, args=(arguments, str(folder), environment, str(self._log)))
        self._process.start()

    @property
    def is_running(self):
        return self._process.is_alive()

    def stop(self, number=signal.SIGTERM):
        os.kill(self._process.pid, number)

    def wait(self, timeout_s=90):
        """Its exit code and all that it said."""
        self._process.join(timeout_s)
        if self.is_running:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        self._process.close()
        return code, self._log.read_text()


def _run(arguments, folder, environment, log):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["microlens-build", *arguments]
    from microlens.cli import main

    main()
