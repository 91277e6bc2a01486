"""Measuring in another process: what it gives, what it survives, and who is blamed.

A named pipe that nobody writes to is a file at which a process stays for as long as a test wants.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from download_nodes.measure import measure
from download_nodes.measuring import Measurer, NoDecoderError
from microlens.sniff import NotMediaError

IDENTITY = {"platform": "sandbox", "video_id": "v1", "sha256": "ab" * 32, "size_bytes": 7}


def run(work):
    return asyncio.run(asyncio.wait_for(work(), 120))


def asked(measurer, path, kind="cover"):
    return asyncio.ensure_future(measurer.measure(path, kind=kind, **IDENTITY))


async def until(is_so):
    while not is_so():  # noqa: ASYNC110 - what is waited for happens in another process
        await asyncio.sleep(0.01)


async def stuck(measurer):
    """Wait until its process is at a file."""
    await until(lambda: any(process.in_work for process in measurer._under_way))


@pytest.fixture(scope="module")
def cover(tmp_path_factory, make_cover):
    return make_cover(tmp_path_factory.mktemp("cover") / "a.jpg")


@pytest.fixture
def trap(tmp_path):
    path = tmp_path / "trap"
    os.mkfifo(path)
    return path


def spring(trap, cover):
    """Whoever opens the trap from now on finds a picture; who is inside stays."""
    fresh = trap.with_name("fresh")
    fresh.write_bytes(cover.read_bytes())
    fresh.replace(trap)


def test_it_gives_what_measuring_gives(cover, clip):
    """The same records, whichever process made them."""

    async def work():
        async with Measurer() as measurer:
            return [await asked(measurer, path, kind) for path, kind in ((cover, "cover"), (clip, "video"))]

    assert [measure(cover, kind="cover", **IDENTITY), measure(clip, kind="video", **IDENTITY)] == run(work)


def test_many_files_at_once_are_each_answered(cover, tmp_path):
    """A thousand questions under way, none lost, none mixed up, by two processes."""
    sizes = range(10, 60)
    for side in sizes:
        Image.new("RGB", (side, side)).save(tmp_path / f"{side}.png")

    async def work():
        async with Measurer(processes=2) as measurer:
            return await asyncio.gather(
                *[asked(measurer, tmp_path / f"{side}.png") for side in sizes for _ in range(20)]
            )

    assert [side for side in sizes for _ in range(20)] == [asset.width for asset in run(work)]


def test_no_process_runs_before_it_is_needed(cover):
    """A node's first byte does not wait for libraries of pictures; afterwards none is left."""

    async def work():
        async with Measurer() as measurer:
            before = measurer.pids
            await asked(measurer, cover)
            return before, measurer.pids

    before, (pid,) = run(work)

    assert before == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_no_media_and_what_is_no_file_are_errors(cover, tmp_path):
    """They come out as if they had been met here, and the process goes on."""
    page = tmp_path / "page.jpg"
    page.write_text("<html>Log in")

    async def work():
        async with Measurer() as measurer:
            with pytest.raises(NotMediaError, match=r"'v1'.*text/html"):
                await asked(measurer, page)
            with pytest.raises(FileNotFoundError, match="absent"):
                await asked(measurer, tmp_path / "absent")
            pids = measurer.pids
            await asked(measurer, cover)
            return pids == measurer.pids

    assert run(work)


def test_a_name_need_not_be_text(cover, tmp_path):
    """Linux names files by bytes."""
    path = tmp_path / os.fsdecode(b'\xff\n"\xe4.jpg')
    path.write_bytes(cover.read_bytes())

    async def work():
        async with Measurer() as measurer:
            return await asked(measurer, path)

    assert run(work).is_decodable


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_a_crash_costs_the_file_that_was_in_work(cover, trap, how):
    """It is recorded as such; those that waited behind it are measured as if nothing had been."""

    async def work():
        async with Measurer() as measurer:
            await asked(measurer, cover)
            guilty, others = asked(measurer, trap), [asked(measurer, cover) for _ in range(20)]
            await stuck(measurer)
            spring(trap, cover)
            os.kill(measurer.pids[0], how)
            return await guilty, await asyncio.gather(*others)

    guilty, others = run(work)

    assert (False, "decoder_crashed", "image/jpeg") == (guilty.is_decodable, guilty.error, guilty.mime)
    assert (guilty.sha256, guilty.size_bytes, guilty.width) == ("ab" * 32, 7, None)
    assert [measure(cover, kind="cover", **IDENTITY)] * 20 == others


def test_a_kill_from_outside_is_not_laid_to_the_file_at_once(cover, trap):
    """Out of memory may be another's doing: a file is tried twice."""

    async def work(kills):
        async with Measurer() as measurer:
            guilty = asked(measurer, trap)
            for left in reversed(range(kills)):
                await stuck(measurer)
                if not left:
                    spring(trap, cover)
                killed = measurer.pids
                os.kill(killed[0], signal.SIGKILL)
                await until(lambda killed=killed: measurer.pids != killed)
            return await guilty

    once = run(lambda: work(1))
    trap.unlink()
    os.mkfifo(trap)
    twice = run(lambda: work(2))

    assert (True, None) == (once.is_decodable, once.error)
    assert (False, "decoder_crashed") == (twice.is_decodable, twice.error)


def test_a_death_between_two_files_is_nobodys_fault(cover):
    """The next question starts another process."""

    async def work():
        async with Measurer() as measurer:
            await asked(measurer, cover)
            first = measurer.pids
            os.kill(first[0], signal.SIGKILL)
            asset = await asked(measurer, cover)
            return asset, first != measurer.pids

    asset, is_another = run(work)

    assert asset.is_decodable
    assert is_another


def test_who_waits_without_working_is_killed_by_the_clock(cover, trap):
    """A file at which a process sleeps costs no CPU, and is given up all the same."""

    async def work():
        async with Measurer(time_limit_s=1) as measurer:
            await asked(measurer, cover)
            guilty, other = asked(measurer, trap), asked(measurer, cover)
            await stuck(measurer)
            spring(trap, cover)
            return await guilty, await other

    guilty, other = run(work)

    assert (False, "decoder_timeout") == (guilty.is_decodable, guilty.error)
    assert other.is_decodable


def test_a_cancelled_question_harms_nobody(cover, trap):
    """Its answer is dropped, the others come."""

    async def work():
        async with Measurer() as measurer:
            await asked(measurer, cover)
            questions = [asked(measurer, cover) for _ in range(30)]
            for question in questions[::2]:
                question.cancel()
            await asyncio.wait(questions)
            return [question.cancelled() for question in questions]

    assert [True, False] * 15 == run(work)


def test_closing_cancels_what_is_asked_for(cover, trap):
    """Nobody waits for ever."""

    async def work():
        measurer = Measurer()
        questions = [asked(measurer, trap), *(asked(measurer, cover) for _ in range(20))]
        await stuck(measurer)
        await measurer.close()
        await asyncio.wait(questions)
        return all(question.cancelled() for question in questions)

    assert run(work)


def test_a_process_that_cannot_start_is_told_in_words(cover, monkeypatch):
    """It is not laid to the files."""
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def work():
        async with Measurer() as measurer:
            await asked(measurer, cover)

    with pytest.raises(NoDecoderError, match="exit code 1"):
        run(work)


_NODE = """
import asyncio, sys
from pathlib import Path
from download_nodes.measuring import Measurer

async def work():
    measurer = Measurer()
    question = asyncio.ensure_future(
        measurer.measure(Path(sys.argv[1]), kind="cover", platform="p", video_id="v", sha256="", size_bytes=0))
    while not any(process.in_work for process in measurer._under_way):
        await asyncio.sleep(0.01)
    print(measurer.pids[0], flush=True)
    await question

asyncio.run(work())
"""


def test_it_does_not_outlive_its_node(trap):
    """Not even in the midst of a file, nor if the node is killed."""
    with subprocess.Popen([sys.executable, "-c", _NODE, str(trap)], stdout=subprocess.PIPE, text=True) as node:
        pid = int(node.stdout.readline())
        node.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not Path(f"/proc/{pid}").exists()
