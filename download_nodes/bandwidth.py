"""How fast answers are read: bytes a second of each host, by all machines, and of this machine, by all its processes.

Both are limits of one run, kept in Redis; a process takes bytes from there in portions and hands them out to its
transfers, first come, first served. Who waits does not read, and TCP has the host wait too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import EMPTY_PAYLOAD

from microlens.frontier import host_of
from microlens.outcomes import HostRestsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp import ClientResponse

    from microlens.frontier import Frontier

_HOSTS = 10_000
_CHUNK_BYTES = 256 << 10
_PIECE_BYTES = 64 << 10
"""Read at once where there is a limit."""
_PORTION_S = 0.25
_MOST_AT_ONCE_BYTES = 1 << 20


class Bandwidth:
    """One process's part of the limits, in bytes a second; None: no limit. Belongs to one event loop."""

    def __init__(self, frontier: Frontier, node_id: str, *, of_node: float | None, of_host: float | None) -> None:
        self._frontier = frontier
        self._stopped = asyncio.Event()
        self._node = self._meter(f"node {node_id}", of_node) if of_node else None
        # A host that is forgotten begins with no bytes in hand; what it owes stands in Redis.
        self._of_host = lru_cache(_HOSTS)(lambda host: self._meter(host, of_host)) if of_host else None
        self.waiting = 0
        """Transfers that may not read at this moment."""

    @property
    def is_limited(self) -> bool:
        return self._node is not None or self._of_host is not None

    def stop(self) -> None:
        """Let nobody wait any more: HostRestsError instead."""
        self._stopped.set()

    async def take(self, url: str, size_bytes: int) -> None:
        """Wait until so many bytes of a URL's host may be read; HostRestsError if the node stops before."""
        self.waiting += 1
        try:
            for meter in self._meters(url):
                await meter.take(host_of(url), size_bytes)
        finally:
            self.waiting -= 1

    def charge(self, url: str, size_bytes: int) -> None:
        """Have bytes count that came untaken; or give back, below zero, what was taken and did not come."""
        for meter in self._meters(url):
            meter.left_bytes -= size_bytes

    async def settle(self, url: str) -> None:
        """Wait until all that was read is paid for, unless the node stops: what was read is not thrown away."""
        with contextlib.suppress(HostRestsError):
            await self.take(url, 0)

    def _meters(self, url: str) -> list[_Meter]:
        of_host = self._of_host(host_of(url)) if self._of_host is not None else None
        return [meter for meter in (of_host, self._node) if meter is not None]

    def _meter(self, account: str, bytes_per_s: float) -> _Meter:
        def spend(size_bytes: int) -> float:
            return self._frontier.spend(account, size_bytes, bytes_per_s)

        return _Meter(spend, bytes_per_s, self._pause)

    async def _pause(self, host: str, wait_s: float) -> None:
        if not wait_s:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopped.wait()
            raise HostRestsError(host, wait_s)


class _Meter:
    """One account's bytes that this process may still read; below zero it owes some."""

    def __init__(
        self, spend: Callable[[int], float], bytes_per_s: float, pause: Callable[[str, float], Awaitable[None]]
    ) -> None:
        self._spend = spend
        self._pause = pause
        self._portion_bytes = min(max(1, int(bytes_per_s * _PORTION_S)), _MOST_AT_ONCE_BYTES)
        self._turn = asyncio.Lock()
        self.left_bytes = 0

    async def take(self, host: str, size_bytes: int) -> None:
        async with self._turn:
            while (lacking := size_bytes - self.left_bytes) > 0:
                await self._fetch(host, max(lacking, self._portion_bytes))
            self.left_bytes -= size_bytes

    async def _fetch(self, host: str, size_bytes: int) -> None:
        wait_s = await asyncio.to_thread(self._spend, size_bytes)
        try:
            await self._pause(host, wait_s)
        except BaseException:  # the node stops: others may have what it does not read
            self._spend(-size_bytes)
            raise
        self.left_bytes += size_bytes


def came_bytes(response: ClientResponse) -> int:
    """Bytes of a body that came over the wire: compressed, perhaps, and a little further than was read."""
    return 0 if response.content is EMPTY_PAYLOAD else response.content.total_raw_bytes


class Flow:
    """One file's reading, within the limits. Time that it waits for them is none of the file's: `deadline` moves."""

    def __init__(self, bandwidth: Bandwidth | None, deadline: asyncio.Timeout) -> None:
        self._bandwidth = bandwidth if bandwidth is not None and bandwidth.is_limited else None
        self._deadline = deadline
        self._waited_s = 0.0

    def clock(self) -> float:
        """Seconds that stand still while the file waits."""
        return time.monotonic() - self._waited_s

    def chunks(self, response: ClientResponse) -> AsyncIterator[bytes]:
        """A body as it comes; HostRestsError if the node stops while it waits."""
        if self._bandwidth is None:
            return response.content.iter_chunked(_CHUNK_BYTES)
        return self._limited(response, self._bandwidth)

    async def _limited(self, response: ClientResponse, bandwidth: Bandwidth) -> AsyncIterator[bytes]:
        url, content, paid_bytes = str(response.url), response.content, 0
        while not content.at_eof():
            await self._take(bandwidth, url)
            try:
                chunk = await content.read(_PIECE_BYTES)
            finally:
                came = came_bytes(response)
                bandwidth.charge(url, came - paid_bytes - _PIECE_BYTES)
                paid_bytes = came
            if chunk:
                yield chunk

    async def _take(self, bandwidth: Bandwidth, url: str) -> None:
        began, when = time.monotonic(), self._deadline.when()
        self._deadline.reschedule(None)
        try:
            await bandwidth.take(url, _PIECE_BYTES)
        finally:
            waited_s = time.monotonic() - began
            self._waited_s += waited_s
            self._deadline.reschedule(None if when is None else when + waited_s)
