"""What was given up for one reason is opened again, and nothing else."""

from dataclasses import dataclass

import pytest

from microlens.embedded import redis_server
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

    def asked_now(*command):
        before = desk.site.count()
        told = cli(*command, desk.name)[1]
        if command[0] == "retry":
            desk.drain()
        asked = desk.site.count() - before
        return told, {path.split("/")[-1].split("-")[0] for path in asked}, sum(asked.values())

    assert {f"{reason}-{n}/cover": reason for reason in BODIES for n in range(3)} == desk.reasons()
    # The scripts of what is final are used up by half: asked for once more, it is still gone.
    told, *asked = asked_now("retry", "--reason", "timeout")
    assert "3 failures are open again" in told
    assert [{"timeout"}, 3] == asked
    assert [{"gone"}, 3] == list(asked_now("retry", "--reason", "gone")[1:])
    assert [{"server_error"}, 3] == list(asked_now("work")[1:])
    assert {"timeout", "server_error"} == {row["video_id"].split("-")[0] for row in desk.run.ledger.assets()}
    assert {"gone", "private"} == set(desk.reasons().values())
    assert "cannot be tried again" in cli("retry", desk.name, "--reason", "bad_weather", expect=2)[1]
