"""Name resolution for aiohttp that gives only addresses the recipe permits.

The check is made on the address that is connected to, at every connection and so after every redirect:
a name that resolves to something else a moment later gains nothing.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

if TYPE_CHECKING:
    from microlens.network import NetworkPolicy


class ForbiddenAddressError(OSError):
    """A name led into a network that may not be reached."""


class GuardedResolver(AbstractResolver):
    def __init__(self, policy: NetworkPolicy) -> None:
        self._policy = policy
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        permitted = [result for result in found if self._policy.permits(result["host"])]
        if not permitted:
            raise ForbiddenAddressError(f"{host} lies in a network that the recipe does not allow")
        return permitted

    async def close(self) -> None:
        await self._resolver.close()
