"""The sound of a video whose site has no file for it: taken out, transcoded if asked for, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from download_nodes.transcode import transcode

if TYPE_CHECKING:
    from pathlib import Path

    from download_nodes.measuring import Measurer
    from microlens.records import AssetRecord
    from microlens.store import WritableStore


async def take_sound(
    measurer: Measurer, store: WritableStore, video: Path, *, codec: str, platform: str, video_id: str
) -> tuple[AssetRecord, Path]:
    """Take the sound out of a video's file, which is only read; gives its record and its temporary file in the store.

    `codec` is what the recipe asks for (`media.audio_codec`); sound that is in it already is kept as it is.
    NoAudioError where there is none to be had.
    """
    identity = {"platform": platform, "video_id": video_id}
    copied, made = store.temporary(), store.temporary()
    try:
        asset = await measurer.extract_audio(video, copied, **identity)
        if codec in {"keep", asset.codecs}:
            return asset, copied
        await transcode(copied, made, codec, video_id=video_id)
        asset = await measurer.measure_sound(made, **identity)
    except BaseException:
        copied.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
        raise
    copied.unlink()
    return asset, made
