"""Faults of the site, switched on by options: errors, rate limits, stalls and cut connections.

What the n-th request for an address of a host suffers is drawn from (seed, host, address, n), so that the same requests
suffer the same. Faults pass: of four requests for one address at least one is spared, bursts of 429 end, and what the
site answers in the end is what it would have answered without them.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ERRORS = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
RETRY_AFTER_FORMS = ("seconds", "date", "zero", "junk", "absent")
SPARED_EVERY = 4
"""Every fourth request for one address suffers nothing of its own."""


@dataclass(frozen=True)
class FaultConfig:
    """What goes wrong, and how often; nothing by default."""

    seed: int = 0
    error_share: float = 0.0
    """Requests answered with 500, 502 or 503."""
    stall_share: float = 0.0
    """Requests met with silence, before the answer or in its midst, and then with the connection's end."""
    cut_share: float = 0.0
    """Requests whose connection ends at once, before the answer or in its midst."""
    burst_every: int = 0
    """Requests of a host, on average, from one burst of 429 to the next; 0: none."""
    burst_s: float = 3.0
    stall_s: float = 30.0

    def __post_init__(self) -> None:
        shares = (self.error_share, self.stall_share, self.cut_share)
        if min(*shares, self.burst_every, self.burst_s, self.stall_s) < 0 or sum(shares) > 1:
            raise RecipeError(
                f"a site cannot fail as {self} says", hint="give shares of 0 to 1 in all, and no number below 0"
            )


@dataclass(frozen=True)
class Fault:
    """What one request suffers."""

    kind: str
    """error, burst, stall or cut."""
    status: HTTPStatus | None = None
    """None where there is no answer."""
    retry_after: str | None = None
    is_midway: bool = False
    """A stall or a cut in the midst of the body, not before the answer."""


@dataclass(frozen=True)
class _Burst:
    until_s: float
    form: str


class Faults:
    """Deals faults to requests, and makes them suffer."""

    def __init__(self, config: FaultConfig) -> None:
        self._config = config
        self._is_off = config == FaultConfig(seed=config.seed, burst_s=config.burst_s, stall_s=config.stall_s)
        self._asked: Counter[tuple[str, str]] = Counter()
        self._received: Counter[str] = Counter()
        self._bursts: dict[str, list[_Burst]] = {}

    def draw(self, host: str, target: str, now_s: float) -> Fault | None:
        """Decide about the next request of a host for a target; `now_s` is the time of day, for bursts alone."""
        if self._is_off:
            return None
        burst = self._burst(host, now_s)
        if burst is not None:
            return Fault("burst", HTTPStatus.TOO_MANY_REQUESTS, _retry_after(burst, now_s))
        config, number = self._config, self._asked[host, target]
        self._asked[host, target] += 1
        if number % SPARED_EVERY == SPARED_EVERY - 1:
            return None
        lot, variant = self._lots(host, target, number)
        if lot < config.error_share:
            return Fault("error", ERRORS[int(variant * len(ERRORS))])
        lot -= config.error_share
        if lot < config.stall_share + config.cut_share:
            return Fault("stall" if lot < config.stall_share else "cut", is_midway=variant < 0.5)  # noqa: PLR2004 - half
        return None

    async def suffer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as the fault has it; a connection that ends has no answer, so what is returned then is never sent."""
        if fault.status is not None:
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            page = f"<!doctype html><title>{fault.status.value}</title><h1>{fault.status.phrase}</h1>"
            return web.Response(status=fault.status, text=page, content_type="text/html", headers=headers)
        answer: web.StreamResponse = web.Response()
        if fault.is_midway:
            answer = await _begin(request, handler)
        if fault.kind == "stall":
            await asyncio.sleep(self._config.stall_s)
        if request.transport is not None:
            request.transport.close()
        return answer

    def _burst(self, host: str, now_s: float) -> _Burst | None:
        """Give the burst that this request of a host falls into, perhaps as its first."""
        bursts = self._bursts.setdefault(host, [])
        if bursts and now_s < bursts[-1].until_s:
            return bursts[-1]
        self._received[host] += 1
        every = self._config.burst_every
        if not every or self._lots(host, "burst", self._received[host])[0] * every >= 1:
            return None
        # A date has whole seconds, so the burst lasts until one.
        until_s = float(math.ceil(now_s + self._config.burst_s))
        turn = int(self._lots(host, "form", 0)[0] * len(RETRY_AFTER_FORMS)) + len(bursts)
        bursts.append(_Burst(until_s, RETRY_AFTER_FORMS[turn % len(RETRY_AFTER_FORMS)]))
        return bursts[-1]

    def _lots(self, host: str, target: str, number: int) -> tuple[float, float]:
        """Draw two numbers of 0 to 1."""
        digest = hashlib.blake2b(f"{self._config.seed}\n{host}\n{target}\n{number}".encode(), digest_size=16).digest()
        return int.from_bytes(digest[:8]) / 2**64, int.from_bytes(digest[8:]) / 2**64


def _retry_after(burst: _Burst, now_s: float) -> str | None:
    """Spell when the burst is over, or, as some sites do, say nothing of use."""
    words = {
        "seconds": str(math.ceil(burst.until_s - now_s)),
        "date": formatdate(burst.until_s, usegmt=True),
        "zero": "0",
        "junk": "a little later, please",
    }
    return words.get(burst.form)


async def _begin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the head and the first half of an answer."""
    try:
        whole = await handler(request)
    except web.HTTPException as refused:
        whole = refused
    body = whole.body if isinstance(whole, web.Response) and isinstance(whole.body, bytes) else b""
    answer = web.StreamResponse(status=whole.status, headers=whole.headers)
    answer.content_length = max(len(body), 1)
    await answer.prepare(request)
    await answer.write(body[: len(body) // 2])
    return answer
