"""What a process that decodes cannot do any more."""

import os
import subprocess
import sys
import textwrap

import pytest

_ATTEMPTS = {
    "write a file": "open('made', 'w')",
    "append to a file": "open('there', 'a')",
    "remove a file": "os.remove('there')",
    "rename a file": "os.rename('there', 'elsewhere')",
    "make a folder": "os.mkdir('folder')",
    "make a link": "os.symlink('there', 'link')",
    "change a mode": "os.chmod('there', 0)",
    "cut a file": "os.truncate('there', 0)",
    "open a socket": "socket.socket()",
    "start a program": "os.execv('/bin/true', ['true'])",
    "kill its parent": "os.kill(os.getppid(), 15)",
}


def attempt(tmp_path, what):
    (tmp_path / "there").write_text("something")
    code = f"""
        import os, socket, sys
        from download_nodes import confine
        if not confine.forbid():
            sys.exit(77)
        assert open('there').read() == 'something'
        try:
            {what}
        except PermissionError:
            sys.exit(3)
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment, check=False
    ).returncode


@pytest.mark.parametrize("what", _ATTEMPTS.values(), ids=_ATTEMPTS)
def test_it_is_refused(tmp_path, what):
    """The call fails as for one who has no right to it; reading goes on."""
    code = attempt(tmp_path, what)
    if code == 77:
        pytest.skip("this kernel or processor has no system call filter that we know")

    assert code == 3
    assert ["there"] == [path.name for path in tmp_path.iterdir()]


def test_memory_is_bounded(tmp_path):
    """What is asked for beyond the limit is refused as memory that there is not."""
    code = (
        "from download_nodes import confine; confine.limit(memory_bytes=200 << 20, file_bytes=9); bytearray(300 << 20)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)

    assert b"MemoryError" in done.stderr
