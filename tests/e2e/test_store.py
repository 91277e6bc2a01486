"""A run whose media are kept in a bucket ends in the same release as any other."""

import shutil
from dataclasses import dataclass, field

import obstore
import pytest

from microlens.local_store import LocalStore
from microlens.manifest import verify
from microlens.s3_store import S3Store
from sandbox.process import SandboxSite
from sandbox.truth import collect_frozen, expected_release
from tests.bucket import KEY, s3_server
from tests.e2e.harness import Cli, read_back


@dataclass
class StoreCli(Cli):
    """A command line that is told of a store elsewhere."""

    store: dict = field(default_factory=dict)

    @property
    def environment(self):
        return {**super().environment, **self.store}


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A bucket, and what a node must be told of it."""
    with s3_server("media") as url:
        told = {**KEY, "AWS_ENDPOINT_URL": url, "MICROLENS_STORE_ALLOW_HTTP": "true"}
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        yield S3Store("media", "runs", LocalStore(tmp_path / "look"), allow_http=True), told


def test_nodes_and_integrator_meet_in_a_bucket(tmp_path, bucket, media_dir):
    """Nodes put into the bucket alone; a release is built from it, whole and true, on a machine that holds no media.

    What the bucket loses is fetched again, and a bucket that is not there is an error, not a loss.
    """
    store, told = bucket
    cli = StoreCli(tmp_path, store={**told, "MICROLENS_STORE_URL": "s3://media/runs"})
    with SandboxSite(videos=30, users=80, seed=5, frozen=True, media_dir=media_dir) as site:
        cli("crawl", cli.recipe(site.url, seeds={"target": 12, "max_stale_refreshes": 4}))
        cli("work", "-n", "2")
        run, stored = cli.open(), list(store.objects())
        in_folder = list((run.folder / "store" / "objects").rglob("*"))
        for name, _ in stored[:3]:
            obstore.delete(store.bucket.opened, f"objects/{name[:2]}/{name[2:4]}/{name}")
        cli("work", "-n", "1")
        shutil.rmtree(run.folder / "store")  # another machine's would be as empty
        cli("integrate")
        cli("subset", "--name", "all")
        truth = collect_frozen(site.world, run_seed=11, target=12, stale_refreshes=4)
    cli.store["MICROLENS_STORE_URL"] = "s3://no-such-bucket"
    _, err = cli("work", "-n", "1", expect=5)
    expected = expected_release(site.world, truth.ids)
    published = read_back(run, "all", site.world.user_ids)
    folder = run.release_folder("all")
    verify(folder)

    assert [] == in_folder
    assert {row["sha256"] for row in run.ledger.assets()} == {name for name, _ in stored}
    assert stored == list(store.objects())
    assert expected.observed == published.kept
    assert expected.interactions == published.interactions
    assert len(published.kept) == len(list((folder / "media" / "covers").iterdir())) > 5
    assert [] == list((run.folder / "store" / "tmp").iterdir())
    assert "s3://no-such-bucket: there is no such bucket" in err
