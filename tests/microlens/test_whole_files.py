import pytest

from microlens.whole_files import replacing, write_atomically


def test_a_text_is_replaced_whole(tmp_path):
    """A reader sees the old text or the new one, in UTF-8."""
    for text in ("old", "新\u202e"):
        write_atomically(tmp_path / "a.txt", text)

    assert "新\u202e" == (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert ["a.txt"] == [path.name for path in tmp_path.iterdir()]


def test_a_file_takes_the_others_place_when_it_is_whole(tmp_path):
    """Until then a reader sees the old one; nothing is left beside it."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with replacing(path) as unfinished:
        unfinished.write_bytes(b"new")
        assert b"old" == path.read_bytes()

    assert b"new" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def write_half(path):
    with replacing(path) as unfinished:
        unfinished.write_bytes(b"half")
        raise ZeroDivisionError


def test_a_file_that_came_to_nothing_leaves_the_other(tmp_path):
    """What has been written of it is removed; so it is where nothing has been."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    with pytest.raises(FileNotFoundError), replacing(path):
        pass

    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
