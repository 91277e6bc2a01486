"""Which videos can be seeds: the paper's floors, and the recipe's lists."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filtering.drop import Drop
from filtering.seeds import check_seed
from microlens.recipe import Seeds

PAPER = Seeds(min_interactions=100)


def video(likes=10_001, comments=101, category=None, language=None):
    return SimpleNamespace(like_count=likes, comment_count=comments, category=category, language=language)


def test_the_papers_seeds_have_more_than_the_floors():
    """10,001 likes and 101 comments are enough; the floors themselves are not, nor are unknown counts."""
    assert check_seed(video(), PAPER) is None
    assert Drop("unpopular", "popularity", 10_000, 10_000) == check_seed(video(likes=10_000), PAPER)
    assert Drop("too_few_interactions", "popularity", 100, 100) == check_seed(video(comments=100), PAPER)
    assert "unpopular" == check_seed(video(likes=None), PAPER).reason
    assert "too_few_interactions" == check_seed(video(comments=None), PAPER).reason


@pytest.mark.parametrize(
    ("told", "asked", "is_taken"),
    [
        ("zh", ["zh"], True),
        ("zh-Hans-CN", ["zh"], True),
        ("ZH-hans", ["en", "zh-Hans"], True),
        ("zh", ["zh-Hans"], False),
        ("zhx", ["zh"], False),
        (None, ["zh"], False),
        (None, [], True),
    ],
)
def test_languages_are_ranges(told, asked, is_taken):
    """A range takes its own tag and all that refine it, in any case of letters."""
    assert is_taken == (check_seed(video(language=told), Seeds(languages=asked)) is None)


@pytest.mark.parametrize(
    ("told", "asked", "is_taken"),
    [("Science & Technology", ["science & technology"], True), ("Music", ["Mus"], False), (None, ["Music"], False)],
)
def test_categories_are_whole_words_of_the_site(told, asked, is_taken):
    """No part of a category's name is enough, and a page that names none is of none."""
    assert is_taken == (check_seed(video(category=told), Seeds(categories=asked)) is None)


@given(
    st.builds(video, *2 * [st.none() | st.integers(0, 20_000)], *2 * [st.none() | st.sampled_from(["a", "b", "a-c"])])
)
def test_the_laxest_rule_takes_every_video(any_video):
    """With -1 and empty lists nothing is asked of a page."""
    assert check_seed(any_video, Seeds(min_likes=-1)) is None
