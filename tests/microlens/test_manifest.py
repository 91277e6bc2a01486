"""A manifest is written last, and knows every byte of its folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.errors import CorruptDataError, NotReadyError
from microlens.manifest import (
    MANIFEST_NAME,
    Manifest,
    Output,
    describe_output,
    read_manifest,
    verify,
    write_manifest,
)


def finished(folder, files):
    """A folder with these files and its manifest."""
    outputs = []
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        outputs.append(describe_output(folder, path, rows=len(data)))
    manifest = Manifest("subset", "run", "0.1.0", "ab", {"videos": "cd"}, tuple(outputs), {"users": 3})
    write_manifest(folder, manifest)
    return manifest


def test_a_manifest_survives_its_file(tmp_path):
    """What was written is read, outputs and counters included, and no temporary file stays."""
    manifest = finished(tmp_path, {"data/a.parquet": b"aa", "b": b""})

    assert manifest == read_manifest(tmp_path, next_step="") == verify(tmp_path)
    assert ["_manifest.json", "b", "data"] == sorted(path.name for path in tmp_path.iterdir())
    assert "data/a.parquet" == manifest.outputs[0].path


def test_a_folder_without_a_manifest_is_not_finished(tmp_path):
    """The presence of the manifest means finished; its absence names the command to run first."""
    with pytest.raises(NotReadyError, match="is not finished") as refused:
        read_manifest(tmp_path, next_step="run `microlens-build integrate` first")
    assert "run `microlens-build integrate` first" == refused.value.hint
    assert 3 == refused.value.exit_code


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '"x"', "{}", '{"outputs": null}', '{"outputs": [], "more": 1}', '{"outputs": [5]}'],
)
def test_a_manifest_that_cannot_be_read_is_corrupt(tmp_path, text):
    """Half a file, or JSON of another shape, is corrupt data and not a traceback."""
    (tmp_path / MANIFEST_NAME).write_text(text)

    with pytest.raises(CorruptDataError, match="cannot be read"):
        read_manifest(tmp_path, next_step="build it")


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_flipped_byte_is_found(tmp_path_factory, data, draw):
    """Verify names the one file of which one byte was changed."""
    folder = tmp_path_factory.getbasetemp() / "flipped"
    finished(folder, {"good": b"good", "bad": data})
    verify(folder)
    at = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[at] ^= draw.draw(st.integers(1, 255))
    (folder / "bad").write_bytes(changed)

    with pytest.raises(CorruptDataError, match=r"/bad holds"):
        verify(folder)


def test_a_missing_file_is_found(tmp_path):
    """A listed file that is gone is corrupt data."""
    finished(tmp_path, {"a": b"a"})
    (tmp_path / "a").unlink()

    with pytest.raises(CorruptDataError, match="holds nothing"):
        verify(tmp_path)


def test_a_known_hash_is_not_computed_again(tmp_path):
    """A stored file's name is its hash already."""
    (tmp_path / "a").write_bytes(b"aaa")

    assert Output("a", 3, "known", None) == describe_output(tmp_path, tmp_path / "a", sha256="known")
