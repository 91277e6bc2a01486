"""A download node's export (`microlens-build export`), read over HTTP.

What comes over the wire is checked against its name before it is kept, and an answer that breaks off goes on where it
ended. No redirect is followed: the token is meant for one server.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import time
from functools import partial
from http import HTTPStatus
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import orjson

from microlens.errors import CorruptDataError, StoreUnreachableError
from microlens.export_connection import connector
from microlens.store import sha256_of_chunks
from microlens.store_cache import fetch_into

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from microlens.local_store import LocalStore

_CHUNK_BYTES = 1 << 20
_MOST_JSON_BYTES = 16 << 20
_TRIES = 5
_FIRST_WAIT_S = 0.2
_WORTH_BYTES = 1 << 16
"""An answer that breaks off before is another try of the same; after so much the tries are counted anew."""
_FEW = 1000
"""Objects that are asked for one by one; of more, the manifest is read from the first of them to the last."""
_USEFUL = {
    HTTPStatus.OK,
    HTTPStatus.PARTIAL_CONTENT,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class ExportStore:
    """A `microlens.store.Store` at http(s)://HOST:PORT; `local` keeps what was fetched. For one thread at a time."""

    def __init__(self, url: str, token: str, local: LocalStore, *, ca_file: Path | None = None) -> None:
        """Plain http is for private addresses; `ca_file` (PEM) names who else than the system's own may sign."""
        self.url, self._token, self._local = url.rstrip("/"), token, local
        self._connect = connector(self.url, ca_file)
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def has(self, sha256: str) -> bool:
        return self._size(sha256) is not None

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        wanted = set(hashes)
        if len(wanted) > _FEW:
            first, last = min(wanted), max(wanted)
            listed = takewhile(lambda row: row[0] <= last, self.objects(_before(first)))
            return {sha256: size for sha256, size in listed if sha256 in wanted}
        found = {sha256: self._size(sha256) for sha256 in wanted}
        return {sha256: size for sha256, size in found.items() if size is not None}

    def objects(self, after: str = "") -> Iterator[tuple[str, int]]:
        return self._listed("/manifest", after, lambda page: page["objects"], _HASH)

    def verify(self, sha256: str) -> None:
        found = sha256_of_chunks(self.read(sha256))
        if found != sha256:
            raise CorruptDataError(
                f"{self.url} gives {found} for {sha256}",
                hint="delete it there, then run `microlens-build work` there: it is fetched again",
            )

    def link(self, sha256: str, target: Path) -> None:
        """Second name of the local copy, which is made first if need be, and whose hash is checked then."""
        fetch_into(self._local, sha256, partial(self.read, sha256), source=self.url)
        self._local.link(sha256, target)

    def read(self, sha256: str, offset: int = 0, at_most: int | None = None) -> Iterator[bytes]:
        """An object's bytes from an offset on; CorruptDataError if it is not there, or has more than `at_most`."""
        return self._read(f"/objects/{sha256}", sha256, offset, at_most)

    def parts(self) -> Iterator[tuple[str, int]]:
        """(part id, size in bytes) of each part of the ledger's that lies there, in the order of their ids."""
        return self._listed("/parts", "", lambda page: [(p["part_id"], p["size_bytes"]) for p in page["parts"]], _ID)

    def read_part(self, part_id: str, sha256: str, offset: int = 0, at_most: int | None = None) -> Iterator[bytes]:
        """A part's bytes from an offset on, as those of an object."""
        return self._read(f"/parts/{part_id}", sha256, offset, at_most)

    # --- requests ---

    def _size(self, sha256: str) -> int | None:
        with self._asked("HEAD", f"/objects/{sha256}") as answer:
            return int(answer.headers["Content-Length"]) if answer.status == HTTPStatus.OK else None

    def _listed(
        self, target: str, after: str, rows_of: Callable[[Any], Iterable[Any]], name: re.Pattern[str]
    ) -> Iterator[tuple[str, int]]:
        """Names and sizes of a listing, page after page; CorruptDataError for one that makes no sense."""
        at: str | None = after
        while at is not None:
            with self._asked("GET", f"{target}?after={at}" if at else target) as answer:
                body = answer.read(_MOST_JSON_BYTES)
            try:
                page = orjson.loads(body)
                rows = [(str(each), int(size)) for each, size in rows_of(page)]
                following = page["next"]
            except (ValueError, TypeError, KeyError) as error:
                raise self._unreadable(target, str(error)) from error
            names = [at, *(each for each, _ in rows)]
            if not all(one < two and name.fullmatch(two) for one, two in pairwise(names)):
                raise self._unreadable(target, "its names are not in order")
            if following is not None and not (name.fullmatch(str(following)) and at < following >= names[-1]):
                raise self._unreadable(target, f"{following!r} is not what comes next")
            yield from rows
            at = following

    def _unreadable(self, target: str, why: str) -> CorruptDataError:
        return CorruptDataError(
            f"{self.url}{target} cannot be read: {why}", hint="see that both machines run one version"
        )

    def _read(self, target: str, sha256: str, offset: int, at_most: int | None) -> Iterator[bytes]:
        """The bytes from an offset on; what breaks off is asked for again from there, as long as enough comes."""
        tries = 0
        while True:
            asked = {"Range": f"bytes={offset}-", "If-Range": f'"{sha256}"'} if offset else {}
            with self._asked("GET", target, asked) as answer:
                if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return
                if answer.status == HTTPStatus.NOT_FOUND:
                    raise CorruptDataError(
                        f"{self.url} has lost {target}",
                        hint="run `microlens-build work` there: what the store has lost is fetched again",
                    )
                skipped = 0 if answer.status == HTTPStatus.PARTIAL_CONTENT else offset
                left, began = (answer.length or 0) - skipped, offset
                if at_most is not None and offset + left > at_most:
                    raise CorruptDataError(
                        f"{self.url}{target} has {offset + left} bytes, more than the {at_most} that it should",
                        hint="delete it there, then run `microlens-build work` there: it is fetched again",
                    )
                try:
                    _skip(answer, skipped)
                    while chunk := answer.read(_CHUNK_BYTES):
                        offset, left = offset + len(chunk), left - len(chunk)
                        yield chunk
                except (OSError, http.client.HTTPException) as error:
                    broken: Exception | None = error
                else:
                    broken = None
            if broken is None and left == 0:
                return
            self.close()
            tries = 0 if offset - began >= _WORTH_BYTES else tries + 1
            self._pause(tries, broken)

    @contextlib.contextmanager
    def _asked(
        self, method: str, target: str, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer whose status is of use; the connection is kept if little of it is left to read."""
        answer = self._ask(method, target, {**(headers or {}), "Authorization": f"Bearer {self._token}"})
        try:
            if answer.status not in _USEFUL:
                raise StoreUnreachableError(
                    f"{self.url}{target} answers {answer.status}", hint="see that it is an export that listens there"
                )
            yield answer
            if not answer.isclosed() and (answer.length or 0) <= _CHUNK_BYTES:
                answer.read()
        finally:
            if not answer.isclosed():
                self.close()

    def _ask(self, method: str, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        for tries in range(_TRIES + 1):
            try:
                self._connection = self._connection or self._connect()
                self._connection.request(method, target, headers=headers)
                answer = self._connection.getresponse()
            except ssl.SSLCertVerificationError as error:
                raise StoreUnreachableError(
                    f"{self.url} cannot prove who it is: {error.verify_message}", hint="give its certificate's CA file"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                self._pause(tries + 1, error)
                continue
            except StoreUnreachableError:  # it is too slow
                self.close()
                raise
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self.close()
                raise StoreUnreachableError(
                    f"{self.url} refuses the token: it has expired, or is another run's",
                    hint="make a new one there: `microlens-build export RUN --make-token`",
                )
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return answer
            self.close()
            self._pause(tries + 1, f"it answers {answer.status}")
        raise AssertionError  # the last pause raises

    def _pause(self, tries: int, why: object) -> None:
        """Wait before another try; StoreUnreachableError once there were enough."""
        if tries > _TRIES:
            raise StoreUnreachableError(
                f"{self.url} gives no answer: {why}", hint="see that `microlens-build export` runs there, and try again"
            )
        time.sleep(_FIRST_WAIT_S * 2**tries if tries else 0)


def _before(sha256: str) -> str:
    """The hash that comes right before one, or nothing."""
    number = int(sha256, 16)
    return f"{number - 1:064x}" if number else ""


def _skip(answer: http.client.HTTPResponse, count: int) -> None:
    while count > 0 and (chunk := answer.read(min(count, _CHUNK_BYTES))):
        count -= len(chunk)
