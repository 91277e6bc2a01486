"""Which videos show the same, from the hashes of their pictures, their lengths and their sounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filtering import hash_index, likeness
from filtering.drop import Drop
from filtering.duplicates import check_near_duplicates
from filtering.hash_index import HashIndex
from filtering.likeness import Looks, find_alike

RNG = np.random.default_rng(16)


def picture():
    """The hash of a picture that is like no other."""
    ones = np.zeros(256, np.uint8)
    ones[RNG.permutation(256)[:128]] = 1
    return np.packbits(ones).tobytes().hex()


def changed(hexadecimal, bits):
    """The same picture after another encoder: so many bits differ."""
    flips = sum(1 << int(place) for place in RNG.permutation(256)[:bits])
    return f"{int(hexadecimal, 16) ^ flips:064x}"


SCENES = [picture() for _ in range(40)]
ORIGINAL = Looks("a", 100, 20.0, tuple(SCENES[:10]))


def copy(frames, bits=4, **changes):
    """A less liked video with other bytes that shows these frames."""
    shown = {"video_id": "b", "like_count": 50, "frames": tuple(changed(frame, bits) for frame in frames)}
    return replace(ORIGINAL, **{**shown, **changes})


def dropped(*videos, bits=15):
    return check_near_duplicates(videos, bits)


def test_a_copy_by_another_encoder_is_dropped():
    """The drop tells in how many bits the pictures differ on average, and how many may."""
    (drop,) = dropped(ORIGINAL, copy(SCENES[:10], bits=4)).items()

    assert ("b", Drop("near_duplicate_video", "duplicates", 4, 15, twin_of="a")) == drop


@pytest.mark.parametrize(("bits", "is_dropped"), [(15, True), (16, False), (40, False)])
def test_pictures_are_alike_up_to_the_threshold(bits, is_dropped):
    """Fifteen bits are alike, sixteen are not."""
    assert is_dropped == bool(dropped(ORIGINAL, copy(SCENES[:10], bits)))


def test_a_recipe_may_ask_for_fewer_bits_or_none():
    """With a threshold of 3 a copy that differs in 4 stays; with 0 nothing is looked for, whatever the hashes say."""
    videos = ORIGINAL, copy(SCENES[:10], bits=4)

    assert {} == dropped(*videos, bits=3)
    assert {} == dropped(ORIGINAL, replace(ORIGINAL, video_id="b"), bits=0)


@pytest.mark.parametrize(
    ("frames", "duration_s", "is_dropped"),
    [
        (SCENES[2:10], 16.0, True),
        (SCENES[:8], 16.0, True),
        ([*SCENES[20:24], *SCENES[2:8]], 16.0, True),
        (SCENES[:10], 14.0, True),
        (SCENES[:10], 13.9, False),
        (SCENES[:10], 28.6, False),
        (SCENES[:10], None, False),
        (SCENES[:10], float("nan"), False),
    ],
)
def test_a_copy_may_be_cut_short_but_not_to_pieces(frames, duration_s, is_dropped):
    """Other frames at its ends do not hide it; below seven tenths of the length it is an excerpt."""
    assert is_dropped == bool(dropped(ORIGINAL, copy(frames, duration_s=duration_s)))


@pytest.mark.parametrize(("shared", "is_dropped"), [(3, False), (4, True)])
def test_the_same_opening_is_not_the_same_video(shared, is_dropped):
    """Four tenths of the pictures must be alike."""
    assert is_dropped == bool(dropped(ORIGINAL, copy([*SCENES[:shared], *SCENES[20 : 30 - shared]])))


def test_the_same_cards_frame_different_videos():
    """An opening and a closing picture in common are too few where there is anything between them."""
    one, other = (
        copy([SCENES[0], between, SCENES[1]], video_id=name) for name, between in (("a", SCENES[2]), ("b", SCENES[3]))
    )

    assert {} == dropped(one, other)


def test_pictures_count_in_their_order():
    """The same scenes in the opposite order are another video: only one of them keeps its place."""
    assert {} == dropped(ORIGINAL, copy(SCENES[9::-1]))


def test_a_still_picture_with_another_sound_is_another_video():
    """However often a still was hashed it is one picture, and says nothing of what is talked about over it."""
    talk, other = (copy([SCENES[0]] * 16, video_id=name, middle=SCENES[0], cover=SCENES[0]) for name in "ab")

    assert {} == dropped(talk, other)
    assert {} == dropped(replace(talk, sound_sha256="x"), replace(other, sound_sha256="y"))


@pytest.mark.parametrize("changes", [{"cover": SCENES[5]}, {"frames": (SCENES[5],)}, {"middle": SCENES[5]}])
def test_a_still_picture_with_the_same_sound_is_the_same_video(changes):
    """The same bytes of sound over a like picture or under a like cover."""
    first = Looks("a", 2, 9.0, sound_sha256="x", **changes)
    second = replace(first, video_id="b", like_count=1)

    assert {"b"} == dropped(first, second).keys()


def test_the_same_sound_alone_is_not_the_same_video():
    """A song is shared by many videos."""
    assert {} == dropped(
        Looks("a", 2, 9.0, SCENES[:5], cover=SCENES[6], sound_sha256="x"),
        Looks("b", 2, 9.0, SCENES[7:12], cover=SCENES[13], sound_sha256="x"),
    )


def test_flat_and_unknown_pictures_are_like_nothing():
    """Black frames and videos without hashes are nobody's duplicates."""
    black = ("0" * 64,) * 10
    videos = [Looks("a", 1, 9.0, black), Looks("b", 1, 9.0, black), Looks("c", 1, 9.0), Looks("d", 1, 9.0)]

    assert {} == dropped(*videos)


def test_a_picture_that_everybody_shows_tells_nothing(monkeypatch):
    """A platform's own frames, in more videos than `COMMONEST`, tie none of them together."""
    monkeypatch.setattr(likeness, "COMMONEST", 20)
    cards = SCENES[:3]
    crowd = [copy([*cards, SCENES[20]], bits=2, video_id=f"v{n:02d}") for n in range(30)]

    assert not list(find_alike(crowd, 15))
    assert list(find_alike(crowd[:10], 15))


@pytest.mark.parametrize("bits", [0, 5])
def test_a_common_picture_costs_no_more_than_others(monkeypatch, bits):
    """Twice the videos with one end card, or one cover, in equal or in like copies, are compared twice as often."""
    made = []

    class Counted(HashIndex):
        def __init__(self, hashes):
            super().__init__(hashes)
            made.append(self)

    def compared(count):
        made.clear()
        crowd = [
            Looks(f"v{n}", n, 9.0, (picture(), changed(SCENES[0], bits)), cover=SCENES[1], sound_sha256=f"{n // 2}")
            for n in range(count)
        ]
        assert count // 2 == sum(1 for _ in find_alike(crowd, 15))
        return sum(index.compared for index in made)

    monkeypatch.setattr(likeness, "HashIndex", Counted)
    monkeypatch.setattr(likeness, "COMMONEST", 20)
    monkeypatch.setattr(hash_index, "FIRST_LOOK", 64)
    monkeypatch.setattr(hash_index, "_SHORTEST_TAIL", 0)  # below, all is compared with all
    few, many = compared(1_000), compared(2_000)

    assert many <= 2.2 * few
    assert many <= 2_000 * 3 * 2 * 64


@pytest.mark.parametrize("commonest", [2, 256])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 3), st.integers(0, 9)), max_size=24))
def test_like_covers_of_one_sound_are_all_told(commonest, facts):
    """Every two videos of one sound whose covers are alike are in one cluster, however common the cover."""
    covers = [[changed(SCENES[one], 0), *(changed(SCENES[one], 3) for _ in range(9))] for one in range(4)]
    videos = [Looks(f"v{n}", cover=covers[one][way], sound_sha256=sound) for n, (sound, one, way) in enumerate(facts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likeness, "COMMONEST", commonest)
        drops = check_near_duplicates(videos, 15)

    assert len({fact[:2] for fact in facts}) == len(videos) - len(drops)


def test_of_a_cluster_the_most_liked_survives():
    """Copies of copies are one cluster, its ends unlike; unknown likes rank last, of equals the smaller id."""
    steps = [
        copy(SCENES[start : start + 10], video_id=name, like_count=likes)
        for start, name, likes in ((0, "d", 5), (5, "c", 9), (10, "b", 9), (15, "a", None))
    ]
    alone = copy(SCENES[30:], video_id="e", like_count=1)

    assert {"a", "c", "d"} == dropped(*steps, alone).keys()


VIDEOS = st.lists(
    st.builds(
        Looks,
        video_id=st.text(min_size=1, max_size=2),
        like_count=st.none() | st.integers(0, 3),
        duration_s=st.none() | st.floats() | st.sampled_from([9.0, 10.0]),
        frames=st.lists(st.sampled_from([*SCENES[:6], changed(SCENES[0], 9), "0" * 64]), max_size=8),
        middle=st.none() | st.sampled_from(SCENES[:6]),
        cover=st.none() | st.sampled_from(SCENES[:6]),
        sound_sha256=st.none() | st.sampled_from("xy"),
    ),
    unique_by=lambda video: video.video_id,
)


@settings(deadline=None)
@given(VIDEOS, st.randoms(), st.integers(0, 15))
def test_which_videos_are_dropped_does_not_depend_on_their_order(videos, random, bits):
    """Shuffling changes nothing, somebody always stays, and a drop's number is within its threshold."""
    drops = dropped(*videos, bits=bits)

    assert drops == dropped(*random.sample(videos, len(videos)), bits=bits)
    assert len(drops) < max(1, len(videos))
    assert all(0 <= drop.measured <= drop.threshold == bits for drop in drops.values())
