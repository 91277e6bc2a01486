"""Crawls in processes of their own, and what they leave behind."""

import os
from dataclasses import dataclass

import pytest
import redis
import yaml

from microlens.embedded import redis_server
from microlens.ledger import Ledger
from microlens.runs import open_run
from microlens.settings import Settings
from tests.crawler.command import Command
from tests.crawler.site import Site

CONTACT = "owner@example.org"


@dataclass
class Crawler:
    """Runs `microlens-build crawl`, and looks at what it left behind."""

    folder: object
    redis_url: str | None = None
    """None: each crawl brings its own."""

    def prepare(self, site, *, politeness=None, url=None, **changes):
        """The recipe's path and the command's environment."""
        recipe = {
            "name": self.folder.name,
            "platform": "sandbox",
            "instances": [url or site.url],
            "contact": CONTACT,
            "seeds": {"max_stale_refreshes": 1},
            "politeness": {"requests_per_second": 500, "concurrency": 8, "max_attempts": 3, **(politeness or {})},
            "network": {"allow": ["127.0.0.1/32"]},
            **changes,
        }
        path = self.folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROLENS_")}
        environment["MICROLENS_RUNS_DIR"] = str(self.folder / "runs")
        if self.redis_url:
            environment["MICROLENS_REDIS_URL"] = self.redis_url
        return str(path), environment

    def start(self, site, **changes):
        path, environment = self.prepare(site, **changes)
        return Command(["crawl", path], self.folder, environment)

    def __call__(self, site, *, expect=0, **changes):
        """Crawl to the end; gives what the command said."""
        code, said = self.start(site, **changes).wait()
        assert expect == code, said
        return said

    @property
    def run_folder(self):
        return self.folder / "runs" / self.folder.name

    @property
    def ledger(self):
        return Ledger(self.run_folder / "ledger.sqlite", node_id="test")

    def look(self):
        """Everything that was committed: (home refreshes, reason by page, places by video, is finished)."""
        ledger = self.ledger
        try:
            return Found(
                homes=[home.refresh for home in ledger.homes()],
                pages={page.video_id: page.failure for page in ledger.pages()},
                places={row.video_id: (row.stage, row.depth) for row in ledger.selections()},
                failures=ledger.failure_counts(),
                parts=ledger.parts("videos"),
                is_finished=ledger.is_stage_finished("crawl"),
            )
        finally:
            ledger.close()

    def parked(self):
        """Hosts that are silent, as the ledger lists them."""
        ledger = self.ledger
        try:
            return ledger.hosts.parked()
        finally:
            ledger.close()

    def host(self, url):
        """What the frontier keeps of a host."""
        with redis.Redis.from_url(self.redis_url, decode_responses=True) as client:
            return client.hgetall(f"mlb:{{{self.shared_name}}}:host:{url}")

    @property
    def shared_name(self):
        """What the run is called in Redis."""
        run = open_run(self.run_folder, Settings())
        run.ledger.close()
        return run.shared_name


@dataclass
class Found:
    homes: list
    pages: dict
    places: dict
    failures: dict
    parts: list
    is_finished: bool


@pytest.fixture(scope="session")
def redis_url():
    with redis_server(None) as url:
        yield url


@pytest.fixture
def crawl(tmp_path_factory):
    return Crawler(tmp_path_factory.mktemp("crawl"))


@pytest.fixture
def shared_crawl(tmp_path_factory, redis_url):
    """A crawl whose frontier can be looked at."""
    return Crawler(tmp_path_factory.mktemp("crawl"), redis_url)


@pytest.fixture(scope="module")
def module_crawl(tmp_path_factory):
    return Crawler(tmp_path_factory.mktemp("rough-crawl"))


@pytest.fixture
def site():
    with Site() as running:
        yield running


@pytest.fixture(scope="module")
def module_site():
    with Site() as running:
        yield running
