"""The share of the commonest colour, and the hash that similar pictures have in common."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from download_nodes.fingerprint import dominant_share, phash_hex

COLORS = st.tuples(*[st.integers(0, 255)] * 3)


def cover(share, color=(30, 90, 200), height=360, width=640, seed=0):
    """The upper `share` in one colour, below it pixels drawn at random."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    # Blocks as large as a thumbnail's pixel: finer noise would average to one grey.
    picture = picture[:: height // 60, :: width // 60].repeat(height // 60, 0).repeat(width // 60, 1)[:height, :width]
    picture[: round(share * len(picture))] = color
    return Image.fromarray(picture)


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def distance(left, right):
    return (int(left, 16) ^ int(right, 16)).bit_count()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0])
def test_the_share_is_the_painted_share(share):
    """Nine tenths of one colour measure nine tenths; random pixels add next to nothing."""
    assert dominant_share(cover(share)) == pytest.approx(share, abs=0.04)


def test_sixty_and_ninety_percent_lie_on_either_side_of_the_papers_threshold():
    """The filter at 0.75 tells them apart with room to spare."""
    assert dominant_share(cover(0.6)) < 0.70
    assert dominant_share(cover(0.9)) > 0.86


@given(COLORS)
@settings(max_examples=50, deadline=None)
def test_a_flat_picture_is_one_colour_through_and_through(color):
    """No colour lies so that the cells split it."""
    assert dominant_share(Image.new("RGB", (50, 20), color)) == 1.0


@given(COLORS, st.integers(40, 95), st.floats(0, 1), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_jpeg_noise_hardly_moves_the_share(color, quality, share, seed):
    """What compression does to a flat area stays one colour."""
    image = cover(share, color, seed=seed)

    assert dominant_share(jpeg(image, quality)) == pytest.approx(dominant_share(image), abs=0.05)


@given(st.lists(st.integers(0, 4095), max_size=200), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_painting_more_in_the_commonest_colour_never_lowers_the_share(pixels, seed):
    """The share is monotone."""
    picture = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture[:32] = 128
    before = dominant_share(Image.fromarray(picture))
    picture.reshape(-1, 3)[pixels] = 128

    assert before <= dominant_share(Image.fromarray(picture)) <= 1.0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_any_mode_of_picture_has_a_share(mode):
    """Grey, palette, alpha and print colours are all looked at in RGB."""
    image = Image.new("L", (8, 8), 0).convert(mode) if mode != "I;16" else Image.new("I;16", (8, 8))

    assert dominant_share(image) == 1.0


def test_a_flat_picture_has_no_hash():
    """A flat picture's bits would be chance, so it has none; another has 64 digits."""
    assert phash_hex(np.full((90, 160, 3), 77, np.uint8)) is None
    assert len(phash_hex(np.asarray(cover(0.5)))) == 64


@given(st.integers(0, 1000), st.integers(30, 95), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_a_hash_survives_compression_and_scaling(noise, seed, quality, factor):
    """The same picture, smaller and compressed, differs in few of 256 bits; another one in about half."""
    image = Image.fromarray(noise(seed, 360, 640))
    small = jpeg(image.resize((640 // factor, 360 // factor)), quality)
    other = noise(seed + 1, 360, 640)

    assert distance(phash_hex(np.asarray(image)), phash_hex(np.asarray(small))) < 40
    assert distance(phash_hex(np.asarray(image)), phash_hex(other)) > 60
