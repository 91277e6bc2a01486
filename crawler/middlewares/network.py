"""Refuses requests, redirected ones included, to anything but http(s) on an address that the recipe permits."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy.exceptions import IgnoreRequest

from microlens.network import NetworkPolicy

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler


class NetworkGuard:
    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy
        self._resolved: dict[str, bool] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> NetworkGuard:
        return cls(NetworkPolicy(crawler.settings.getlist("MICROLENS_NETWORK_ALLOW")))

    async def process_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise IgnoreRequest(f"{request.url} is not http(s)")
        if parts.hostname not in self._resolved:
            self._resolved[parts.hostname] = await self._permitted(parts.hostname)
        if not self._resolved[parts.hostname]:
            raise IgnoreRequest(f"{parts.hostname} lies in a network that the recipe does not allow")

    async def _permitted(self, host: str) -> bool:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return True  # the download itself then fails, and says why
        return all(self._policy.permits(str(address[4][0])) for address in found)
