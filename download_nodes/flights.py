"""Each address is fetched once, whoever wants it: one item of all nodes is at it, the others wait for its result.

What two videos share (a series' cover, a file that was posted twice under one link) is asked for once. The item that
boards first fetches it; the next finds the asset in the ledger, with its measurements, and takes it for its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from microlens.addresses import canonical_url
from microlens.backlog import asset_name
from microlens.ledger_rows import asset_of
from microlens.records import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microlens.frontier import Frontier
    from microlens.records import AssetRecord, FrontierItem
    from microlens.runs import Run


@dataclass(frozen=True, slots=True)
class Boarded:
    """What a claimed media item is to do."""

    item: FrontierItem
    is_mine: bool
    """Whether it may fetch. If not, another item is at the address, and this one was given back until that has landed,
    unless what it wants is known.
    """
    known: tuple[AssetRecord, ...] = ()
    """The same kind of asset from the same address, stored already, and what was extracted from it; as this item's."""


class Flights:
    """One process's flights. Every method may wait for Redis or the ledger."""

    def __init__(self, run: Run, frontier: Frontier) -> None:
        self._run = run
        self._frontier = frontier
        self._flying: dict[str, bytes] = {}
        """By item's name."""

    def board(self, items: Sequence[FrontierItem]) -> list[Boarded]:
        """Say of each claimed item whether to fetch or to take over; those that must wait are given back."""
        flights = [(flight_of(item.url), item.name) for item in items]
        if not flights:
            return []
        may = self._frontier.board(flights)
        self._flying |= {name: flight for (flight, name), is_mine in zip(flights, may, strict=True) if is_mine}
        # Asked after boarding: whoever flew before has committed before it landed.
        known = self._known({flight for flight, _ in flights})
        boarded = [
            Boarded(item, is_mine, self._as_of(item, known.get((flight, item.payload["asset"]))))
            for item, (flight, _), is_mine in zip(items, flights, may, strict=True)
        ]
        pairs = zip(flights, boarded, strict=True)
        self._frontier.await_landing([flight for flight, each in pairs if not each.is_mine and not each.known])
        return boarded

    def _known(self, flights: set[bytes]) -> dict[tuple[bytes, str], list[dict[str, Any]]]:
        """By address and kind: an asset that is stored, and what was extracted from it."""
        ledger, store = self._run.ledger, self._run.store
        told = ledger.assets_from(flights)
        if not told:
            return {}
        # What another machine keeps is there, as far as this one can know.
        ours = {row["sha256"] for row in told if row["kept_at"] == ledger.keeping.media}
        lost = ours - store.sizes(ours).keys()
        rows = {(row["url_key"], row["kind"]): row for row in told if row["sha256"] not in lost}
        videos = {row["video_id"] for row in rows.values() if row["kind"] == "video"}
        made = {row["video_id"]: row for row in ledger.assets(sorted(videos)) if row["origin"] == "extracted"}
        found = {key: [row] for key, row in rows.items()}
        for (_, kind), known in found.items():
            extracted = made.get(known[0]["video_id"])
            if kind == "video" and extracted is not None and self._is_there(extracted):
                known.append(extracted)
        return found

    def _is_there(self, row: dict[str, Any]) -> bool:
        return row["kept_at"] != self._run.ledger.keeping.media or self._run.store.has(row["sha256"])

    def _as_of(self, item: FrontierItem, rows: list[dict[str, Any]] | None) -> tuple[AssetRecord, ...]:
        """What is known as this item's; nothing if its video's sound is wanted, and nobody has looked for that yet."""
        video_id, platform = item.payload["video_id"], self._run.recipe.platform
        if not rows:
            return ()
        if item.payload.get("takes_sound") and len(rows) == 1:
            name = asset_name(rows[0]["video_id"], "audio")
            told = self._run.ledger.final_failures("media", [name])
            if not told:
                return ()
            mine, reason = asset_name(video_id, "audio"), told[-1]["reason"]
            if mine != name:
                silence = Failure("media", mine, platform, video_id, item.url, reason, None, 1, is_final=True)
                self._run.ledger.record_failure(silence)
        return tuple(replace(asset_of(row, platform), video_id=video_id) for row in rows)

    def keep(self) -> None:
        """Renew the addresses that are held."""
        self._frontier.keep_flying([(flight, name) for name, flight in list(self._flying.items())])

    def land(self, names: Sequence[str]) -> None:
        """These items are done with, for now or for good."""
        landed = [(flight, name) for name in names if (flight := self._flying.pop(name, None)) is not None]
        self._frontier.land(landed)


@lru_cache(maxsize=1024)
def flight_of(url: str) -> bytes:
    """16 bytes that all spellings of an address share (microlens.addresses.canonical_url)."""
    return hashlib.blake2b(canonical_url(url).encode(), digest_size=16).digest()
