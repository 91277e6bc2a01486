"""Which of a video's renditions is fetched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.platforms.base import choose_media, choose_rendition
from microlens.records import MediaLink

heights = st.none() | st.sampled_from([144, 240, 360, 480, 720, 1080])
sizes = st.none() | st.integers(1, 1000)
links = st.lists(st.builds(MediaLink, st.just("video"), st.text("ab", max_size=3), heights, sizes), max_size=6)


def height(link):
    return link.height or 0


@given(links, st.sampled_from([100, 480, 2000]), st.sampled_from(["max_height", "smallest", "best"]))
def test_one_of_those_offered_is_chosen_whatever_their_order(offered, limit, rule):
    """The choice is among them, does not hang on their order, and is made wherever there is one."""
    chosen = choose_rendition(offered, max_height=limit, rendition=rule)

    assert (chosen is None) == (not offered)
    if offered:
        assert chosen in offered
        again = choose_rendition(offered[::-1], max_height=limit, rendition=rule)
        assert (chosen.height, chosen.url) == (again.height, again.url)


@given(links.filter(bool), st.sampled_from([100, 480, 2000]))
def test_the_tallest_up_to_the_limit(offered, limit):
    """Nothing taller than the limit is taken if anything else is there, and nothing between them is passed over."""
    chosen = choose_rendition(offered, max_height=limit, rendition="max_height")
    fitting = [height(link) for link in offered if height(link) <= limit]

    assert (max(fitting) if fitting else min(map(height, offered))) == height(chosen)


@given(links.filter(bool))
def test_best_and_smallest(offered):
    """Nothing is taller than the best, nothing smaller than the smallest: by bytes if all tell them, else by height."""
    best = choose_rendition(offered, max_height=1, rendition="best")
    smallest = choose_rendition(offered, max_height=1, rendition="smallest")

    assert max(map(height, offered)) == height(best)
    if all(link.size_bytes for link in offered):
        assert min(link.size_bytes for link in offered) == smallest.size_bytes
    elif known := [link.height for link in offered if link.height]:
        assert min(known) == smallest.height
    assert max((link.size_bytes or 0) for link in offered if height(link) == height(best)) == (best.size_bytes or 0)


@pytest.mark.parametrize("rule", ["max_height", "smallest", "best"])
def test_a_playlist_is_the_last_resort(rule):
    """A file of any height is preferred to a playlist; where there is none, the playlist is taken."""
    playlist = MediaLink("video", "http://cdn.test/m.m3u8", 480, format="hls")
    file = MediaLink("video", "http://cdn.test/v.mp4", 1080)

    assert file == choose_media([playlist, file], "video", max_height=480, rendition=rule)
    assert playlist == choose_media([playlist], "video", max_height=480, rendition=rule)
    assert choose_media([playlist], "audio", max_height=480, rendition=rule) is None
