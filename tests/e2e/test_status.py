"""`status` in a second terminal: what the nodes do at this moment, and clear words where there are none to be seen."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from microlens.clock import now_ms
from microlens.embedded import redis_server
from microlens.heartbeats import DEAD_AFTER_S, Heartbeat, beat
from tests.download_nodes.desk import Desk, recipe_of
from tests.download_nodes.fleet import wait_until
from tests.download_nodes.kills import SlowFile
from tests.download_nodes.wire import Wire
from tests.e2e.harness import Cli

BODY = bytes(40_000_000)


class DeskCli(Cli):
    """The command line on a desk's runs, with an embedded Redis or with the one that is named."""

    redis_url = None

    @property
    def environment(self):
        told = super().environment
        del told["MICROLENS_PSEUDONYM_KEY"]
        return told | ({"MICROLENS_REDIS_URL": self.redis_url} if self.redis_url else {})

    def status(self):
        """Once as data, once as words."""
        return self.json("status"), self("status")[0]


@pytest.fixture
def slow(tmp_path):
    """A run whose one file trickles; its crawl is done."""
    with Wire() as wire, redis_server(None) as redis_url:
        desk = Desk(tmp_path, wire, redis_url)
        desk.make(filters={"min_video_bytes": 10**9})
        wire.answers["/media/a"] = SlowFile(BODY, 0.05, lambda: False)
        desk.add_page("a", media={"video": "/media/a"})
        desk.run.ledger.finish_stage("crawl")
        yield desk
        desk.close()


@pytest.fixture
def cli(slow, tmp_path):
    return DeskCli(tmp_path)


@pytest.fixture
def work(cli):
    """`work` in a process group of its own, which is gone in the end."""
    started = []

    def start(*options):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        started.append(cli.start("work", "-n", "1", *options, **quiet))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_status_shows_what_a_node_does(slow, cli, work):
    """The embedded Redis of another process is found; what it left when it was killed misleads nobody."""
    word = slow.run.folder / "redis.url"
    working = work()
    wait_until(lambda: cli.json("status")["nodes"] and cli.json("status")["nodes"][0]["in_work"], 60)
    told, words = cli.status()
    working.kill()
    working.wait(30)
    is_left = word.exists()
    wait_until(lambda: cli.json("status")["nodes_unknown"], 30)
    after, after_words = cli.status()

    (node,) = told["nodes"]
    assert (1, {"media": 1}, True, False) == tuple(node[key] for key in ("in_work", "doing", "is_living", "is_idle"))
    assert node["free_bytes"] > 0
    assert node["age_s"] < DEAD_AFTER_S
    assert None is told["nodes_unknown"]
    assert "nodes      machines 1  processes 1  items/s" in words
    assert f"  {node['node_id']}/{node['process']}  1 in work (1 media); done 0 files" in words
    assert is_left
    assert [] == after["nodes"]
    assert "nodes      none on this machine: no embedded Redis of this run is up" in after_words


def test_status_tells_what_a_node_waits_for(slow, cli, work):
    """A limit of bandwidth, then a job; one that ends well is told of no more."""
    cli.redis_url = slow.redis_url
    slow.make(filters={"min_video_bytes": 10**9}, politeness={"bytes_per_second": 100_000, "requests_per_second": 1000})
    slow.site.answers["/media/a"] = SlowFile(BODY, 0.0, lambda: False)
    working = work("--forever")
    wait_until(lambda: "waits for bandwidth (1 of them)" in cli("status")[0], 60, lambda: cli("status")[0])
    (node,) = cli.json("status")["nodes"]
    os.kill(node["process"], signal.SIGTERM)  # it gives its file back and ends; another takes its place
    wait_until(lambda: node["process"] not in {n["process"] for n in cli.json("status")["nodes"]}, 30)
    working.terminate()
    working.wait(30)
    wait_until(lambda: [] == cli.json("status")["nodes"], 30, lambda: cli("status")[0])

    assert "nodes      none at work" in cli("status")[0]


def test_an_idle_node_is_not_taken_for_a_dead_one(slow, cli, work):
    """While there is nothing to do its supervisor speaks for it; the word is never old."""
    cli.redis_url = slow.redis_url
    slow.site.answers["/media/a"] = SlowFile(b"no media", 0.0, lambda: False)
    work("--forever")
    wait_until(slow.reasons, 60, lambda: cli("status")[0])
    wait_until(lambda: "waits for a job" in cli("status")[0], 30, lambda: cli("status")[0])
    assert "waits for a job" in cli("status", "--check-node")[0]
    first = cli.json("status")["nodes"][0]
    wait_until(lambda: cli.json("status")["nodes"][0]["at_ms"] > first["at_ms"] + 1_000, 30)
    (node,) = cli.json("status")["nodes"]

    assert node["is_idle"]
    assert node["is_living"]
    assert {"not_media": 1} == node["failures"]


def test_a_node_that_was_killed_is_shown_as_silent(slow, cli):
    """Its last word stays, with its age; it does not count among the living."""
    cli.redis_url = slow.redis_url
    for process, at_ms in ((7, now_ms()), (8, now_ms() - 3 * 3_600_000)):
        heartbeat = Heartbeat(
            "there", process, at_ms, up_s=90.0, free_bytes=10**9, is_disk_low=True, in_work=3, done={"media": 1234}
        )
        beat(slow.frontier, heartbeat)
    told, words = cli.status()

    assert [True, False] == [node["is_living"] for node in told["nodes"]]
    assert "nodes      machines 1  processes 1" in words
    assert "there/7  3 in work; waits for disk space; done 1,234 files (0 B)" in words
    assert "there/8  SILENT for 3 h: it was killed, hangs, or cannot reach Redis; it had 3 in work" in words


def test_a_node_is_healthy_while_all_its_processes_live(slow, cli):
    """None at work is not, nor one of whose processes one is silent; what other machines do is no matter."""
    cli.redis_url = slow.redis_url
    cli("status", "--check-node", expect=1)
    there = Heartbeat("there", 9, 0, up_s=0.0, free_bytes=0, is_disk_low=False, in_work=0)
    beat(slow.frontier, there)
    beat(slow.frontier, replace(there, node_id=socket.gethostname(), at_ms=now_ms()))
    told = json.loads(cli("status", slow.name, "--check-node", "--json")[0])
    beat(slow.frontier, replace(there, node_id=socket.gethostname(), process=8))

    assert {"nodes", "nodes_unknown"} == set(told)
    assert "SILENT" in cli("status", slow.name, "--check-node", expect=1)[0]


def test_the_health_check_of_the_compose_file_can_be_run(slow, cli, tmp_path):
    """Well before its run is begun, and while its node works; ill when that is gone."""
    compose = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
    kind, command = compose["services"]["node"]["healthcheck"]["test"]
    recipe = tmp_path / "recipe.yaml"
    command = command.replace("$$", "$").replace("/recipe.yaml", str(recipe))
    command = command.replace("microlens-build", f"{sys.executable} -m microlens.cli")

    def code(name):
        recipe.write_text(recipe_of(slow.site.url, name).to_yaml())
        return subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=cli.environment, check=False).returncode

    cli.redis_url = slow.redis_url
    before, without = code("not-begun"), code(slow.name)
    beat(slow.frontier, Heartbeat(socket.gethostname(), 9, now_ms(), 0.0, 0, is_disk_low=False, in_work=0))

    assert "CMD-SHELL" == kind
    assert (0, 1, 0) == (before, without, code(slow.name))


def test_a_redis_that_refuses_does_not_hide_the_rest(cli):
    """What the ledger knows is told all the same, and why the nodes are not."""
    cli.redis_url = "redis://:hunter2@127.0.0.1:1"
    told, words = cli.status()

    assert "Redis at redis://127.0.0.1:1 refuses" in told["nodes_unknown"]
    assert "nodes      Redis at redis://127.0.0.1:1 refuses" in words
    assert "crawl      finished" in words
    assert "hunter2" not in words + json.dumps(told)
