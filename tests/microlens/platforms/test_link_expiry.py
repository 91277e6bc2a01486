"""When a link ends, as its address tells."""

import pytest

from microlens.platforms.link_expiry import expiry_of, is_signed

NOON_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z."""


@pytest.mark.parametrize(
    "tail",
    [
        "?expires=1772366400",
        "?Expires=1772366400&Signature=abc~def&Key-Pair-Id=K1",
        "?x-expires=1772366400&x-signature=5d41",
        "?a=1&e=1772366400000&h=5d41",
        "?exp=1772366400",
        "?expire=1772366400&ip=0.0.0.0",
        "?oh=00_AfB&oe=69A42A40",
        "?txSecret=5d41&txTime=69A42A40",
        "?X-Amz-Date=20260301T110000Z&X-Amz-Expires=3600&X-Amz-Signature=5d41402abc4b",
        "?X-Goog-Expires=3600&X-Goog-Date=20260301T110000Z",
        "?sv=2022&se=2026-03-01T12%3A00%3A00Z&sig=abc",
        "?auth_key=1772366400-0-0-5d41402abc4b2a76",
        "?hdnts=st=1772360000~exp=1772366400~acl=/*~hmac=5d41402abc4b",
        "?hdnts=st%3D1772360000%7Eexp%3D1772366400%7Ehmac%3D5d41402abc4b",
        "?expires=1772366400&expires=1",
        "?e=1772366400&exp=1999999999",
    ],
)
def test_a_link_tells_its_end(tail):
    """Absolute, hexadecimal, ISO, relative or inside a token: it is one moment; of several the earliest counts."""
    assert NOON_MS == expiry_of(f"https://cdn.example/v/17.mp4{tail}")


def test_a_path_can_tell_it_too():
    """A token that is part of the path is read as one in the query."""
    assert NOON_MS == expiry_of("https://cdn.example/exp=1772366400~hmac=5d41402abc4b/17.mp4")


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/17.mp4",
        "https://cdn.example/17.mp4?e=5",
        "https://cdn.example/17.mp4?expires=soon",
        "https://cdn.example/17.mp4?expires=9999999999",
        "https://cdn.example/17.mp4?expires=0000000001",
        "https://cdn.example/17.mp4?oe=65A1",
        "https://cdn.example/17.mp4?t=1772366400",
        "https://cdn.example/17.mp4?X-Amz-Expires=3600",
        "https://cdn.example/17.mp4?X-Amz-Date=20261301T110000Z&X-Amz-Expires=3600",
        "https://cdn.example/17.mp4?X-Amz-Date=20260301T110000Z&X-Amz-Expires=99999999999999999999",
        "https://cdn.example/17.mp4?se=2026",
        "https://cdn.example/1772366400.mp4",
        "http://[broken/17.mp4?expires=1772366400",
        "",
    ],
)
def test_what_is_no_moment_tells_nothing(url):
    """Small numbers, words, far years, halves of a pair and broken addresses are no end, and no error."""
    assert expiry_of(url) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://cdn.example/17.mp4?sig=abc", True),
        ("https://cdn.example/17.mp4?a=1&X-Amz-Signature=5d41", True),
        ("https://cdn.example/exp=1772366400~hmac=5d41402abc4b/17.mp4", True),
        ("https://cdn.example/17.mp4?hdnts=exp=1772366400~hmac=5d41402abc4b", True),
        ("https://cdn.example/17.mp4?size=large&v=3", False),
        ("https://cdn.example/signature/17.mp4", False),
    ],
)
def test_a_signature_is_known_by_its_name(url, expected):
    """Only what names itself a signature counts: a version or a size does not."""
    assert expected == is_signed(url)
