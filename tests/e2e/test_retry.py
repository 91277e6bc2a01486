"""What was given up for one reason is opened again, and nothing else."""

import re
from dataclasses import dataclass

import pytest

from microlens.embedded import redis_server
from microlens.retries import reopen
from tests.crawler.site import Reply, Site
from tests.download_nodes.desk import Desk
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
        return told | {"MICROLENS_REDIS_URL": self.redis_url}


@pytest.fixture
def desk(tmp_path):
    with Site() as site, redis_server(None) as redis_url:
        made = Desk(tmp_path, site, redis_url)
        yield made
        made.close()


def test_only_what_failed_for_that_reason_is_fetched_again(desk, tmp_path):
    """`retry --reason timeout` has what timed out asked for, `gone` what is gone; `work` opens what may pass."""
    from PIL import Image

    cli = DeskCli(tmp_path, redis_url=desk.redis_url)
    desk.make(filters={"min_video_bytes": 10**9})
    Image.effect_noise((64, 64), 90).save(tmp_path / "cover.png")
    for number in range(3):
        for reason, reply in BODIES.items():
            name = f"{reason}-{number}"
            desk.add_page(name, media={"cover": f"/media/{name}.png"})
            desk.site.files[f"/media/{name}.png"] = (tmp_path / "cover.png").read_bytes()
            desk.site.script(f"/media/{name}.png", *[reply] * 2)
    desk.drain()

    def asked_by(act):
        before = desk.site.count()
        act()
        asked = desk.site.count() - before
        return {path.split("/")[-1].split("-")[0] for path in asked}, sum(asked.values())

    assert {f"{reason}-{n}/cover": reason for reason in BODIES for n in range(3)} == desk.reasons()
    assert "3 failures are open again" in cli("retry", desk.name, "--reason", "timeout")[1]
    assert ({"timeout"}, 3) == asked_by(desk.drain)
    assert 3 == reopen(desk.run, desk.frontier, ["gone"])
    assert ({"gone"}, 3) == asked_by(desk.drain)
    assert ({"server_error"}, 3) == asked_by(lambda: cli("work", desk.name, "-n", "1"))
    assert {"timeout", "server_error"} == {row["video_id"].split("-")[0] for row in desk.run.ledger.assets()}
    # Asked for a second time, it was still gone: the site had that answer twice.
    assert {"gone", "private"} == set(desk.reasons().values())


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
