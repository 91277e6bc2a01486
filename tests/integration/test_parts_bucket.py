"""Parts kept in a bucket: put there before they count, pulled by whoever lacks them, checked like all others."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import obstore
import pyarrow as pa
import pytest

from integration.lacking import lacking
from integration.pull import pull
from microlens.cli.pulling import pull_kept
from microlens.cli.reporter import Reporter
from microlens.errors import CorruptDataError, NotReadyError, RecipeError, StoreUnreachableError
from microlens.keeping import Keeping
from microlens.parts import write_part
from microlens.stores import open_bucket
from tests.bucket import KEY as BUCKET_KEY
from tests.bucket import make_bucket, s3_server
from tests.integration.made import KEY, world
from tests.integration.pulling import files_of, sources

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def url(server, monkeypatch):
    """A bucket that the settings name."""
    name = f"parts-{next(NUMBERS)}"
    make_bucket(server, name)
    told = {**BUCKET_KEY, "AWS_ENDPOINT_URL": server, "MICROLENS_STORE_ALLOW_HTTP": "true"}
    for key, value in (told | {"MICROLENS_PARTS_URL": f"s3://{name}/ours"}).items():
        monkeypatch.setenv(key, value)
    return f"s3://{name}/ours"


@pytest.fixture
def kept(url, make, tmp_path):
    """A run whose parts nodes have put into the bucket, on a machine without them; and a folder that has all files."""
    made = make()
    made.run.ledger.keeping = Keeping("there", "here")
    made.fill(world(3), parts=3)
    made.run.ledger.keeping = Keeping("here", "here")
    whole = shutil.copytree(made.run.folder, tmp_path / "whole")
    shutil.rmtree(made.run.folder / "crawled")
    return made, whole


def bucket_of(made):
    return made.run.bucket.opened


def key_of(made, part):
    return f"parts/{made.run.shared_name}/{part.part_id}.parquet"


def all_parts(made):
    return [part for kind in ("videos", "comments", "texts") for part in made.run.ledger.parts(kind)]


def keys_in(made):
    return sorted(meta["path"] for chunk in obstore.list(bucket_of(made)) for meta in chunk)


def named(made, url):
    """Open the run with MICROLENS_PARTS_URL set so."""
    made.settings = made.settings.model_copy(update={"parts_url": url})
    made.open()


def pulled_kept(made):
    pull_kept(made.run, made.settings, Reporter())


def test_what_is_kept_in_a_bucket_comes_from_it(kept, url):
    """The ledger names the bucket; all kinds come unasked, once, and a release has the bytes of a common disk's."""
    made, whole = kept
    with pytest.raises(NotReadyError, match="kept on other machines") as told:
        made.integrate()
    pulled_kept(made)
    again = pull(made.run, sources(made, url, store_allow_http=True), kept_at=url)
    made.integrate()
    data = {path.name: path.read_bytes() for path in (made.subset().path / "data").iterdir()}
    for name in ("crawled", "integrated", "releases", "private/ids"):
        shutil.rmtree(made.run.folder / name)
    shutil.copytree(whole / "crawled", made.run.folder / "crawled")  # as a common disk has them
    made.integrate()
    common = {path.name: path.read_bytes() for path in (made.subset().path / "data").iterdir()}

    assert {url} == {part.kept_at for part in all_parts(made)}
    assert sorted(key_of(made, part) for part in all_parts(made)) == keys_in(made)
    assert f"--from URL` with {url}, and with" in told.value.hint
    assert files_of(whole) == files_of(made.run.folder)
    assert (0, 0, 0) == (again.files, again.parts, again.left)
    assert common == data


def test_it_can_be_named_as_a_source(kept, url):
    """With --from as well, and it mends what was damaged here; a machine that has no such setting pulls from it too."""
    made, whole = kept
    named(made, None)
    first = pull(made.run, sources(made, url, store_allow_http=True))
    bad = made.run.folder / all_parts(made)[0].path
    bad.write_bytes(b"broken")
    second = pull(made.run, sources(made, url, store_allow_http=True))

    assert (None, len(all_parts(made)), 0) == (made.run.bucket, first.parts, first.left)
    assert (1, [f"{all_parts(made)[0].path}.wrong"]) == (second.parts, second.set_aside)
    bad.with_name(f"{bad.name}.wrong").unlink()
    assert files_of(whole) == files_of(made.run.folder)


def test_what_others_keep_elsewhere_is_not_asked_of_it(kept, url):
    """Parts of an older day lie in a machine's folder: the bucket's come, and who has the others is to be named."""
    made, _ = kept
    named(made, None)
    made.run.ledger.keeping = Keeping("there", "here")
    made.add_videos({"v8": world(4, videos=9).videos["v8"]})
    shutil.rmtree(made.run.folder / "crawled")
    named(made, url)
    pulled_kept(made)

    (left,) = lacking(made.run).parts
    assert "there" == left.kept_at
    with pytest.raises(NotReadyError, match=rf"1 parts of .* {left.path}"):
        made.integrate()


def test_wrong_bytes_are_refused_by_name_and_the_rest_comes(kept):
    """One object has other bytes of the same length, one is cut short, one is lost."""
    made, whole = kept
    wrong, short, lost = all_parts(made)[:3]
    data = bytes(obstore.get(bucket_of(made), key_of(made, wrong)).bytes())
    obstore.put(bucket_of(made), key_of(made, wrong), b"x" + data[1:])
    obstore.put(bucket_of(made), key_of(made, short), data[:100])
    obstore.delete(bucket_of(made), key_of(made, lost))
    with pytest.raises(CorruptDataError, match=r"2 files were refused, .*; 3 files are still missing") as told:
        pulled_kept(made)
    refused = {wrong.path, short.path}
    missing = {part.path for part in lacking(made.run).parts}
    pull(made.run, sources(made, f"file://{whole}"))

    assert all(f"gives other bytes for the part {path}" in told.value.message for path in refused)
    assert {*refused, lost.path} == missing
    assert files_of(whole) == files_of(made.run.folder)


def test_what_was_cut_goes_on(kept, url):
    """Of what a killed process has fetched nothing is fetched again, unless it is broken."""
    made, whole = kept
    one, other = all_parts(made)[:2]
    half, sizes = 1000, {part.part_id: (whole / part.path).stat().st_size for part in all_parts(made)}
    (made.run.folder / "tmp").mkdir(exist_ok=True)
    (made.run.folder / f"tmp/pull-{one.part_id}").write_bytes((whole / one.path).read_bytes()[:half])
    (made.run.folder / f"tmp/pull-{other.part_id}").write_bytes(b"broken")
    pulled = pull(made.run, sources(made, url, store_allow_http=True))

    assert sum(sizes.values()) - half + sizes[other.part_id] - len(b"broken") == pulled.size_bytes
    assert files_of(whole) == files_of(made.run.folder)


def test_a_part_counts_only_once_it_is_there(url, make):
    """Nothing is listed that could not be put; what somebody else wrote under its key is left, and told."""
    made = make()
    table = pa.table({"x": [1, 2, 3]})
    part = write_part(made.run.folder, "videos", table)
    twice = [made.run.keep_part(part), made.run.keep_part(part)]  # as a request that is sent again
    obstore.put(bucket_of(made), key_of(made, part), b"something else")
    with pytest.raises(CorruptDataError, match="holds something else under parts/"):
        made.run.keep_part(part)
    named(made, "s3://no-such-bucket")
    with pytest.raises(StoreUnreachableError, match="s3://no-such-bucket: there is no such bucket"):
        made.fill(world(3))

    assert [url, url] == [one.kept_at for one in twice]
    assert [] == all_parts(made)


def test_what_to_do_about_a_bucket_that_cannot_be_read_is_told(kept, monkeypatch):
    """A missing bucket, and credentials that are refused: the pull says which, and what to do."""
    made, _ = kept
    with pytest.raises(NotReadyError, match="there is no such bucket") as absent:
        pull(made.run, sources(made, "s3://no-such-bucket", store_allow_http=True)).check()
    with s3_server(made.run.bucket.url.split("/")[2], INITIAL_NO_AUTH_ACTION_COUNT="1") as closed:
        monkeypatch.setenv("AWS_ENDPOINT_URL", closed)
        made.open()
        with pytest.raises(NotReadyError, match="these credentials are refused") as refused:
            pulled_kept(made)

    assert "make it, or correct this address" in absent.value.hint
    assert "check AWS_ACCESS_KEY_ID" in refused.value.hint
    assert BUCKET_KEY["AWS_SECRET_ACCESS_KEY"] not in str(refused.value)


@pytest.mark.parametrize("given", ["s3://key:secret@bucket/x", "s3://bucket?secret=1", "file:///x", "s3://", "bucket"])
def test_what_names_no_bucket_is_refused(given):
    """An address of another form is refused, and what may be secret in it is not repeated."""
    with pytest.raises(RecipeError, match="MICROLENS_PARTS_URL") as told:
        open_bucket(given)
    assert "secret" not in str(told.value)


def names_in(folder):
    return {path for path in folder.rglob("*") if "ledger" not in path.name}


KILLED = """
import sys
from pathlib import Path
from microlens.cli.reporter import Reporter
from microlens.cli.pulling import pull_kept
from microlens.runs import open_run
from microlens.settings import Settings

folder, key = sys.argv[1:]
settings = Settings(pseudonym_key=key)
run = open_run(Path(folder), settings)
pull_kept(run, settings, Reporter())
"""


def test_killed_at_any_moment_it_goes_on(kept):
    """SIGKILL again and again: in the end all is here, and nothing under a name was ever anything else."""
    made, whole = kept
    truth, dice, kills = files_of(whole), random.Random(5), 0
    command = [sys.executable, "-c", KILLED, str(made.run.folder), KEY]
    for _ in range(4):
        process, before = subprocess.Popen(command, stderr=subprocess.DEVNULL), names_in(made.run.folder)
        while process.poll() is None and names_in(made.run.folder) == before:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() != 0
        assert all(truth[name] == data for name, data in files_of(made.run.folder).items())
    subprocess.run(command, check=True, env=os.environ)

    assert kills
    assert truth == files_of(made.run.folder)


def test_what_a_killed_node_left_is_never_asked_for(kept, url):
    """An object that no ledger lists, and one that is no part at all, change nothing."""
    made, whole = kept
    obstore.put(bucket_of(made), f"parts/{made.run.shared_name}/{'0' * 32}.parquet", b"left over")
    obstore.put(bucket_of(made), f"parts/{made.run.shared_name}/notes.txt", b"a note")
    pulled_kept(made)

    assert files_of(whole) == files_of(made.run.folder)
    assert not lacking(made.run, kept_at=url)
