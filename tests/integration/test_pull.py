"""What other machines keep, brought here: each byte once, checked, from whoever has it; what is wrong is named."""

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pyarrow.parquet as pq
import pytest

from download_nodes.export import Export
from integration.lacking import lacking
from integration.pull import pull
from integration.sources import open_source
from microlens import export_store, pace
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.keeping import Keeping
from microlens.settings import Settings
from tests.download_nodes.exporting import dripping, serving
from tests.integration.made import KEY, world

EXPORT_KEY = "e0" * 32
SETTINGS = {"pseudonym_key": KEY, "export_key": EXPORT_KEY}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Other tries come at once."""
    monkeypatch.setattr(export_store, "_FIRST_WAIT_S", 0.001)


@pytest.fixture
def split(make, tmp_path):
    """A run of which this machine has nothing but the ledger; gives it, and so many folders that have all files."""

    def one(count=1, *, parts=3, **recipe):
        made = make(**recipe)
        made.run.ledger.keeping = Keeping("there", "there")
        made.fill(world(3), parts=parts)
        made.run.ledger.keeping = Keeping("here", "here")
        folders = [shutil.copytree(made.run.folder, tmp_path / f"machine{number}") for number in range(count)]
        for gone in ("crawled", "store/objects"):
            shutil.rmtree(made.run.folder / gone)
        return made, folders

    return one


def exporting(made, folder):
    """The export of one of the folders."""
    from dataclasses import replace

    from microlens.local_store import LocalStore

    return Export(replace(made.run, folder=folder, store=LocalStore(folder / "store")), bytes.fromhex(EXPORT_KEY))


def sources(made, *urls, **settings):
    told = Settings(**SETTINGS | settings)
    return {str(url): partial(open_source, str(url), made.run, told) for url in urls}


def files_of(folder):
    """Bytes of all parts and media of a folder, by path."""
    found = [*(folder / "crawled").rglob("*.parquet"), *(folder / "store" / "objects").rglob("*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.is_file()}


def an_object(folder):
    return min(path for path in (folder / "store/objects").rglob("*") if path.is_file())


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
    assert ([], [], {}) == (pulled.wrong, pulled.missing, pulled.troubles)
    assert made.integrate()[1]
    assert [] == lacking(made.run)


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
    kept = lacking(made.run)
    again = pull(made.run, sources(made, f"file://{first}"))
    counters = made.integrate()[0].counters
    made.add_videos({"v8": world(4, videos=9).videos["v8"]})
    made.add_comments(["v8"], [{**row, "video_id": "v8"} for row in world(4).comments[:3]])
    (new,) = (made.run.folder / "crawled/comments").iterdir()
    new.unlink()

    assert [] == kept
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


def test_a_machine_that_drips_holds_nobody(split, monkeypatch):
    """A file of which hardly anything comes goes back, and is taken from another that has it."""
    monkeypatch.setattr(pace, "PATIENCE_S", 0.3)
    made, (first, second) = split(2)
    opened = sources(made, f"file://{first}", f"file://{second}")

    class Drip:
        """Lists what the first has, and gives a byte of it now and then."""

        def __init__(self):
            self._real = opened[f"file://{first}"]()

        def __getattr__(self, name):
            return getattr(self._real, name)

        def read(self, *_):
            while True:
                time.sleep(0.02)
                yield b"x"

        read_part = read

    pulled = pull(made.run, {"drip": Drip, "good": opened[f"file://{second}"]})

    assert [] == pulled.missing
    assert re.fullmatch(r"drip gave \d+ bytes in 0 s", pulled.troubles["drip"])
    assert files_of(second) == files_of(made.run.folder)


def test_a_listing_that_lies_is_refused(split):
    """What is listed and is not there is named; the rest comes."""
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


def test_no_token_no_pull(split):
    """What to set is said before anything is asked."""
    made, _ = split()
    with pytest.raises(RecipeError, match="no token opens the exports"):
        open_source("http://127.0.0.1:1", made.run, Settings(pseudonym_key=KEY))
    with pytest.raises(RecipeError, match="nothing can be pulled"):
        open_source("ftp://127.0.0.1", made.run, Settings(**SETTINGS))
    with pytest.raises(RecipeError, match="no run's folder"):
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
            told = process.communicate(timeout=10)[1]

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
