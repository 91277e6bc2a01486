"""A real release, small, whose covers and videos are real files."""

import io

import av
import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.integration.made import Made, world

VIDEOS = 8


def release_with_media(folder, *, videos=VIDEOS):
    """Integrate and publish a run of so many videos, each of them moving noise of its own."""
    made_world = world(3, videos=videos)
    for number, told in enumerate(made_world.videos.values()):
        told["measured"] = {"cover": {"body": cover(number)}, "video": {"body": clip(number)}}
        told["audio"] = False
    run = Made(folder)
    try:
        return run.fill(made_world).build(name="small").path
    finally:
        run.close()


def noise(seed, height=48, width=64):
    dice = np.random.default_rng(seed)
    return np.asarray(Image.fromarray(dice.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height)))


def cover(number):
    held = io.BytesIO()
    Image.fromarray(noise(1000 + number)).save(held, "JPEG")
    return held.getvalue()


def clip(number, frames=12):
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for at in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noise(100 * number + at), format="rgb24")))
        out.mux(stream.encode())
    return held.getvalue()


def items_of(release):
    return pq.read_table(release / "data" / "items.parquet").sort_by("item_id").to_pylist()
