"""Which addresses may be reached: a page chooses the URLs that we fetch, and a link may point inside our network."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NetworkPolicy:
    """Public addresses, and the networks that the recipe allows besides."""

    def __init__(self, allow: Iterable[str]) -> None:
        try:
            self._allowed = [ipaddress.ip_network(network) for network in allow]
        except ValueError as error:
            raise RecipeError(
                f"network.allow: {error}", hint="give networks such as 127.0.0.0/8 or 10.1.0.0/16"
            ) from error

    def permits(self, address: str) -> bool:
        """Whether a resolved address may be connected to."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address):
            ip = _inner(ip)
        if any(ip in network for network in self._allowed if network.version == ip.version):
            return True
        if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
            return False
        return ip.is_global and not ip.is_multicast


def _inner(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4): that is where a connection ends."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
