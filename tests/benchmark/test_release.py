import hashlib

import numpy as np
import pytest

from benchmark.data.release import load_release, manifest_sha256
from microlens.errors import CorruptDataError, NotReadyError


def test_a_release_is_read_as_it_was_written(tmp_path, make_world, write_release):
    """Rows, item count and the folder's name come back; ids are whole numbers of 64 bits."""
    world = make_world(users=50)

    loaded = load_release(write_release(tmp_path / "Toy-50", world))

    assert "Toy-50" == loaded.name
    assert 200 == loaded.item_count
    assert np.array_equal(world.user, loaded.user)
    assert np.array_equal(world.item, loaded.item)
    assert np.int64 == loaded.item.dtype


@pytest.mark.parametrize("missing", ["interactions", "items"])
def test_a_missing_table_is_named_with_the_command_to_run(tmp_path, make_world, write_release, missing):
    """A release without a table is not ready; the message has its path and what to run."""
    folder = write_release(tmp_path / "toy", make_world(users=50))
    (folder / "data" / f"{missing}.parquet").unlink()

    with pytest.raises(NotReadyError) as caught:
        load_release(folder)

    assert f"data/{missing}.parquet" in str(caught.value)
    assert "microlens-build subset" in caught.value.hint


def test_an_item_beyond_the_catalogue_is_corrupt(tmp_path, interactions, write_release):
    """An item id above the number of items is refused with the offending id."""
    folder = write_release(tmp_path / "toy", interactions([1, 1, 1], [1, 2, 9], item_count=5))

    with pytest.raises(CorruptDataError, match=r"names 1 items that items\.parquet does not have, such as \[9\]"):
        load_release(folder)


def test_a_catalogue_without_items_is_corrupt(tmp_path, interactions, write_release):
    """Interactions with what nobody lists are told as such."""
    release = write_release(tmp_path / "none", interactions([1, 1, 1], [1, 2, 3], item_count=0))

    with pytest.raises(CorruptDataError, match=r"names 3 items that items\.parquet does not have"):
        load_release(release)


def test_a_release_without_interactions_is_not_ready(tmp_path, interactions, write_release):
    """An empty table is refused before anything divides by its length."""
    folder = write_release(tmp_path / "toy", interactions([], []))

    with pytest.raises(NotReadyError, match="no interactions"):
        load_release(folder)


def test_a_table_with_other_columns_is_corrupt(tmp_path, make_world, write_release):
    """A Parquet file that is no interactions table is refused with its path."""
    folder = write_release(tmp_path / "toy", make_world(users=50))
    (folder / "data" / "interactions.parquet").write_bytes((folder / "data" / "items.parquet").read_bytes())

    with pytest.raises(CorruptDataError, match=r"interactions\.parquet cannot be read"):
        load_release(folder)


def test_the_manifest_hash_is_of_its_bytes(tmp_path):
    """The hash is plain SHA-256, and None where there is no manifest."""
    without = manifest_sha256(tmp_path)
    (tmp_path / "_manifest.json").write_bytes(b"{}")

    assert without is None
    assert hashlib.sha256(b"{}").hexdigest() == manifest_sha256(tmp_path)


def test_items_that_were_taken_down_leave_no_gap(tmp_path, interactions, write_release):
    """Public ids may have holes; the benchmark numbers the items that are left anew, in the same order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = write_release(tmp_path / "toy", interactions([1, 1, 1], [2, 7, 9], item_count=9))
    pq.write_table(pa.table({"item_id": pa.array([2, 7, 9], pa.int32())}), folder / "data" / "items.parquet")

    loaded = load_release(folder)

    assert 3 == loaded.item_count
    assert [1, 2, 3] == loaded.item.tolist()
