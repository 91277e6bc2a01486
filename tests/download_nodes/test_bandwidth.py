"""Limits of bandwidth: kept by all transfers, processes and machines together, and never held against a transfer."""

import asyncio
import gzip
import random
import time
from contextlib import asynccontextmanager

import pytest

from download_nodes import transfer
from download_nodes.bandwidth import Bandwidth
from download_nodes.courtesy import Courtesy
from download_nodes.fetch import FetchError
from download_nodes.supervise import _Doorbell
from microlens.frontier import host_of
from microlens.outcomes import HostRestsError
from tests.crawler.site import Reply
from tests.download_nodes.desk import QUICK, Desk
from tests.download_nodes.fleet import NodeProcess, wait_until
from tests.download_nodes.sharing import NO_COMMENTS
from tests.download_nodes.wire import Wire, send

MB = 1_000_000
BODY = random.Random(11).randbytes(MB)
PIECES = b"#EXTM3U\n#EXTINF:6,\n/media/a\n#EXTINF:6,\n/media/b\n#EXT-X-ENDLIST\n"


@pytest.fixture
def limited(desk):
    """A run with a limit of its hosts (None: none), and other politeness besides."""

    def make(of_host, **polite):
        return desk.make(politeness=QUICK | polite | {"bytes_per_second": of_host}, filters=NO_COMMENTS)

    return make


@asynccontextmanager
async def process_of(desk, *, of_node=None):
    """What one process of a node fetches with."""
    courtesy = Courtesy(desk.again(), desk.frontier, most=48, bytes_per_s=of_node)
    try:
        yield courtesy
    finally:
        await courtesy.close()


async def download(desk, courtesy, url, name="a.part"):
    async with courtesy.fetcher.download(url, desk.folder / name, max_bytes=10 * MB) as fetched:
        return fetched.path.read_bytes()


async def playlist(desk, courtesy, url):
    async with courtesy.fetcher.playlist(url, desk.folder / "v.part", max_bytes=10 * MB) as fetched:
        return fetched.path.read_bytes()


def elapsed_s(began):
    return time.monotonic() - began


def test_all_transfers_of_a_host_keep_its_limit_together(desk, limited, site):
    """Two processes, four files at once: what is more than a second's worth takes the time that its bytes take."""
    limited(2 * MB)
    site.files |= {f"/media/{name}": BODY for name in "abcd"}

    async def fetch():
        async with process_of(desk) as one, process_of(desk) as other:
            jobs = zip("abcd", (one, other, one, other), strict=True)
            return await asyncio.gather(
                *(download(desk, courtesy, f"{site.url}/media/{name}", name) for name, courtesy in jobs)
            )

    began = time.monotonic()
    bodies = asyncio.run(fetch())

    assert elapsed_s(began) >= 4 / 2 - 1
    assert [BODY] * 4 == bodies


def test_all_hosts_of_a_machine_keep_its_limit_together(desk, limited, site):
    """Its processes too, whatever host each of them reads."""
    limited(None)
    site.files |= {f"/media/{name}": BODY for name in "abcd"}

    async def fetch():
        async with process_of(desk, of_node=2 * MB) as one, process_of(desk, of_node=2 * MB) as other:
            jobs = zip("abcd", (0, 1, 0, 1), (one, one, other, other), strict=True)
            await asyncio.gather(
                *(download(desk, courtesy, f"{site.address(host)}/media/{name}", name) for name, host, courtesy in jobs)
            )

    began = time.monotonic()
    asyncio.run(fetch())

    assert elapsed_s(began) >= 4 / 2 - 1


def test_a_limit_is_each_hosts_own(desk, limited, site):
    """What one host has used up is no other's: its account was never opened."""
    limited(2 * MB)
    site.files |= {"/media/a": BODY}

    async def fetch():
        async with process_of(desk) as courtesy:
            await download(desk, courtesy, f"{site.address(1)}/media/a")

    asyncio.run(fetch())
    accounts = [key.decode().partition(":bytes:")[2] for key in desk._client.keys("*:bytes:*")]

    assert host_of(site.address(1)) in accounts
    assert host_of(site.address(0)) not in accounts


def test_pages_count_too(desk, limited, site):
    """A list of comments is paid for after it came, before its collector goes on."""
    limited(2 * MB)
    site.files["/page"] = BODY

    async def fetch():
        async with process_of(desk) as courtesy:
            return await asyncio.gather(*(courtesy.page(f"{site.url}/page", is_paid=True) for _ in range(4)))

    began = time.monotonic()

    assert [BODY] * 4 == asyncio.run(fetch())
    assert elapsed_s(began) >= 4 / 2 - 1


def test_the_pieces_of_a_video_count_too(desk, limited, site):
    """All pieces of its playlist, as they come."""
    limited(MB)
    site.files |= {"/media/a": BODY, "/media/b": BODY, "/v.m3u8": PIECES}

    async def fetch():
        async with process_of(desk) as courtesy:
            return await playlist(desk, courtesy, f"{site.url}/v.m3u8")

    began = time.monotonic()

    assert BODY * 2 == asyncio.run(fetch())
    assert elapsed_s(began) >= 2 / 1 - 1


def test_what_counts_is_what_came_over_the_wire(desk, limited, site):
    """Ten compressed megabytes are ten kilobytes; an empty answer is nothing."""
    limited(100_000)
    packed = {"Content-Encoding": "gzip"}
    site.script("/page", Reply(body=gzip.compress(bytes(10 * MB)), headers=packed), Reply(body=b""))

    async def fetch():
        async with process_of(desk) as courtesy:
            return [len(await courtesy.page(f"{site.url}/page", is_paid=True)) for _ in range(2)]

    assert [10 * MB, 0] == asyncio.run(fetch())
    assert 0.0 == desk.frontier.spend(host_of(site.url), 0, 100_000)


def test_no_limit_keeps_no_account(desk, limited, site):
    """Without a limit nothing is asked of Redis, and a body is read as it would be anyway."""
    limited(None)
    site.files["/media/a"] = BODY

    async def fetch():
        async with process_of(desk) as courtesy:
            assert courtesy.fetcher._bandwidth is None
            await download(desk, courtesy, f"{site.url}/media/a")

    asyncio.run(fetch())

    assert [] == [key for key in desk._client.keys("*:bytes:*") if desk.run.shared_name.encode() in key]


def test_time_spent_waiting_is_not_the_transfers(desk, limited, site, monkeypatch):
    """It is twice as slow as the least speed, later than its deadline, idle for too long; and it comes."""
    monkeypatch.setattr(transfer, "WINDOW_S", 0.5)
    monkeypatch.setattr(transfer, "_MARK_EVERY_S", 0.1)
    limited(400_000, min_bytes_per_s=800_000, file_timeout_s=0.7, idle_s=0.1)
    site.files["/media/a"] = BODY

    async def fetch():
        async with process_of(desk) as courtesy:
            return await download(desk, courtesy, f"{site.url}/media/a")

    began = time.monotonic()

    assert BODY == asyncio.run(fetch())
    assert elapsed_s(began) >= 1 / 0.4 - 1


@pytest.mark.parametrize(
    ("reason", "polite"),
    [("too_slow", {"min_bytes_per_s": 50_000}), ("timeout", {"file_timeout_s": 0.7, "min_bytes_per_s": 0})],
)
def test_a_limit_excuses_no_slow_host(tmp_path, redis_url, monkeypatch, reason, polite):
    """One that trickles of its own accord is given up as ever."""
    monkeypatch.setattr(transfer, "WINDOW_S", 0.5)
    monkeypatch.setattr(transfer, "_MARK_EVERY_S", 0.1)

    async def trickle(_asked, writer):
        await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            await send(writer, bytes(500))
            await asyncio.sleep(0.05)

    async def fetch(desk, url):
        async with process_of(desk, of_node=10 * MB) as courtesy:
            await download(desk, courtesy, url)

    with Wire() as wire:
        wire.answers["/a"] = trickle
        desk = Desk(tmp_path, wire, redis_url)
        desk.make(politeness=QUICK | polite | {"bytes_per_second": MB})
        with pytest.raises(FetchError) as refused:
            asyncio.run(fetch(desk, f"{wire.url}/a"))
        desk.close()

    assert reason == refused.value.refusal.reason


def test_whoever_stops_waits_no_longer(desk, limited):
    """All that wait are told so, and what they will not read is given back to the others."""
    limited(100_000)

    async def wait_and_stop():
        bandwidth = Bandwidth(desk.frontier, "here", of_node=None, of_host=100_000)
        await bandwidth.take("http://a/", 100_000)
        waiters = [asyncio.create_task(bandwidth.take("http://a/", 50_000)) for _ in range(8)]
        await asyncio.sleep(0.1)
        assert 8 == bandwidth.waiting
        bandwidth.stop()
        await bandwidth.settle("http://a/")
        ends = await asyncio.gather(*waiters, return_exceptions=True)
        assert 0 == bandwidth.waiting
        return ends

    ends = asyncio.run(wait_and_stop())

    assert [HostRestsError] * 8 == [type(end) for end in ends]
    assert 0.0 == desk.frontier.spend("http://a", 0, 100_000)


def test_a_node_that_is_told_to_stop_does_not_wait_for_bandwidth(desk, limited, site, clip):
    """It ends well, long before its patience does; the file can be claimed at once, and no failure is written."""
    run = limited(200_000)
    site.files["/media/long"] = clip.read_bytes() + (40 * MB).to_bytes(4, "big") + b"free" + bytes(40 * MB - 8)
    desk.add_page("long", media={"video": "/media/long"})
    desk.push()
    _Doorbell(desk.redis_url, run.shared_name).ring(1)
    node = NodeProcess(run, desk.redis_url, log=desk.folder / "node.log", grace_s=600.0)
    try:
        wait_until(lambda: desk.frontier.spend(host_of(site.url), 0, 200_000) > 0, 30, node.told)

        assert 0 == node.end(within_s=30)
    finally:
        node.end_if_alive()
    assert ["long/video"] == [item.name for item in desk.frontier.claim("media", 100).items]
    assert {} == run.ledger.failure_counts()
