"""One address, wanted by several items: fetched once, by whichever node, and told to all who want it."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from download_nodes.flights import Flights
from download_nodes.supervise import _Doorbell
from tests.crawler.site import Reply
from tests.download_nodes import sharing
from tests.download_nodes.fleet import NodeProcess, wait_until
from tests.download_nodes.sharing import NO_COMMENTS, POLITE


@pytest.fixture
def cover(make_cover, tmp_path):
    return make_cover(tmp_path / "cover.jpg").read_bytes()


def add_two(desk, kind, path, **changes):
    """Two videos that show the same file."""
    desk.make(politeness=POLITE, filters=NO_COMMENTS, **changes)
    for video_id in ("a", "b"):
        desk.add_page(video_id, media={kind: path})
    desk.push()


def drain_together(desk, nodes=2, seconds=30.0):
    """Nodes in one process, each with connections of its own, until nothing is left."""

    async def work():
        async with AsyncExitStack() as stack:
            made = [await stack.enter_async_context(desk.node(desk.again())) for _ in range(nodes)]
            await asyncio.gather(*(node.drain(seconds) for node in made))

    asyncio.run(work())


def test_two_nodes_fetch_each_address_once(desk, cover):
    """Two processes, two videos for each address, in two spellings: one request each, and all have their bytes."""
    desk.make(politeness=POLITE, filters=NO_COMMENTS)
    sharing.add_shared_covers(desk, 300, cover)
    sharing.fetch_together(desk, within_s=60)

    assert {f"/media/{number}.jpg": 1 for number in range(300)} == sharing.requests(desk)
    sharing.check_assets(desk, 300)


def test_a_second_item_takes_over_what_a_slow_first_one_fetches(desk, cover):
    """While one node is at an address another waits for it, however long that takes, and does not ask."""
    add_two(desk, "cover", "/media/c.jpg")
    desk.site.script("/media/c.jpg", Reply(body=cover, pause_s=2.0))
    drain_together(desk)

    assert 1 == desk.site.count()["/media/c.jpg"]
    assert ["a", "b"] == sorted(row["video_id"] for row in desk.run.ledger.assets())


def test_the_sound_of_a_shared_video_comes_to_both(desk, clip):
    """What was extracted from the one file is both videos' sound; it was fetched once."""
    desk.site.files["/media/x.mp4"] = clip.read_bytes()
    add_two(desk, "video", "/media/x.mp4", media={})
    drain_together(desk)
    rows = {(row["video_id"], row["kind"]): row for row in desk.run.ledger.assets()}

    assert 1 == desk.site.count()["/media/x.mp4"]
    assert {("a", "audio"), ("a", "video"), ("b", "audio"), ("b", "video")} == set(rows)
    for kind in ("audio", "video"):
        told = [{**rows[video_id, kind], "video_id": ""} for video_id in ("a", "b")]
        for row in told:
            del row["fetched_at_ms"]
        assert told[0] == told[1]


def test_a_silent_shared_video_is_silent_for_both(desk, make_video, tmp_path):
    """That there is no sound is told of each video that shows the file."""
    desk.site.files["/media/x.mp4"] = make_video(tmp_path / "mute.mp4", audio=None).read_bytes()
    add_two(desk, "video", "/media/x.mp4", media={})
    drain_together(desk)

    assert 1 == desk.site.count()["/media/x.mp4"]
    assert {"a/audio": "no_audio", "b/audio": "no_audio"} == desk.reasons()


def test_a_shared_address_that_is_gone_is_gone_for_both(desk):
    """Each item asks for itself and has a failure of its own."""
    add_two(desk, "cover", "/media/c.jpg")
    drain_together(desk)

    assert {"a/cover": "gone", "b/cover": "gone"} == desk.reasons()
    assert 2 == desk.site.count()["/media/c.jpg"]


def test_the_next_item_fetches_what_the_first_could_not(desk, cover):
    """A failure that may pass holds nobody up: whoever is next asks, and both have the file in the end."""
    add_two(desk, "cover", "/media/c.jpg")
    desk.site.files["/media/c.jpg"] = cover
    desk.site.script("/media/c.jpg", Reply(500))
    drain_together(desk)

    assert 2 == desk.site.count()["/media/c.jpg"]
    assert ["a", "b"] == sorted(row["video_id"] for row in desk.run.ledger.assets())
    assert {"server_error": 1} == desk.run.ledger.failure_counts()


def test_an_address_whose_node_died_is_free_when_its_lease_ends(desk, cover):
    """A node is killed at an address; the other fetches it once, for both items."""
    add_two(desk, "cover", "/media/c.jpg")
    desk.site.files["/media/c.jpg"] = cover
    desk.site.script("/media/c.jpg", Reply(body=cover, pause_s=60.0))
    first, second = (desk.folder / f"node{number}.log" for number in (0, 1))
    doorbell = _Doorbell(desk.redis_url, desk.run.shared_name)
    doorbell.ring(1)
    node = NodeProcess(desk.run, desk.redis_url, log=first, lease_s=1.0)
    try:
        wait_until(lambda: desk.site.count()["/media/c.jpg"], 20, node.told)
    finally:
        node.kill()
    doorbell.ring(1)
    node = NodeProcess(desk.run, desk.redis_url, log=second, lease_s=1.0)
    try:
        wait_until(lambda: desk.frontier.open_count(["media"]) == 0, 20, node.told)
    finally:
        node.end()

    assert 2 == desk.site.count()["/media/c.jpg"]
    assert ["a", "b"] == sorted(row["video_id"] for row in desk.run.ledger.assets())


def test_an_item_that_waits_or_takes_over_costs_its_host_nothing(desk, cover):
    """A host that may be asked once a second serves eleven items of two addresses with three requests."""
    desk.make(politeness={"requests_per_second": 1.0, "concurrency": 8}, filters=NO_COMMENTS)
    desk.site.files["/media/c.jpg"] = desk.site.files["/media/d.jpg"] = cover
    for number in range(10):
        desk.add_page(f"v{number}", media={"cover": "/media/c.jpg"})
    desk.add_page("w", media={"cover": "/media/d.jpg"})
    desk.drain(8.0)

    assert 11 == len(desk.run.ledger.assets())
    assert {1} == set(desk.site.count().values())


def test_who_waits_keeps_nobody_else_waiting(desk, cover, monkeypatch):
    """Twenty items of one slow address are looked at twice each: when they come, and when it has landed."""
    looks = Counter()
    board = Flights.board

    def counted(flights, items):
        looks.update(item.name for item in items)
        return board(flights, items)

    monkeypatch.setattr(Flights, "board", counted)
    desk.make(politeness=POLITE, filters=NO_COMMENTS)
    for number in range(20):
        desk.add_page(f"v{number}", media={"cover": "/media/c.jpg"})
    desk.site.script("/media/c.jpg", Reply(body=cover, pause_s=3.0))
    desk.drain()

    assert 1 == desk.site.count()["/media/c.jpg"]
    assert 20 == len(desk.run.ledger.assets())
    assert {1, 2} == set(looks.values())
