"""Assets on their last steps: measured one by one, stored and committed many at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from download_nodes.backlog import comments_after

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.platforms.base import Platform
    from microlens.records import AssetRecord, FrontierItem
    from microlens.runs import Run

BATCH = 64
HOLD_S = 0.1


@dataclass(frozen=True, slots=True)
class Arrival:
    """A measured asset; its bytes lie at a temporary path, or in the store already."""

    item: FrontierItem
    assets: tuple[tuple[AssetRecord, Path | None], ...]
    """The item's own asset first, then what was made of it (a sound)."""

    @property
    def size_bytes(self) -> int:
        """Of what was fetched for it."""
        asset, path = self.assets[0]
        return asset.size_bytes if path is not None else 0


class Arrivals:
    """Gathers measured assets and commits them, many at a time."""

    def __init__(self, run: Run, platform: Platform) -> None:
        self._run = run
        self._platform = platform
        self._arrived: dict[str, Arrival] = {}
        self._since = 0.0

    def add(self, arrival: Arrival) -> None:
        if not self._arrived:
            self._since = time.monotonic()
        self._arrived[arrival.item.name] = arrival

    @property
    def names(self) -> list[str]:
        """Items whose leases must be kept until they are committed."""
        return list(self._arrived)

    def is_due(self) -> bool:
        return bool(self._arrived) and (len(self._arrived) >= BATCH or time.monotonic() - self._since > HOLD_S)

    def take(self) -> dict[str, Arrival]:
        """Hand over all that have arrived, by item."""
        arrived, self._arrived = self._arrived, {}
        return arrived

    def commit(self, arrived: dict[str, Arrival]) -> list[FrontierItem]:
        """Bytes first (flushed, renamed), then the ledger; may run in a thread. Gives the comments that are now due.

        OSError if the store cannot take them: then nothing is committed, and no temporary file is left.
        """
        assets = [pair for arrival in arrived.values() for pair in arrival.assets]
        files = [(path, asset.sha256) for asset, path in assets if path is not None]
        try:
            self._run.store.put_many(files)
        except OSError:
            for path, _ in files:
                path.unlink(missing_ok=True)
            raise
        self._run.ledger.commit_assets([asset for asset, _ in assets])
        # A sound decides nothing (see comments_after).
        looked_at = {asset.video_id for asset, _ in assets if asset.kind != "audio"}
        return comments_after(self._run, self._platform, sorted(looked_at))
