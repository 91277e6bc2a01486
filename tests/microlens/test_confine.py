"""What a process that decodes cannot do any more."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

_NO_FILTER = "this kernel or processor has no system call filter that we know"
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
        from microlens import confine
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
        pytest.skip(_NO_FILTER)

    assert code == 3
    assert ["there"] == [path.name for path in tmp_path.iterdir()]


def test_memory_is_bounded(tmp_path):
    """What is asked for beyond the limit is refused as memory that there is not."""
    code = "from microlens import confine; confine.limit(memory_bytes=200 << 20, file_bytes=9); bytearray(300 << 20)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)

    assert b"MemoryError" in done.stderr


def _confined(folder, code, *, cpu_s=60, file_bytes=1 << 20, stdout=subprocess.PIPE):
    """Python as a program that is not ours, confined as the transcoder is."""
    limits = map(str, (os.getpid(), 1 << 30, file_bytes, cpu_s))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "microlens.confine", *limits, sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, stdout=stdout, stderr=subprocess.PIPE, timeout=60
    )


@pytest.mark.parametrize("what", [what for name, what in _ATTEMPTS.items() if name != "start a program"])
def test_another_program_is_refused_the_same(tmp_path, what):
    """FFmpeg's program may read, and write to what it is handed: no more, nor may what it would start."""
    if not _has_filter():
        pytest.skip(_NO_FILTER)
    (tmp_path / "there").write_text("something")
    attempt = f"import os, socket, sys\ntry:\n    {what}\nexcept PermissionError:\n    print(open('there').read())"
    start = f"import os, sys; os.execv(sys.executable, [sys.executable, '-c', {attempt!r}])"

    assert [b"something\n"] * 2 == [_confined(tmp_path, code).stdout for code in (attempt, start)]
    assert ["there"] == [path.name for path in tmp_path.iterdir()]


def _has_filter():
    code = "import sys; from microlens import confine; sys.exit(not confine.forbid())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_who_joins_picture_and_sound_writes_into_one_file(tmp_path):
    """The process reads what strangers wrote, so it is confined before it does."""
    if not _has_filter():
        pytest.skip(_NO_FILTER)
    code = """
        import os, sys
        from download_nodes import mux
        mux.join = lambda _picture, _sound, target: (target.write(b"x"), open("elsewhere", "w"))
        sys.exit(mux.main([str(os.getppid()), "1000", "a", "b", "made"]))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment, check=False)

    assert errno.EPERM == done.returncode
    assert {"made": b"x"} == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_its_time_and_its_file_have_an_end(tmp_path):
    """A program that goes on for ever is ended by SIGXCPU, and a file grows to its limit and no further."""
    spin = _confined(tmp_path, "while True: pass", cpu_s=1)
    with (tmp_path / "made").open("wb") as made:
        full = _confined(tmp_path, "import os\nwhile True: os.write(1, bytes(1000))", file_bytes=5000, stdout=made)

    assert -signal.SIGXCPU == spin.returncode
    assert b"File too large" in full.stderr
    assert 5000 == (tmp_path / "made").stat().st_size


def test_it_dies_with_its_parent(tmp_path):
    """A transcoder does not outlive a node that was killed."""
    code = """
        import asyncio, pathlib, sys
        from download_nodes import transcode
        program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        transcode._command = lambda *_: [sys.executable, "-c", program]
        asyncio.run(transcode.transcode(pathlib.Path("a"), pathlib.Path("made"), "mp3", video_id="v"))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    node = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment)
    made = tmp_path / "made"
    try:
        _wait_until(lambda: made.exists() and made.read_text().endswith("\n"))
    finally:
        node.kill()
        node.wait()

    pid = int(made.read_text())
    _wait_until(lambda: not _is_alive(pid))
    assert not _is_alive(pid)


def _wait_until(is_so):
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)


def _is_alive(pid):
    """A zombie is dead, though nobody may have looked at it."""
    try:
        os.kill(pid, 0)
        return "Z" not in subprocess.check_output(["ps", "-o", "stat=", "-p", str(pid)], text=True)
    except (ProcessLookupError, subprocess.CalledProcessError):
        return False
