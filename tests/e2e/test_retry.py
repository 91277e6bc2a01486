"""What was given up for one reason is opened again, and nothing else."""

import re
import subprocess
from dataclasses import dataclass

import pytest
from PIL import Image

from microlens.embedded import redis_server
from tests.crawler.site import Reply, Site
from tests.download_nodes.desk import Desk
from tests.download_nodes.fleet import wait_until
from tests.e2e.harness import Cli

BODIES = {"timeout": Reply(408), "server_error": Reply(500), "gone": Reply(404), "private": Reply(403)}


@dataclass
class DeskCli(Cli):
    """The command line on a desk's runs."""

    redis_url: str = ""

    @property
    def environment(self):
        told = super().environment
        del told["MICROLENS_PSEUDONYM_KEY"]
        return told | ({"MICROLENS_REDIS_URL": self.redis_url} if self.redis_url else {})


@pytest.fixture
def desk(tmp_path):
    with Site() as site, redis_server(None) as redis_url:
        made = Desk(tmp_path, site, redis_url)
        yield made
        made.close()


def add_one_that_fails(desk, folder):
    """A cover that is given up after two tries, and is there at the third."""
    Image.effect_noise((64, 64), 90).save(folder / "cover.png")
    desk.make(filters={"min_video_bytes": 10**9})
    desk.add_page("v", media={"cover": "/media/v.png"})
    desk.site.files["/media/v.png"] = (folder / "cover.png").read_bytes()
    desk.site.script("/media/v.png", Reply(500), Reply(500))
    desk.run.ledger.finish_stage("crawl")


def test_only_what_failed_for_that_reason_is_fetched_again(desk, tmp_path):
    """`work` opens nothing by itself, and fetches what `retry` has opened: one reason, or all that may pass."""
    cli = DeskCli(tmp_path, redis_url=desk.redis_url)
    desk.make(filters={"min_video_bytes": 10**9})
    Image.effect_noise((64, 64), 90).save(tmp_path / "cover.png")
    for number in range(3):
        for reason, reply in BODIES.items():
            name = f"{reason}-{number}"
            desk.add_page(name, media={"cover": f"/media/{name}.png"})
            desk.site.files[f"/media/{name}.png"] = (tmp_path / "cover.png").read_bytes()
            desk.site.script(f"/media/{name}.png", *[reply] * 2)
    desk.run.ledger.finish_stage("crawl")

    def asked_by_work():
        before = desk.site.count()
        cli("work", desk.name, "-n", "1")
        asked = desk.site.count() - before
        del asked["/robots.txt"]
        return {path.split("/")[-1].split("-")[0] for path in asked}, sum(asked.values())

    assert set(BODIES) == asked_by_work()[0]
    assert {f"{reason}-{n}/cover": reason for reason in BODIES for n in range(3)} == desk.reasons()
    assert (set(), 0) == asked_by_work()
    assert "3 failures are open again" in cli("retry", desk.name, "--reason", "timeout")[1]
    assert ({"timeout"}, 3) == asked_by_work()
    assert "3 failures are open again" in cli("retry", desk.name, "--reason", "gone")[1]
    assert ({"gone"}, 3) == asked_by_work()
    assert "3 failures are open again" in cli("retry", desk.name)[1]
    assert ({"server_error"}, 3) == asked_by_work()
    assert {"timeout", "server_error"} == {row["video_id"].split("-")[0] for row in desk.run.ledger.assets()}
    # Asked for a second time, it was still gone: the site had that answer twice.
    assert {"gone", "private"} == set(desk.reasons().values())


def test_nodes_at_work_try_again_what_was_opened(desk, tmp_path):
    """On a cluster nothing is started again: `retry` queues what it opens, for nodes that stay for ever."""
    cli = DeskCli(tmp_path, redis_url=desk.redis_url)
    add_one_that_fails(desk, tmp_path)
    node = cli.start("work", desk.name, "-n", "1", "--forever", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: {"v/cover": "server_error"} == desk.reasons(), 60)
        told = cli("retry", desk.name, "--reason", "server_error")[1]
        wait_until(desk.run.ledger.assets, 60)
    finally:
        node.terminate()
        node.wait()

    assert "1 failures are open again, and queued" in told
    assert 3 == desk.site.count()["/media/v.png"]


def test_a_run_under_way_tries_again_what_was_opened(desk, tmp_path):
    """Its embedded Redis is found: what is opened beside a `work` on this machine is fetched before that ends."""
    cli = DeskCli(tmp_path, redis_url="")
    add_one_that_fails(desk, tmp_path)
    desk.add_page("slow", media={"cover": "/media/slow.png"})
    desk.site.script("/media/slow.png", Reply(200, (tmp_path / "cover.png").read_bytes(), pause_s=8.0))
    work = cli.start("work", desk.name, "-n", "1", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: {"v/cover": "server_error"} == desk.reasons(), 60)
        told = cli("retry", desk.name, "--reason", "server_error")[1]
        ended = work.wait(60)
    finally:
        work.kill()
        work.wait()

    assert "1 failures are open again, and queued" in told
    assert 0 == ended
    assert {"v", "slow"} == {row["video_id"] for row in desk.run.ledger.assets()}


def test_without_a_redis_it_is_told_what_fetches_it(desk, tmp_path):
    """Nothing is under way: the ledger keeps what was opened, and `work` is named."""
    cli = DeskCli(tmp_path, redis_url="")
    add_one_that_fails(desk, tmp_path)
    desk.drain()

    assert "1 failures are open again: run `microlens-build work`" in cli("retry", desk.name)[1]
    cli("work", desk.name, "-n", "1")
    assert 3 == desk.site.count()["/media/v.png"]
    assert {} == desk.reasons()


def test_a_note_at_the_end_names_the_command_that_helps(desk, tmp_path):
    """`work` says why much was given up; the command that it names opens just what may pass."""
    cli = DeskCli(tmp_path, redis_url=desk.redis_url)
    desk.make(filters={"min_video_bytes": 10**9})
    for reason, reply in BODIES.items():
        desk.add_page(reason, media={"cover": f"/media/{reason}.png"})
        desk.site.script(f"/media/{reason}.png", *[reply] * 2)
    desk.run.ledger.finish_stage("crawl")
    told = cli("work", desk.name, "-n", "1")[1]
    command = re.search("`microlens-build (retry .*?)`", told).group(1)

    assert "4 of 4 items (100%) were given up: " in told
    assert {"--reason", "timeout", "server_error", "retry", desk.name} == set(command.split())
    assert "2 failures are open again" in cli(*command.split())[1]
