"""Playlists as text: what is read from them, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from download_nodes import playlists
from download_nodes.playlists import JOINED_BYTES, Piece, PlaylistError, Variant, parse_playlist

URL = "https://cdn.test/v/1/index.m3u8?token=a"
AT = "https://cdn.test/v/1/"


def media(*lines, end="#EXT-X-ENDLIST"):
    return "\n".join(["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:6", *lines, end])


def test_a_media_playlist_is_its_pieces_in_their_order():
    """What stands before them comes first, once, and again only where it changes."""
    text = media(
        '#EXT-X-MAP:URI="init.mp4"',
        "#EXTINF:6.0,",
        "a.m4s",
        "#EXTINF:6.0,a title",
        "/other/b.m4s?x=1",
        "#EXT-X-DISCONTINUITY",
        '#EXT-X-MAP:URI="init.mp4"',
        "#EXTINF:6.0,",
        "https://far.test/c.m4s",
        '#EXT-X-MAP:URI="init2.mp4"',
        "#EXTINF:2.5,",
        "d.m4s",
    )
    names = ["init.mp4", "a.m4s", "https://cdn.test/other/b.m4s?x=1", "https://far.test/c.m4s", "init2.mp4", "d.m4s"]

    found = parse_playlist(text, URL)

    assert [name if "//" in name else AT + name for name in names] == [piece.url for piece in found.pieces]


def test_byte_ranges_follow_each_other_and_are_asked_for_together():
    """A range without a start goes on where the one before it ended; neighbours are one request, up to a size."""
    text = media(
        '#EXT-X-MAP:URI="v.mp4",BYTERANGE="700@0"',
        "#EXT-X-BYTERANGE:1000@700",
        "#EXTINF:6,",
        "v.mp4",
        "#EXT-X-BYTERANGE:2000",
        "#EXTINF:6,",
        "v.mp4",
        f"#EXT-X-BYTERANGE:{JOINED_BYTES}",
        "#EXTINF:6,",
        "v.mp4",
        "#EXT-X-BYTERANGE:10@5",
        "#EXTINF:6,",
        "v.mp4",
    )

    found = parse_playlist(text, URL).pieces

    v = f"{AT}v.mp4"
    assert (Piece(v, 0, 3700), Piece(v, 3700, JOINED_BYTES), Piece(v, 5, 10)) == found


def test_a_master_playlist_is_its_renditions():
    """Height, bandwidth and the sound of each; pictures for seeking and subtitles are none."""
    text = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="de, AT",LANGUAGE="de",URI="de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="inside",NAME="en"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="a",NAME="en",URI="subs.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="frames.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360,AUDIO="a"
360.m3u8

#EXT-X-STREAM-INF:RESOLUTION=1280x720,AUDIO="inside",BANDWIDTH=x
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=64000
sound.m3u8
"""

    assert (
        Variant(f"{AT}360.m3u8", 360, 500_000, f"{AT}en.m3u8"),
        Variant(f"{AT}720.m3u8", 720, None, None),
        Variant(f"{AT}sound.m3u8", None, 64_000, None),
    ) == parse_playlist(text, URL)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("not_media", "<!doctype html><title>Log in</title>"),
        ("not_media", ""),
        ("bad_playlist", "#EXTM3U\n#EXT-X-ENDLIST"),
        ("bad_playlist", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=a"),
        ("bad_playlist", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-ENDLIST"),
        ("bad_playlist", media("#EXTINF:1,", "http://[broken/a.ts")),
        ("bad_playlist", media("#EXT-X-GAP", "#EXTINF:1,", "a.ts")),
        ("bad_playlist", media("#EXT-X-BYTERANGE:10", "a.ts")),
        ("bad_playlist", media("#EXT-X-BYTERANGE:0@0", "a.ts")),
        ("bad_playlist", media("#EXT-X-BYTERANGE:-5@0", "a.ts")),
        ("bad_playlist", media("#EXT-X-MAP:", "#EXTINF:1,", "a.ts")),
        ("live", media("#EXTINF:1,", "a.ts", end="")),
        ("encrypted", media('#EXT-X-KEY:METHOD=AES-128,URI="k"', "#EXTINF:1,", "a.ts")),
        ("encrypted", media('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://k"', "#EXTINF:1,", "a.ts", end="")),
        ("encrypted", media("#EXT-X-KEY:METHOD=NONE", "a.ts", "#EXT-X-KEY:METHOD=AES-128", "b.ts")),
        ("encrypted", "#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=AES-128\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8"),
    ],
)
def test_what_cannot_be_fetched_has_its_reason(reason, text):
    """Encrypted, live and broken playlists are told apart."""
    with pytest.raises(PlaylistError) as caught:
        parse_playlist(text, URL)

    assert reason == caught.value.reason
    assert URL in str(caught.value)


def test_there_is_a_longest_playlist(monkeypatch):
    """One piece more than MAX_PIECES is too many."""
    monkeypatch.setattr(playlists, "MAX_PIECES", 3)

    assert 3 == len(parse_playlist(media(*["a.ts"] * 3), URL).pieces)
    with pytest.raises(PlaylistError, match="more than 3 pieces"):
        parse_playlist(media(*["a.ts"] * 4), URL)


def test_signatures_do_not_make_another_video():
    """The digest, by which a transfer goes on, forgets hosts and what is signed, and nothing else."""
    one = parse_playlist(media("#EXTINF:1,", "a.ts?n=1&sig=1&expires=1772366400"), URL).digest
    same = ["https://b.test/v/1/a.ts?n=1&sig=2&expires=1772367400", "/v/1/exp=1772366400~hmac=5d41/a.ts?n=1"]
    others = ["b.ts?n=1&sig=1", "a.ts?n=2&sig=1", "a.ts?n=1&made=new&sig=1", "a.ts?n=1&e=5", "/w/1/a.ts?n=1"]

    assert {one} == {parse_playlist(media("#EXTINF:1,", address), URL).digest for address in same}
    assert one not in {parse_playlist(media("#EXTINF:1,", address), URL).digest for address in others}
    assert one != parse_playlist(media("#EXTINF:2,", "a.ts?n=1"), URL).digest
    assert one != parse_playlist(media("a.ts?n=1", "a.ts?n=1"), URL).digest


TAGS = st.sampled_from(
    ["#EXTM3U", "#EXTINF:1,", "#EXT-X-ENDLIST", "#EXT-X-MAP:URI=", "#EXT-X-BYTERANGE:", "#EXT-X-STREAM-INF:", "a.ts"]
)


@given(st.lists(st.tuples(TAGS, st.text(max_size=20)).map("".join), max_size=12).map("\n".join))
def test_nothing_but_its_own_error_comes_of_any_text(text):
    """Whatever a stranger writes is read or refused."""
    try:
        found = parse_playlist("#EXTM3U\n" + text, URL)
    except PlaylistError:
        return
    assert isinstance(found, tuple) or found.digest


def test_a_long_line_is_read_in_no_time():
    """Four megabytes without an attribute are no attribute, and take no minutes to be none."""
    with pytest.raises(PlaylistError):
        parse_playlist("#EXTM3U\n#EXT-X-STREAM-INF:" + "A" * (4 << 20), URL)
