"""How the site writes counts: what a page says is the truth."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.platforms.quantities import parse_count
from sandbox.spellings import SPELLINGS, Spelling, said, spell
from sandbox.world import WorldConfig, generate

COUNTS = st.integers(0, 10**11)


@pytest.mark.parametrize(
    ("count", "spelling", "text"),
    [
        (12_345, Spelling.PLAIN, 12_345),
        (12_345, Spelling.GROUPED, "12,345"),
        (12_300, Spelling.SHORT, "12.3K"),
        (12_000, Spelling.SHORT, "12K"),
        (3_400_000, Spelling.SHORT, "3.4M"),
        (999, Spelling.SHORT, "999"),
        (12_345, Spelling.SHORT, "12,345"),
        (12_000, Spelling.MYRIAD, "1.2万"),
        (340_000_000, Spelling.MYRIAD, "3.4亿"),
        (9_999, Spelling.MYRIAD, "9,999"),
        (12_345, Spelling.ARABIC, "١٢٬٣٤٥"),
    ],
)
def test_a_count_is_written_as_large_sites_do(count, spelling, text):
    """What a short spelling cannot say exactly is written in full."""
    assert text == spell(count, spelling)


@given(COUNTS, st.sampled_from(SPELLINGS))
def test_every_spelling_says_its_count(count, spelling):
    """Read back, a written count is the count, cut or not."""
    assert count == parse_count(spell(count, spelling))
    assert said(count, spelling) == parse_count(spell(said(count, spelling), spelling))


@given(COUNTS, st.sampled_from(SPELLINGS))
def test_a_cut_count_loses_less_than_a_tenth_of_its_unit(count, spelling):
    """It is never more than the count, and cut again it stays."""
    cut = said(count, spelling)

    assert 0 <= count - cut <= count // 10
    assert cut == said(cut, spelling)


def test_every_spelling_is_on_the_demos_site(demo):
    """About two in five videos do not write plain numbers, each other way among them, short ones with their units."""
    videos = demo.videos
    written = [str(spell(int(likes), how)) for likes, how in zip(videos.likes, videos.spelling, strict=True)]

    assert set(SPELLINGS) == set(videos.spelling)
    assert 0.3 < np.mean([how is not Spelling.PLAIN for how in videos.spelling]) < 0.5
    for pattern in (r"\d+(\.\d)?K", r"\d+(\.\d)?万", r"\d+,\d{3}", "[\u0660-\u0669\u066c]+"):
        assert any(re.fullmatch(pattern, text) for text in written), pattern


def test_a_few_sound_videos_have_more_likes_than_views(demo):
    """One in a hundred, and no other."""
    videos = demo.videos

    assert 3 == len(videos.more_likes_than_views)
    assert videos.more_likes_than_views == set(np.flatnonzero(videos.likes > videos.views).tolist())
    assert all(videos.flaws.kind[video] == "" for video in videos.more_likes_than_views)


@pytest.mark.parametrize("seed", range(5))
def test_cutting_moves_no_video_over_a_threshold(seed):
    """Copies and their originals keep their exact likes, so that the same one survives."""
    videos = generate(WorldConfig(videos=90, users=10, seed=seed)).videos
    copies = [video for video in range(90) if videos.flaws.source[video] != video]

    assert copies
    assert all(videos.likes[videos.flaws.source[video]] > videos.likes[video] for video in copies)
    assert (videos.likes == 10_000).sum() >= 1
