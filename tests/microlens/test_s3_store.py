"""The store in a bucket, against a real S3 server: bytes under their hash, whole or not at all."""

import hashlib
import itertools
import os
import random
import subprocess
import sys
import threading
import time

import obstore
import pytest

from microlens.errors import CorruptDataError, RecipeError, StoreUnreachableError
from microlens.local_store import LocalStore
from microlens.s3_store import S3Store
from microlens.store import sha256_of
from microlens.stores import open_store
from tests.bucket import KEY, make_bucket, s3_server

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture(autouse=True)
def environment(monkeypatch, server):
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)


@pytest.fixture
def store(server, tmp_path):
    name = f"bucket-{next(NUMBERS)}"
    make_bucket(server, name)
    return S3Store(name, "a/prefix", LocalStore(tmp_path / "store"), allow_http=True)


def finished(store, data):
    """A temporary file and its hash."""
    temporary = store.temporary()
    temporary.write_bytes(data)
    return temporary, hashlib.sha256(data).hexdigest()


def put(store, data):
    temporary, sha256 = finished(store, data)
    store.put(temporary, sha256)
    return sha256


def key_of(sha256):
    return f"objects/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def temporaries(store):
    return list((store._local.root / "tmp").iterdir())


def test_an_object_stands_under_its_hash(store):
    """What was put has its hash for a key, below the prefix; the temporary file is gone."""
    sha256 = put(store, b"hello")

    assert [f"a/prefix/{key_of(sha256)}"] == [
        f"a/prefix/{meta['path']}" for chunk in obstore.list(store.bucket.opened) for meta in chunk
    ]
    assert store.has(sha256)
    assert not store.has("0" * 64)
    assert {sha256: 5} == store.sizes([sha256, "0" * 64])
    assert [(sha256, 5)] == list(store.objects())
    assert [] == temporaries(store)
    store.verify(sha256)


@pytest.mark.parametrize("size", [(8 << 20) - 1, 8 << 20, (8 << 20) + 1, 20 << 20])
def test_large_files_come_in_parts(store, tmp_path, size):
    """A file longer than one part has the same bytes there and back, and is put once."""
    data = random.Random(size).randbytes(size)
    sha256 = put(store, data)
    before = obstore.head(store.bucket.opened, key_of(sha256))
    put(store, data)
    store.verify(sha256)
    store.link(sha256, tmp_path / "1.mp4")

    assert before == obstore.head(store.bucket.opened, key_of(sha256))
    assert sha256 == sha256_of(tmp_path / "1.mp4")
    assert size == store.sizes([sha256])[sha256]


def test_many_files_are_taken_over_at_once(store):
    """All of a batch stand under their hashes, equal ones once, in order; no temporary file is left."""
    batch = [finished(store, b"%d" % (number % 40)) for number in range(50)]
    store.put_many(batch)
    hashes = sorted({sha256 for _, sha256 in batch})

    assert hashes == [name for name, _ in store.objects()]
    assert hashes[7:] == [name for name, _ in store.objects(after=hashes[6])]
    assert dict(store.objects()) == store.sizes([*hashes, *(f"{number:064x}" for number in range(1000))])
    assert [] == temporaries(store)


def test_a_batch_that_fails_leaves_the_rest(store):
    """A file that is missing raises when all the others have been taken over."""
    batch = [finished(store, b"%d" % number) for number in range(10)]
    batch[5][0].unlink()

    with pytest.raises(FileNotFoundError):
        store.put_many(batch)
    assert 9 == len(list(store.objects()))
    assert [] == temporaries(store)


def test_threads_may_put_the_same_object(store):
    """Eight threads that put the same bytes leave one whole object."""
    batch = [finished(store, b"the same" * 1000) for _ in range(8)]
    threads = [threading.Thread(target=store.put, args=one) for one in batch]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(batch[0][1], 8000)] == list(store.objects())
    assert [] == temporaries(store)
    store.verify(batch[0][1])


def test_an_object_of_another_size_is_mended(store):
    """What stands under a hash with another length than its bytes have is written anew by the next put."""
    sha256 = put(store, b"the whole file")
    obstore.put(store.bucket.opened, key_of(sha256), b"the who")
    with pytest.raises(CorruptDataError, match=sha256):
        store.verify(sha256)
    put(store, b"the whole file")

    store.verify(sha256)


# --- links ---


def test_an_object_is_fetched_once(store, tmp_path):
    """The second link to an object is made from the local copy: the bucket may have lost it by then."""
    sha256 = put(store, b"cover")
    store.link(sha256, tmp_path / "release" / "1.jpg")
    obstore.delete(store.bucket.opened, key_of(sha256))
    store.link(sha256, tmp_path / "release" / "2.jpg")

    assert b"cover" == (tmp_path / "release" / "1.jpg").read_bytes()
    assert (tmp_path / "release" / "1.jpg").samefile(tmp_path / "release" / "2.jpg")
    assert [] == temporaries(store)


def test_a_fetch_that_was_cut_goes_on(store, tmp_path):
    """What a killed process has fetched of an object is not fetched again; what it left broken is."""
    data = random.Random(5).randbytes(9 << 20)
    sha256 = put(store, data)
    for left in (data[: 3 << 20], b"broken", data + b"more", data):
        store.partial(sha256).write_bytes(left)
        store.link(sha256, tmp_path / "1.mp4")

        assert sha256 == sha256_of(tmp_path / "1.mp4")
        assert [] == temporaries(store)
        store._local.path(sha256).unlink()


def test_wrong_bytes_are_never_linked(store, tmp_path):
    """An object whose bytes are not those of its name is told, and nothing is kept of it."""
    sha256 = put(store, b"right")
    obstore.put(store.bucket.opened, key_of(sha256), b"wrong")

    with pytest.raises(CorruptDataError, match="other bytes"):
        store.link(sha256, tmp_path / "1.jpg")
    assert [] == [*temporaries(store), *store._local.objects()]
    assert not (tmp_path / "1.jpg").exists()


def test_a_lost_object_is_told(store, tmp_path):
    """A link to what the bucket does not hold says which store has lost it."""
    with pytest.raises(CorruptDataError, match=r"s3://bucket-.*/a/prefix has lost objects/00/00/0000"):
        store.link("0" * 64, tmp_path / "1.jpg")


# --- what can go wrong ---


def open_at(tmp_path, bucket, **options):
    return S3Store(bucket, "", LocalStore(tmp_path / "store"), **{"allow_http": True, "patience_s": 0.5, **options})


def test_a_missing_bucket_is_told_before_anything_is_taken_for_lost(tmp_path):
    """A slip in the bucket's name is an error, not a store that has lost everything."""
    for ask in (
        lambda store: store.sizes(["0" * 64]),
        lambda store: store.has("0" * 64),
        lambda store: put(store, b"x"),
    ):
        with pytest.raises(StoreUnreachableError, match="there is no such bucket"):
            ask(open_at(tmp_path, "no-such-bucket"))


def test_a_server_that_is_away_is_told(tmp_path, monkeypatch):
    """A store that does not answer ends in exit code 5, and says that nothing is lost; the file stays."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = open_at(tmp_path, "bucket")

    with pytest.raises(StoreUnreachableError, match="nothing is lost") as away:
        put(store, b"x")
    assert 5 == away.value.exit_code
    assert 1 == len(temporaries(store))


def test_refused_credentials_are_told(tmp_path, monkeypatch):
    """A key that the server does not know is named as the cause."""
    with s3_server("bucket", INITIAL_NO_AUTH_ACTION_COUNT="1") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        with pytest.raises(StoreUnreachableError, match="credentials are refused"):
            open_at(tmp_path, "bucket").has("0" * 64)


def test_plain_http_must_be_asked_for(tmp_path):
    """An endpoint without TLS is refused unless the setting allows it."""
    with pytest.raises(StoreUnreachableError, match="MICROLENS_STORE_ALLOW_HTTP"):
        open_at(tmp_path, "bucket", allow_http=False).has("0" * 64)


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///x",
        "s3://key:secret@bucket/x",
        "s3://bucket?x=1",
        "s3://bucket:9000/x",
        "ftp://host/x",
        "file://host/x",
        "file:x",
        "/tmp/x",
        "bucket",
        "",
        "https://host/",
    ],
)
def test_what_names_no_store_is_refused(tmp_path, url):
    """An address of another form is refused when the run is opened."""
    with pytest.raises(RecipeError, match="MICROLENS_STORE_URL"):
        open_store(tmp_path, url)


def test_a_store_is_opened_by_its_address(tmp_path):
    """A bucket and its prefix, a folder anywhere, or the run's own."""
    assert "s3://bucket" == open_store(tmp_path, "s3://bucket").url
    assert "s3://bucket/a/b" == open_store(tmp_path, "s3://bucket/a/b/").url
    assert tmp_path / "with space" == open_store(tmp_path, f"file://{tmp_path}/with%20space").root
    assert tmp_path == open_store(tmp_path, None).root


# --- killed ---

_PUTTING = """
import hashlib, sys
from pathlib import Path
from microlens.local_store import LocalStore
from microlens.bucket import PIECE_BYTES
from microlens.s3_store import S3Store
store = S3Store(sys.argv[1], "a/prefix", LocalStore(Path(sys.argv[2])), allow_http=True)
word = sys.argv[3].encode()
store.has("0" * 64)
print("ready", flush=True)
for first in range(0, 10_000, 8):
    batch = []
    for number in range(first, first + 8):
        data = (word + b"%d" % number) * (3000 if number % 8 else PIECE_BYTES // 4)
        temporary = store.temporary()
        temporary.write_bytes(data)
        batch.append((temporary, hashlib.sha256(data).hexdigest()))
    store.put_many(batch[:6])
    for one in batch[6:]:
        store.put(*one)
    print(*(sha256 for _, sha256 in batch), flush=True)
"""


def writer(store, word):
    return subprocess.Popen(
        [sys.executable, "-c", _PUTTING, store.bucket._name, str(store._local.root), word],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_only_whole_objects(store):
    """Thirty writers are killed in the midst of their puts: every object is whole, none that was told of is missing."""
    chance, told = random.Random(4), []
    for number in range(30):
        with writer(store, f"word{number}") as process:
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
            told += process.stdout.read().split()
    stored = dict(store.objects())

    assert set(told) <= set(stored)
    assert len(stored) > 30
    for sha256 in stored:
        store.verify(sha256)


def test_two_processes_may_put_the_same_objects(store):
    """Writers of equal files do not disturb each other."""
    writers = [writer(store, "same") for _ in range(2)]
    for process in writers:
        for _ in range(3):
            assert process.stdout.readline()
    for process in writers:
        process.kill()
        process.communicate()
    stored = dict(store.objects())

    assert len(stored) >= 16
    for sha256 in stored:
        store.verify(sha256)


def test_a_local_run_never_loads_obstore():
    """Naming a bucket does not load obstore either: it comes when an object is asked for."""
    code = (
        "import sys; from pathlib import Path; from microlens.stores import open_store\n"
        "open_store(Path(sys.argv[1]), None); open_store(Path(sys.argv[1]), 's3://bucket')\n"
        "print('obstore' in sys.modules)"
    )
    command = [sys.executable, "-c", code, os.devnull.replace("null", "shm")]

    assert "False\n" == subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout
