"""The site's own log as the judge of manners: budgets, concurrency, and rests that were asked for.

Times are when the site took a request up and when it was done with it. The frontier grants a request to a host by GCRA
(`take` in frontier.lua): in any window of W seconds it grants at most rate * W + BURST requests, where

    BURST = 1 + tolerance / interval,   interval = 1 / rate,   tolerance = max(0, 100 ms - interval).

A granted request holds one of its host's `concurrency` places until its answer is in. So whatever delays it on its way
(a busy collector, a busy site), at most `concurrency` requests can have been granted before a window and be seen in it:

    seen in W  <=  rate * W + BURST + concurrency + ahead                                     (1)

for every window, where `ahead` is what the nodes may have taken of a host's budget in advance: each 50 ms of its rate
(`download_nodes/budget.py`). What the site has in hand at once is in the hands of a place's holder too:

    open at once  <=  concurrency                                                             (2)

robots.txt is fetched by one process at a time and paid for like all else, but holds no place: one more in (1) and (2).
A client that gave up after its deadline has freed its place by then, although the site may see its connection end a
little later; so a request without an answer counts as open for no longer than the client's deadline.

A 429 with a usable Retry-After ends all grants once the client that got it has told the frontier: later than GRACE_S
after it, nothing may be seen before the rest is over                                         (3)

but robots.txt while it is not known, which has a clock of its own. A client that was killed within GRACE_S could not
tell anybody, and a Redis that lost its data has forgotten: rests around such moments are left out, and after a loss a
host may have `concurrency` requests more under way that the new Redis knows nothing of.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GRACE_S = 2.0
ROBOTS = 1


@dataclass(frozen=True)
class Seen:
    """One line of the site's log; seconds since the epoch."""

    host: str
    target: str
    status: int
    began_s: float
    ended_s: float
    fault: str | None
    retry_after: str | None

    @property
    def rest_until_s(self):
        """Until when a 429 asked to be left alone; None if it said nothing of use."""
        if self.status != 429 or self.retry_after is None:
            return None
        if self.retry_after.isdigit():
            return self.ended_s + int(self.retry_after) if int(self.retry_after) else None
        return parsedate_to_datetime(self.retry_after).timestamp() if self.retry_after.endswith("GMT") else None


def read_log(path: Path) -> list[Seen]:
    """All requests but those for the log itself, in the order in which they came."""
    rows = map(json.loads, path.read_text().splitlines())
    seen = [
        Seen(
            host=row["host"],
            target=row["target"],
            status=row["status"],
            began_s=row["received_at_ms"] / 1000,
            ended_s=(row["received_at_ms"] + row["took_ms"]) / 1000,
            fault=row["fault"],
            retry_after=row["retry_after"],
        )
        for row in rows
        if not row["target"].startswith("/admin/")
    ]
    return sorted(seen, key=lambda one: one.began_s)


@dataclass(frozen=True)
class Budget:
    """What the recipe allows a host."""

    rate: float
    concurrency: int
    timeout_s: float
    nodes: int = 0

    @property
    def ahead(self) -> int:
        return self.nodes * int(self.rate * 0.05)

    @property
    def burst(self) -> float:
        interval_s = 1 / self.rate
        return 1 + max(0.0, 0.1 - interval_s) / interval_s


def most_over_rate(times: list[float], rate: float) -> float:
    """The most that a window holds beyond rate times its length: over all i <= j, (j - i + 1) - rate * (t_j - t_i)."""
    level = worst = 0.0
    last_s = times[0] if times else 0.0
    for time_s in times:
        # A bucket that leaks at the rate: its level is the worst window that ends here.
        level = max(0.0, level - rate * (time_s - last_s)) + 1
        last_s = time_s
        worst = max(worst, level)
    return worst


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many half-open spans overlap at most."""
    steps = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    level = worst = 0
    for _, step in steps:
        level += step
        worst = max(worst, level)
    return worst


def repeated(seen: list[Seen]) -> int:
    """Whole answers that were fetched once more: whoever had them was killed, or lost them."""
    whole = Counter((one.host, one.target) for one in seen if one.status in {200, 206} and one.fault is None)
    return sum(count - 1 for count in whole.values())


def busiest_share(seen: list[Seen], budget: Budget, *, window_s: float = 5.0) -> float:
    """Requests in the busiest window that any host saw, as a share of what its rate allows in one."""
    times = defaultdict(list)
    for one in seen:
        times[one.host].append(one.began_s)
    most = max(
        at - bisect_left(mine, time_s - window_s) + 1 for mine in times.values() for at, time_s in enumerate(mine)
    )
    return most / (budget.rate * window_s)


def complaints(seen: list[Seen], budget: Budget, *, kills: list[float], losses: list[float]) -> list[str]:
    """Every breach of (1), (2) and (3), in words; `kills` and `losses` of Redis are moments."""
    found = []
    by_host = defaultdict(list)
    for one in seen:
        by_host[one.host].append(one)
    for host, mine in sorted(by_host.items()):
        for number, (since_s, until_s) in enumerate(pairwise([0.0, *losses, float("inf")])):
            part = [one for one in mine if since_s <= one.began_s < until_s]
            strangers = budget.concurrency if number else 0
            found += _over_budget(host, part, budget, strangers)
        found += _unrested(host, mine, kills, losses)
        if mine[0].target != "/robots.txt":
            found.append(f"{host} was asked for {mine[0].target} before its robots.txt")
    return found


def _over_budget(host: str, part: list[Seen], budget: Budget, strangers: int) -> list[str]:
    over = most_over_rate([one.began_s for one in part], budget.rate)
    allowed = budget.burst + budget.concurrency + budget.ahead + ROBOTS + strangers
    at_once = most_at_once([(one.began_s, _open_until_s(one, budget)) for one in part])
    found = []
    if over > allowed + 1e-6:
        found.append(f"{host} got {over:.1f} requests more than its rate in some window, allowed are {allowed:.1f}")
    if at_once > budget.concurrency + ROBOTS + strangers:
        found.append(f"{host} had {at_once} requests at once, allowed are {budget.concurrency + ROBOTS + strangers}")
    return found


def _open_until_s(one: Seen, budget: Budget) -> float:
    return one.ended_s if one.status else min(one.ended_s, one.began_s + budget.timeout_s)


def _unrested(host: str, mine: list[Seen], kills: list[float], losses: list[float]) -> list[str]:
    """Requests in the midst of a rest, long enough after it was asked for."""
    found, at = [], 0
    asked = [one for one in mine if one.target != "/robots.txt"]
    for one in asked:
        until_s = one.rest_until_s
        if until_s is None or any(one.ended_s - 1 < moment < one.ended_s + GRACE_S for moment in kills):
            continue
        if any(one.ended_s - 1 < moment < until_s for moment in losses):
            continue
        while at < len(asked) and asked[at].began_s <= one.ended_s + GRACE_S:
            at += 1
        if at < len(asked) and asked[at].began_s < until_s - 0.001:
            late = asked[at]
            found.append(
                f"{host} was asked for {late.target} {late.began_s - one.ended_s:.1f} s after a 429 "
                f"that wanted {until_s - one.ended_s:.1f} s of rest"
            )
    return found
