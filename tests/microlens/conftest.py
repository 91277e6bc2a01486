"""One embedded Redis for the session, a fresh run in it for each test, and runs in temporary folders."""

import itertools
import uuid

import pytest
import redis
from hypothesis import settings

from microlens.embedded import redis_server
from microlens.frontier import Frontier
from microlens.ledger import Ledger
from microlens.postgres import PostgresSchema
from microlens.recipe import Politeness, Recipe
from microlens.records import FrontierItem
from microlens.settings import Settings

settings.register_profile("microlens", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("microlens")

SITE = "http://site.test"
FAST = Politeness(requests_per_second=10_000, concurrency=256)


@pytest.fixture(scope="session")
def redis_url():
    with redis_server(None) as url:
        yield url


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def make_frontier(redis_url):
    """Frontiers of one fresh run, each with a connection of its own; `knows` are hosts without a robots.txt."""
    run_id, clients = uuid.uuid4().hex, []

    def make(politeness=FAST, *, knows=(SITE,)):
        clients.append(redis.Redis.from_url(redis_url))
        frontier = Frontier(clients[-1], run_id, politeness)
        for host in knows:
            frontier.set_robots(host, status=404, body="", lifetime_s=600, delay_s=0)
        return frontier

    yield make
    for each in clients:
        each.close()


@pytest.fixture
def frontier(make_frontier):
    return make_frontier()


@pytest.fixture(scope="session")
def items():
    """Makes so many items of one host."""

    def make(count, *, host=SITE, kind="page", prefix="v", **fields):
        return [
            FrontierItem(kind, f"{prefix}{n}", f"{host}/{n}", **{"payload": {"n": n}, **fields}) for n in range(count)
        ]

    return make


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def make_place(request, tmp_path_factory):
    """Makes a place for a new ledger, in either database."""
    if request.param == "sqlite":
        return lambda: tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    url = request.getfixturevalue("postgres").url
    return lambda: PostgresSchema.of(uuid.uuid4().hex, url)


@pytest.fixture
def place(make_place):
    return make_place()


@pytest.fixture
def ledger(place):
    ledger = Ledger(place, node_id="node")
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def shared_ledger(make_place):
    """For property tests: each example names rows of its own with `fresh_id`."""
    ledger = Ledger(make_place(), node_id="node")
    yield ledger
    ledger.close()


@pytest.fixture(scope="session")
def fresh_id():
    numbers = itertools.count()
    return lambda: f"id{next(numbers)}"


@pytest.fixture
def run_settings(tmp_path, monkeypatch):
    """Settings with a folder of runs, whatever the machine's own environment says."""
    monkeypatch.delenv("MICROLENS_PSEUDONYM_KEY", raising=False)
    monkeypatch.delenv("MICROLENS_REDIS_URL", raising=False)
    monkeypatch.delenv("MICROLENS_DATABASE_URL", raising=False)

    def make(**values):
        return Settings(**{"runs_dir": tmp_path / "runs", "node_id": "node", **values})

    return make


@pytest.fixture(scope="session")
def make_recipe():
    """Makes a checked recipe: the four keys it must have, and what is given."""

    def make(**keys):
        least = {"name": "demo", "platform": "sandbox", "instances": [SITE], "contact": "me@example.org"}
        return Recipe.model_validate({**least, **keys})

    return make
