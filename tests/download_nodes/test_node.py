"""A node over a small site: every byte once, every failure written down, comments only of what passes."""

import asyncio
import hashlib
import time

import numpy as np
import pytest

from download_nodes import node as node_room
from microlens.frontier import Frontier
from tests.crawler.site import Reply, comment


@pytest.fixture
def media(make_cover, clip, tmp_path):
    """Bytes of a good cover, a flat one and a video."""
    flat = make_cover(tmp_path / "flat.jpg", np.full((72, 96, 3), 40, np.uint8)).read_bytes()
    return {
        "cover": make_cover(tmp_path / "cover.jpg").read_bytes(),
        "flat": flat,
        "video": clip.read_bytes(),
    }


def serve(desk, files, video_id, *, comments=(), cover="cover", **page):
    """A video on the site and in the ledger."""
    desk.site.files[f"/media/{video_id}.jpg"] = files[cover]
    desk.site.files[f"/media/{video_id}.mp4"] = files["video"]
    desk.site.comments[video_id] = list(comments)
    desk.add_page(video_id, **page)


def asked_comments(site):
    return {path.split("/")[3] for path in site.count() if path.startswith("/api/videos/")}


def test_every_asset_is_fetched_once(desk, media, site):
    """Files, comments and a second drain: the server sees one request each."""
    desk.make()
    for number in range(6):
        serve(desk, media, f"v{number}", comments=[comment(number, "u")])
    done, again = desk.drain(), desk.drain()

    assert (12, 6) == (done["media"], done["comments"])
    assert {} == again
    assert {1} == set(site.count().values())
    assert 12 == len(desk.run.ledger.assets())
    assert 0 == desk.frontier.open_count(["media", "comments"])


def test_stored_bytes_are_those_that_were_served(desk, media):
    """An asset's hash is that of the served file, and the store holds it under that name; equal files are one."""
    desk.make()
    serve(desk, media, "a")
    serve(desk, media, "b")
    desk.drain()
    assets = desk.run.ledger.assets()

    assert {hashlib.sha256(media[kind]).hexdigest() for kind in ("cover", "video")} == {a["sha256"] for a in assets}
    assert 2 == len([path for path in (desk.run.folder / "store/objects").rglob("*") if path.is_file()])
    for asset in assets:
        desk.run.store.verify(asset["sha256"])


def test_a_page_in_place_of_media_is_not_media(desk, media):
    """A log-in page under a media address is recorded, once, and leaves no file."""
    desk.make()
    serve(desk, media, "a")
    desk.site.files["/media/a.mp4"] = b"<html>Log in</html>"
    desk.drain()

    assert {"a/video": "not_media"} == desk.reasons()
    assert [] == list((desk.run.folder / "store/tmp").iterdir())
    assert 1 == desk.site.count()["/media/a.mp4"]


def test_a_forgotten_robots_txt_is_fetched_once_for_all(desk, media):
    """However many items find that Redis no longer knows a host's robots.txt, the host is asked for it once."""
    desk.make()

    async def ask_together():
        async with desk.node() as node:
            return await asyncio.gather(*(node._courtesy.why_not(f"{desk.site.url}/media/{n}.jpg") for n in range(20)))

    assert [None] * 20 == asyncio.run(ask_together())
    assert 1 == desk.site.count()["/robots.txt"]


def test_a_robots_txt_that_cannot_be_read_now_is_read_later(desk, media):
    """A file that redirects to a host whose robots.txt answers 503 is not given up: another try finds it."""
    desk.make()
    serve(desk, media, "a", media={"cover": "/media/a.jpg"})
    desk.site.script("/robots.txt", Reply(200), Reply(503))
    desk.site.script("/media/a.jpg", Reply(302, headers={"Location": f"{desk.site.other_url}/media/a.jpg"}))
    desk.drain()

    assert {} == desk.reasons()
    assert ["a"] == [asset["video_id"] for asset in desk.run.ledger.assets()]


def test_a_failure_is_tried_as_often_as_the_recipe_says(desk, media):
    """What another try may mend is tried again; every attempt is in the ledger, the last one final."""
    desk.make()
    serve(desk, media, "a")
    serve(desk, media, "b")
    desk.site.script("/media/a.mp4", Reply(500))
    desk.site.script("/media/b.mp4", *[Reply(500)] * 9)
    del desk.site.files["/media/b.jpg"]
    desk.drain()
    count = desk.site.count()

    assert {"b/video": "server_error", "b/cover": "gone"} == desk.reasons()
    assert (2, 2, 1) == (count["/media/a.mp4"], count["/media/b.mp4"], count["/media/b.jpg"])
    assert {"server_error": 3, "gone": 1} == desk.run.ledger.failure_counts()
    assert {} == desk.drain()


def test_what_robots_forbids_is_not_fetched(desk, media):
    """A disallowed asset is a failure with the reason `robots`, and no request."""
    desk.site.robots = "User-agent: *\nDisallow: /media/a.mp4\n"
    desk.make()
    serve(desk, media, "a")
    desk.drain()

    assert {"a/video": "robots"} == desk.reasons()
    assert 0 == desk.site.count()["/media/a.mp4"]


def test_comments_are_asked_for_only_once_the_checks_pass(desk, media):
    """Title, cover and size come first: what they drop costs no comment request."""
    desk.make(filters={"min_video_bytes": len(media["video"])})
    serve(desk, media, "good")
    serve(desk, media, "flat", cover="flat")
    serve(desk, media, "untitled", title="?!")
    serve(desk, media, "no-cover")
    serve(desk, media, "small")
    serve(desk, media, "refused", refusal="sensitive")
    serve(desk, media, "unselected", is_selected=False)
    desk.site.files["/media/small.mp4"] = media["video"][:-1]
    del desk.site.files["/media/no-cover.jpg"]
    desk.drain()

    assert {"good"} == asked_comments(desk.site)
    assert {"good": 0} == desk.run.ledger.collected()
    assert not [path for path in desk.site.count() if "refused" in path or "unselected" in path]


def test_comments_may_always_be_wanted(desk, media):
    """With `when: always` no check comes first, but an owner's refusal does."""
    desk.make(comments={"when": "always"})
    serve(desk, media, "flat", cover="flat")
    serve(desk, media, "refused", refusal="sensitive")
    desk.drain()

    assert {"flat"} == asked_comments(desk.site)


def test_a_videos_sound_is_taken_out_where_the_site_has_none(desk, media, make_video, tmp_path):
    """It is an asset of its own, of bytes that nobody served; a silent video is kept, and that it is silent is told."""
    desk.make(media={})
    serve(desk, media, "a")
    serve(desk, media, "mute")
    desk.site.files["/media/mute.mp4"] = make_video(tmp_path / "mute.mp4", audio=None).read_bytes()
    serve(desk, media, "b", media={"video": "/media/b.mp4", "audio": "/media/b.m4a"})
    desk.site.files["/media/b.m4a"] = make_video(tmp_path / "b.m4a", video=None, container="ipod").read_bytes()
    desk.drain()
    assets = {(row["video_id"], row["kind"]): row for row in desk.run.ledger.assets()}

    assert {"a", "b"} == {video for video, kind in assets if kind == "audio"}
    assert ("extracted", "audio/mp4", "aac") == tuple(assets["a", "audio"][key] for key in ("origin", "mime", "codecs"))
    assert desk.run.store.has(assets["a", "audio"]["sha256"])
    assert {"fetched"} == {row["origin"] for at, row in assets.items() if at != ("a", "audio")}
    assert assets["mute", "video"]["is_decodable"]
    assert {"mute/audio": "no_audio"} == desk.reasons()


def test_a_host_that_asks_for_rest_gets_it_and_nothing_is_lost(desk, media):
    """A 429 among many requests delays the rest; all files arrive."""
    desk.make()
    for number in range(4):
        serve(desk, media, f"v{number}")
    desk.site.script("/media/v0.jpg", Reply(429, headers={"Retry-After": "1"}))
    desk.drain()

    assert {} == desk.reasons()
    assert 8 == len(desk.run.ledger.assets())
    assert {"rate_limited": 1} == desk.run.ledger.failure_counts()


def test_a_link_that_is_no_address_costs_itself_alone(desk, media):
    """A broken redirect is a failed item; the node goes on."""
    desk.make()
    serve(desk, media, "a")
    serve(desk, media, "b")
    desk.site.script("/media/a.mp4", *[Reply(302, headers={"Location": "http://[broken"})] * 9)
    desk.drain()

    assert {"a/video"} == set(desk.reasons())
    assert 3 == len(desk.run.ledger.assets())


def test_no_counter_of_the_site_is_believed(desk, media):
    """A wrong declared type or name changes nothing: the bytes decide."""
    desk.make()
    serve(desk, media, "a", media={"cover": "/media/cover.exe", "video": "/media/a.mp4"})
    desk.site.script("/media/cover.exe", Reply(body=media["cover"], headers={"Content-Type": "text/html"}))
    desk.drain()

    assert {"image/jpeg", "video/mp4"} == {asset["mime"] for asset in desk.run.ledger.assets()}


def test_leases_are_kept_while_all_threads_wait(desk, media, monkeypatch):
    """A ledger that is locked, or a disk that hangs, holds up commits; who has an item in hand keeps it."""
    monkeypatch.setattr(node_room, "_RENEW_S", 0.05)
    renewed = []
    monkeypatch.setattr(Frontier, "renew", lambda _self, kind, names: renewed.append((kind, time.monotonic())))
    desk.make(filters={"min_video_bytes": 10**9})
    desk.add_page("v", media={"cover": "/media/v.jpg"})
    desk.site.script("/media/v.jpg", Reply(body=media["cover"], pause_s=2.5))
    desk.push()

    async def work():
        async with desk.node() as node:
            draining = asyncio.create_task(node.drain(10.0))
            while not desk.site.count()["/media/v.jpg"]:  # noqa: ASYNC110 - it is asked in another thread
                await asyncio.sleep(0.02)
            began = time.monotonic()
            await asyncio.gather(*(asyncio.to_thread(time.sleep, 1.0) for _ in range(32)))
            ended = time.monotonic()
            await draining
            return sum(kind == "media" and began < at < ended for kind, at in renewed)

    assert asyncio.run(work()) > 10
    assert ["v"] == [row["video_id"] for row in desk.run.ledger.assets()]
