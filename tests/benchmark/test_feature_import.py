"""Features made elsewhere are taken over where they fit the release, and refused where they do not."""

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from benchmark.data.features import feature_names, load_feature_ids, load_features
from benchmark.feature_import import import_features
from microlens.errors import CorruptDataError, RecipeError
from tests.integration.importing import imported

ITEMS, WIDTH = 200, 5


@pytest.fixture
def release(tmp_path, make_world, write_release):
    return write_release(tmp_path / "toy", make_world(users=30))


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(ITEMS, WIDTH)).astype(np.float32)


def write_csv(path, rows, *, ids=None, head=""):
    lines = [f"{item},{','.join(map(repr, row.tolist()))}" for item, row in zip(ids or range(1, 999), rows)]  # noqa: B905
    path.write_text("\n".join([*([head] if head else []), *lines]) + "\n")
    return path


def test_row_i_of_a_published_file_is_item_i_plus_1(release, rows, tmp_path):
    """As MicroLens publishes them; half precision is read as well."""
    np.save(tmp_path / "video.npy", rows.astype(np.float16))
    features = import_features(release, tmp_path / "video.npy", "official-video")
    loaded = load_features(release, "official-video")

    torch.testing.assert_close(torch.from_numpy(rows), loaded[1:], atol=2e-3, rtol=0)
    assert (ITEMS, WIDTH) == tuple(features.facts["shape"])
    assert all(load_feature_ids(release, "official-video")["has_feature"].to_pylist())


@pytest.mark.parametrize("head", ["", "item,f1,f2,f3,f4,f5"])
def test_a_table_names_its_items(release, rows, tmp_path, head):
    """In any order, with or without a first line of names."""
    order = np.random.default_rng(1).permutation(ITEMS)
    path = write_csv(tmp_path / "rows.csv", rows[order], ids=(order + 1).tolist(), head=head)
    import_features(release, path, "mine")

    torch.testing.assert_close(torch.from_numpy(rows), load_features(release, "mine")[1:], atol=0, rtol=0)


def test_an_imported_release_knows_its_own_ids(tmp_path, rows):
    """Its items moved up where there were holes; a published table follows them."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "A_pairs.tsv").write_text("1\t2 5 7\n2\t7 5 2\n")
    np.save(source / "A_title.npy", rows[:7])
    built = imported(source, tmp_path / "release", "microlens").path
    np.save(tmp_path / "late.npy", rows[:7])
    import_features(built, tmp_path / "late.npy", "late")
    import_features(built, write_csv(tmp_path / "late.csv", rows[:7]), "table")
    expected = torch.from_numpy(np.vstack([np.zeros(WIDTH), rows[[1, 4, 6]]]).astype(np.float32))

    assert ["A_title", "late", "table"] == feature_names(built)
    for name in ("A_title", "late", "table"):
        torch.testing.assert_close(expected, load_features(built, name), atol=0, rtol=0)


def test_features_that_came_with_a_release_are_checked(tmp_path, rows):
    """By the release's manifest; one of its rows without numbers has no feature."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "A_pairs.tsv").write_text("1\t1 2 3\n")
    rows[1, 0] = np.nan
    np.save(source / "A_title.npy", rows[:3])
    built = imported(source, tmp_path / "release", "microlens").path
    loaded = load_features(built, "A_title")

    assert [0, 5, 0, 5] == (loaded != 0).sum(1).tolist()
    np.save(built / "features" / "A_title.npy", rows[3:6])
    with pytest.raises(CorruptDataError, match=r"A_title\.npy"):
        load_features(built, "A_title")


def test_another_datasets_file_is_refused(release, rows, tmp_path):
    """Too few rows, or too many, belong to other items; so do lines that are not there, or are there twice."""
    write_csv(tmp_path / "few.csv", rows[1:], ids=list(range(2, ITEMS + 1)))
    write_csv(tmp_path / "twice.csv", np.vstack([rows, rows[:1]]), ids=[*range(1, ITEMS + 1), 1])
    for name, words in (("few", "lacks 1 items, such as 1"), ("twice", "has an item twice")):
        with pytest.raises(RecipeError, match=words):
            import_features(release, tmp_path / f"{name}.csv", "other")
    for count in (ITEMS - 1, ITEMS + 1):
        np.save(tmp_path / "other.npy", np.resize(rows, (count, WIDTH)))
        with pytest.raises(RecipeError, match=f"rows for {count} items; the release has 200, with ids up to 200"):
            import_features(release, tmp_path / "other.npy", "other")

    assert not (release / "features" / "other").exists()


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("a.npy", b"no numpy", "is no .npy file of numbers"),
        ("a.csv", b"1,2,3\n2,4\n", "cannot be read as an item's id and numbers"),
        ("a.csv", b"1,2,3\n2,x,4\n", "cannot be read as an item's id and numbers"),
    ],
)
def test_what_is_no_table_is_refused(release, tmp_path, name, body, words):
    """With the form that it should have."""
    (tmp_path / name).write_bytes(body)
    with pytest.raises(RecipeError, match=re.escape(words)):
        import_features(release, tmp_path / name, "bad")


def test_an_item_whose_numbers_are_not_finite_has_no_feature(release, rows, tmp_path):
    """A row of zeros, and a word in the map of ids, as for one whose file cannot be decoded."""
    rows[6, 2] = np.nan
    np.save(tmp_path / "hole.npy", rows)
    features = import_features(release, tmp_path / "hole.npy", "hole")
    ids = pq.read_table(features.path / "ids.parquet").to_pylist()

    assert ITEMS - 1 == features.facts["items_with_feature"]
    assert [(7, "not_finite")] == [(row["item_id"], row["reason"]) for row in ids if not row["has_feature"]]
    assert not load_features(release, "hole")[7].any()


def test_half_precision_is_kept_as_asked(release, rows, tmp_path):
    """And refused where it would make numbers infinite."""
    np.save(tmp_path / "fine.npy", rows)
    np.save(tmp_path / "large.npy", rows + 1e6)
    features = import_features(release, tmp_path / "fine.npy", "half", dtype="float16")

    assert np.float16 == np.load(features.path / "features.npy").dtype
    with pytest.raises(RecipeError, match="too large for float16"):
        import_features(release, tmp_path / "large.npy", "large", dtype="float16")
    np.save(tmp_path / "huge.npy", rows.astype(np.float64) * 1e300)
    with pytest.raises(RecipeError, match="too large for float32"):
        import_features(release, tmp_path / "huge.npy", "huge")
    with pytest.raises(RecipeError, match="'float61' is not known"):
        import_features(release, tmp_path / "fine.npy", "half", dtype="float61")


def test_objects_and_lists_are_refused(release, rows, tmp_path):
    """A pickle is never opened; numbers without a shape, or none that can be used, are no features."""
    np.save(tmp_path / "pickle.npy", np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "flat.npy", rows[:, 0])
    np.save(tmp_path / "none.npy", rows[:, :0])
    np.save(tmp_path / "holes.npy", np.full_like(rows, np.inf))

    for name, words in (
        ("pickle", "is no .npy file of numbers"),
        ("flat", "shape (200,)"),
        ("none", "shape (200, 0)"),
        ("holes", "all finite"),
    ):
        with pytest.raises(RecipeError, match=re.escape(words)):
            import_features(release, tmp_path / f"{name}.npy", "bad")


def test_a_file_that_is_not_there_is_named(release, tmp_path):
    """By its path."""
    with pytest.raises(RecipeError, match=r"nowhere\.npy"):
        import_features(release, tmp_path / "nowhere.npy", "bad")
