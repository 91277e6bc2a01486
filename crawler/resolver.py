"""Scrapy's DNS, every answer of which is held against the recipe's networks: what is checked is what is connected to.

Twisted tells a connection only that a name gave no address, not why; so refusals are kept here for the middleware.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.resolver import CachingThreadedResolver
from twisted.internet.error import DNSLookupError

from microlens.network import NetworkPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy.crawler import Crawler
    from twisted.internet.base import ReactorBase
    from twisted.internet.defer import Deferred

_refused: set[str] = set()


class ForbiddenLookupError(DNSLookupError):
    """A name whose address the recipe does not permit."""


class GuardedResolver(CachingThreadedResolver):
    def __init__(self, reactor: ReactorBase, cache_size: int, timeout: float, policy: NetworkPolicy) -> None:
        super().__init__(reactor, cache_size, timeout)
        self._policy = policy

    @classmethod
    def from_crawler(cls, crawler: Crawler, reactor: ReactorBase) -> GuardedResolver:
        settings = crawler.settings
        cache_size = settings.getint("DNSCACHE_SIZE") if settings.getbool("DNSCACHE_ENABLED") else 0
        policy = NetworkPolicy(settings.getlist("MICROLENS_NETWORK_ALLOW"))
        return cls(reactor, cache_size, settings.getfloat("DNS_TIMEOUT"), policy)

    def getHostByName(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:  # noqa: N802 - Twisted's name
        # The check comes behind the cache, which holds whatever was found.
        return super().getHostByName(name, timeout).addCallback(self._check, name)

    def _check(self, address: str, name: str) -> str:
        if self._policy.permits(address):
            return address
        _refused.add(name.lower())
        raise ForbiddenLookupError(f"{name} is {address}, in a network that the recipe does not allow")


def was_refused(name: str) -> bool:
    """Whether a name has ever led to a forbidden address: then it is not asked for again."""
    return name.lower() in _refused
