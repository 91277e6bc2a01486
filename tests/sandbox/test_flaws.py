"""What the world says of a flaw is what the bytes show."""

import io
import unicodedata
from collections import Counter

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from download_nodes.probe import probe_video
from filtering.likeness import Looks, find_alike
from sandbox import flaws
from sandbox.media import MediaFolder
from sandbox.text import SHORT_TITLES, THREE_CHARACTER_TITLES
from sandbox.videos import FPS
from sandbox.world import WorldConfig, generate


def real_characters(title):
    return sum(unicodedata.category(letter)[0] in "LN" for letter in title)


def one_color_share(jpeg):
    """The largest share of pixels within 16 levels a channel of one of the five commonest colours."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).reshape(-1, 3).astype(int)
    cells, cell_of, counts = np.unique(pixels // 8, axis=0, return_inverse=True, return_counts=True)
    centres = (pixels[cell_of.ravel() == cell].mean(axis=0) for cell in np.argsort(-counts)[: min(5, len(cells))])
    return max((np.abs(pixels - centre) <= 16).all(axis=1).mean() for centre in centres)


@pytest.fixture(scope="module")
def world(site):
    return site.world


def with_kind(world, kind):
    return [video for video, its in enumerate(world.videos.flaws.kind) if its == kind]


def test_eighteen_per_cent_are_flawed(demo):
    """Each of the six flaws is on three per cent of the videos, and no video has two."""
    counts = Counter(demo.videos.flaws.kind)

    assert dict.fromkeys(flaws.KINDS, 9) == {kind: counts[kind] for kind in flaws.KINDS}


def test_short_titles_are_short(demo):
    """A flawed title has at most two real characters, any other at least three."""
    short = set(with_kind(demo, flaws.TITLE))

    for video, title in enumerate(demo.videos.titles):
        assert (real_characters(title) <= 2) == (video in short)


def test_title_lists_hold_what_they_say():
    """Short titles have none, one or two real characters; the shortest kept ones have three."""
    assert {0, 1, 2} == {real_characters(title) for title in SHORT_TITLES}
    assert {3} == {real_characters(title) for title in THREE_CHARACTER_TITLES}


def test_some_kept_titles_are_borderline_or_hostile(demo):
    """Three-character titles and titles with markup exist, and none of them is flawed."""
    dealt = demo.videos.flaws
    hostile = [demo.videos.titles[video] for video in dealt.hostile_title]

    assert all(real_characters(demo.videos.titles[video]) == 3 for video in dealt.three_characters)
    assert dealt.three_characters
    assert hostile
    assert all("<" in title or ";" in title for title in hostile)
    assert not any(dealt.kind[video] for video in dealt.three_characters | dealt.hostile_title)


def test_single_color_covers_are_of_one_color(world, folder):
    """A flawed cover is more than 85% one colour, any other less than 65%, the borderline ones 55 to 60%."""
    flat = set(with_kind(world, flaws.COVER))
    shares = {video: one_color_share(folder.read(video, "cover")) for video in range(len(world.videos.ids))}
    borderline = [video for video in shares if 0 < world.videos.flaws.flat_share[video] < 0.65]

    assert min(shares[video] for video in flat) > 0.85
    assert max(share for video, share in shares.items() if video not in flat) < 0.65
    assert borderline
    assert all(0.54 < shares[video] < 0.61 for video in borderline)


def test_small_clips_are_small(world, folder):
    """Small clips are under 95,000 bytes but for one of 99,999; others over 110,000 but for one of 100,000."""
    small = set(with_kind(world, flaws.SMALL))
    sizes = {video: len(folder.read(video, "video")) for video in range(len(world.videos.ids))}
    flawed = sorted(size for video, size in sizes.items() if video in small)
    kept = sorted(size for video, size in sizes.items() if video not in small)

    assert flawed[-1] == 99_999
    assert flawed[-2] < 95_000
    assert kept[0] == 100_000
    assert kept[1] >= 110_000


def test_duplicates_have_their_originals_bytes_and_own_covers(world, folder):
    """A duplicate's clip and sound are its original's to the byte; its cover, title and id are its own."""
    copies = with_kind(world, flaws.DUPLICATE)
    assert copies
    for copy in copies:
        original = int(world.videos.flaws.source[copy])

        assert folder.read(copy, "video") == folder.read(original, "video")
        assert folder.read(copy, "audio") == folder.read(original, "audio")
        assert folder.read(copy, "cover") != folder.read(original, "cover")
        assert world.videos.titles[copy] != world.videos.titles[original]


def test_no_other_clips_are_equal(world, folder):
    """There are as many different clips as there are originals."""
    clips = {folder.read(video, "video") for video in range(len(world.videos.ids))}

    assert len(clips) == len(set(world.videos.flaws.source.tolist()))


def frames_of(body, at_s):
    """The frame at each time in grey, 64 by 48, and the file's width and length."""
    with av.open(io.BytesIO(body)) as container:
        shown = {frame.time: frame for frame in container.decode(video=0)}
        frames = [shown[min(shown, key=lambda time: abs(time - wanted))] for wanted in at_s]
        pictures = [frame.reformat(64, 48, "gray").to_ndarray().astype(float).ravel() for frame in frames]
        return pictures, frames[0].width, len(shown) / FPS


def test_near_copies_show_their_originals_scenes_after_another_encoder(world, folder):
    """Smaller, other bytes, some cut short by a tenth to a fifth; where both show a moment the pictures correlate."""
    copies = with_kind(world, flaws.NEAR)
    dealt = world.videos.flaws
    lengths = []
    for copy in copies:
        original = int(dealt.scenes[copy])
        length = world.videos.duration_s(original)
        start = round(dealt.span[copy, 0] * length * FPS) / FPS
        own, width, seconds = frames_of(folder.read(copy, "video"), [0.1, 0.6, 1.1])
        others, wide, _ = frames_of(folder.read(original, "video"), [start + 0.1, start + 0.6, start + 1.1])
        lengths.append(seconds / length)

        assert width < wide
        assert seconds == pytest.approx(world.videos.duration_s(copy))
        assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(own, others, strict=True)) > 0.9
        assert folder.read(copy, "audio") != folder.read(original, "audio")
    assert 1 == max(lengths)
    assert 0.78 < min(lengths) < 0.92


@settings(max_examples=25, deadline=None)
@given(st.integers(30, 120), st.integers(0, 10_000))
def test_duplicates_are_liked_less_than_their_originals(videos, seed):
    """Every duplicate has a flawless original with more likes; every other video shows its own scenes."""
    world = generate(WorldConfig(videos=videos, users=10, seed=seed))
    dealt = world.videos.flaws
    for video, (kind, source, scenes) in enumerate(
        zip(dealt.kind, dealt.source.tolist(), dealt.scenes.tolist(), strict=True)
    ):
        if kind in (flaws.DUPLICATE, flaws.NEAR):
            assert world.videos.likes[scenes] > world.videos.likes[video]
            assert world.videos.flaws.kind[scenes] == ""
            assert world.videos.topic[scenes] == world.videos.topic[video]
        else:
            assert scenes == video
        assert source == (scenes if kind == flaws.DUPLICATE else video)


def test_all_near_copies_of_the_demo_can_be_found(demo, tmp_path):
    """Measured as a node measures them, the copies are told from what they are not copies of: the README's nine."""
    made, dealt = MediaFolder(demo, tmp_path), demo.videos.flaws
    near = with_kind(demo, flaws.NEAR)
    videos = sorted({*near, *(int(dealt.scenes[copy]) for copy in near)})
    looks = []
    for video in videos:
        path = tmp_path / f"{video}.mp4"
        path.write_bytes(made.read(video, "video"))
        facts = probe_video(path)
        looks.append(Looks(demo.videos.ids[video], 0, facts.duration_s, facts.frame_hashes, facts.phash))
    alike = {tuple(sorted((videos[pair.left], videos[pair.right]))) for pair in find_alike(looks, bits=15)}
    shown = {video: int(dealt.scenes[video]) for video in videos}

    assert 9 == len(near)
    assert {tuple(sorted((copy, shown[copy]))) for copy in near} <= alike
    assert all(shown[left] == shown[right] for left, right in alike)
