"""Refuses requests, redirected ones included, to anything but http(s) on an address that the recipe permits.

Names are checked where they are resolved (crawler.resolver), so that no second lookup can give another answer.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scrapy.exceptions import CannotResolveHostError, IgnoreRequest

from crawler.resolver import was_refused
from microlens.network import NetworkPolicy

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler


class ForbiddenAddressError(IgnoreRequest):
    """Never leaves the crawler."""


class NetworkGuard:
    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> NetworkGuard:
        return cls(NetworkPolicy(crawler.settings.getlist("MICROLENS_NETWORK_ALLOW")))

    async def process_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ForbiddenAddressError(f"{request.url} is not http(s)")
        if was_refused(parts.hostname) or (_is_address(parts.hostname) and not self._policy.permits(parts.hostname)):
            raise _forbidden(parts.hostname)

    async def process_exception(self, request: Request, exception: Exception) -> None:
        host = urlsplit(request.url).hostname or ""
        if isinstance(exception, CannotResolveHostError) and was_refused(host):
            raise _forbidden(host) from exception


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _forbidden(host: str) -> ForbiddenAddressError:
    return ForbiddenAddressError(f"{host} lies in a network that the recipe does not allow")
