import json
import os
import subprocess
import sys

import pytest

SAY = "from microlens.logs import log; log.warning('worker_died', returncode=9)"


def said(code, **environment):
    """What a program says on standard error, and nothing on standard output."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert not done.stdout
    return done.stderr


def test_an_event_is_one_line_for_people():
    """The event's name, its level and its facts stand in it."""
    line = said(SAY, MICROLENS_LOG="")

    assert 1 == line.count("\n")
    assert all(word in line for word in ("worker_died", "warning", "returncode=9"))


def test_an_event_is_json_where_that_is_asked_for():
    """A machine reads the same facts."""
    line = json.loads(said(SAY, MICROLENS_LOG="json"))

    assert {"event": "worker_died", "level": "warning", "returncode": 9}.items() <= line.items()


@pytest.mark.parametrize("module", ["microlens.frontier", "download_nodes.node", "download_nodes.supervise"])
def test_what_says_nothing_imports_no_structlog(module):
    """With Rich and Twisted, which it brings along, it would be a fifth of a node's start."""
    assert not said(f"import sys, {module}; assert 'structlog' not in sys.modules")


def test_a_supervisor_imports_nothing_that_fetches():
    """What only its workers need would delay their start."""
    assert not said("import sys, download_nodes.supervise; assert 'aiohttp' not in sys.modules")
