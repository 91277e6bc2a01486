"""Child processes do not outlive their parent, even one that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microlens.children import start_child, stop_child

SLEEP = [sys.executable, "-c", "import time; time.sleep(120)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(120)",
]
PARENT = """
import sys, time
from microlens.children import start_child
child = start_child(sys.argv[1:])
print(child.pid, flush=True)
time.sleep(120)
"""


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid, within_s=20.0):
    end = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
@pytest.mark.parametrize("last", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_dies_with_its_parent(last):
    """A parent that is killed, without a chance to clean up, takes its children with it."""
    with subprocess.Popen([sys.executable, "-c", PARENT, *SLEEP], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        before = is_alive(child)
        parent.send_signal(last)
        parent.wait(timeout=20)

        assert before
        assert ends(child)


def test_a_child_is_stopped_and_its_code_is_given():
    """A child is asked to end, and its exit code says by what."""
    child = start_child(SLEEP)

    assert -signal.SIGTERM == stop_child(child)
    assert not is_alive(child.pid)


def test_a_child_that_has_ended_is_left_alone():
    """Stopping a child twice, or one that ended by itself, gives its code."""
    child = start_child([sys.executable, "-c", "raise SystemExit(7)"])
    child.wait(timeout=20)

    assert [7, 7] == [stop_child(child), stop_child(child)]


def test_a_child_that_does_not_listen_is_made_to_end(tmp_path):
    """After its patience is over the parent kills."""
    with (tmp_path / "told").open("wb") as told:
        child = start_child(STUBBORN, stdout=told)
    end = time.monotonic() + 20
    while b"deaf" not in (tmp_path / "told").read_bytes() and time.monotonic() < end:
        time.sleep(0.01)

    assert -signal.SIGKILL == stop_child(child, patience_s=0.1)


def test_a_child_has_the_environment_that_it_is_given(tmp_path):
    """An environment replaces the parent's, and output and errors go where they are sent."""
    code = "import os, sys; print(os.environ.get('MICROLENS_RUNS_DIR'), os.environ.get('GONE'), file=sys.stderr)"
    with (tmp_path / "told").open("wb") as told:
        child = start_child(
            [sys.executable, "-c", code], environment={**os.environ, "MICROLENS_RUNS_DIR": "x"}, stdout=told
        )
        child.wait(timeout=20)

    assert (0, b"x None") == (stop_child(child), (tmp_path / "told").read_bytes().strip())


def test_a_child_of_a_session_of_its_own_leads_it():
    """A server that must survive a Ctrl-C is in no terminal's group, and is still stopped by its parent."""
    child = start_child(SLEEP, is_own_session=True)
    session = os.getsid(child.pid)
    stop_child(child)

    assert child.pid == session != os.getsid(0)
