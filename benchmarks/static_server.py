"""`python -m benchmarks.static_server FOLDER CERTIFICATE`: a folder's files over HTTP and HTTPS, and nothing else.

GET, keep-alive, Content-Length. `/made/N/NAME` is N bytes that stand in no file: an MP4's first box, and then one that
says it fills the rest. What it costs is counted nowhere: it only has to be quicker than whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
_CHUNK = bytes(256 << 10)
_FILE_TYPE = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Site:
    addresses: dict[str, str]
    """By scheme."""
    environment: dict[str, str]
    """Has a program that checks certificates trust this site, besides all that this machine trusts."""


@contextlib.contextmanager
def serving(folder: Path, certificate: Path) -> Iterator[Site]:
    """Serve a folder from a process of its own, with a certificate that is made anew and is its own authority."""
    trusted = _make_certificate(certificate)
    command = [sys.executable, "-m", "benchmarks.static_server", str(folder), str(certificate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Site(json.loads(process.stdout.readline()), {"SSL_CERT_FILE": str(trusted)})
        finally:
            process.terminate()


def _make_certificate(path: Path) -> Path:
    """Make key and certificate; gives a list of authorities, this one added to the machine's own.

    A list of one would be read far quicker than any that is in use.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    told = certificate.public_bytes(pem)
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + told)
    usual, trusted = ssl.get_default_verify_paths().cafile, path.with_suffix(".authorities")
    trusted.write_bytes((Path(usual).read_bytes() if usual else b"") + told)
    return trusted


async def _serve(folder: Path, certificate: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await _send(writer, folder, request.split(b" ", 2)[1].decode())
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    plain = await asyncio.start_server(answer, HOST, 0)
    secure = await asyncio.start_server(answer, HOST, 0, ssl=context)
    ports = {"http": plain.sockets[0].getsockname()[1], "https": secure.sockets[0].getsockname()[1]}
    sys.stdout.write(json.dumps({scheme: f"{scheme}://{HOST}:{port}" for scheme, port in ports.items()}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _send(writer: asyncio.StreamWriter, folder: Path, path: str) -> None:
    words = path.strip("/").split("/")
    file = folder / words[-1]
    if words[0] == "made":
        await _send_made(writer, int(words[1]))
    elif file.is_file():
        body = file.read_bytes()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
    else:
        writer.write(_MISSING)


async def _send_made(writer: asyncio.StreamWriter, size: int) -> None:
    head = _FILE_TYPE + struct.pack(">I4sQ", 1, b"mdat", size - len(_FILE_TYPE))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + head)
    for start in range(len(head), size, len(_CHUNK)):
        writer.write(_CHUNK[: size - start])
        await writer.drain()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), Path(sys.argv[2])))
