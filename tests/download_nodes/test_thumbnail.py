"""Small pictures for people to look at: drawn anew in another process, with nothing of the file but its pixels."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from download_nodes.measuring import Measurer
from tests.download_nodes import hostile

SECRET = "<script>alert(1)</script>"


def drawn(paths, tmp_path, **limits):
    """The word and the bytes that each cover gives, by one process after another."""

    async def work():
        async with Measurer(**limits) as measurer:
            found = []
            for number, path in enumerate(paths):
                into = tmp_path / f"drawn-{number}"
                found.append((await measurer.draw_thumbnail(path, into), into.read_bytes()))
            return found

    return asyncio.run(work())


@pytest.mark.parametrize(("shape", "size"), [((90, 320), (160, 45)), ((2000, 1000), (80, 160)), ((20, 30), (30, 20))])
def test_a_picture_keeps_its_shape(make_cover, noise, tmp_path, shape, size):
    """Its longer side has 160 pixels at most, and a small one stays as it is."""
    picture = noise(2, *shape)
    ((word, body),) = drawn([make_cover(tmp_path / "a.png", picture)], tmp_path)
    with Image.open(io.BytesIO(body)) as found:
        seen = np.asarray(found.resize((8, 8), Image.Resampling.BOX)).astype(int)

        assert (None, "JPEG", size) == (word, found.format, found.size)
    shown = np.asarray(Image.fromarray(picture).resize((8, 8), Image.Resampling.BOX)).astype(int)
    assert np.abs(seen - shown).mean() < 12


def test_nothing_but_pixels_goes_over(make_cover, noise, tmp_path):
    """Comments, EXIF, text chunks, colour profiles and what follows the picture are left behind."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    told = PngInfo()
    told.add_text("Comment", SECRET)
    paths = [
        make_cover(tmp_path / "a.jpg", noise(1), comment=SECRET, exif=exif, icc_profile=SECRET.encode()),
        make_cover(tmp_path / "b.png", noise(1), pnginfo=told),
    ]
    for path in paths:
        path.write_bytes(path.read_bytes() + SECRET.encode())
        assert SECRET.encode() in path.read_bytes()

    for word, body in drawn(paths, tmp_path):
        assert word is None
        assert body.startswith(b"\xff\xd8\xff")
        assert b"script" not in body


def test_no_file_keeps_another_from_being_drawn(tmp_path, make_cover, make_video):
    """Bombs and stumps give a word and no picture; what comes after them is drawn."""
    cases = [case for case in hostile.corpus(tmp_path, make_cover, make_video) if case.kind == "cover"]
    good = make_cover(tmp_path / "good.jpg")
    *bad, (word, body) = drawn([*(case.path for case in cases), good], tmp_path, time_limit_s=2)
    odd = {
        case.path.name: (word, len(body))
        for case, (word, body) in zip(cases, bad, strict=True)
        if (word is None) is not (len(body) > 0)
        or (word not in case.outcomes and not any("/" in str(outcome) for outcome in case.outcomes))
    }

    assert 10 <= len(cases)
    assert {} == odd
    assert word is None
    assert body.startswith(b"\xff\xd8\xff")
