"""All filters together: one verdict a row, the first objection wins."""

import random
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filtering.early import Thresholds, passes_early
from filtering.verdict import Measured, decide
from microlens.recipe import Seeds
from microlens.records import Verdict

GOOD = Measured(
    "v1",
    "A good title",
    like_count=20,
    cover_is_decodable=True,
    cover_share=0.3,
    video_bytes=200_000,
    video_is_decodable=True,
    video_sha256="aa",
)
PAPER = Thresholds()
WORDS = st.none() | st.sampled_from(["gone", "timeout"])
ROWS = st.lists(
    st.builds(
        Measured,
        video_id=st.text(min_size=1, max_size=3),
        title=st.none() | st.sampled_from(["", "ab", "abc", "你好吗"]),
        like_count=st.none() | st.integers(0, 3),
        page_failure=st.none() | st.none() | WORDS,
        refusal=st.none() | st.none() | st.just("sensitive"),
        is_selected=st.sampled_from([True, True, False]),
        has_cover=st.booleans(),
        cover_failure=WORDS,
        cover_is_decodable=st.sampled_from([True, True, False, None]),
        cover_share=st.none() | st.floats(),
        has_video=st.booleans(),
        video_failure=WORDS,
        video_bytes=st.none() | st.integers(99_999, 100_001),
        video_is_decodable=st.sampled_from([True, True, False, None]),
        video_sha256=st.none() | st.sampled_from(["aa", "bb"]),
    ),
    unique_by=lambda row: row.video_id,
)
KEEPABLE = st.lists(
    st.builds(replace, st.just(GOOD), video_id=st.text(min_size=1), video_sha256=st.sampled_from(["aa", "bb"])),
    unique_by=lambda row: row.video_id,
)


def verdict(**changes):
    (only,) = decide([replace(GOOD, **changes)], PAPER, Seeds(min_likes=10))
    return only


def test_a_good_video_is_kept():
    """A kept video has no reason."""
    assert verdict() == Verdict("v1", is_kept=True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"page_failure": "gone", "title": None}, ("gone", "page", None, None)),
        ({"page_failure": "robots"}, ("robots", "page", None, None)),
        ({"refusal": "sensitive"}, ("sensitive", "owner", None, None)),
        ({"is_selected": False}, ("unpopular", "popularity", 20, 10)),
        ({"is_selected": False, "like_count": 9}, ("unpopular", "popularity", 9, 10)),
        ({"title": "ab!"}, ("title_too_short", "title", 2, 3)),
        ({"title": None}, ("title_missing", "title", None, 3)),
        ({"cover_share": 0.9}, ("cover_single_color", "cover", 0.9, 0.75)),
        ({"cover_share": None, "cover_is_decodable": None, "has_cover": False}, ("cover_missing", "cover", None, 0.75)),
        (
            {"cover_share": None, "cover_is_decodable": None, "cover_failure": "timeout"},
            ("cover_timeout", "cover", None, 0.75),
        ),
        ({"cover_is_decodable": False, "cover_share": None}, ("cover_not_decodable", "cover", 0, 1)),
        ({"video_bytes": 5}, ("video_too_small", "video", 5, 100_000)),
        ({"video_bytes": None, "video_failure": "gone"}, ("video_gone", "video", None, 100_000)),
        ({"video_is_decodable": False}, ("video_not_decodable", "video", 0, 1)),
    ],
)
def test_a_dropped_video_says_by_which_filter_and_number(changes, expected):
    """Reason, filter, measured value and threshold stand in the verdict."""
    found = verdict(**changes)

    assert not found.is_kept
    assert expected == (found.reason, found.filter, found.measured, found.threshold)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"cover_is_decodable": False, "cover_share": None, "cover_error": "broken"}, "broken"),
        ({"video_is_decodable": False, "video_error": "decoder_timeout"}, "decoder_timeout"),
        ({"is_selected": False, "category": "music"}, "music"),
        ({"is_selected": False, "category": "film", "language": "de"}, "de"),
        ({"title": "!"}, None),
    ],
)
def test_what_no_number_can_say_is_told_in_a_word(changes, detail):
    """Why a file does not decode, which category, which language."""
    rules = Seeds(min_likes=10, categories=("film",), languages=("en",))
    (found,) = decide([replace(GOOD, **changes)], PAPER, rules)

    assert (False, detail) == (found.is_kept, found.detail)


def test_a_copy_names_the_one_that_is_kept():
    """Equal bytes of a video that is itself dropped for one like it are twins of that one."""
    frames = tuple(f"{random.Random(seed).getrandbits(256):064x}" for seed in (3, 5, 6))
    first = replace(GOOD, video_frames=frames, video_duration_s=9.0)
    rows = [
        replace(first, video_id="bytes", like_count=1),
        replace(first, video_id="alike", like_count=2),
        replace(first, video_id="stays", like_count=3, video_sha256="bb"),
        replace(GOOD, video_id="other", video_sha256="cc"),
    ]
    found = {verdict.video_id: (verdict.reason, verdict.twin_of) for verdict in decide(rows, PAPER, Seeds())}

    assert {
        "bytes": ("duplicate_video", "stays"),
        "alike": ("near_duplicate_video", "stays"),
        "stays": (None, None),
        "other": (None, None),
    } == found


def test_the_first_objection_gives_the_reason():
    """Page, owner, popularity, title, cover, video, duplicates: mending one fault shows the next."""
    faults = {
        "page_failure": "private",
        "refusal": "download_disabled",
        "is_selected": False,
        "title": "!",
        "cover_share": 1.0,
        "video_bytes": 1,
        "video_is_decodable": False,
    }
    reasons = []
    for fault in list(faults):
        reasons.append(verdict(**faults).filter)
        del faults[fault]

    assert reasons == ["page", "owner", "popularity", "title", "cover", "video", "video"]


def test_a_copy_that_fails_a_filter_drives_nobody_out():
    """The most-liked copy has no usable cover, so the other one stays."""
    rows = [replace(GOOD, video_id="liked", like_count=99, cover_share=1.0), GOOD]

    assert [found.is_kept for found in decide(rows, PAPER, Seeds())] == [False, True]


def test_a_video_without_a_hash_is_nobodys_duplicate():
    """Unknown bytes are not equal to unknown bytes."""
    rows = [replace(GOOD, video_sha256=None), replace(GOOD, video_id="v2", video_sha256=None)]

    assert [found.is_kept for found in decide(rows, PAPER, Seeds())] == [True, True]


def test_two_rows_for_one_video_are_refused():
    """They would have two verdicts, or one that depends on their order."""
    with pytest.raises(ValueError, match="2 rows describe 1 videos"):
        decide([GOOD, GOOD], PAPER, Seeds())


@given(ROWS | KEEPABLE, st.randoms())
def test_every_row_is_kept_or_dropped_once_whatever_the_order(rows, random):
    """One verdict a row, in the rows' order; a reason exactly where a row is dropped; shuffling changes none."""
    verdicts = decide(rows, PAPER, Seeds(min_likes=1))
    shuffled = random.sample(rows, len(rows))

    assert [row.video_id for row in rows] == [found.video_id for found in verdicts]
    assert all(found.is_kept == (found.reason is None) == (found.filter is None) for found in verdicts)
    kept = {found.video_id for found in verdicts if found.is_kept}
    assert all((found.twin_of in kept) is (found.filter == "duplicates") for found in verdicts)
    assert {found.video_id: found for found in verdicts} == {
        found.video_id: found for found in decide(shuffled, PAPER, Seeds(min_likes=1))
    }


@given(ROWS | KEEPABLE)
def test_a_node_never_skips_the_comments_of_a_video_that_is_kept(rows):
    """The early check lets through whatever integration keeps."""
    kept = {found.video_id for found in decide(rows, PAPER, Seeds()) if found.is_kept}

    early = {
        row.video_id
        for row in rows
        if passes_early(row.title, row.cover_share, row.cover_is_decodable, row.video_bytes, PAPER)
    }

    assert kept <= early


@pytest.mark.parametrize(
    ("changed", "passes"),
    [
        ({}, True),
        ({0: "ab"}, False),
        ({1: 0.76}, False),
        ({1: None}, False),
        ({2: None}, False),
        ({3: 9}, False),
        ({3: None}, False),
    ],
)
def test_the_early_check_looks_at_title_cover_and_size(changed, passes):
    """Each of the three can end it, and so can a measurement that is missing."""
    facts = ["abc", 0.75, True, 100_000]
    for at, value in changed.items():
        facts[at] = value

    assert passes is passes_early(*facts, PAPER)


@given(ROWS, st.integers(0, 5), st.floats(0, 1), st.integers(0, 200_000))
def test_laxer_thresholds_never_drop_more_before_duplicates(rows, characters, share, size):
    """What one set of thresholds lets through, a laxer one lets through as well."""
    strict = Thresholds(max(characters, 3), min(share, 0.75), max(size, 100_000))

    def passed(thresholds):
        return {v.video_id for v in decide(rows, thresholds, Seeds()) if v.is_kept or v.filter == "duplicates"}

    assert passed(strict) <= passed(PAPER)


def test_a_million_rows_may_pass_by():
    """Rows are read once, and of each some 1,300 bytes stay; as it was given it has over 3,000."""
    hashes = [f"{number:064x}" for number in range(16)]

    def rows():
        for number in range(3000):
            own = {
                "video_id": f"v{number}",
                "video_sha256": f"{number:064x}",
                "video_frames": [*map(str.upper, hashes)],
            }
            yield replace(GOOD, **own)

    tracemalloc.start()
    try:
        kept = sum(found.is_kept for found in decide(rows(), replace(PAPER, near_duplicate_bits=0), Seeds()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert 3000 == kept
    assert peak < 3000 * 2000
