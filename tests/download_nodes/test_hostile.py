"""A corpus of hostile and broken files: each has its class, and whoever measured them goes on."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from download_nodes import media as media_room
from download_nodes.measuring import Measurer, NoAudioError
from microlens.sniff import NotMediaError
from tests.download_nodes import hostile

MEMORY_BYTES = 512 << 20
IDENTITY = {"platform": "sandbox", "video_id": "v1"}


@pytest.fixture(scope="module")
def cases(tmp_path_factory, make_cover, make_video):
    return hostile.corpus(tmp_path_factory.mktemp("hostile"), make_cover, make_video)


def peak_bytes(pid):
    """The most memory that a process has had to itself."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


async def outcome(measurer, case):
    size = case.path.stat().st_size
    try:
        asset = await measurer.measure(case.path, kind=case.kind, sha256="ab" * 32, size_bytes=size, **IDENTITY)
    except NotMediaError as error:
        return error.mime
    assert asset.is_decodable == (asset.error is None)
    return asset.error


def test_every_file_has_its_class_and_the_measurer_lives(cases, tmp_path, make_cover):
    """Bombs, stumps, lies, playlists: none takes more than its share of memory, and a good file is good afterwards."""
    good = hostile.Hostile(make_cover(tmp_path / "good.jpg"), "cover", hostile.FINE)
    found, peaks = {}, {}

    async def work():
        async with Measurer(time_limit_s=2, memory_limit_bytes=MEMORY_BYTES) as measurer:
            for case in cases:
                found[case.path.name] = await outcome(measurer, case)
                peaks[case.path.name] = max(map(peak_bytes, measurer.pids), default=0)
            return await outcome(measurer, good)

    last = asyncio.run(work())

    assert last is None
    assert 40 <= len(cases)
    assert {} == {case.path.name: found[case.path.name] for case in cases if found[case.path.name] not in case.outcomes}
    # What it shares with other processes (its libraries) comes on top.
    assert {} == {name: peak for name, peak in peaks.items() if peak > MEMORY_BYTES + (200 << 20)}


def test_no_file_keeps_the_sound_of_another_from_being_taken(cases, tmp_path, clip):
    """Taking the sound out of each of them gives a sound or a word, and afterwards that of a good file."""
    words = {"no_audio", "audio_broken", "decoder_memory", "decoder_timeout"}
    found = {}

    async def taken(measurer, path, number):
        try:
            asset = await measurer.extract_audio(path, tmp_path / f"{number}", **IDENTITY)
        except NoAudioError as error:
            return error.reason
        return asset.kind

    async def work():
        async with Measurer(time_limit_s=2, memory_limit_bytes=MEMORY_BYTES) as measurer:
            for number, case in enumerate(cases):
                found[case.path.name] = await taken(measurer, case.path, number)
            return await taken(measurer, clip, "good")

    last = asyncio.run(work())

    assert last == "audio"
    assert set(found.values()) <= words | {"audio"}
    assert found["stump.mp4"] == found["fragments.mp4"] == "audio"
    assert found["playlist.mp4"] == found["silent.m4a"] == "no_audio"
    assert found["playlist-behind-a-head.mp4"] == "audio_broken"


def test_a_file_that_needs_more_memory_than_it_may_have_is_told_as_such(tmp_path):
    """A picture that is allowed, of a size that this process is not."""
    path = tmp_path / "large.png"
    Image.new("RGB", (6_000, 6_000)).save(path)
    case = hostile.Hostile(path, "cover", hostile.FINE)

    async def work(memory_limit_bytes):
        async with Measurer(memory_limit_bytes=memory_limit_bytes) as measurer:
            return await outcome(measurer, case)

    assert asyncio.run(work(100 << 20)) == "decoder_memory"
    assert asyncio.run(work(MEMORY_BYTES)) is None


def test_a_node_that_fetches_them_all_goes_on(cases, desk, tmp_path, make_cover, monkeypatch):
    """Through the whole node each has its class in the ledger, and a file that comes after them is stored."""
    monkeypatch.setattr(media_room, "Measurer", partial(Measurer, time_limit_s=2, memory_limit_bytes=MEMORY_BYTES))
    desk.make(filters={"min_video_bytes": 10**12}, media={"audio_from_video": False})
    good = hostile.Hostile(make_cover(tmp_path / "good.jpg"), "cover", hostile.FINE)
    by_name = {f"v{number}": case for number, case in enumerate([*cases, good])}
    for name, case in by_name.items():
        desk.site.files[f"/media/{name}"] = case.path.read_bytes()
        desk.add_page(name, media={case.kind: f"/media/{name}"})
    desk.drain(240.0)
    found = {name.partition("/")[0]: reason for name, reason in desk.reasons().items()}
    found |= {row["video_id"]: row["error"] for row in desk.run.ledger.assets()}
    wrong = {
        case.path.name: found.get(name, "nothing")
        for name, case in by_name.items()
        if found.get(name, "nothing") not in {*case.outcomes, *(["not_media"] if _is_refused(case) else [])}
    }

    assert {} == wrong
    assert found[f"v{len(cases)}"] is None
    assert 0 == desk.frontier.open_count(["media"])


def _is_refused(case):
    """Whether its outcome is a media type that is not the wanted one: a node's word for it is `not_media`."""
    return any(outcome is not None and "/" in outcome for outcome in case.outcomes)
