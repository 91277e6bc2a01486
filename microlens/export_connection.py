"""Connections to an export: to whom a token may be sent, and how slowly an answer may come."""

from __future__ import annotations

import http.client
import io
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from microlens.errors import RecipeError
from microlens.network import NetworkPolicy
from microlens.pace import Pace

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed import WriteableBuffer

_TIMEOUT_S = 30.0


def connector(url: str, ca_file: Path | None) -> Callable[[], http.client.HTTPConnection]:
    """How to connect to a server; RecipeError for an address that is none, or that a token must not be sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RecipeError(f"{url!r} is no address of an export: {error}", hint="give https://HOST:PORT") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.netloc.rpartition("@")[0] or parts.path:
        raise RecipeError(f"{url!r} is no address of an export", hint="give https://HOST:PORT")
    host = parts.hostname
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except OSError as error:  # ssl.SSLError among them
            raise RecipeError(
                f"{ca_file} cannot be read as certificates: {error.strerror}", hint="give a PEM file"
            ) from error
        return lambda: _TlsConnection(host, port, timeout=_TIMEOUT_S, context=context)
    return lambda: _PrivateConnection(host, port, timeout=_TIMEOUT_S)


class _Paced(io.RawIOBase):
    """What comes over a socket, at no less than the least rate."""

    def __init__(self, raw: io.RawIOBase, name: str) -> None:
        self._raw, self._pace = raw, Pace(name)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        asked = time.monotonic()
        count = self._raw.readinto(buffer)
        self._pace.add(time.monotonic() - asked, count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """One whose every byte, those of its head too, must come at a least rate."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        host, port = sock.getpeername()[:2]
        self.fp = io.BufferedReader(_Paced(self.fp.detach(), f"the export at {host}, port {port},"))


class _TlsConnection(http.client.HTTPSConnection):
    response_class = _Answer


class _PrivateConnection(http.client.HTTPConnection):
    """No TLS, so it must not lead to a public address: the token would travel there in the clear."""

    response_class = _Answer

    def connect(self) -> None:
        super().connect()
        address = str(self.sock.getpeername()[0])
        if NetworkPolicy([]).permits(address):
            self.close()
            raise RecipeError(f"http://{self.host} leads to the public address {address}", hint="serve and read https")
