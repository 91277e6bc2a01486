"""Faults are drawn by the seed, look as real ones do, and pass."""

import asyncio
import http.client
import time
import urllib.error
from collections import Counter
from email.utils import parsedate_to_datetime

import pytest

from sandbox.faults import RETRY_AFTER_FORMS, SPARED_EVERY, FaultConfig, Faults
from sandbox.process import SandboxSite

SHARES = FaultConfig(seed=5, error_share=0.05, stall_share=0.02, cut_share=0.03)
NOON_S = 1_750_000_000.0


def drawn(config, count, *, host="127.0.0.1"):
    faults = Faults(config)
    return [faults.draw(host, f"/v/{number}", NOON_S) for number in range(count)]


def test_one_seed_deals_the_same_faults():
    """The same requests suffer the same, another seed or another host deals anew."""
    one, again = drawn(SHARES, 500), drawn(SHARES, 500)

    assert one == again
    assert one != drawn(FaultConfig(seed=6, error_share=0.05, stall_share=0.02, cut_share=0.03), 500)
    assert one != drawn(SHARES, 500, host="127.0.0.2")


def test_shares_are_what_was_asked_for():
    """Of many requests the asked shares fail, half of the stalls and cuts midway, and all three statuses occur."""
    dealt = [fault for fault in drawn(SHARES, 20_000) if fault]
    kinds = Counter(fault.kind for fault in dealt)

    assert {"error": 0.05, "stall": 0.02, "cut": 0.03} == {
        kind: pytest.approx(count / 20_000, abs=0.004) for kind, count in kinds.items()
    }
    assert {500, 502, 503} == {fault.status for fault in dealt if fault.kind == "error"}
    assert 0.4 < sum(fault.is_midway for fault in dealt) / (kinds["stall"] + kinds["cut"]) < 0.6


def test_faults_pass():
    """However many requests fail, one of every four for an address is answered."""
    faults = Faults(FaultConfig(error_share=1.0))
    suffered = [faults.draw("127.0.0.1", "/v/a", NOON_S) is not None for _ in range(3 * SPARED_EVERY)]

    assert [True, True, True, False] * 3 == suffered


def test_nothing_goes_wrong_unless_asked_for():
    """A site without options deals no fault."""
    assert [None] * 100 == drawn(FaultConfig(seed=3), 100)


def test_a_burst_covers_all_requests_of_one_host_until_it_ends():
    """From its first request on a burst answers 429 to its host alone, and is over when it says."""
    faults = Faults(FaultConfig(burst_every=1, burst_s=3.0))
    first = faults.draw("127.0.0.1", "/v/a", NOON_S)

    assert first.status == 429
    assert faults.draw("127.0.0.1", "/robots.txt", NOON_S + 2.9) == faults.draw("127.0.0.1", "/", NOON_S + 2.9)
    assert Faults(FaultConfig(burst_every=10**9)).draw("127.0.0.2", "/v/a", NOON_S) is None


def test_bursts_tell_their_end_in_all_ways():
    """Retry-After comes as seconds, as a date, as 0, as junk, and not at all."""
    faults = Faults(FaultConfig(burst_every=1, burst_s=3.0))
    told = [faults.draw("127.0.0.1", "/", NOON_S + 10 * turn).retry_after for turn in range(len(RETRY_AFTER_FORMS))]
    dates = [word for word in told if word and word.endswith("GMT")]
    turn = told.index(dates[0])

    assert {"0", "3", None, "a little later, please", *dates} == set(told)
    assert NOON_S + 10 * turn + 3 == parsedate_to_datetime(dates[0]).timestamp()


def test_some_hundred_requests_lead_to_a_burst():
    """Bursts begin as often as asked for, on average."""
    faults = Faults(FaultConfig(burst_every=200, burst_s=0.5))
    hits = [faults.draw("127.0.0.1", f"/v/{turn}", NOON_S + 2.0 * turn) for turn in range(20_000)]

    assert 70 < sum(fault is not None for fault in hits) < 130


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """A site where every request but each fourth fails, whichever way its seed says."""

    def start(**faults):
        folder = tmp_path_factory.mktemp("failing")
        return SandboxSite(
            videos=30,
            users=60,
            seed=1,
            frozen=True,
            media_dir=folder,
            log_file=folder / "log",
            faults=FaultConfig(**faults),
        )

    return start


def outcome(fetch, url):
    """How a plain client sees one request."""
    try:
        answer = fetch(url)
    except http.client.IncompleteRead:
        return "cut in the midst"
    except (http.client.RemoteDisconnected, ConnectionResetError, urllib.error.URLError):
        return "cut before the answer"
    return answer.status


def test_errors_are_pages(failing, fetch):
    """An error is an HTML page, comments and robots.txt included; the fourth time the answer is right."""
    with failing(error_share=1.0) as site:
        for path in ("/robots.txt", f"/api/videos/{site.world.videos.ids[0]}/comments"):
            answers = [fetch(site.url + path) for _ in range(4)]

            assert {answer.status for answer in answers[:3]} <= {500, 502, 503}
            assert all(b"<!doctype html>" in answer.body for answer in answers[:3])
            assert answers[3].status == 200


def test_connections_are_cut_before_and_in_the_midst_of_answers(failing, fetch):
    """A client sees a connection that ends without an answer, or an answer that is shorter than announced."""
    with failing(cut_share=1.0) as site:
        seen = Counter(outcome(fetch, f"{site.url}/v/{name}") for name in site.world.videos.ids[:12] for _ in range(3))

    assert {"cut in the midst", "cut before the answer"} == set(seen)


def test_stalls_are_silence_and_then_the_end(failing, fetch):
    """A stalled request brings nothing for as long as was asked for, and then its connection ends."""
    with failing(stall_share=1.0, stall_s=0.6) as site:
        began = time.monotonic()
        seen = outcome(fetch, f"{site.url}/?refresh=1")
        took_s = time.monotonic() - began

    assert seen in {"cut in the midst", "cut before the answer"}
    assert took_s >= 0.6


def test_the_log_tells_how_long_a_client_that_went_away_had_waited(failing):
    """A request that its client gives up ends there in the log, and not with the stall."""
    with failing(stall_share=1.0, stall_s=20.0) as site:
        host, port = site.url.removeprefix("http://").split(":")

        async def give_up():
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await asyncio.sleep(0.3)
            writer.close()
            await writer.wait_closed()

        asyncio.run(give_up())
        log = site.log_file
        while not log.read_text():
            time.sleep(0.02)

    assert '"fault":"stall"' in log.read_text()
    assert '"status":0' in log.read_text()
