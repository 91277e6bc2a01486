"""Clips that the sandbox serves in pieces: how many, which, and that they are the clip."""

import io

import av
import pytest

from microlens.errors import RecipeError
from sandbox import flaws
from sandbox.media import MediaFolder
from sandbox.pieces import cut
from sandbox.process import SandboxSite
from sandbox.world import WorldConfig, generate


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    world = generate(WorldConfig(videos=30, users=10))
    return MediaFolder(world, tmp_path_factory.mktemp("media")).read(0, "video")


def packets(body):
    with av.open(io.BytesIO(body), format="mp4") as file:
        return [(packet.stream.type, bytes(packet)) for packet in file.demux() if packet.size]


def test_the_pieces_are_the_clip(body):
    """Put together they hold its packets, are several, as large as it, and the same each time."""
    made = cut(body)

    assert sorted(packets(body)) == sorted(packets(made.whole))
    assert 2 <= len(made.fragments)
    assert len(made.whole) >= len(body)
    assert made == cut(body)


def test_distinct_clips_stay_distinct(body):
    """What a clip ends with, behind picture and sound, still tells it from others."""
    assert cut(body).whole != cut(body + (8).to_bytes(4, "big") + b"free").whole


def test_copies_are_served_as_their_originals_and_exact_sizes_as_files():
    """The share is about what was asked for; without it nothing is in pieces."""
    world = generate(WorldConfig(videos=1000, users=10, hls=0.3))
    dealt, in_pieces = world.videos.flaws, world.is_in_pieces

    assert (in_pieces == in_pieces[dealt.source]).all()
    assert not in_pieces[dealt.exact_bytes > 0].any()
    assert not [v for v in in_pieces.nonzero()[0] if dealt.kind[v] == flaws.SMALL]
    assert 0.2 < in_pieces.mean() < 0.35
    assert not generate(WorldConfig(videos=1000, users=10)).is_in_pieces.any()


def test_a_share_is_a_share():
    """More than all is refused."""
    with pytest.raises(RecipeError, match=r"hls=1\.5"):
        WorldConfig(hls=1.5)


def test_a_clip_in_pieces_is_nothing_else(fetch, tmp_path_factory):
    """Its page names the playlist, the playlists lead to the pieces, and there is no file."""
    with SandboxSite(videos=30, users=10, hls=1.0, frozen=True, media_dir=tmp_path_factory.mktemp("media")) as site:
        world = site.world
        video = int(world.is_in_pieces.nonzero()[0][0])
        video_id = world.videos.ids[video]
        page = fetch(f"{site.url}/v/{video_id}").text
        master = fetch(f"{site.url}/media/{video_id}/video.m3u8").text
        index = fetch(f"{site.url}/pieces/{video_id}/index.m3u8").text
        names = ["head.mp4", *[line for line in index.splitlines() if line.endswith(".m4s")]]
        whole = b"".join(fetch(f"{site.url}/pieces/{video_id}/{name}").body for name in names)
        others = [
            fetch(f"{site.url}/{place}").status for place in (f"media/{video_id}/video.mp4", f"pieces/{video_id}/x")
        ]

    assert f"/media/{video_id}/video.m3u8" in page
    assert f"/pieces/{video_id}/index.m3u8" in master
    assert int(world.videos.frame_count[video]) == sum(kind == "video" for kind, _ in packets(whole))
    assert [404, 404] == others
