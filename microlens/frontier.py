"""The frontier: what is to be fetched, in Redis, shared by spiders and nodes.

`claim` hands out only items whose host is due (rate, concurrency, robots' crawl delay and backoff are separate
clocks, kept a host for all machines together) and leases them: a process that dies gives its items back when the
lease ends. The keys are listed at the top of frontier.lua. Redis is not the truth: push everything that the ledger
still wants, and a lost frontier is whole again.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import secrets
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import orjson
import redis

from microlens.addresses import origin_of
from microlens.errors import RedisUnreachableError
from microlens.records import FrontierItem, WorkKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from microlens.recipe import Politeness

LEASE_S = 12.0
"""What a dead process held comes back after so long; a living one renews three times in it."""
LONGEST_PARKING_S = 6 * 3600.0
_BACKOFF_BASE_S = 1.0
_MANY = 1_000_000
_BATCH = 500
"""Items a call: Lua hands some thousands of arguments on to a command, and a long script keeps all others waiting."""
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
    troubled: frozenset[str]
    """Hosts of items that refused or kept silent lately: `calm` clears that once they answer."""
    wait_s: float
    """How long nothing more can become due, should the claim be empty."""
    at_ms: int
    """When it was granted, on Redis's clock: `backoff` wants to know."""


def host_of(url: str) -> str:
    """The origin in its one spelling: what a budget is kept for (RFC 9309 keeps robots.txt by the same)."""
    return _origin("/".join(url.split("/", 3)[:3]))


_origin = lru_cache(maxsize=4096)(origin_of)


@dataclass(frozen=True, slots=True)
class Silence:
    """What is known of a host that gave no answer."""

    failures: int
    """Requests in a row without an answer, by all machines together."""
    for_s: float
    """Since the first of them."""
    parked_s: float
    """How long the host is now parked; 0.0 if it is not, or was before."""
    is_late: bool
    """The request was sent before the host was parked last: it failed with the others."""


class Frontier:
    """One run's frontier. Every method but `push` (of many items) is one round trip, and atomic.

    Each object is an owner of its own: an item whose lease it lost is another's, and its late calls leave it alone.
    """

    def __init__(self, client: redis.Redis, run_id: str, politeness: Politeness) -> None:
        self._redis = client
        self._prefix = f"mlb:{{{run_id}}}:"
        self._politeness = politeness
        self._owner = secrets.token_hex(6)
        self._scripts = {name: client.register_script(code) for name, code in _sections().items()}

    @classmethod
    def connect(cls, url: str, run_id: str, politeness: Politeness) -> Frontier:
        return cls(redis.Redis.from_url(url, socket_timeout=30), run_id, politeness)

    def push(self, items: Iterable[FrontierItem]) -> int:
        """Add work; an item whose kind and name were ever pushed before is left out. Returns how many were new."""
        batches: defaultdict[WorkKind, list[str | bytes | int]] = defaultdict(list)
        added = 0
        for item in items:
            batch = batches[item.kind]
            batch += (_digest(item), host_of(item.url), item.priority, _pack(item))
            if len(batch) >= 4 * _BATCH:
                added += self._run("push", item.kind, *batches.pop(item.kind))
        for kind, batch in batches.items():
            added += self._run("push", kind, *batch)
        return added

    def claim(
        self,
        kind: WorkKind,
        wanted: int,
        *,
        lease_s: float = LEASE_S,
        share: int = _MANY,
        in_flight: Mapping[str, int] | None = None,
    ) -> Claim:
        """Lease up to `wanted` due items of one kind.

        With `share`, no more of one host than bring the caller's requests `in_flight` there (by host) to that number:
        a host that stalls must leave places for the others.
        """
        polite = self._politeness
        limits = (polite.requests_per_second, polite.concurrency, share)
        there = [word for host_and_count in (in_flight or {}).items() for word in host_and_count]
        wait_ms, at_ms, robots, troubled, given = self._run(
            "claim", kind, self._owner, wanted, int(lease_s * 1000), *limits, *there
        )
        hosts = [host.decode() for host in robots]
        return Claim(
            items=tuple(map(_unpack, itertools.repeat(kind), given[::3], given[1::3], given[2::3])),
            robots=tuple(RobotsRequest(host, f"{host}/robots.txt") for host in hosts),
            troubled=frozenset(host.decode() for host in troubled),
            wait_s=wait_ms / 1000,
            at_ms=at_ms,
        )

    def take(self, host: str) -> float:
        """Ask for one more request to a claimed item's host: 0.0 to go, else seconds to wait before asking again."""
        return self.take_many(host, 1)[1]

    def take_many(self, host: str, wanted: int) -> tuple[int, float]:
        """Ask for several requests to a host at once: how many may go now, and seconds until the next may (or 0.0)."""
        granted, wait_ms = self._run("take", host, self._politeness.requests_per_second, wanted)
        return int(granted), int(wait_ms) / 1000

    def refund(self, requests: Mapping[str, int]) -> None:
        """Give back to hosts (by host: how many) what claims took of their budgets for requests that are not made."""
        for host, count in requests.items():
            self._run("refund", host, count, self._politeness.requests_per_second)

    def pace_s(self, host: str) -> float:
        """Seconds from one request to the next of a host that does not rest: its crawl delay, or the recipe's rate."""
        delay_ms = cast("bytes | None", self._call(self._redis.hget, f"{self._prefix}host:{host}", "delay_ms"))
        return max(1 / self._politeness.requests_per_second, float(delay_ms or 0) / 1000)

    def fetched(self, kind: WorkKind, names: Sequence[str]) -> None:
        """The network is done with: free the host's places, keep the leases."""
        self._run_names("fetched", kind, self._owner, names=names)

    def ack(self, kind: WorkKind, names: Sequence[str]) -> None:
        """Closed, for good or ill, and written in the ledger: whether an item failed is told there and nowhere else."""
        self._run_names("ack", kind, self._owner, names=names)

    def retry(self, item: FrontierItem, *, after_s: float) -> None:
        """Give an item back for another attempt (`microlens.outcomes.RetryPolicy` says when)."""
        self._run("retry", item.kind, self._owner, item.name, int(after_s * 1000), 1)

    def give_back(self, item: FrontierItem, *, after_s: float = 0.0, counts: float = 0.0) -> None:
        """Give a claimed item back, no attempt counted, or a part of one: a host that it needs rests, or is silent.

        An item whose own host is at fault needs no `after_s`: that host's clocks keep it.
        """
        self._run("retry", item.kind, self._owner, item.name, int(after_s * 1000), counts)

    def forget(self, items: Iterable[FrontierItem]) -> None:
        """Let finished items be pushed again."""
        self._run_names("forget", names=[_digest(item) for item in items])

    def renew(self, kind: WorkKind, names: Sequence[str], *, lease_s: float = LEASE_S) -> int:
        """Hold items for longer; gives how many of them this owner still held."""
        held: list[int] = self._run_names("renew", kind, self._owner, int(lease_s * 1000), names=names)
        return sum(held)

    def board(self, flights: Sequence[tuple[bytes, str]], *, lease_s: float = LEASE_S) -> list[bool]:
        """For each digest of an address and item's name: whether the caller may fetch it, or another is at it.

        One item of all machines has an address at a time, until it lands or its lease ends.
        """
        words = [word for flight in flights for word in flight]
        return [bool(may) for may in self._run("board", self._owner, int(lease_s * 1000), *words)]

    def await_landing(self, flights: Sequence[tuple[bytes, str]]) -> None:
        """Give claimed media items back, no attempt counted, until whoever is at their addresses has landed.

        Should it never land, they are due when its lease ends.
        """
        if flights:
            self._run("await", self._owner, *[word for flight in flights for word in flight])

    def keep_flying(self, flights: Sequence[tuple[bytes, str]], *, lease_s: float = LEASE_S) -> None:
        """Hold addresses for longer: those that are still the caller's."""
        if flights:
            words = [word for flight in flights for word in flight]
            self._run("fly", self._owner, int(lease_s * 1000), *words)

    def land(self, flights: Sequence[tuple[bytes, str]]) -> None:
        """Give addresses free: what came of them stands in the ledger."""
        if flights:
            self._run("land", self._owner, *[word for flight in flights for word in flight])

    def backoff(self, host: str, *, sent_ms: int, retry_after_s: float | None) -> float:
        """The host refused (429, 503): rest it, one step an event however many requests were in flight. Seconds."""
        asked_ms = int((retry_after_s or 0.0) * 1000)
        base_ms = _BACKOFF_BASE_S * 1000 * random.uniform(1.0, 1.25)
        return int(self._run("backoff", host, sent_ms, asked_ms, base_ms)) / 1000

    def calm(self, host: str) -> bool:
        """The host has answered: forget its refusals and its silence. True if it had been parked."""
        return bool(self._run("calm", host))

    def silent(self, host: str, *, sent_ms: int, is_robots: bool = False, again_in_s: float = 0.0) -> Silence:
        """A request brought no answer.

        After `park_after` of them in a row robots.txt is asked for before anything else, and a host that keeps silent
        even then is parked: nothing of it is claimed for a while, longer each time. `again_in_s` is when robots.txt
        may be asked for again if it is not parked.
        """
        polite = self._politeness
        times_ms = [int(seconds * 1000) for seconds in (polite.park_s, max(polite.park_s, LONGEST_PARKING_S))]
        failures, for_ms, parked_ms, is_late = self._run(
            "silent", host, sent_ms, int(is_robots), int(again_in_s * 1000), polite.park_after, *times_ms
        )
        return Silence(failures, for_ms / 1000, parked_ms / 1000, bool(is_late))

    def set_robots(
        self, host: str, *, status: int, body: str, lifetime_s: float, delay_s: float, is_answer: bool = True
    ) -> bool:
        """Have a host's robots.txt hold for all machines; True if it is an answer of a host that had been parked."""
        text = orjson.dumps({"status": status, "body": body})
        times_ms = int(lifetime_s * 1000), int(delay_s * 1000)
        return bool(self._run("robots", host, text, *times_ms, int(is_answer)))

    def give_back_robots(self, host: str) -> None:
        """Whoever was to ask for a host's robots.txt ends without an answer: the next claim has it asked for."""
        self._run("give_back_robots", host)

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

    def tell_node(self, name: str, text: bytes) -> None:
        """Keep what a node's process says of itself (microlens.heartbeats)."""
        self._call(self._redis.hset, f"{self._prefix}nodes", name, text)

    def forget_nodes(self, names: Sequence[str]) -> None:
        if names:
            self._call(self._redis.hdel, f"{self._prefix}nodes", *names)

    def nodes(self) -> dict[str, bytes]:
        """What each node's process said last."""
        told = cast("dict[bytes, bytes]", self._call(self._redis.hgetall, f"{self._prefix}nodes"))
        return {name.decode(): text for name, text in told.items()}

    def spend(self, account: str, size_bytes: int, bytes_per_s: float) -> float:
        """Charge bytes to a host or a node, for all machines; seconds to wait before they may be read.

        Below zero they are given back.
        """
        return int(self._run("spend", account, size_bytes, bytes_per_s)) / 1000

    def clear(self) -> None:
        """Forget every item of this run, seen or open; hosts' clocks run on: a rest that was asked for holds."""
        self._run("clear")

    def _run_names(self, section: str, *arguments: Any, names: Sequence[str | bytes]) -> list[int]:
        """Run a section over many names, so many at a time as one command of Redis's takes in Lua."""
        starts = range(0, len(names), _BATCH)
        return [self._run(section, *arguments, *names[start : start + _BATCH]) for start in starts]

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


def _pack(item: FrontierItem) -> bytes:
    """An item as Redis keeps it: a name of any characters can be found in it, and the rest need not be read there."""
    name = item.name.encode()
    return b"%d:%s%s" % (len(name), name, orjson.dumps((item.url, item.payload)))


def _unpack(kind: WorkKind, packed: bytes, priority: bytes, attempt: bytes | int) -> FrontierItem:
    length, _, rest = packed.partition(b":")
    end = int(length)
    url, payload = orjson.loads(rest[end:])
    return FrontierItem(kind, rest[:end].decode(), url, payload, int(priority), int(float(attempt)))


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
