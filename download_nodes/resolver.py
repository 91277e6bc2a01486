"""Name resolution and sockets for aiohttp that lead only to addresses the recipe permits.

The check is made on the address that is connected to, at every connection and so after every redirect:
a name that resolves to something else a moment later gains nothing, nor does an address in an odd spelling.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.connector import AddrInfoType

    from microlens.network import NetworkPolicy

    Lookup = Callable[..., list[Any]]

LOOKUP_S = 10.0
"""A name server that says nothing for so long has no answer."""
NO_NAME_S = 10.0
"""A name without an address is not asked for again so soon; what was found aiohttp remembers."""
FAILED_S = 1.0
"""A lookup that failed otherwise may succeed in a moment: this serves those that wait for the same name."""

_FAILED_NAMES = 10_000
_NO_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_LOOKUPS_AT_ONCE = 32


class ForbiddenAddressError(OSError):
    """A name led into a network that may not be reached."""


class GuardedResolver(AbstractResolver):
    """Asks the system, each name in a thread of its own: a lookup that hangs keeps nothing waiting, nor the end."""

    def __init__(self, policy: NetworkPolicy, lookup: Lookup = socket.getaddrinfo) -> None:
        self._policy = policy
        self._lookup = lookup
        self._places = asyncio.Semaphore(_LOOKUPS_AT_ONCE)
        self._failed: OrderedDict[str, tuple[float, OSError]] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        until, known = self._failed.get(host, (0.0, None))
        if known is not None and time.monotonic() < until:
            raise known.with_traceback(None)
        try:
            return await self._permitted(host, port, family)
        except OSError as error:
            is_none = isinstance(error, socket.gaierror) and error.errno in _NO_NAME
            self._failed[host] = time.monotonic() + (NO_NAME_S if is_none else FAILED_S), error
            if len(self._failed) > _FAILED_NAMES:
                self._failed.popitem(last=False)
            raise

    async def close(self) -> None:
        pass

    async def _permitted(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        found = await self._find(host, port, family)
        permitted = [_result(host, one) for one in found if self._policy.permits(_address(one[4]))]
        if not permitted:
            raise ForbiddenAddressError(f"{host} lies in a network that the recipe does not allow")
        return permitted

    async def _find(self, host: str, port: int, family: socket.AddressFamily) -> list[Any]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def tell(answer: list[Any] | Exception) -> None:
            if found.done():
                return
            if isinstance(answer, Exception):
                found.set_exception(answer)
            else:
                found.set_result(answer)

        def ask() -> None:
            answer: list[Any] | Exception
            try:
                answer = self._lookup(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
            except Exception as error:  # noqa: BLE001 - a name that cannot be spelled is a UnicodeError
                answer = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error))
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, answer)

        async with self._places:
            threading.Thread(target=ask, name=f"lookup-{host}", daemon=True).start()
            try:
                async with asyncio.timeout(LOOKUP_S):
                    return await found
            except TimeoutError:
                raise socket.gaierror(socket.EAI_AGAIN, f"no answer for {host} in {LOOKUP_S:g} s") from None


def guarded_sockets(policy: NetworkPolicy) -> Callable[[AddrInfoType], socket.socket]:
    """Make the sockets of a connector: the one place that every connection comes through, whatever it was named."""

    def make(address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = address
        if not policy.permits(_address(where)):
            raise ForbiddenAddressError(f"{where[0]!r} lies in a network that the recipe does not allow")
        return socket.socket(family, kind, protocol)

    return make


def _address(where: tuple[Any, ...]) -> str:
    return str(where[0])


def _result(host: str, found: Any) -> ResolveResult:
    family, _, protocol, _, where = found
    # The scope of a link-local IPv6 address (`fe80::1%eth0`) is its fourth part; such an address is never permitted
    # unless a recipe names it, and then the number does as well as the interface's name.
    address = f"{where[0]}%{where[3]}" if family == socket.AF_INET6 and where[3] else where[0]
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=where[1], family=family, proto=protocol, flags=flags)
