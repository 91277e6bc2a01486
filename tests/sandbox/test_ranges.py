"""Media over HTTP: whole, in parts, or not again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.ranges import UnsatisfiableRangeError, find_range


@pytest.fixture(scope="module")
def cover_url(site, plain_id):
    return f"{site.url}/media/{plain_id}/cover.jpg"


@pytest.fixture(scope="module")
def cover(cover_url, fetch):
    return fetch(cover_url)


def test_files_are_those_of_the_world(site, folder, fetch, plain_id):
    """The site sends the bytes that the world makes, each kind under its own type."""
    video = site.world.index[plain_id]
    for file, kind, mime in (
        ("cover.jpg", "cover", "image/jpeg"),
        ("audio.m4a", "audio", "audio/mp4"),
        ("video.mp4", "video", "video/mp4"),
    ):
        answer = fetch(f"{site.url}/media/{plain_id}/{file}")

        assert answer.body == folder.read(video, kind)
        assert (answer.headers["Content-Type"], answer.headers["Accept-Ranges"]) == (mime, "bytes")


def test_a_range_is_a_part(cover_url, cover, fetch):
    """A range answers 206 with those bytes alone and says where they lie."""
    part = fetch(cover_url, Range="bytes=10-29")

    assert (part.status, part.body) == (206, cover.body[10:30])
    assert part.headers["Content-Range"] == f"bytes 10-29/{len(cover.body)}"


def test_an_open_range_goes_to_the_end(cover_url, cover, fetch):
    """An interrupted download is completed by the range from where it stopped."""
    rest = fetch(cover_url, Range="bytes=1000-", If_Range=cover.headers["ETag"])

    assert (rest.status, cover.body[:1000] + rest.body) == (206, cover.body)


def test_a_range_of_another_version_is_the_whole(cover_url, cover, fetch):
    """If-Range with another ETag answers 200 with all bytes."""
    answer = fetch(cover_url, Range="bytes=1000-", If_Range='"another"')

    assert (answer.status, answer.body) == (200, cover.body)


def test_a_range_past_the_end_is_refused(cover_url, cover, fetch):
    """A range that begins after the last byte answers 416 and names the size."""
    answer = fetch(cover_url, Range=f"bytes={len(cover.body)}-")

    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(cover.body)}")


def test_a_known_file_is_not_sent_again(cover_url, cover, fetch):
    """If-None-Match with the file's ETag answers 304 without bytes; with another one the file is sent."""
    etag = cover.headers["ETag"]
    known, unknown = (fetch(cover_url, If_None_Match=its) for its in (f'"old", {etag}', '"old"'))

    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", etag)
    assert unknown.status == 200


def test_head_has_the_length_and_no_bytes(cover_url, cover, fetch):
    """HEAD answers as GET does, without the bytes."""
    answer = fetch(cover_url, method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(cover.body)
    assert answer.headers["ETag"] == cover.headers["ETag"]


@given(st.integers(1, 60), st.integers(0, 80), st.integers(0, 80))
def test_ranges_stay_inside_the_file(size, first, last):
    """A range is what slicing gives, whole if it is backwards, refused if it begins past the end."""
    body = bytes(range(size))
    if last < first:
        assert find_range(f"bytes={first}-{last}", size) is None
    elif first >= size:
        with pytest.raises(UnsatisfiableRangeError):
            find_range(f"bytes={first}-{last}", size)
    else:
        start, end = find_range(f"bytes={first}-{last}", size)

        assert body[start:end] == body[first : last + 1]


@given(st.integers(1, 60), st.integers(1, 80))
def test_a_suffix_range_is_the_end(size, count):
    """`bytes=-n` is the last n bytes, or all if there are fewer."""
    assert find_range(f"bytes=-{count}", size) == (max(0, size - count), size)


@pytest.mark.parametrize("header", ["", "bytes=-", "bytes=1-2,5-6", "lines=1-2", "bytes=a-b"])
def test_other_ranges_mean_the_whole(header):
    """Several ranges, other units and junk are ignored, as RFC 9110 allows."""
    assert find_range(header, 100) is None
