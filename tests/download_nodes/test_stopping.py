"""A node that is told to stop: what is finished is committed, the rest goes back at once, and nothing is lost."""

import asyncio
import time

import pytest

from download_nodes import node as node_room
from download_nodes.supervise import _Doorbell
from tests.download_nodes.desk import Desk
from tests.download_nodes.fleet import NodeProcess, are_gone, wait_until
from tests.download_nodes.kills import SlowFile
from tests.download_nodes.sharing import NO_COMMENTS
from tests.download_nodes.wire import Wire

POLITE = {"requests_per_second": 1000, "concurrency": 64, "max_attempts": 2}
MIB = 1 << 20


@pytest.fixture
def slow(tmp_path, redis_url):
    """A desk at a site that trickles."""
    with Wire() as wire:
        desk = Desk(tmp_path, wire, redis_url)
        desk.make(politeness=POLITE, filters=NO_COMMENTS)
        yield desk
        desk.close()


@pytest.fixture
def start(slow):
    """Start a node process that has a job; what is still alive in the end is killed."""
    started = []

    def go(**times):
        _Doorbell(slow.redis_url, slow.run.shared_name).ring(1)
        started.append(NodeProcess(slow.run, slow.redis_url, log=slow.folder / f"node{len(started)}.log", **times))
        return started[-1]

    yield go
    for node in started:
        node.end_if_alive()


def add(desk, video_id, kind, body, piece_s):
    """A video with one file of its own."""
    path = f"/media/{video_id}"
    desk.site.answers[path] = file = SlowFile(body, piece_s, lambda: False)
    desk.add_page(video_id, media={kind: path})
    desk.push()
    return file


@pytest.fixture
def film(clip):
    """Four mebibytes of video: a clip, and a box that players skip."""
    return clip.read_bytes() + (4 * MIB).to_bytes(4, "big") + b"free" + bytes(4 * MIB - 8)


@pytest.fixture
def cover(make_cover, tmp_path):
    return make_cover(tmp_path / "cover.jpg").read_bytes()


def stored(desk):
    return sorted(row["video_id"] for row in desk.run.ledger.assets())


def claimed(desk):
    """Names of what another node would get this very moment."""
    return sorted(item.name for item in desk.frontier.claim("media", 100).items)


def test_a_node_that_is_told_to_stop_gives_back_what_it_cannot_finish(slow, start, film, cover):
    """It ends well; what came in time is committed, the rest can be claimed at once and goes on where it stopped."""
    long = add(slow, "long", "video", film, 0.05)
    short = add(slow, "short", "cover", cover + bytes(200_000), 0.3)
    node = start(grace_s=2.0)
    wait_until(lambda: short.starts and long.sent_bytes > 1.2 * MIB, 30, node.told)
    children = node.children

    assert 0 == node.end()
    assert ["short"] == stored(slow)
    assert ["long/video"] == claimed(slow)
    assert {} == slow.run.ledger.failure_counts()
    assert are_gone(children)


def test_what_was_given_back_goes_on_where_it_stopped(slow, start, film):
    """The next node asks for the rest of a file alone."""
    long = add(slow, "long", "video", film, 0.05)
    node = start(grace_s=0.1)
    wait_until(lambda: long.sent_bytes > 1.2 * MIB, 30, node.told)
    node.end()
    long.piece_s = 0.0
    slow.drain()

    assert ["long"] == stored(slow)
    assert [0, True] == [long.starts[0], long.starts[1] > MIB]
    assert [] == list((slow.run.folder / "store" / "tmp").iterdir())


def test_a_second_signal_ends_a_node_at_once(slow, start, film, cover):
    """Its patience ends, not its care: nothing is lost, and the long file goes on where it stopped."""
    add(slow, "short", "cover", cover, 0.0)
    long = add(slow, "long", "video", film, 0.2)
    node = start(grace_s=600.0)
    wait_until(lambda: stored(slow) and long.sent_bytes > 1.2 * MIB, 40, node.told)
    node.send()
    time.sleep(1.2)  # within a second RQ takes it for the same signal
    children = node.children
    code = node.end(within_s=30)
    wait_until(lambda: are_gone(children), 10)
    given_back = claimed(slow)
    slow.lose_redis()
    long.piece_s = 0.0
    slow.drain()

    assert 0 == code
    assert ["long/video"] == given_back
    assert ["long", "short"] == stored(slow)
    assert long.starts[1] > MIB
    assert {} == slow.run.ledger.failure_counts()


def test_an_idle_node_ends_at_once(slow, start):
    """Without a job there is nothing to finish."""
    node = start()
    wait_until(lambda: _Doorbell(slow.redis_url, slow.run.shared_name)._queue.count == 0, 30, node.told)

    assert 0 == node.end()


def test_a_host_that_was_not_asked_in_the_end_is_free_for_the_next_node(slow, start, cover):
    """A robots.txt that does not come keeps a node busy; once it was told to stop, the next one may ask."""
    add(slow, "a", "cover", cover, 0.0)

    async def never(_asked, _writer):
        await asyncio.sleep(600)

    slow.site.answers["/robots.txt"] = never
    node = start(grace_s=0.2)
    wait_until(lambda: slow.site.asked, 30, node.told)
    assert 0 == node.end()

    assert [f"{slow.site.url}/robots.txt"] == [ask.url for ask in slow.frontier.claim("media", 1).robots]


def test_a_long_transfer_goes_on_in_the_next_job(slow, film, monkeypatch):
    """A job ends in its time whatever is under way; the file is asked for once, and comes with a later job."""
    monkeypatch.setattr(node_room, "_LINGER_S", 0.1)
    long = add(slow, "long", "video", film, 0.02)
    jobs = []

    async def work():
        async with slow.node() as node:
            while not stored(slow):
                jobs.append(await node.drain(0.3))

    asyncio.run(work())

    assert len(jobs) > 2
    assert [0] == long.starts
    assert [1] == [done["media"] for done in jobs if "media" in done]
