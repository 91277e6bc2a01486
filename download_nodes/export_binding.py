"""Where an export may listen: on private addresses, or with TLS anywhere."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import TYPE_CHECKING

from microlens.errors import RecipeError
from microlens.network import NetworkPolicy

if TYPE_CHECKING:
    from pathlib import Path

_PUBLIC = NetworkPolicy([])


def addresses_of(host: str, *, has_tls: bool) -> list[str]:
    """The addresses behind a host's name or number; RecipeError if one is public and there is no TLS."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise RecipeError(f"--host {host!r} is no address of this machine: {error}", hint="leave it out") from error
    public = sorted(address for address in found if _is_public(address))
    if public and not has_tls:
        raise RecipeError(
            f"--host {host} can be reached from outside ({', '.join(public)}): tokens would travel in the clear",
            hint="give --tls-cert and --tls-key, or a private address such as 127.0.0.1 or 10.0.0.5",
        )
    return sorted(found)


def tls_of(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with this certificate; None if neither file is given. RecipeError if they cannot be used."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise RecipeError("--tls-cert and --tls-key belong together", hint="give both, or neither")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise RecipeError(
            f"the certificate {cert} and the key {key} cannot be used: {error}", hint="give PEM files that match"
        ) from error
    return context


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    # 0.0.0.0 and :: are every address of the machine, the public ones among them.
    return ip.is_unspecified or ip.is_multicast or _PUBLIC.permits(address)
