"""Two machines that share a Redis and a PostgreSQL, and no disk: one run, one release, the site's own truth."""

import re
import subprocess
from dataclasses import dataclass, field

import pytest

from microlens.embedded import redis_server
from microlens.runs import open_run
from microlens.settings import Settings
from sandbox.process import SandboxSite
from sandbox.truth import collect_frozen, expected_release
from tests.bucket import KEY as BUCKET_KEY
from tests.bucket import s3_server
from tests.e2e.harness import ClusterCli, read_back

EXPORT_KEY = "e0" * 32


@dataclass
class Machine(ClusterCli):
    """A command line of one machine, with a folder of its own."""

    name: str = ""
    told: dict = field(default_factory=dict)
    """Of a bucket, if there is one."""

    @property
    def environment(self):
        return super().environment | {"MICROLENS_NODE_ID": self.name, "MICROLENS_EXPORT_KEY": EXPORT_KEY} | self.told

    def exporting(self):
        """Start an export; gives its process and its address."""
        process = self.start("export", "site", "--port", "0", stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return process, found.group()
        raise AssertionError("the export did not start")


@pytest.fixture
def machines(tmp_path, postgres):
    database = postgres.new_database()
    with redis_server(None) as url:
        made = [Machine(tmp_path / name, redis_url=url, database_url=database, name=name) for name in ("here", "there")]
        for machine in made:
            machine.folder.mkdir()
        yield made
    for machine in made:
        machine.close()


@pytest.mark.slow
def test_machines_without_a_common_disk_make_one_release(machines, media_dir):
    """Each fetches a part of it, and nothing twice; what one has kept the other pulls, and the release is the truth."""
    here, there = machines
    with SandboxSite(videos=80, users=200, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = here.recipe(site.url, benchmark={"models": []}, politeness={"requests_per_second": 60})
        here("crawl", recipe)
        other = there.start("work", recipe, "-n", "1", "--forever", stderr=subprocess.DEVNULL)
        here("work", "-n", "1")
        other.terminate()
        other.wait(timeout=60)
        asked = {path: count for path, count in site.log().items() if path.startswith("/media/")}
        world = site.world
        truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)
    rows = here.open().ledger.assets()
    told = here("integrate", expect=3)[1]
    export, url = there.exporting()
    with export:
        here("integrate", "--from", url)
        here("publish")
        export.terminate()

    expected = expected_release(world, truth.ids)
    published = read_back(here.open(), "all", world.user_ids)
    assert {1} == set(asked.values())
    assert {"here", "there"} == {row["node_id"] for row in rows}
    assert 2 == len({row["kept_at"] for row in rows})
    assert "--from URL" in told
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept


@pytest.mark.slow
def test_machines_that_share_a_bucket_alone_need_no_export(machines, media_dir, tmp_path):
    """Media and parts meet in the bucket; a third machine publishes from it what a common disk would have given."""
    here, there = machines
    third, fourth = (Machine(tmp_path / name, redis_url=here.redis_url, name=name) for name in ("third", "fourth"))
    with s3_server("runs") as url:
        for machine in (here, there, third, fourth):
            machine.folder.mkdir(exist_ok=True)
            machine.database_url = here.database_url
            machine.told = {**BUCKET_KEY, "AWS_ENDPOINT_URL": url, "MICROLENS_STORE_ALLOW_HTTP": "true"}
            machine.told |= dict.fromkeys(("MICROLENS_STORE_URL", "MICROLENS_PARTS_URL"), "s3://runs/site")
        with SandboxSite(videos=40, users=80, seed=5, frozen=True, media_dir=media_dir) as site:
            recipe = here.recipe(site.url, benchmark={"models": []}, politeness={"requests_per_second": 60})
            there.told["MICROLENS_PARTS_URL"] = "s3://no-such-bucket"
            here("crawl", recipe, "--limit", "5")
            refused = there("crawl", recipe, expect=5)[1]
            there.told["MICROLENS_PARTS_URL"] = "s3://runs/site"
            here("crawl", recipe)
            other = there.start("work", recipe, "-n", "1", "--forever", stderr=subprocess.DEVNULL)
            here("work", "-n", "1")
            other.terminate()
            other.wait(timeout=60)
            world = site.world
            truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)
        third("publish", "site")
        del fourth.told["MICROLENS_PARTS_URL"]
        told = fourth("integrate", "site", expect=3)[1]
        folders = [f"--from=file://{machine.folder}/runs/site" for machine in (here, there)]
        fourth("integrate", "site", *folders)
        fourth("publish", "site")
    run = third.open()
    kept_at = run.ledger.part_places()
    expected, published = expected_release(world, truth.ids), read_back(run, "all", world.user_ids)
    data = [machine.folder / "runs/site/releases/all/data" for machine in (third, fourth)]
    third.close()

    assert "s3://no-such-bucket: there is no such bucket" in refused
    assert ["s3://runs/site"] == kept_at
    assert "--from URL` with s3://runs/site" in told
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept
    assert len(list(data[0].iterdir())) > 3
    assert {path.name: path.read_bytes() for path in data[0].iterdir()} == {
        path.name: path.read_bytes() for path in data[1].iterdir()
    }


def test_a_run_is_joined_with_its_key_alone(machines, media_dir):
    """Whoever holds another key makes no part of it, and is told how; who holds this one opens the very same run."""
    here, there = machines
    with SandboxSite(videos=40, users=40, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = here.recipe(site.url)
        here("crawl", recipe, "--limit", "5")
        there.key = "ab" * 32
        told = there("crawl", recipe, expect=1)[1]
        there.key = here.key
        there("status", "site")
    settings = Settings(pseudonym_key=here.key, database_url=here.database_url)
    runs = [open_run(machine.folder / "runs/site", settings) for machine in machines]
    keeping = [run.ledger.keeping for run in runs]
    names = {run.shared_name for run in runs}
    for run in runs:
        run.ledger.close()

    assert "MICROLENS_PSEUDONYM_KEY" in told
    assert 1 == len(names)
    assert keeping[0] != keeping[1]
