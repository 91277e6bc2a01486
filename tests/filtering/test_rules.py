"""The rules for covers, videos and duplicates, one by one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filtering.cover import check_cover
from filtering.drop import Drop
from filtering.duplicates import Copy, check_duplicates
from filtering.video import check_video


def cover(share, **facts):
    usual = {"is_offered": True, "failure": None, "is_decodable": True, "max_share": 0.75}
    return check_cover(share=share, **usual | facts)


def video(size_bytes, **facts):
    usual = {"is_offered": True, "failure": None, "is_decodable": True, "min_bytes": 100_000}
    return check_video(size_bytes=size_bytes, **usual | facts)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75])
def test_a_cover_up_to_the_threshold_is_kept(share):
    """Exactly three quarters of one colour is not yet too much."""
    assert cover(share) is None


@pytest.mark.parametrize("share", [math.nextafter(0.75, 1), 1.0, math.nan])
def test_a_cover_of_one_colour_is_dropped(share):
    """The share and the threshold stand beside the reason; what is no number does not pass."""
    drop = cover(share)

    assert drop is not None
    assert (drop.reason, drop.filter, drop.threshold) == ("cover_single_color", "cover", 0.75)
    assert drop.measured is share


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "cover_missing"),
        ({"is_offered": False}, "cover_missing"),
        ({"failure": "gone"}, "cover_gone"),
        ({"is_offered": False, "failure": "gone"}, "cover_missing"),
    ],
)
def test_a_cover_without_a_measurement_says_why(facts, reason):
    """None offered and not fetched: two different things."""
    assert Drop(reason, "cover", None, 0.75) == cover(None, is_decodable=None, **facts)


@pytest.mark.parametrize("is_decodable", [True, False])
def test_a_cover_that_does_not_decode_has_the_decoders_word(is_decodable):
    """None of one file decodes, and why is told beside it."""
    drop = cover(None, is_decodable=is_decodable, error="broken")

    assert Drop("cover_not_decodable", "cover", 0, 1, "broken") == drop


def test_a_measured_cover_forgets_an_earlier_failure():
    """A retry that succeeded counts."""
    assert cover(0.5, failure="timeout") is None


@pytest.mark.parametrize(
    ("size_bytes", "facts", "expected"),
    [
        (100_000, {}, None),
        (100_000, {"failure": "timeout"}, None),
        (99_999, {}, Drop("video_too_small", "video", 99_999, 100_000)),
        (0, {"is_decodable": False}, Drop("video_too_small", "video", 0, 100_000)),
        (100_000, {"is_decodable": False, "error": "cut_off"}, Drop("video_not_decodable", "video", 0, 1, "cut_off")),
        (100_000, {"is_decodable": None}, Drop("video_not_decodable", "video", 0, 1)),
        (None, {}, Drop("video_missing", "video", None, 100_000)),
        (None, {"failure": "too_long"}, Drop("video_too_long", "video", None, 100_000)),
        (None, {"is_offered": False}, Drop("video_missing", "video", None, 100_000)),
    ],
)
def test_a_video_must_be_there_long_enough_and_decodable(size_bytes, facts, expected):
    """In this order, and a size equal to the threshold is kept."""
    assert video(size_bytes, **facts) == expected


def test_the_most_liked_copy_survives():
    """Unknown likes rank below zero likes, and the smaller id decides between equals."""
    copies = [Copy("c", "x", 5), Copy("b", "x", 5), Copy("a", "x", None), Copy("d", "y", None), Copy("e", "z", 0)]

    drops = check_duplicates([*copies, Copy("f", "z", None)])

    assert drops == {
        "c": Drop("duplicate_video", "duplicates", 3, 1, twin_of="b"),
        "a": Drop("duplicate_video", "duplicates", 3, 1, twin_of="b"),
        "f": Drop("duplicate_video", "duplicates", 2, 1, twin_of="e"),
    }


@given(
    st.dictionaries(st.text(min_size=1), st.tuples(st.sampled_from("xyz"), st.none() | st.integers(-1, 3))),
    st.randoms(),
)
def test_one_copy_of_each_file_survives(copies, random):
    """As many stay as there are different files, and the order of the rows decides nothing."""
    rows = [Copy(video_id, sha256, likes) for video_id, (sha256, likes) in copies.items()]
    drops = check_duplicates(rows)
    random.shuffle(rows)

    assert drops == check_duplicates(rows)
    assert sorted({row.sha256 for row in rows}) == sorted(row.sha256 for row in rows if row.video_id not in drops)
