"""The frontier: what is to be fetched, in Redis, shared by spiders and nodes.

`claim` hands out only items whose host is due (rate, concurrency, robots' crawl delay and backoff are separate
clocks, kept a host for all machines together) and leases them: a process that dies gives its items back when the
lease ends. The keys are listed at the top of frontier.lua. Redis is not the truth: push everything that the ledger
still wants, and a lost frontier is whole again.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import orjson
import redis

from microlens.errors import RedisUnreachableError
from microlens.records import FrontierItem, WorkKind, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microlens.recipe import Politeness

LEASE_S = 12.0
"""What a dead process held comes back after so long; a living one renews three times in it."""
_BACKOFF_BASE_S = 1.0
_RETRY_BASE_S = 0.5
_PUSH_BATCH = 500
_REFUSED = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError, redis.exceptions.NoPermissionError)
_REFUSALS = re.compile(r"\b(OOM|READONLY|NOPERM|NOAUTH|MISCONF|LOADING|CLUSTERDOWN)\b")
"""How a Redis says that it cannot serve at present, inside a script's error too; any other error is a bug of ours."""


@dataclass(frozen=True, slots=True)
class RobotsRequest:
    """Asks whoever claimed for a host's robots.txt, before anything else of that host."""

    host: str
    url: str


@dataclass(frozen=True, slots=True)
class Claim:
    items: tuple[FrontierItem, ...]
    robots: tuple[RobotsRequest, ...]
    wait_s: float
    """How long nothing more can become due, should the claim be empty."""
    at_ms: int
    """When it was granted, on Redis's clock: `backoff` wants to know."""


def host_of(url: str) -> str:
    """The origin, scheme and port included: what a budget is kept for (RFC 9309 keeps robots.txt by the same)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


class Frontier:
    """One run's frontier. Every method but `push` (of many items) is one round trip, and atomic."""

    def __init__(self, client: redis.Redis, run_id: str, politeness: Politeness) -> None:
        self._redis = client
        self._prefix = f"mlb:{{{run_id}}}:"
        self._politeness = politeness
        self._scripts = {name: client.register_script(code) for name, code in _sections().items()}

    @classmethod
    def connect(cls, url: str, run_id: str, politeness: Politeness) -> Frontier:
        return cls(redis.Redis.from_url(url, socket_timeout=30), run_id, politeness)

    def push(self, items: Iterable[FrontierItem]) -> int:
        """Add work; an item whose kind and name were ever pushed before is left out. Returns how many were new."""
        arguments: list[bytes] = []
        added = 0
        for item in items:
            arguments += [orjson.dumps({**fields_of(item), "host": host_of(item.url)}), _digest(item)]
            if len(arguments) >= 2 * _PUSH_BATCH:
                added += self._run("push", *arguments)
                arguments = []
        return added + (self._run("push", *arguments) if arguments else 0)

    def claim(self, kind: WorkKind, wanted: int, *, lease_s: float = LEASE_S) -> Claim:
        """Lease up to `wanted` due items of one kind."""
        polite = self._politeness
        wait_ms, at_ms, *raw = self._run(
            "claim", kind, wanted, int(lease_s * 1000), polite.requests_per_second, polite.concurrency
        )
        entries = [
            {**orjson.loads(entry), "attempt": int(attempt)} for entry, attempt in zip(raw[::2], raw[1::2], strict=True)
        ]
        return Claim(
            items=tuple(_item(entry) for entry in entries if entry["kind"] != "robots"),
            robots=tuple(RobotsRequest(entry["host"], entry["url"]) for entry in entries if entry["kind"] == "robots"),
            wait_s=int(wait_ms) / 1000,
            at_ms=int(at_ms),
        )

    def take(self, host: str) -> float:
        """Ask for one more request to a claimed item's host: 0.0 to go, else seconds to wait before asking again."""
        return self.take_many(host, 1)[1]

    def take_many(self, host: str, wanted: int) -> tuple[int, float]:
        """Ask for several requests to a host at once: how many may go now, and seconds until the next may (or 0.0)."""
        granted, wait_ms = self._run("take", host, self._politeness.requests_per_second, wanted)
        return int(granted), int(wait_ms) / 1000

    def fetched(self, kind: WorkKind, names: Sequence[str]) -> None:
        """The network is done with: free the host's places, keep the leases."""
        if names:
            self._run("fetched", kind, *names)

    def ack(self, kind: WorkKind, names: Sequence[str]) -> None:
        """Finished, for good or ill, and written in the ledger."""
        if names:
            self._run("ack", kind, *names)

    def retry(self, item: FrontierItem) -> None:
        """Give an item back for another attempt, later each time."""
        delay_s = _RETRY_BASE_S * 2 ** min(item.attempt, 8) * random.uniform(0.75, 1.25)
        self._run("retry", item.kind, item.name, int(delay_s * 1000))

    def give_back(self, item: FrontierItem) -> None:
        """Give a claimed item back untried, no attempt counted: its host rests for longer than it is worth waiting."""
        self._run("give_back", item.kind, item.name)

    def forget(self, items: Iterable[FrontierItem]) -> None:
        """Let finished items be pushed again."""
        digests = [_digest(item) for item in items]
        if digests:
            self._run("forget", *digests)

    def renew(self, kind: WorkKind, names: Sequence[str], *, lease_s: float = LEASE_S) -> None:
        if names:
            self._run("renew", kind, int(lease_s * 1000), *names)

    def backoff(self, host: str, *, sent_ms: int, retry_after_s: float | None) -> float:
        """The host refused (429, 503): rest it, one step an event however many requests were in flight. Seconds."""
        asked_ms = int((retry_after_s or 0.0) * 1000)
        base_ms = _BACKOFF_BASE_S * 1000 * random.uniform(1.0, 1.25)
        return int(self._run("backoff", host, sent_ms, asked_ms, base_ms)) / 1000

    def calm(self, host: str) -> None:
        self._run("calm", host)

    def set_robots(self, host: str, *, status: int, body: str, lifetime_s: float, delay_s: float) -> None:
        text = orjson.dumps({"status": status, "body": body})
        self._run("robots", host, text, int(lifetime_s * 1000), int(delay_s * 1000))

    def robots_failed(self, host: str, *, again_in_s: float) -> int:
        """A robots.txt could not be fetched: returns how often that has happened to this host."""
        return int(self._run("robots_later", host, int(again_in_s * 1000)))

    def robots(self, host: str) -> tuple[int, str] | None:
        """Status and body of a host's last robots.txt, or None if it is not known."""
        raw = self._call(self._redis.get, f"{self._prefix}robots:{host}")
        if raw is None:
            return None
        entry = orjson.loads(cast("bytes", raw))
        return entry["status"], entry["body"]

    def open_count(self, kinds: Iterable[WorkKind]) -> int:
        """Items pushed and not yet acked: ready, delayed or leased."""
        counts = cast("list[bytes | None]", self._call(self._redis.hmget, f"{self._prefix}open", list(kinds)))
        return sum(int(count or 0) for count in counts)

    def clear(self) -> None:
        """Forget everything of this run, the seen-set included."""
        self._run("clear")

    def _run(self, section: str, *arguments: Any) -> Any:
        return self._call(self._scripts[section], keys=[self._prefix], args=list(arguments))

    def _call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise RedisUnreachableError(
                f"Redis stopped answering: {error}",
                hint="nothing is lost: start it, then run the same command; the frontier is rebuilt from the ledger",
            ) from error
        except redis.ResponseError as error:
            if not isinstance(error, _REFUSED) and not _REFUSALS.search(str(error)):
                raise
            raise RedisUnreachableError(
                f"Redis refuses: {error}",
                hint="nothing is lost: give it memory, rights or its primary role, then run the same command",
            ) from error


def _digest(item: FrontierItem) -> bytes:
    return hashlib.blake2b(f"{item.kind}\0{item.name}".encode(), digest_size=16).digest()


def _item(entry: dict[str, Any]) -> FrontierItem:
    entry.pop("host")
    return FrontierItem(**entry)


def _sections() -> dict[str, str]:
    """Split frontier.lua at its `--- name` lines; each section runs behind the prelude."""
    prelude, *sections = (
        resources.files("microlens").joinpath("frontier.lua").read_text(encoding="utf-8").split("\n--- ")
    )
    scripts = {}
    for section in sections:
        title, code = section.split("\n", 1)
        scripts[title.split()[0]] = f"{prelude}\n{code}"
    return scripts
