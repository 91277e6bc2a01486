"""The local store: bytes under their hash, whole or not at all."""

import errno
import hashlib
import os
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens import local_store
from microlens.errors import CorruptDataError
from microlens.local_store import LocalStore
from microlens.store import sha256_of


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "store")


def finished(store, data):
    """A temporary file and its hash."""
    temporary = store.temporary()
    temporary.write_bytes(data)
    return temporary, hashlib.sha256(data).hexdigest()


def put(store, data):
    temporary, sha256 = finished(store, data)
    store.put(temporary, sha256)
    return store.path(sha256)


def broken_objects(store):
    """Names under which something else stands than the bytes of that hash."""
    return [name for name, _ in store.objects() if sha256_of(store.path(name)) != name]


def test_a_file_stands_under_its_hash(store):
    """What was put is found by the hash of its bytes, two folders deep, and nothing is left in tmp."""
    path = put(store, b"hello")
    name = hashlib.sha256(b"hello").hexdigest()

    assert store.root / "objects" / name[:2] / name == path == store.path(name)
    assert b"hello" == path.read_bytes()
    assert store.has(name)
    assert not store.has("0" * 64)
    assert [] == list((store.root / "tmp").iterdir())


def test_the_same_bytes_are_kept_once(store):
    """A second put of the same bytes leaves the first file as it is and takes the temporary one away."""
    before = put(store, b"same").stat()
    after = put(store, b"same").stat()

    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert [] == list((store.root / "tmp").iterdir())


def test_two_temporary_paths_differ(store):
    """Every writer has a path of its own, on the store's file system."""
    paths = {store.temporary() for _ in range(20)}

    assert 20 == len(paths)
    assert {store.root / "tmp"} == {path.parent for path in paths}


@given(st.binary(max_size=64), st.data())
def test_any_changed_byte_is_found(tmp_path_factory, data, draw):
    """Verify accepts what was put and refuses it with one byte changed, added or missing."""
    store = LocalStore(tmp_path_factory.getbasetemp() / "any-byte")
    path = put(store, data)
    store.verify(path.name)
    at = draw.draw(st.integers(0, len(data)))
    flip = draw.draw(st.integers(1, 255))
    changed = data[:at] + (bytes([data[at] ^ flip]) + data[at + 1 :] if at < len(data) else b"\0")
    path.chmod(0o644)
    path.write_bytes(changed)

    with pytest.raises(CorruptDataError, match=path.name):
        store.verify(path.name)
    path.unlink()


def test_a_missing_file_is_corrupt(store):
    """Verify says that nothing is there."""
    with pytest.raises(CorruptDataError, match="holds nothing"):
        store.verify("0" * 64)


def test_a_link_has_the_same_bytes(store, tmp_path):
    """A linked file is the stored one under a second name, in folders made for it."""
    path = put(store, b"cover")
    store.link(path.name, tmp_path / "release" / "covers" / "1.jpg")

    assert b"cover" == (tmp_path / "release" / "covers" / "1.jpg").read_bytes()


def test_a_link_made_again_harms_no_stored_file(store, tmp_path):
    """A link may be made twice, and over a link to another file: neither stored file is changed."""
    one, two = put(store, b"one"), put(store, b"two")
    target = tmp_path / "1.jpg"
    for path in (one, one, two):
        store.link(path.name, target)

    assert b"two" == target.read_bytes()
    store.verify(one.name)
    store.verify(two.name)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_hash_is_of_all_bytes(tmp_path, size):
    """A file longer than one chunk is hashed to its end."""
    path = tmp_path / "file"
    path.write_bytes(bytes(size))

    assert hashlib.sha256(bytes(size)).hexdigest() == sha256_of(path)


# --- many at once ---


@pytest.mark.parametrize("count", [0, 1, 4, 5, 100])
@pytest.mark.parametrize("has_syncfs", [True, False])
def test_many_files_are_taken_over_at_once(store, count, has_syncfs, monkeypatch):
    """All of a batch stand under their hashes, read-only, with no temporary file left: with and without syncfs."""
    if not has_syncfs:
        monkeypatch.setattr(local_store, "_syncfs", lambda: None)
    batch = [finished(store, b"%d" % number) for number in range(count)]
    store.put_many(batch)

    assert sorted(sha256 for _, sha256 in batch) == [name for name, _ in store.objects()]
    assert [] == broken_objects(store)
    assert {0o100444} >= {store.path(sha256).stat().st_mode for _, sha256 in batch}
    assert [] == list(store.root.glob("tmp/*"))


def test_a_batch_may_hold_the_same_bytes_twice(store):
    """Equal files of one batch, and those that the store has, are kept once."""
    put(store, b"known")
    store.put_many([finished(store, data) for data in (b"known", b"a", b"a", b"b", b"c", b"c")])

    assert 4 == len(list(store.objects()))
    assert [] == list((store.root / "tmp").iterdir())


def test_a_batch_that_fails_leaves_whole_objects_alone(store):
    """A file that is missing raises; what was taken over before it is whole, the rest stays where it was."""
    batch = [finished(store, b"%d" % number) for number in range(10)]
    batch[5][0].unlink()

    with pytest.raises(FileNotFoundError):
        store.put_many(batch)
    assert [] == broken_objects(store)
    assert 9 == len(list(store.objects())) + len(list((store.root / "tmp").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs(2) is Linux's")
def test_a_sync_that_fails_is_told():
    """What the system says of a failed sync is raised, not swallowed."""
    with pytest.raises(OSError, match="syncfs"):
        local_store._sync_all(-1, [])


def test_half_a_file_under_a_name_is_replaced(store):
    """What a broken disk has cut short makes room for the right bytes; a put heals it."""
    path = put(store, b"the whole file")
    path.chmod(0o644)
    path.write_bytes(b"the who")
    put(store, b"the whole file")

    assert b"the whole file" == path.read_bytes()


# --- telling what is there ---


def test_objects_are_told_in_order_from_any_name_on(store):
    """Every object is told once, in the order of the hashes, from behind a given one; strangers are not."""
    batch = [finished(store, b"%d" % number) for number in range(300)]
    store.put_many(batch)
    hashes = sorted(sha256 for _, sha256 in batch)
    (store.root / "objects" / "README").write_text("a stranger")
    (store.path(hashes[0]).parent / "stranger").write_text("another")

    assert hashes == [name for name, _ in store.objects()]
    assert hashes[101:] == [name for name, _ in store.objects(after=hashes[100])]
    assert [] == list(store.objects(after="f" * 64))
    assert [] == list(LocalStore(store.root / "empty").objects())


def test_sizes_are_those_of_what_is_there(store):
    """Sizes are told of many objects at once; what is missing is left out."""
    one, two = put(store, b"1"), put(store, b"22")

    assert {one.name: 1, two.name: 2} == store.sizes([one.name, "0" * 64, two.name])


def test_only_old_temporary_files_are_swept(store):
    """What nobody has written to for long goes; a fresh file may be somebody's."""
    old, fresh = store.temporary(), store.temporary()
    for path in (old, fresh):
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    store.sweep(3600.0)

    assert [fresh] == list((store.root / "tmp").iterdir())


def test_what_belongs_together_is_swept_together(store):
    """A note, and a picture that waits for its sound, live as long as one byte of them is new."""
    tmp = store.temporary().parent
    living = [tmp / name for name in ("a.part", "a.part.origin", "a.part.sound", "a.part.sound.origin")]
    dead = [tmp / name for name in ("b.part", "b.part.origin")]
    for path in [*living, *dead]:
        path.write_bytes(b"x")
        os.utime(path, (1, 1))
    os.utime(living[2])
    store.sweep(3600.0)

    assert sorted(living) == sorted(tmp.iterdir())


# --- a hostile world ---

_PUTTING = """
import hashlib, sys
from pathlib import Path
from microlens.local_store import LocalStore
store, word = LocalStore(Path(sys.argv[1])), sys.argv[2].encode()
print("ready", flush=True)
for first in range(0, 10_000, 8):
    batch = []
    for number in range(first, first + 8):
        data = (word + b" %d" % number) * 3000
        temporary = store.temporary()
        temporary.write_bytes(data)
        batch.append((temporary, hashlib.sha256(data).hexdigest()))
    store.put_many(batch[:6])
    for one in batch[6:]:
        store.put(*one)
    print(*(sha256 for _, sha256 in batch), flush=True)
"""


def test_a_process_killed_at_any_moment_leaves_only_whole_objects(store):
    """Thirty writers are killed in the midst of their puts: every object is whole, none that was told of is missing."""
    chance = random.Random(4)
    told = []
    for number in range(30):
        command = [sys.executable, "-c", _PUTTING, str(store.root), f"word{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.08))
            writer.kill()
            told += writer.stdout.read().split()

    assert len(told) == len(store.sizes(told)) > 0
    assert [] == broken_objects(store)


def test_two_processes_may_put_the_same_objects(store):
    """Writers of equal files do not disturb each other."""
    command = [sys.executable, "-c", _PUTTING, str(store.root), "same"]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        for _ in range(10):
            assert writer.stdout.readline()
    for writer in writers:
        writer.kill()
        writer.communicate()

    assert [] == broken_objects(store)
    assert len(list(store.objects())) >= 72


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_told_and_breaks_nothing(tmp_path):
    """On a disk without room a put raises ENOSPC; what was stored stays whole, and puts go on once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    try:
        store = LocalStore(disk / "store")
        batch = [finished(store, b"%d" % number) for number in range(20)]
        with pytest.raises(OSError, match="No space") as full:
            store.put_many(batch)
        stored = [name for name, _ in store.objects()]
        left = [one for one in batch if one[0].exists()]
        subprocess.run(["mount", "-o", "remount,nr_inodes=200", disk], check=True)
        store.put_many(left)

        assert errno.ENOSPC == full.value.errno
        assert 0 < len(stored) < 20
        assert [] == broken_objects(store)
        assert sorted(sha256 for _, sha256 in batch) == [name for name, _ in store.objects()]
    finally:
        subprocess.run(["umount", disk], check=True)
