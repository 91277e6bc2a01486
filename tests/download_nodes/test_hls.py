"""A video in pieces: what it is put together to, what is refused, and where a killed transfer goes on."""

import asyncio
import hashlib
import io
import random

import av
import pytest

from download_nodes import hls, transfer
from download_nodes.fetch import Fetcher, FetchError
from download_nodes.partial import OVERLAP_BYTES
from microlens.network import NetworkPolicy
from tests.download_nodes.desk import QUICK, recipe_of
from tests.download_nodes.wire import File, Wire

INIT, A, B, C = (random.Random(seed).randbytes(size) for seed, size in enumerate((900, 700_000, 800_000, 60_000)))


def playlist(*lines):
    return File("\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode())


@pytest.fixture
def wire():
    with Wire() as running:
        running.answers |= {
            "/v/index.m3u8": playlist('#EXT-X-MAP:URI="i"', "#EXTINF:6,", "a", "#EXTINF:6,", "b", "#EXTINF:6,", "c"),
            "/v/i": File(INIT),
            "/v/a": File(A),
            "/v/b": File(B),
            "/v/c": File(C),
        }
        yield running


@pytest.fixture
def paid():
    return []


@pytest.fixture
def get(wire, tmp_path, paid):
    """Try once to fetch a playlist of the site: the bytes, or the error; `media` are keys of the recipe."""

    def run(path="/v/index.m3u8", *, max_bytes=10_000_000, forbidden="", accept=None, allow="127.0.0.1/32", **more):
        polite, media = {key: more.pop(key) for key in ["min_bytes_per_s"] if key in more}, more

        async def why_not(asked):
            return "robots" if forbidden and forbidden in asked else None

        async def await_turn(asked):
            paid.append(asked.removeprefix(wire.url))

        async def go():
            recipe = recipe_of(wire.url, politeness=QUICK | polite, media=media)
            fetcher = Fetcher(recipe, NetworkPolicy([allow]), why_not, await_turn)
            address = path if "://" in path else wire.url + path
            try:
                async with fetcher.playlist(
                    address, tmp_path / "v.part", max_bytes=max_bytes, accept=accept
                ) as fetched:
                    body = fetched.path.read_bytes()
                    assert (hashlib.sha256(body).hexdigest(), len(body)) == (fetched.sha256, fetched.size_bytes)
                    return body
            finally:
                await fetcher.close()

        try:
            return asyncio.run(go())
        except FetchError as error:
            return error

    return run


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def asked(wire):
    return [one.path for one in wire.asked]


def test_the_pieces_are_one_file(wire, get, tmp_path, paid):
    """Init segment and segments stand one after the other as they came; all but the first request are paid for."""
    assert INIT + A + B + C == get()
    assert ["/v/index.m3u8", "/v/i", "/v/a", "/v/b", "/v/c"] == asked(wire)
    assert asked(wire)[1:] == paid
    assert [] == left(tmp_path)


def test_ranges_of_one_file(wire, get):
    """Pieces that are ranges of a file are asked for as such, neighbours together."""
    wire.answers["/v/all"], wire.answers["/v/c"] = File(INIT + A + B), File(C)
    wire.answers["/v/r.m3u8"] = playlist(
        '#EXT-X-MAP:URI="all",BYTERANGE="900@0"', "#EXT-X-BYTERANGE:700000@900", "all", "#EXT-X-BYTERANGE:500@0", "c"
    )

    assert INIT + A + C[:500] == get("/v/r.m3u8")
    assert ["bytes=0-700899", "bytes=0-499"] == [one.headers["range"] for one in wire.asked[1:]]


@pytest.mark.parametrize("file", [File(INIT + A, ranges=False), File(INIT + A, told_shift=1)])
def test_a_server_that_does_not_keep_to_ranges_is_left(wire, get, file):
    """What came is not the piece that was asked for, and another try would bring the same."""
    wire.answers["/v/all"] = file
    wire.answers["/v/r.m3u8"] = playlist("#EXT-X-BYTERANGE:500@100", "all")
    error = get("/v/r.m3u8")

    assert ("bad_playlist", True) == (error.refusal.reason, error.refusal.is_final)


@pytest.mark.parametrize(
    ("media", "name"),
    [
        ({"max_height": 480}, "b"),
        ({"max_height": 100}, "a"),
        ({"rendition": "best"}, "c"),
        ({"rendition": "smallest"}, "a"),
    ],
)
def test_the_recipe_says_which_rendition(wire, get, media, name):
    """A master playlist's renditions are chosen among by the rule that holds for files."""
    lines = []
    for height, one in ((720, "c"), (360, "b"), (240, "a")):
        lines += [f"#EXT-X-STREAM-INF:RESOLUTION=9x{height},BANDWIDTH={height}", f"{one}.m3u8"]
        wire.answers[f"/v/{one}.m3u8"] = playlist(one)
    wire.answers["/v/master.m3u8"] = playlist(*lines)

    assert wire.answers[f"/v/{name}"].body == get("/v/master.m3u8", **media)
    assert ["/v/master.m3u8", f"/v/{name}.m3u8", f"/v/{name}"] == asked(wire)


def test_a_transfer_goes_on_at_the_piece_where_it_stopped(wire, get, tmp_path):
    """What is complete is asked for its last bytes alone; the piece that broke is asked for from its start."""
    wire.answers["/v/b"] = File(B, cut_after=[400_000] * 3)
    assert "truncated" == get().refusal.reason
    assert ["v.part", "v.part.origin"] == left(tmp_path)
    wire.asked.clear()

    assert INIT + A + B + C == get()
    assert ["/v/index.m3u8", "/v/a", "/v/b", "/v/c"] == asked(wire)
    assert [f"bytes=-{OVERLAP_BYTES}", None, None] == [one.headers.get("range") for one in wire.asked[1:]]
    assert [] == left(tmp_path)


def test_a_piece_is_tried_again_at_once(wire, get):
    """One broken piece does not cost the item a try."""
    wire.answers["/v/b"] = File(B, cut_after=[400_000] * (hls.PIECE_TRIES - 1))

    assert INIT + A + B + C == get()


def test_pieces_that_trickle_are_too_slow(wire, get, monkeypatch):
    """The least speed is that of the video: a server whose pieces each end before it is measured gains nothing."""
    monkeypatch.setattr(transfer, "WINDOW_S", 1.0)
    monkeypatch.setattr(transfer, "_MARK_EVERY_S", 0.1)

    async def trickle(_asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(5):
            writer.write(b"x" * 20)
            await writer.drain()
            await asyncio.sleep(0.05)

    wire.answers["/v/index.m3u8"] = playlist(*[f"{number}" for number in range(40)])
    wire.answers |= {f"/v/{number}": trickle for number in range(40)}
    error = get(min_bytes_per_s=8000)

    assert ("too_slow", False) == (error.refusal.reason, error.refusal.is_final)
    assert len(wire.asked) < 20


def test_a_host_that_asks_for_rest_is_not_pressed(wire, get, tmp_path):
    """429 ends the try, and what came stays."""

    async def rest(_asked, writer):
        writer.write(b"HTTP/1.1 429 No\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n")

    wire.answers["/v/b"] = rest
    error = get()

    assert ("rate_limited", 7.0) == (error.refusal.reason, error.retry_after_s)
    assert 1 == asked(wire).count("/v/b")
    assert ["v.part", "v.part.origin"] == left(tmp_path)


def test_links_to_pieces_that_run_out_are_read_anew(wire, get):
    """A piece that is refused after others came is asked for again by what its playlist says then."""
    wire.answers["/v/index.m3u8"] = playlist("a?n=1&expires=1772366401", "b?n=2&expires=1772366401")
    wire.answers["/v/a?n=1&expires=1772366401"] = File(A)
    assert ("truncated", False) == ((error := get()).refusal.reason, error.refusal.is_final)
    wire.answers["/v/index.m3u8"] = playlist("a?n=1&expires=1772366402", "b?n=2&expires=1772366402")
    wire.answers |= {"/v/a?n=1&expires=1772366402": File(A), "/v/b?n=2&expires=1772366402": File(B)}

    assert A + B == get()
    assert f"bytes=-{OVERLAP_BYTES}" == wire.asked[-2].headers["range"]


@pytest.mark.parametrize(
    "old",
    [
        playlist("#EXTINF:6,", "a?made=new&n=1", "#EXTINF:6,", "b"),
        playlist("#EXTINF:5,", "a", "#EXTINF:6,", "b"),
        playlist("#EXTINF:6,", "a", "#EXTINF:6,", "b"),
    ],
    ids=["another query", "other durations", "the very same playlist"],
)
@pytest.mark.parametrize("ranges", [True, False])
def test_two_encodings_are_never_one_file(wire, get, old, ranges):
    """If the video was made anew between two tries nothing of the old pieces stays, however alike their names are."""
    wire.answers["/v/index.m3u8"] = old
    wire.answers["/v/a?made=new&n=1"] = wire.answers["/v/a"] = File(A)
    wire.answers["/v/b"] = File(B, cut_after=[10] * 3)
    get()
    wire.answers["/v/index.m3u8"] = playlist("#EXTINF:6,", "a", "#EXTINF:6,", "b")
    wire.answers |= {"/v/a": File(B[::-1], ranges=ranges), "/v/b": File(A[::-1])}

    assert B[::-1] + A[::-1] == get()


def test_the_end_of_a_range_is_compared(wire, get):
    """Pieces that are ranges of one file are asked for the end of the last range that is there."""
    wire.answers["/v/r.m3u8"] = playlist("#EXT-X-BYTERANGE:5000@100", "a", "#EXT-X-BYTERANGE:500@0", "c")
    wire.answers["/v/c"] = File(C, cut_after=[10] * 3)
    get("/v/r.m3u8")
    wire.asked.clear()

    assert A[100:5100] + C[:500] == get("/v/r.m3u8")
    assert [f"bytes={5100 - OVERLAP_BYTES}-5099", "bytes=0-499"] == [one.headers["range"] for one in wire.asked[1:]]


def test_another_playlist_is_another_video(wire, get):
    """If the pieces changed in between, all begins anew."""
    wire.answers["/v/b"] = File(B, cut_after=[10] * 3)
    get()
    wire.answers["/v/index.m3u8"] = playlist("c", "a")

    assert C + A == get()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.2:{port}/v/a", "forbidden_address"),
        ("http://10.0.0.1/v/a", "forbidden_address"),
        ("http://[::1]:{port}/v/a", "forbidden_address"),
        ("file:///etc/passwd", "forbidden_address"),
        ("data:text/plain,hello", "forbidden_address"),
        ("concat:/etc/passwd", "forbidden_address"),
        ("http://127.0.0.1:{port}/private/a", "robots"),
    ],
)
@pytest.mark.parametrize("place", ["segment", "map", "rendition", "sound", "redirect"])
def test_no_address_in_a_playlist_leads_astray(wire, get, place, target, reason):
    """Whatever a playlist names is checked like any other address, and robots.txt is asked."""
    target = target.format(port=wire.port)

    async def redirect(_asked, writer):
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())

    wire.answers["/v/to"] = redirect
    sound = f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="s",URI="{target}"'
    wire.answers["/v/bad.m3u8"] = {
        "segment": playlist("#EXTINF:1,", target),
        "map": playlist(f'#EXT-X-MAP:URI="{target}"', "#EXTINF:1,", "a"),
        "rendition": playlist("#EXT-X-STREAM-INF:BANDWIDTH=1", target),
        "sound": playlist(sound, '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="s"', "index.m3u8"),
        "redirect": playlist("#EXTINF:1,", "to"),
    }[place]
    error = get("/v/bad.m3u8", forbidden="/private/")

    assert (reason, True) == (error.refusal.reason, error.refusal.is_final)
    assert {"/v/bad.m3u8", "/v/to", "/v/index.m3u8"} >= set(asked(wire))


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        ("encrypted", ['#EXT-X-KEY:METHOD=AES-128,URI="http://10.0.0.1/key"', "a"]),
        ("bad_playlist", ["#EXT-X-STREAM-INF:BANDWIDTH=1", "bad.m3u8"]),
        ("gone", ["nothing"]),
    ],
)
def test_a_playlist_that_cannot_be_fetched_is_final(wire, get, tmp_path, reason, lines):
    """Encrypted, nested without end, or with pieces that are gone: nothing is left of it."""
    wire.answers["/v/bad.m3u8"] = playlist(*lines)
    error = get("/v/bad.m3u8")

    assert (reason, True) == (error.refusal.reason, error.refusal.is_final)
    assert len(wire.asked) <= 3
    assert [] == left(tmp_path)


def test_a_live_playlist_is_refused(wire, get):
    """Without an end there is no video yet."""
    wire.answers["/v/live.m3u8"] = File(b"#EXTM3U\n#EXTINF:6,\na\n")

    assert "live" == get("/v/live.m3u8").refusal.reason
    assert ["/v/live.m3u8"] == asked(wire)


def test_the_limit_holds_for_the_sum(wire, get, tmp_path):
    """All pieces together may have max_bytes, and not one byte more."""
    size = len(INIT + A + B + C)

    assert size == len(get(max_bytes=size))
    assert "too_large" == get(max_bytes=size - 1).refusal.reason
    assert [] == left(tmp_path)


def test_a_long_playlist_is_not_read(wire, get):
    """Beyond four megabytes it is no playlist any more."""
    wire.answers["/v/long.m3u8"] = File(b"#EXTM3U\n" + b"a\n" * (2 << 20))

    assert "too_large" == get("/v/long.m3u8").refusal.reason


def test_the_first_piece_shows_what_it_is(wire, get, tmp_path):
    """A page in place of the video ends the transfer with its first bytes."""
    shown = []

    def refuse(head):
        shown.append(head)
        raise LookupError

    with pytest.raises(LookupError):
        get(accept=refuse)
    assert [INIT[:512]] == shown
    assert [] == left(tmp_path)


# --- real media ---


def _pieces(clip, folder, kind, *streams):
    """A clip in pieces of about half a second, by FFmpeg's own segmenter; gives playlist and files by name."""
    folder.mkdir()
    options = {"hls_time": "0.5", "hls_list_size": "0", "hls_segment_type": kind, "hls_flags": "split_by_time"}
    with av.open(str(clip)) as source, av.open(str(folder / "p.m3u8"), "w", format="hls", options=options) as out:
        made = {number: out.add_stream_from_template(source.streams[number]) for number in streams}
        for packet in source.demux([source.streams[number] for number in streams]):
            if packet.dts is not None:
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    return {path.name: File(path.read_bytes()) for path in folder.iterdir()}


def _facts(body, container):
    """Frames of picture that decode, and packets of sound: whether the first of these is heard, an edit list says."""
    with av.open(io.BytesIO(body), format=container) as file:
        packets = list(file.demux())
        frames = [frame for packet in packets if packet.stream.type == "video" for frame in packet.decode()]
        return len(frames), sum(packet.stream.type == "audio" and packet.size > 0 for packet in packets)


@pytest.mark.parametrize(("kind", "container"), [("fmp4", "mp4"), ("mpegts", "mpegts")])
def test_real_pieces_are_a_real_video(wire, get, clip, tmp_path_factory, kind, container):  # noqa: PLR0917 - fixtures
    """Fragmented MP4 and transport stream, put together, hold each frame of the clip."""
    files = _pieces(clip, tmp_path_factory.mktemp("made") / kind, kind, 0, 1)
    wire.answers |= {f"/x/{name}": file for name, file in files.items()}

    body = get("/x/p.m3u8")

    assert len(files) >= 4
    assert _facts(clip.read_bytes(), "mp4") == _facts(body, container)


@pytest.mark.parametrize("kinds", [("fmp4", "fmp4"), ("mpegts", "mpegts"), ("fmp4", "mpegts")])
def test_a_sound_that_lies_apart_is_joined(wire, get, clip, tmp_path, kinds):
    """Picture and sound of a master playlist become one MP4, the same bytes each time, with every frame of both."""
    for name, kind, stream in (("picture", kinds[0], 0), ("sound", kinds[1], 1)):
        files = _pieces(clip, tmp_path / name, kind, stream)
        wire.answers |= {f"/x/{name}/{file}": made for file, made in files.items()}
    wire.answers["/x/m.m3u8"] = playlist(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="s",URI="sound/p.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="s"',
        "picture/p.m3u8",
    )

    body = get("/x/m.m3u8")

    assert _facts(clip.read_bytes(), "mp4") == _facts(body, "mp4")
    assert body == get("/x/m.m3u8")
    assert ["picture", "sound"] == left(tmp_path)


def test_the_limit_holds_for_picture_and_sound_together(wire, get, clip, tmp_path):
    """What lies apart may have max_bytes in all."""
    size = 0
    for name, stream in (("picture", 0), ("sound", 1)):
        files = _pieces(clip, tmp_path / name, "fmp4", stream)
        wire.answers |= {f"/x/{name}/{file}": made for file, made in files.items()}
        size += sum(len(made.body) for file, made in files.items() if not file.endswith(".m3u8"))
    wire.answers["/x/m.m3u8"] = playlist(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="s",URI="sound/p.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="s"',
        "picture/p.m3u8",
    )

    assert len(get("/x/m.m3u8", max_bytes=size)) <= size
    assert "too_large" == get("/x/m.m3u8", max_bytes=size - 1).refusal.reason
    assert ["picture", "sound"] == left(tmp_path)


def test_a_joined_file_has_its_limit_too(clip, tmp_path):
    """Where putting together makes more of it than max_bytes, it ends there."""
    with pytest.raises(FetchError, match="too_large"):
        asyncio.run(hls._join(clip, clip, tmp_path / "joined", max_bytes=5000))

    assert (tmp_path / "joined").stat().st_size <= 5000


def test_junk_cannot_be_joined(wire, get, tmp_path):
    """Bytes that are no media, or a playlist in their place, cost this one item."""
    wire.answers["/v/m.m3u8"] = playlist(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="s",URI="s.m3u8"', '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="s"', "p.m3u8"
    )
    wire.answers["/v/p.m3u8"], wire.answers["/v/s.m3u8"] = playlist("a"), playlist("list")
    wire.answers["/v/list"] = playlist("file:///etc/passwd")
    error = get("/v/m.m3u8")

    assert ("not_media", True) == (error.refusal.reason, error.refusal.is_final)
    assert [] == left(tmp_path)
