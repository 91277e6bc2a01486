"""What other machines keep, brought here: each byte once, checked, from whoever has it; what is wrong is named."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest

from integration.lacking import HASH, Lacking, lacking
from integration.pull import _Work, pull
from integration.sources import open_source
from microlens import export_store
from microlens.errors import CorruptDataError, NotReadyError, RecipeError, StoreUnreachableError
from microlens.settings import Settings
from tests.download_nodes.exporting import dripping, serving
from tests.integration.made import KEY, world
from tests.integration.pulling import EXPORT_KEY, SETTINGS, Disguised, an_object, exporting, files_of, sources


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Other tries come at once."""
    monkeypatch.setattr(export_store, "_FIRST_WAIT_S", 0.001)


def test_all_comes_from_an_export_and_a_folder(split):
    """Two machines have the same: each file is read once, from one of them, and the tables can be made."""
    made, (first, second) = split(2)
    wanted = lacking(made.run)
    with pytest.raises(NotReadyError, match="kept on other machines"):
        made.integrate()
    with serving(exporting(made, first).app()) as url:
        pulled = pull(made.run, sources(made, url, f"file://{second}"))

    assert len(wanted) == pulled.parts + pulled.files > 10
    assert files_of(first) == files_of(made.run.folder)
    assert sum(map(len, files_of(first).values())) == pulled.size_bytes
    assert ({}, [], {}) == (pulled.wrong, pulled.missing, pulled.troubles)
    assert made.integrate()[1]
    assert not lacking(made.run)


def test_nothing_is_read_twice(split):
    """The same again finds nothing to do."""
    made, (first,) = split()
    pull(made.run, sources(made, f"file://{first}"))
    again = pull(made.run, sources(made, f"file://{first}"))

    assert (0, 0, 0) == (again.files, again.parts, again.size_bytes)


def test_comments_taken_in_need_their_parts_no_longer(split):
    """Once gathered and deleted they are neither missed nor pulled again, until a part comes that is new."""
    made, (first,) = split(comments={"text": "none"})
    pull(made.run, sources(made, f"file://{first}"))
    made.gather()
    shutil.rmtree(made.run.folder / "crawled/comments")
    kept = len(lacking(made.run))
    again = pull(made.run, sources(made, f"file://{first}"))
    counters = made.integrate()[0].counters
    made.add_videos({"v8": world(4, videos=9).videos["v8"]})
    made.add_comments(["v8"], [{**row, "video_id": "v8"} for row in world(4).comments[:3]])
    (new,) = (made.run.folder / "crawled/comments").iterdir()
    new.unlink()

    assert 0 == kept
    assert 0 == again.size_bytes
    assert counters["interactions"]
    assert [f"crawled/comments/{new.name}"] == [one.name for one in lacking(made.run)]


def test_wrong_bytes_are_refused_by_name_and_asked_of_another(split):
    """One machine's disk has gone bad: what it gives wrongly comes from the other; alone it ends in an error."""
    made, (bad, good) = split(2)
    spoilt = [an_object(bad), *(next((bad / "crawled" / kind).iterdir()) for kind in ("comments", "texts"))]
    for path in spoilt:
        path.chmod(0o644)
        path.write_bytes(b"x" + path.read_bytes()[1:])
    alone = pull(made.run, sources(made, f"file://{bad}"))
    both = pull(made.run, sources(made, f"file://{bad}", f"file://{good}"))

    assert sorted(path.name for path in spoilt) == sorted(name.split("/")[-1].split(" ")[-1] for name in alone.wrong)
    assert 3 == len(alone.missing)
    with pytest.raises(CorruptDataError, match="3 files were refused"):
        alone.check()
    assert [] == both.missing
    assert files_of(good) == files_of(made.run.folder)


def test_texts_may_be_withheld(split):
    """Without them tables are made, but no release; once they are pulled as well, it is made."""
    made, (whole, bare) = split(2)
    shutil.rmtree(bare / "crawled/texts")
    pulled = pull(made.run, sources(made, f"file://{bare}"))
    made.integrate()
    with pytest.raises(NotReadyError, match=r"3 parts of .* are kept on other machines, crawled/texts/"):
        made.subset()
    pull(made.run, sources(made, f"file://{whole}"))
    built = made.subset()

    assert {part.path for part in made.run.ledger.parts("texts")} == set(pulled.missing)
    assert not made.integrate()[1]
    assert pq.read_metadata(built.path / "data/comments.parquet").num_rows


def test_a_machine_that_is_away_is_told_and_the_others_go_on(split):
    """What it alone keeps is missing, by name; all else is here."""
    made, (first,) = split()
    lost = an_object(first)
    lost.unlink()
    pulled = pull(made.run, sources(made, f"file://{first}", "http://127.0.0.1:1"))

    assert [lost.name] == pulled.missing
    assert {"http://127.0.0.1:1"} == set(pulled.troubles)
    with pytest.raises(NotReadyError, match="1 files are on no machine that was asked"):
        pulled.check()


def test_a_part_that_was_damaged_here_is_mended(make, tmp_path):
    """Its own machine too: what lay there is set aside, and the right one comes from whoever has it."""
    made = make().fill(world(3), parts=4)
    other = shutil.copytree(made.run.folder, tmp_path / "other")
    bad = min((made.run.folder / "crawled/comments").iterdir())
    bad.write_bytes(b"broken")
    with pytest.raises(CorruptDataError, match="integrate --from URL"):
        made.integrate()
    pulled = pull(made.run, sources(made, f"file://{other}"))

    assert (1, [f"crawled/comments/{bad.name}.wrong"]) == (pulled.parts, pulled.set_aside)
    assert b"broken" == bad.with_name(f"{bad.name}.wrong").read_bytes()
    assert files_of(other) == files_of(made.run.folder)
    assert made.integrate()[1]


def test_what_is_wanted_takes_little_memory(make):
    """Some tens of bytes a file, whatever is known of it and of who has it."""
    count, run = 100_000, make().run
    wanted = Lacking([], np.frombuffer(random.Random(1).randbytes(32 * count), HASH), np.ones(count, np.int64))

    class All:
        def sizes(self, hashes):
            return dict.fromkeys(hashes, 1)

        def parts(self, _wanted):
            return {}

    tracemalloc.start()
    work = _Work(run, wanted)
    queues = [work._queue_of(name, All()) for name in ("one", "two")]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert count == len(wanted)
    assert {64} == {len(one.sha256) for one in wanted}
    assert [0, 1, 2] == [work._next(queues[number]) for number in (0, 1, 0)]
    assert taken < 20 * count


def test_a_listing_that_lies_is_refused(split, monkeypatch):
    """What is listed and is not there is named; the rest comes."""
    monkeypatch.setattr(export_store, "_FEW", 0)
    made, (first,) = split()
    export = exporting(made, first)
    lost = an_object(first)
    real = export._store.objects
    listed = list(real())
    export._store.objects = lambda after="": (row for row in listed if row[0] > after)
    export._store.sizes = None
    lost.unlink()
    with serving(export.app()) as url:
        pulled = pull(made.run, sources(made, url))

    assert [lost.name] == pulled.missing
    assert len(listed) - 1 == pulled.files
    with pytest.raises(
        CorruptDataError, match=rf"1 files were refused, and 0 listings; 1 .*: {url} has lost /objects/"
    ):
        pulled.check()


def test_a_listing_that_cannot_be_read_is_refused(split):
    """It is told as what it is, ends in exit code 8, and stops nobody else."""
    made, (first,) = split()
    (open_first,) = sources(made, f"file://{first}").values()

    def unreadable(_wanted):
        raise CorruptDataError("its listing is no listing")

    pulled = pull(made.run, {"odd": lambda: Disguised(open_first, parts=unreadable), "good": open_first})

    assert ({}, {"odd": "its listing is no listing"}, 0) == (pulled.wrong, pulled.unreadable, pulled.left)
    with pytest.raises(CorruptDataError, match=r"0 files were refused, and 1 listings; .* the listing of odd: its"):
        pulled.check()


def test_no_token_no_pull(split):
    """What to set is said before anything is asked."""
    made, _ = split()
    with pytest.raises(RecipeError, match="no token opens the exports"):
        open_source("http://127.0.0.1:1", made.run, Settings(pseudonym_key=KEY))
    with pytest.raises(RecipeError, match="nothing can be pulled"):
        open_source("ftp://127.0.0.1", made.run, Settings(**SETTINGS))
    with pytest.raises(StoreUnreachableError, match=r"neither a run .* nor a store"):
        open_source("file:///nowhere", made.run, Settings(**SETTINGS))


KILLED = """
import sys
from functools import partial
from pathlib import Path
from integration.pull import pull
from integration.sources import open_source
from microlens.runs import open_run
from microlens.settings import Settings

folder, source, key = sys.argv[1:]
run, settings = open_run(Path(folder), Settings(pseudonym_key=key)), Settings()
run.ledger.keeping = run.ledger.keeping._replace(media="here", parts="here")
told = []
def tick(progress, left):
    told or told.append(print("waiting", file=sys.stderr, flush=True))
pull(run, {source: partial(open_source, source, run, settings)}, on_tick=tick)
"""


def test_ctrl_c_ends_it_at_once(split):
    """Whoever waits for a machine that hardly gives anything need not wait longer than he likes."""
    made, _ = split()
    with dripping("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n") as url:
        command = [sys.executable, "-c", KILLED, str(made.run.folder), url, KEY]
        environment = os.environ | {"MICROLENS_EXPORT_KEY": EXPORT_KEY}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            assert "waiting\n" == process.stderr.readline()
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=60)[1]

    assert -signal.SIGINT == process.returncode
    assert told.endswith("KeyboardInterrupt\n")


def test_an_error_of_this_machine_ends_it(split, monkeypatch):
    """A full disk is nobody else's fault: it is raised as it is."""
    made, (first,) = split()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(made.run.store, "put", full)
    with pytest.raises(OSError, match="No space left"):
        pull(made.run, sources(made, f"file://{first}"))


def test_killed_at_any_moment_it_goes_on(split):
    """SIGKILL again and again: in the end all is here, and nothing under a name was ever anything else."""
    made, (first,) = split(parts=6)
    dice, kills = random.Random(5), 0
    command = [sys.executable, "-c", KILLED, str(made.run.folder), f"file://{first}", KEY]
    for _ in range(12):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.2, 1.5))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() != 0
        whole = files_of(first)
        assert all(whole[name] == data for name, data in files_of(made.run.folder).items() if "tmp" not in name)
    subprocess.run(command, check=True, env=os.environ)

    assert kills
    assert files_of(first) == files_of(made.run.folder)
    assert made.integrate()[0].counters["kept"] == pq.read_metadata(made.run.integrated / "items.parquet").num_rows
