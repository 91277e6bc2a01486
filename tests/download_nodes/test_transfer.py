"""A file that broke off: what is taken up again, what is begun anew, and that no wrong byte is ever kept."""

import asyncio
import contextlib
import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from download_nodes.fetch import Fetcher, FetchError
from download_nodes.partial import OVERLAP_BYTES, Origin, Partial
from microlens.network import NetworkPolicy
from tests.download_nodes.desk import QUICK, recipe_of
from tests.download_nodes.wire import LONG_AGO, File, Wire, send

BODY = random.Random(5).randbytes(3_000_000)
HALF = 1_500_000


@asynccontextmanager
async def fetcher_of(url, paid=None, **polite):
    """A fetcher for a site on this machine; `paid` gathers what was paid for at its host."""

    async def why_not(_asked):
        return None

    async def await_turn(asked):
        if paid is not None:
            paid.append(asked)

    fetcher = Fetcher(recipe_of(url, politeness=QUICK | polite), NetworkPolicy(["127.0.0.0/8"]), why_not, await_turn)
    try:
        yield fetcher
    finally:
        await fetcher.close()


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def get(wire, tmp_path):
    """Try once to fetch /a: the bytes with what was told of them, or the error."""

    def run(*, max_bytes=10_000_000, accept=None, **polite):
        async def go():
            async with (
                fetcher_of(wire.url, **polite) as fetcher,
                fetcher.download(f"{wire.url}/a", tmp_path / "a.part", max_bytes=max_bytes, accept=accept) as fetched,
            ):
                assert hashlib.sha256(fetched.path.read_bytes()).hexdigest() == fetched.sha256
                assert fetched.path.stat().st_size == fetched.size_bytes
                return fetched.path.read_bytes(), fetched

        try:
            return asyncio.run(go())
        except FetchError as error:
            return error

    return run


def ranges(wire):
    return [asked.headers.get("range") for asked in wire.asked]


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("validators", [{"etag": '"strong"'}, {"etag": None, "modified": LONG_AGO}])
def test_a_broken_transfer_goes_on_where_it_stopped(wire, get, tmp_path, validators):
    """The second try asks for the rest alone, by the validator of the first, and the whole has its hash."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF], **validators)
    assert "truncated" == get().refusal.reason
    assert ["a.part", "a.part.origin"] == left(tmp_path)
    had = (tmp_path / "a.part").stat().st_size

    body, fetched = get()

    assert BODY == body
    assert had == fetched.resumed_bytes > 0
    assert [None, f"bytes={had - OVERLAP_BYTES}-"] == ranges(wire)
    assert next(filter(None, validators.values())) == wire.asked[1].headers["if-range"]
    assert {"identity"} == {asked.headers["accept-encoding"] for asked in wire.asked}
    assert [] == left(tmp_path)


def test_a_short_file_leaves_nothing_beside_it(wire, get, tmp_path):
    """While a cover is measured there is one file, under a name of its own; and none after it."""
    seen = []
    wire.answers["/a"] = File(BODY[:45_000])

    body, _ = get(accept=lambda _head: seen.append(left(tmp_path)))

    assert BODY[:45_000] == body
    assert [1] == [len(names) for names in seen]
    assert "a.part" not in seen[0]
    assert [] == left(tmp_path)


@pytest.mark.parametrize(
    "validators",
    [
        {"etag": None},
        {"etag": 'W/"weak"'},
        {"etag": "unquoted"},
        {"etag": None, "modified": "Thu, 01 Jan 2099 00:00:00 GMT"},
        {"etag": None, "modified": "yesterday"},
    ],
)
def test_without_a_strong_validator_all_is_asked_for_again(wire, get, tmp_path, validators):
    """What may have changed in between is not pieced together."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF], **validators)
    get()
    assert [] == left(tmp_path)

    assert BODY == get()[0]
    assert [None, None] == ranges(wire)


@pytest.mark.parametrize(
    ("second", "requests"),
    [
        (File(BODY, ranges=False), 2),
        (File(BODY[::-1], etag='"two"'), 2),
        (File(BODY, refuse_ranges=416), 3),
        (File(BODY, told_shift=7), 3),
        (File(BODY, shift=100), 3),
        (File(BODY + b"more", etag='"one"'), 3),
        (File(BODY[:-4], etag='"one"'), 3),
    ],
    ids=["ignores", "changed", "416", "other range", "lies", "grew", "shrank"],
)
def test_a_rest_that_does_not_fit_begins_anew(wire, get, tmp_path, second, requests):
    """Whatever the server does with the range, what is kept is the file as it is now."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF])
    get()
    wire.answers["/a"] = second

    body, fetched = get()

    assert second.body == body
    assert 0 == fetched.resumed_bytes
    assert requests == len(wire.asked)
    assert [] == left(tmp_path)


def test_a_second_request_is_paid_for(wire, tmp_path):
    """Where a range was refused, the host's budget is asked once more."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF], refuse_ranges=416)
    paid = []

    async def go():
        async with fetcher_of(wire.url, paid) as fetcher:
            for _ in range(2):
                try:
                    async with fetcher.download(f"{wire.url}/a", tmp_path / "p", max_bytes=10**7) as fetched:
                        return fetched.size_bytes
                except FetchError:
                    assert [] == paid
            return None

    assert len(BODY) == asyncio.run(go())
    assert [f"{wire.url}/a"] == paid


def test_many_breaks_are_one_file(wire, get):
    """However often a transfer breaks, each try brings its part."""
    cuts = random.Random(3)
    wire.answers["/a"] = File(BODY, cut_after=[cuts.randrange(1, 400_000) for _ in range(12)])
    tries = 1
    while isinstance(found := get(), FetchError):
        tries += 1
        assert "truncated" == found.refusal.reason

    assert BODY == found[0]
    assert 13 == tries


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "a.part.origin").unlink(),
        lambda folder: (folder / "a.part.origin").write_text("{"),
        lambda folder: (folder / "a.part.origin").write_text("[]"),
        lambda folder: _boot_again(folder / "a.part.origin"),
        lambda folder: (folder / "a.part").unlink(),
        lambda folder: (folder / "a.part").write_bytes(b""),
    ],
    ids=["no note", "half a note", "another note", "another boot", "no file", "empty file"],
)
def test_what_nobody_vouches_for_is_not_taken_up(wire, get, tmp_path, spoil):
    """After a power cut a file may hold zeros where bytes had been written: then, too, it is fetched whole."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF])
    get()
    spoil(tmp_path)

    assert BODY == get()[0]
    assert [None, None] == ranges(wire)
    assert [] == left(tmp_path)


def _boot_again(note):
    note.write_text(json.dumps({**json.loads(note.read_text()), "boot": "another"}))


def test_bytes_that_changed_on_the_disk_are_found_out(wire, get, tmp_path):
    """A partial file whose end is not what the server has there is given up."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF])
    get()
    with (tmp_path / "a.part").open("r+b") as file:
        file.seek(-100, 2)
        file.write(bytes(100))

    assert BODY == get()[0]


def test_a_file_that_came_whole_costs_its_end_again(wire, get, tmp_path):
    """A process that dies between a file's last byte and the store asks for a thousand bytes, not for all."""
    wire.answers["/a"] = File(BODY)

    async def die():
        async with (
            fetcher_of(wire.url) as fetcher,
            fetcher.download(f"{wire.url}/a", tmp_path / "a.part", max_bytes=10**7),
        ):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(die())
    body, fetched = get()

    assert BODY == body
    assert len(BODY) == fetched.resumed_bytes
    assert f"bytes={len(BODY) - OVERLAP_BYTES}-" == ranges(wire)[1]


class SlowFile(io.FileIO):
    """A file on a slow disk; `late` counts what was asked of it after its end."""

    late = 0

    def read(self, size=-1):
        time.sleep(0.05)
        self.late += self.closed
        return super().read(size)


def test_a_file_is_not_closed_while_it_is_hashed(tmp_path):
    """Who is cancelled at that waits for the thread, which ends at once; the file goes on in the next try."""
    stable, origin = tmp_path / "a.part", Origin('"one"')
    first = Partial(stable)
    first.open()
    first.set_origin(origin)
    first.write(bytes(20_000_000))
    first.leave()
    partial = Partial(stable)
    partial._file.close()
    slow = partial._file = SlowFile(stable, "r+b")

    async def cancel():
        going = asyncio.ensure_future(partial.go_back(19_000_000))
        await asyncio.sleep(0.1)
        going.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await going
        partial.leave()
        await asyncio.sleep(0.2)

    asyncio.run(cancel())
    again = Partial(stable)
    found = again.size_bytes, again.origin
    again.drop()

    assert 0 == slow.late
    assert (20_000_000, origin) == found


def test_one_writer_at_a_time(wire, tmp_path):
    """A second transfer of the same file has a file of its own, and both are whole."""
    wire.answers["/a"] = File(BODY)

    async def go():
        async with fetcher_of(wire.url) as fetcher:

            async def one():
                async with fetcher.download(f"{wire.url}/a", tmp_path / "a.part", max_bytes=10**7) as fetched:
                    await asyncio.sleep(0.2)
                    return fetched.path.name, fetched.path.read_bytes() == BODY

            return await asyncio.gather(*[one() for _ in range(4)])

    found = asyncio.run(go())

    assert 4 == len({name for name, _ in found})
    assert 1 == [name for name, _ in found].count("a.part")
    assert {True} == {is_whole for _, is_whole in found}
    assert [] == left(tmp_path)


@pytest.mark.parametrize("reason", ["not_media", "too_large", "gone"])
def test_what_no_try_can_mend_is_not_kept(wire, get, tmp_path, reason):
    """A transfer that ends for good leaves no partial file, the one of an earlier try included."""
    wire.answers["/a"] = File(BODY, cut_after=[HALF])
    get()
    if reason == "gone":
        del wire.answers["/a"]
    else:
        wire.answers["/a"] = File(BODY[::-1], etag='"two"')

    def refuse(_head):
        raise LookupError("not_media")

    if reason == "not_media":
        with pytest.raises(LookupError):
            get(accept=refuse)
    else:
        assert reason == get(max_bytes=2_000_000).refusal.reason
    assert [] == left(tmp_path)


def test_the_first_bytes_decide(wire, get):
    """What is not wanted ends after its first half a kilobyte, however long it would be."""
    wire.answers["/a"] = File(bytes(9_000_000))
    shown = []

    def refuse(head):
        shown.append(len(head))
        raise LookupError

    with pytest.raises(LookupError):
        get(accept=refuse)

    assert [512] == shown


def test_a_file_that_is_shorter_than_its_head_is_shown_whole(wire, get):
    """Ten bytes are shown as ten, and none as none."""
    shown = []
    for body in (b"0123456789", b""):
        wire.answers["/a"] = File(body)
        get(accept=shown.append)

    assert [b"0123456789", b""] == shown


def _start(method, url, folder):
    command = [sys.executable, "-m", "tests.download_nodes.fetch_alone", method, url, str(folder)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)


def _kill_until_done(method, url, folder, sent, every_bytes):
    """Kill the process that fetches, each time that so many bytes were sent; how often that took."""
    kills = 0
    while not (folder / "done").exists():
        with _start(method, url, folder) as child:
            began, before = time.monotonic(), sum(sent)
            while sum(sent) < before + every_bytes and child.poll() is None and time.monotonic() < began + 30:
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
        kills += 1
    return kills


def _slowly(body, sent):
    """A file that comes at five megabytes a second, and knows ranges."""

    async def answer(asked, writer):
        first, _, last = asked.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        start = int(first) if first else len(body) - int(last)
        status = f"206 P\r\nContent-Range: bytes {start}-{len(body) - 1}/{len(body)}" if start else "200 OK"
        head = f'HTTP/1.1 {status}\r\nContent-Length: {len(body) - start}\r\nETag: "one"\r\n\r\n'
        writer.write(head.encode())
        for at in range(start, len(body), 50_000):
            writer.write(body[at : at + 50_000])
            sent.append(len(body[at : at + 50_000]))
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


def test_a_killed_process_goes_on_where_it_was(wire, tmp_path):
    """SIGKILL at any moment: the file is whole in the end, and little came twice."""
    sent = []
    wire.answers["/a"] = _slowly(BODY, sent)

    kills = _kill_until_done("download", f"{wire.url}/a", tmp_path, sent, 1_300_000)

    assert BODY == (tmp_path / "done").read_bytes()
    assert 2 <= kills <= 5
    assert sum(sent) < 2 * len(BODY)


def test_a_killed_process_goes_on_at_the_piece_where_it_was(wire, tmp_path):
    """The same of a video in pieces: none that was complete is asked for again."""
    sent, pieces = [], [BODY[at : at + 300_000] for at in range(0, len(BODY), 300_000)]
    wire.answers |= {f"/{number}": _slowly(piece, sent) for number, piece in enumerate(pieces)}
    lines = ["#EXTM3U", *map(str, range(len(pieces))), "#EXT-X-ENDLIST"]
    wire.answers["/p.m3u8"] = File("\n".join(lines).encode())

    kills = _kill_until_done("playlist", f"{wire.url}/p.m3u8", tmp_path, sent, 1_000_000)

    assert BODY == (tmp_path / "done").read_bytes()
    assert 2 <= kills <= 5
    asked = [asked.headers.get("range") for asked in wire.asked if asked.path != "/p.m3u8"]
    assert asked.count(None) <= len(pieces) + kills
    assert asked.count(f"bytes=-{OVERLAP_BYTES}") <= kills


def test_memory_does_not_grow_with_the_file(wire, tmp_path):
    """Two hundred megabytes need no more than one."""
    chunk = BODY[:1_000_000]

    def of(count):
        async def answer(_asked, writer):
            await send(writer, f"HTTP/1.1 200 OK\r\nContent-Length: {count * len(chunk)}\r\n\r\n".encode())
            for _ in range(count):
                await send(writer, chunk)

        return answer

    peaks = {}
    for count in (1, 200):
        wire.answers[f"/{count}"] = of(count)
        with _start("download", f"{wire.url}/{count}", tmp_path) as child:
            size, peaks[count] = map(int, child.stdout.read().split())
        assert count * len(chunk) == size

    assert peaks[200] - peaks[1] < 20_000 * (1024 if sys.platform == "darwin" else 1)
