"""The store: bytes under their hash, whole or not at all."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.errors import CorruptDataError
from microlens.store import Store, sha256_of


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def put(store, data):
    temporary = store.temporary()
    temporary.write_bytes(data)
    return store.put(temporary, hashlib.sha256(data).hexdigest())


def test_a_file_stands_under_its_hash(store):
    """What was put is found by the hash of its bytes, two folders deep, and nothing is left in tmp."""
    path = put(store, b"hello")
    name = hashlib.sha256(b"hello").hexdigest()

    assert store.root / "objects" / name[:2] / name[2:4] / name == path == store.path(name)
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
    store = Store(tmp_path_factory.getbasetemp() / "any-byte")
    path = put(store, data)
    store.verify(path.name)
    at = draw.draw(st.integers(0, len(data)))
    flip = draw.draw(st.integers(1, 255))
    changed = data[:at] + (bytes([data[at] ^ flip]) + data[at + 1 :] if at < len(data) else b"\0")
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
