"""A node's requests to its hosts' budgets: those of one moment go to Redis together."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microlens.frontier import Frontier

_GATHER_S = 0.004
_AHEAD_S = 0.05
"""So much of a quick host's budget is asked for in advance; what is not used by then is lost."""


class Budget:
    """Belongs to one event loop. `most` is the number of requests that can be made at once."""

    def __init__(self, frontier: Frontier, requests_per_second: float, *, most: int) -> None:
        self._frontier = frontier
        self._ahead = min(most, int(requests_per_second * _AHEAD_S))
        self._asking: defaultdict[str, list[asyncio.Future[float]]] = defaultdict(list)
        self._spare: dict[str, tuple[int, float]] = {}
        """By host: requests already granted, and until when they may be made."""

    async def ask(self, host: str) -> float:
        """One more request to a host: 0.0 to go, else seconds to wait before asking again."""
        spare, until = self._spare.get(host, (0, 0.0))
        if spare and time.monotonic() < until:
            self._spare[host] = spare - 1, until
            return 0.0
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._asking[host].append(answer)
        if len(self._asking[host]) == 1:
            asyncio.get_running_loop().call_later(_GATHER_S, self._serve, host)
        return await answer

    def _serve(self, host: str) -> None:
        waiting = [answer for answer in self._asking.pop(host) if not answer.done()]
        if not waiting:
            return
        try:
            granted, wait_s = self._frontier.take_many(host, max(len(waiting), self._ahead))
        except Exception as error:  # noqa: BLE001 - whoever asked raises it
            for answer in waiting:
                answer.set_exception(error)
            return
        for number, answer in enumerate(waiting):
            answer.set_result(0.0 if number < granted else wait_s)
        self._spare[host] = max(0, granted - len(waiting)), time.monotonic() + _AHEAD_S
