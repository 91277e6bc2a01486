"""One asset: fetched to a temporary file, measured, and handed on to be stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from download_nodes.arrivals import Arrival
from download_nodes.flights import flight_of
from download_nodes.measuring import Measurer, NoAudioError
from microlens.backlog import asset_name
from microlens.records import Failure
from microlens.sniff import check_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from download_nodes.courtesy import Courtesy
    from microlens.records import AssetRecord, FrontierItem
    from microlens.runs import Run


class MediaCollector:
    """Belongs to one event loop; `close` it there."""

    def __init__(self, run: Run, courtesy: Courtesy) -> None:
        self._run = run
        self._courtesy = courtesy
        self._measurer = Measurer()

    async def close(self) -> None:
        await self._measurer.close()

    async def collect(self, item: FrontierItem, on_fetched: Callable[[], None]) -> Arrival:
        """Fetch and measure an item's asset; `on_fetched` is told when the network is done with.

        FetchError, NotMediaError or HostRestsError where there is nothing to store: then nothing is left behind but
        what the next try can go on with.
        """
        kind, video_id, store = item.payload["asset"], item.payload["video_id"], self._run.store
        fetcher, flight = self._courtesy.fetcher, flight_of(item.url)
        fetch = fetcher.playlist if item.payload.get("format") == "hls" else fetcher.download
        async with fetch(
            item.url,
            store.partial(flight.hex()),
            max_bytes=self._run.recipe.media.max_bytes,
            accept=partial(check_head, kind, video_id),
        ) as fetched:
            on_fetched()
            await self._courtesy.answered(item.url)
            asset = await self._measurer.measure(
                fetched.path,
                kind=kind,
                platform=self._run.recipe.platform,
                video_id=video_id,
                sha256=fetched.sha256,
                size_bytes=fetched.size_bytes,
            )
            sounds = await self._sounds(item, fetched.path) if item.payload.get("takes_sound") else ()
            finished = fetched.take()
        return Arrival(item, ((replace(asset, url_key=flight), finished), *sounds))

    async def _sounds(self, item: FrontierItem, video: Path) -> tuple[tuple[AssetRecord, Path], ...]:
        """The sound of a video whose site has no file for it; why there is none is written down, and no fault."""
        video_id, platform = item.payload["video_id"], self._run.recipe.platform
        codec, store = self._run.recipe.media.audio_codec, self._run.store
        from download_nodes.sound import take_sound  # noqa: PLC0415 - FFmpeg's libraries, which most nodes need not

        try:
            return (await take_sound(self._measurer, store, video, codec=codec, platform=platform, video_id=video_id),)
        except NoAudioError as error:
            name = asset_name(video_id, "audio")
            failure = Failure("media", name, platform, video_id, item.url, error.reason, None, 1, is_final=True)
            await asyncio.to_thread(self._run.ledger.record_failure, failure)
            return ()
