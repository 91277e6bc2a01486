"""A release is read from the files where they lie."""

import pyarrow as pa
import pytest
from PIL import Image

import microlens
from microlens.errors import CorruptDataError, NotReadyError
from microlens.loader import Dataset, load
from microlens.manifest import Manifest, describe_output, write_manifest
from microlens.parts import write_table

RED = (200, 10, 10)


@pytest.fixture
def release(tmp_path):
    """Three items: the first with everything, the second with a cover, the third with nothing."""
    folder = tmp_path / "releases" / "tiny"
    (folder / "media" / "covers").mkdir(parents=True)
    (folder / "media" / "videos").mkdir()
    for item, mode in ((1, "RGB"), (2, "P")):
        Image.new("RGB", (8, 6), RED).convert(mode).save(folder / "media" / "covers" / f"{item}.png")
    (folder / "media" / "videos" / "1.mp4").write_bytes(b"not really a video")
    items = {
        "item_id": pa.array([1, 2, 3], pa.int32()),
        "title": ["one", "two", "<script>"],
        "cover_path": ["media/covers/1.png", "media/covers/2.png", None],
        "video_path": ["media/videos/1.mp4", None, None],
        "audio_path": pa.nulls(3, pa.string()),
    }
    pairs = {"user_id": [1, 1, 2], "item_id": [2, 1, 3], "timestamp_ms": [10, 20, 5], "position": [1, 2, 1]}
    write_table(folder / "data" / "items.parquet", pa.table(items))
    write_table(folder / "data" / "interactions.parquet", pa.table(pairs))
    write_table(folder / "data" / "users.parquet", pa.table({"user_id": [1, 2], "interaction_count": [2, 1]}))
    write_table(folder / "data" / "comments.parquet", pa.table({"user_id": [1], "item_id": [2], "text": ["nice"]}))
    outputs = tuple(describe_output(folder, path) for path in sorted(folder.rglob("*.*")) if path.is_file())
    counters = {"users": 2, "items": 3, "interactions": 3}
    write_manifest(folder, Manifest("subset", "run", "0.1.0", "ab", {}, outputs, counters))
    return folder


def test_tables_are_read(release):
    """Pairs, items, users and comments are the release's tables."""
    dataset = load(release)

    assert [(1, 2, 10), (1, 1, 20), (2, 3, 5)] == [
        (row["user_id"], row["item_id"], row["timestamp_ms"]) for row in dataset.pairs.to_pylist()
    ]
    assert ["one", "two", "<script>"] == dataset.items["title"].to_pylist()
    assert [2, 1] == dataset.users["interaction_count"].to_pylist()
    assert ["nice"] == dataset.comments["text"].to_pylist()


def test_tables_are_read_once(release):
    """A table asked for again is the same object."""
    dataset = load(release)

    assert dataset.pairs is dataset.pairs


def test_covers_are_pictures_by_item(release):
    """A cover is an RGB picture whatever its file holds, read when it is asked for."""
    covers = load(release).covers

    assert [(8, 6), (8, 6)] == [covers[item].size for item in (1, 2)]
    assert ["RGB", "RGB"] == [covers[item].mode for item in (1, 2)]
    assert RED == covers[1].getpixel((0, 0))


def test_media_are_mappings_by_item(release):
    """An item without a file of a kind is absent from that kind's mapping."""
    dataset = load(release)

    assert [1, 2] == list(dataset.covers)
    assert [1] == list(dataset.videos)
    assert (2, 1, 0) == (len(dataset.covers), len(dataset.videos), len(dataset.audios))
    assert (True, False, False) == (1 in dataset.videos, 2 in dataset.videos, 0 in dataset.covers)
    assert dataset.videos.get(3) is None
    with pytest.raises(KeyError):
        dataset.covers[3]


def test_a_video_is_a_path(release):
    """A video is given as the path of its file in the release."""
    dataset = load(release)

    assert release / "media" / "videos" / "1.mp4" == dataset.videos[1]
    assert b"not really a video" == dataset.videos[1].read_bytes()


def test_a_release_is_opened_by_text_or_path(release):
    """A release says its name and its counts."""
    assert "<Dataset tiny: 2 users, 3 items, 3 interactions>" == repr(load(str(release))) == repr(load(release))
    assert isinstance(microlens.load(release), Dataset)
    assert microlens.Dataset is Dataset


@pytest.mark.parametrize("name", ["data/items.parquet", "media/covers/1.png", "media/videos/1.mp4"])
def test_verify_finds_a_flipped_byte(release, name):
    """A release as it was built is fine; one changed byte in any file is named."""
    dataset = load(release)
    dataset.verify()
    data = bytearray((release / name).read_bytes())
    data[len(data) // 2] ^= 1
    (release / name).write_bytes(data)

    with pytest.raises(CorruptDataError, match=name):
        dataset.verify()


def test_an_unfinished_release_is_not_ready(release):
    """A folder without a manifest says which command builds it."""
    (release / "_manifest.json").unlink()

    with pytest.raises(NotReadyError, match="is not finished") as refused:
        load(release)
    assert "microlens-build subset" in refused.value.hint


def test_a_folder_that_is_not_there_is_not_ready(tmp_path):
    """A mistyped path is shown whole, with the place where releases lie."""
    with pytest.raises(NotReadyError, match=str(tmp_path / "nowhere")) as refused:
        load(tmp_path / "nowhere")
    assert "runs/<run>/releases/<name>" in refused.value.hint


def test_an_unknown_public_name_is_an_attribute_error():
    """The lazy module has the names that it says and no other."""
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        microlens.lod  # noqa: B018 - the access is the test
