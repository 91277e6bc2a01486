"""The share of the commonest colour, and the hash that similar pictures have in common."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from download_nodes.fingerprint import (
    MIN_HASH_QUALITY,
    dominant_share,
    hash_quality,
    low_frequencies,
    luma_thumbnail,
    phash_hex,
)

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


@given(COLORS, st.integers(50, 95), st.floats(0, 1), st.integers(0, 3))
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


def gradient():
    return np.linspace(0, 255, 640).astype(np.uint8)[None, :, None].repeat(360, 0).repeat(3, 2)


def stripes():
    picture = np.zeros((360, 640, 3), np.uint8)
    picture[:, ::80] = 255
    return picture


def grain(sigma):
    return np.random.default_rng(1).normal(128, sigma, (360, 640, 3)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "picture",
    [np.full((90, 160, 3), 77, np.uint8), gradient(), stripes(), stripes().swapaxes(0, 1), grain(2), grain(16)],
    ids=["blank", "gradient", "stripes", "rows", "grain", "coarse grain"],
)
@pytest.mark.parametrize("quality", [None, 30, 50, 80, 95])
def test_a_picture_without_structure_has_no_hash(picture, quality):
    """Its bits would be chance, and unrelated pictures would match; compression does not lend it structure."""
    image = picture if quality is None else np.asarray(jpeg(Image.fromarray(picture), quality))

    assert hash_quality(low_frequencies(luma_thumbnail(image))) < MIN_HASH_QUALITY / 1.5
    assert phash_hex(image) is None


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 0.95])
def test_a_picture_with_structure_has_a_hash(share):
    """A twentieth of the picture is enough."""
    assert len(phash_hex(np.asarray(cover(share)))) == 64


@given(st.integers(0, 1000), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_unrelated_faint_pictures_never_match(seed, contrast):
    """Either is too flat to have a hash, or the hashes differ in far more than 15 of 256 bits."""
    hashes = [
        phash_hex(
            (128 + contrast * np.random.default_rng(2 * seed + n).normal(0, 1, (64, 64, 1)).repeat(3, 2)).astype("u1")
        )
        for n in range(2)
    ]

    assert None in hashes or distance(*hashes) > 60


@given(st.integers(0, 1000), st.integers(30, 95), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_a_hash_survives_compression_and_scaling(noise, seed, quality, factor):
    """The same picture, smaller and compressed, differs in few of 256 bits; another one in about half."""
    image = Image.fromarray(noise(seed, 360, 640))
    small = jpeg(image.resize((640 // factor, 360 // factor)), quality)
    other = noise(seed + 1, 360, 640)

    assert distance(phash_hex(np.asarray(image)), phash_hex(np.asarray(small))) < 40
    assert distance(phash_hex(np.asarray(image)), phash_hex(other)) > 60
