"""The command: one line when ready, a clean end, a log on request."""

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sandbox
from microlens.errors import SiteUnreachableError
from sandbox.__main__ import main
from sandbox.process import SandboxSite

TINY = {"videos": 30, "users": 10, "seed": 1}
SOURCES = sorted(Path(sandbox.__file__).parent.glob("*.py"))


def test_sigterm_ends_the_site_cleanly():
    """The site ends with exit code 0 and its address is no longer answered."""
    site = SandboxSite(**TINY)
    site.start()
    site.stop()

    assert site._process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        site.log()


def test_the_ready_line_is_the_only_output():
    """Standard output holds one line with the address, and nothing after it."""
    command = [sys.executable, "-m", "sandbox", "--videos=30", "--users=10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SOURCES[0].parent.parent) as process:
        ready = process.stdout.readline()
        process.terminate()
        rest = process.stdout.read()

    assert ready.startswith("sandbox on http://127.0.0.1:")
    assert rest == ""


def test_requests_are_written_to_a_file(tmp_path, fetch):
    """`--log` appends one JSON line a request: host, status, user agent, when it came and how long it took."""
    before_ms = time.time() * 1000 - 1
    with SandboxSite(**TINY, log_file=tmp_path / "requests.jsonl") as site:
        fetch(f"{site.url}/robots.txt?x=1", User_Agent="tester/1.0")
        fetch(f"{site.url}/v/nobody")
    after_ms = time.time() * 1000 + 1
    lines = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]

    told = {name: lines[0][name] for name in ("host", "method", "target", "status", "user_agent", "fault")}
    asked = {"host": "127.0.0.1", "method": "GET", "target": "/robots.txt?x=1", "status": 200}
    assert told == {**asked, "user_agent": "tester/1.0", "fault": None}
    assert before_ms <= lines[0]["received_at_ms"] <= lines[0]["received_at_ms"] + lines[0]["took_ms"] <= after_ms
    assert lines[1]["status"] == 404


def test_prepare_makes_all_media_first(tmp_path):
    """With `--prepare` every file is there before the first request, and one for each original clip."""
    with SandboxSite(**TINY, media_dir=tmp_path, prepare=True) as site:
        originals = len(set(site.world.videos.flaws.source.tolist()))

    assert len(list(tmp_path.rglob("*.jpg"))) == 30
    assert len(list(tmp_path.rglob("*.mp4"))) == len(list(tmp_path.rglob("*.m4a"))) == originals


def test_a_site_that_cannot_start_says_why(capfd):
    """A port that cannot be taken raises an error that names the command to try."""
    with SandboxSite(**TINY) as running:
        taken = int(running.url.rpartition(":")[2])
        with pytest.raises(SiteUnreachableError, match="python -m sandbox"):
            SandboxSite(**TINY, port=taken).start()

    assert "address already in use" in capfd.readouterr().err


def test_wrong_sizes_are_refused(capsys):
    """A site of too few videos ends with the exit code of a bad option and a hint."""
    code = main(["--videos=2"])

    assert code == 2
    assert "ask for at least 30 videos" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--hosts=0", "--hosts=99", "--with-media=-1", "--media-variety=0", "--fault-cut-share=2"]
)
def test_impossible_sites_are_refused(capsys, option):
    """Hosts, media and faults that cannot be end with the exit code of a bad option, and the value is named."""
    code = main([option])

    assert code == 2
    assert option.partition("=")[2] in capsys.readouterr().err


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_truth_stands_apart(path):
    """The sandbox imports nothing of ours but the errors, so that its truth is its own."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    ours = {"microlens", "crawler", "download_nodes", "filtering", "integration", "benchmark"}

    assert {name for name in names if name.split(".")[0] in ours} <= {"microlens.errors", "microlens.settings"}
