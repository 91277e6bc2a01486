"""One asset: fetched to a temporary file, measured, and handed on to be stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from download_nodes.arrivals import Arrival
from download_nodes.flights import flight_of
from download_nodes.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from download_nodes.courtesy import Courtesy
    from microlens.records import FrontierItem
    from microlens.runs import Run


class MediaCollector:
    """Belongs to one event loop; `close` it there."""

    def __init__(self, run: Run, courtesy: Courtesy) -> None:
        self._run = run
        self._courtesy = courtesy

    async def close(self) -> None:
        """Nothing of it is open."""

    async def collect(self, item: FrontierItem, on_fetched: Callable[[], None]) -> Arrival:
        """Fetch and measure an item's asset; `on_fetched` is told when the network is done with.

        FetchError, NotMediaError or HostRestsError where there is nothing to store; then nothing is left behind.
        """
        temporary = self._run.store.temporary()
        fetched = await self._courtesy.fetcher.file(item.url, temporary, max_bytes=self._run.recipe.media.max_bytes)
        on_fetched()
        try:
            await self._courtesy.answered(item.url)
            asset = await asyncio.to_thread(
                measure,
                fetched.path,
                kind=item.payload["asset"],
                platform=self._run.recipe.platform,
                video_id=item.payload["video_id"],
                sha256=fetched.sha256,
                size_bytes=fetched.size_bytes,
            )
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return Arrival(item, ((replace(asset, url_key=flight_of(item.url)), fetched.path),))
