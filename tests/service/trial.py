"""One trial: a crawl of a failing site by a cluster that is killed again and again, and what it came to."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from sandbox.faults import FaultConfig
from sandbox.process import SandboxSite
from tests.e2e.harness import ClusterCli
from tests.postgres_server import own_postgres
from tests.service import judge, truth_of
from tests.service.cluster import Cluster, OwnRedis

_TICK_S = 0.2
_SAY_EVERY_S = 10.0


@dataclass(frozen=True)
class Scale:
    """How large a trial is."""

    videos: int
    users: int
    with_media: int
    hosts: int
    rate: float
    concurrency: int
    kill_every_s: float
    most_kills: int
    deadline_s: float
    seeds: int
    related_per_page: int
    depth: int
    repeats_per_end: int
    """Answers that may be fetched again for each process that ends too early: what it had in flight and uncommitted."""
    timeout_s: float = 5.0
    has_loss: bool = False
    """Redis is killed, and its data with it, when about half of the pages are known."""
    has_postgres: bool = False
    """The ledger is in PostgreSQL, not in the run's folder."""
    faults: FaultConfig = field(default_factory=FaultConfig)
    seed: int = 5


@dataclass
class Outcome:
    """What a trial came to, for the report."""

    seconds: float
    requests: int
    faults: Counter
    kills: int
    losses: int
    repeated: int
    busiest_share: float
    """Of its budget, in the busiest five seconds of the busiest host: 1 where the budget is all that limits a crawl."""
    pages: int
    comments: int
    complaints: list[str]

    def told(self) -> str:
        return (
            f"{self.requests} requests in {self.seconds:.0f} s ({self.requests / self.seconds:.0f}/s), "
            f"{self.pages} pages, {self.comments} comments, faults {dict(self.faults)}, "
            f"{self.kills} kills, {self.losses} losses of Redis, {self.repeated} answers fetched again, "
            f"the busiest host at {self.busiest_share:.0%} of its budget"
        )


def run_trial(scale: Scale, folder, media_dir) -> Outcome:
    """Crawl, kill, integrate and compare; AssertionError tells what is not as it must be."""
    log_file = folder / "requests.jsonl"
    site = SandboxSite(
        videos=scale.videos,
        users=scale.users,
        seed=scale.seed,
        frozen=True,
        media_dir=media_dir,
        hosts=scale.hosts,
        with_media=scale.with_media,
        media_variety=8,
        faults=scale.faults,
        prepare=True,
        log_file=log_file,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(site)
        redis = stack.enter_context(OwnRedis(folder))
        cli = ClusterCli(folder, redis_url=redis.url)
        if scale.has_postgres:
            cli.database_url = stack.enter_context(own_postgres()).url
        stack.callback(cli.close)
        cluster = Cluster(cli, _recipe(cli, site, scale), "site", folder)
        began = time.monotonic()
        _drive(scale, cluster, redis, cli)
        seconds = time.monotonic() - began
        say(f"all ended well after {seconds:.0f} s; now the tables")
        cli("integrate", "site")
        run = cli.open()
        seen = judge.read_log(log_file)
        progress = run.ledger.progress()
        budget = judge.Budget(scale.rate, scale.concurrency, scale.timeout_s, nodes=len(cluster.nodes))
        outcome = Outcome(
            seconds=seconds,
            requests=len(seen),
            faults=Counter(one.fault for one in seen if one.fault),
            kills=len(cluster.kills),
            losses=len(cluster.losses),
            repeated=judge.repeated(seen),
            busiest_share=judge.busiest_share(seen, budget),
            pages=progress["pages"],
            comments=progress["comments"],
            complaints=judge.complaints(seen, budget, kills=cluster.kills, losses=cluster.losses),
        )
        say(outcome.told())
        truth_of.check(run, site.world)
    assert not outcome.complaints, "\n".join(outcome.complaints)
    # Whoever is at work when Redis is lost may forget what the ledger has not got.
    ends = outcome.kills + len(cluster.members) * outcome.losses
    assert outcome.repeated <= scale.repeats_per_end * ends
    return outcome


def _recipe(cli: ClusterCli, site: SandboxSite, scale: Scale):
    return cli.recipe(
        site.url,
        instances=list(site.urls),
        seeds={"target": scale.seeds, "max_stale_refreshes": 4},
        expansion={"related_per_page": scale.related_per_page, "depth": scale.depth},
        comments={"when": "always"},
        # Borrowed encodings show the same pictures in many videos.
        filters={"near_duplicate_bits": 0},
        politeness={
            "requests_per_second": scale.rate,
            "concurrency": scale.concurrency,
            "timeout_s": scale.timeout_s,
            "max_attempts": 10,
        },
    )


def _drive(scale: Scale, cluster: Cluster, redis: OwnRedis, cli: ClusterCli) -> None:
    """Let the cluster work to its end, and disturb it."""
    began = said = killed = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.stop)
        cluster.start()
        ledger = cli.open().ledger
        at_kill = ledger.progress()
        while not cluster.look():
            now = time.monotonic()
            if now - began > scale.deadline_s:
                raise AssertionError(
                    f"not done after {scale.deadline_s:.0f} s: {ledger.progress()}, "
                    f"failures {ledger.failure_counts()}\n{cluster.tails()}"
                )
            if (
                now - killed > scale.kill_every_s
                and len(cluster.kills) < scale.most_kills
                and at_kill != ledger.progress()
            ):
                # Something has been done since the last kill: a machine that is too busy for that would never end.
                at_kill = ledger.progress()
                cluster.kill_one_of_each()
                killed = now
            if scale.has_loss and not cluster.losses and ledger.progress()["pages"] > scale.videos * 0.4:
                say(f"Redis was killed and its data are gone; {cluster.lose(redis).strip()}")
            if now - said > _SAY_EVERY_S:
                say(f"{now - began:4.0f} s, {len(cluster.kills)} kills: {ledger.progress()}")
                said = now
            time.sleep(_TICK_S)


def say(words: str) -> None:
    sys.__stderr__.write(f"  {words}\n")
    sys.__stderr__.flush()
