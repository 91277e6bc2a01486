"""A run may be killed at any moment: run again, it ends in the same release, byte for byte."""

import hashlib
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from sandbox.process import SandboxSite
from sandbox.truth import collect_frozen, expected_release
from tests.e2e.harness import Cli, read_back

KILLS = 10


def data_of(cli):
    data = cli.folder / "runs" / "site" / "releases" / "all" / "data"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(data.iterdir())}


def descendants(pid):
    """(process id, command line) of every process below `pid`."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    found, border = [], {pid}
    while border:
        border = {child for child, parent in parents.items() if parent in border}
        found += [(child, commands[child]) for child in border]
    return found


def kill_one(process, chance):
    """Kill the run's own process (the integrator), or one of its nodes or its crawler."""
    below = descendants(process.pid)
    kinds = {
        "run": [process.pid],
        "node": [pid for pid, command in below if "-m download_nodes" in command],
        "crawler": [pid for pid, command in below if "-m crawler" in command],
    }
    kind = chance.choice([name for name, pids in kinds.items() if pids])
    victim = chance.choice(kinds[kind])
    try:
        subprocess.run(["kill", "-KILL", str(victim)], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        return None
    return kind


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes to kill in /proc")
def test_ten_kills_at_random_moments_change_nothing(tmp_path, frozen_site):
    """Whatever is killed, the next run goes on, and `data/` ends with the bytes of a run that nobody disturbed."""
    quiet, killed = Cli(tmp_path / "quiet"), Cli(tmp_path / "killed")
    for cli in (quiet, killed):
        cli.folder.mkdir()
    recipe = {"politeness": {"requests_per_second": 150, "concurrency": 16}, "benchmark": {"models": ["popularity"]}}
    quiet("run", quiet.recipe(frozen_site.url, **recipe))
    chance = random.Random(20)

    kinds = []
    path = killed.recipe(frozen_site.url, **recipe)
    process = None
    deadline = time.monotonic() + 200
    while len(kinds) < KILLS and time.monotonic() < deadline:
        if process is None or process.poll() is not None:
            process = killed.start("run", path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.4, 1.6))
        if process.poll() is None and (kind := kill_one(process, chance)):
            kinds.append(kind)
    process.wait(timeout=120)
    killed("run", path)

    assert len(kinds) == KILLS
    assert data_of(quiet) == data_of(killed)
    assert set(data_of(quiet)) == {"items.parquet", "interactions.parquet", "users.parquet", "comments.parquet"}


@pytest.mark.slow
def test_an_integrator_killed_at_any_moment_is_no_matter(tmp_path, frozen_site):
    """`integrate` and `subset` killed again and again in their midst leave nothing that the next call mistakes."""
    cli = Cli(tmp_path)
    cli("run", cli.recipe(frozen_site.url))
    before = data_of(cli)
    chance = random.Random(3)

    for _ in range(KILLS):
        for name in ("integrated/_manifest.json", "releases/all/_manifest.json"):
            (cli.folder / "runs" / "site" / name).unlink(missing_ok=True)
        process = cli.start("run", cli.folder / "site.yaml", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 1.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    cli("run", cli.folder / "site.yaml")

    assert before == data_of(cli)


def test_the_same_recipe_again_does_nothing(cli, frozen_site):
    """A finished run answers at once, says that there was nothing to do, and asks the site for nothing."""
    path = cli.recipe(frozen_site.url)
    first = cli.json("run", path)
    before, seen = data_of(cli), frozen_site.log()

    again = cli.json("run", path)
    out, _ = cli("run", path)

    assert (True, False) == (first["did_anything"], again["did_anything"])
    assert "nothing to do" in out
    assert before == data_of(cli)
    assert {k: v for k, v in seen.items() if k != "/admin/log"} == {
        k: v for k, v in frozen_site.log().items() if k != "/admin/log"
    }


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_an_outage_of_the_site_costs_nothing(tmp_path, media_dir, is_waited_for):
    """A site that goes away in the midst of a run is missed no more once it is back.

    The run waits for it; one that gave it up is started again.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cli = Cli(tmp_path)
    site = SandboxSite(videos=80, users=300, seed=5, frozen=True, media_dir=media_dir, port=port)
    with site:
        politeness = {"requests_per_second": 100, "concurrency": 16, "max_attempts": 2, "park_s": 0.5}
        path = cli.recipe(site.url, politeness=politeness | ({} if is_waited_for else {"give_up_after_s": 0}))
        process = cli.start("run", path, stderr=subprocess.PIPE, text=True)
        while not [key for key in site.log() if key.startswith("/media/")]:
            time.sleep(0.05)
    if is_waited_for:
        ledger = cli.open().ledger
        while process.poll() is None and not ledger.hosts.parked():
            time.sleep(0.05)
    else:
        process.wait(timeout=120)
    with site:
        _, told = process.communicate(timeout=240)
        cli("run", path)

    truth = collect_frozen(site.world, run_seed=11, target=40, stale_refreshes=4)
    expected = expected_release(site.world, truth.ids)
    published = read_back(cli.open(), "all", site.world.user_ids)
    assert is_waited_for == (process.returncode == 0), told
    assert ("host_parked" if is_waited_for else "nothing is lost") in told
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept
