"""Imports: the same pairs in the same order, ids that stay where they can, times in the right unit, nothing lost."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import microlens
from integration.imports.errors import ForeignFileError
from integration.imports.lines import read_lines
from integration.imports.numbering import in_order
from microlens.errors import NotReadyError, RecipeError
from tests.integration.importing import (
    PAIRS,
    folder_of,
    imported,
    microlens_csv,
    microlens_tsv,
    ms,
    originals,
    recbole_inter,
    rows,
    s3rec_txt,
    sequences_of,
)

SHARED = Path(__file__).parents[3] / "shared" / "real-data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real data sets are not there: {SHARED}")
SEQUENCES = st.dictionaries(
    st.integers(0, 10**12), st.lists(st.integers(0, 40), min_size=1, max_size=8), min_size=1, max_size=12
)


def release_of(source, form="microlens", **options):
    return imported(source, source.parent / "release", form, **options)


# --- round trips ---


@given(sequences=SEQUENCES, form=st.sampled_from(["microlens", "s3rec"]), end=st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=12, deadline=None)
def test_sequences_come_back_as_they_were(sequences, form, end):
    """By the maps of the ids every user has the very items of the file, repeated ones as well, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        name, write = {"microlens": ("A_pairs__tsv", microlens_tsv), "s3rec": ("A__txt", s3rec_txt)}[form]
        text = microlens_tsv(sequences, end) if form == "microlens" else write(sequences)
        built = release_of(folder_of(Path(folder) / "source", **{name: text}), form)

        assert {str(user): list(map(str, items)) for user, items in sequences.items()} == sequences_of(built)
        for kind, own in (("user", set(sequences)), ("item", {item for items in sequences.values() for item in items})):
            assert {place: str(each) for place, each in enumerate(sorted(own), start=1)} == originals(built, kind)


@given(moments=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(0, 4)), min_size=1, max_size=40))
@settings(max_examples=12, deadline=None)
def test_times_order_and_ties_keep_the_order_of_the_file(moments):
    """As a stable sort by time of each user's rows does; MicroLens and RecBole files of the same rows agree."""
    wanted = {}
    for user, item, days in sorted(moments, key=lambda row: row[2]):
        wanted.setdefault(str(user), []).append((str(item), ms(days)))
    with tempfile.TemporaryDirectory() as folder:
        for form, files in (
            ("microlens", {"A_pairs__csv": microlens_csv(moments)}),
            ("recbole", {"a__inter": recbole_inter(moments)}),
        ):
            source = folder_of(Path(folder) / form / "source", **files)
            built = release_of(source, form)
            times = [row["timestamp_ms"] for row in rows(built, "interactions")]

            assert {user: [item for item, _ in own] for user, own in wanted.items()} == sequences_of(built)
            assert [time for user in sorted(wanted, key=int) for _, time in wanted[user]] == times


def test_a_release_of_ours_comes_back(small, tmp_path):
    """Written as pairs with times, a release is imported with the same interactions under the same ids."""
    from tests.integration.made import world

    own = microlens.load(small.fill(world(3)).build().path).pairs
    text = "user,item,timestamp\n" + "".join(
        f"{row['user_id']},{row['item_id']},{row['timestamp_ms']}\n" for row in own.to_pylist()
    )
    built = release_of(folder_of(tmp_path / "source", Own_pairs__csv=text))

    assert own.to_pylist() == rows(built, "interactions")


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=9), max_size=20),
    size=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_lines_do_not_depend_on_the_blocks(lines, size):
    """However small the blocks that a file is read in: the same lines with the same numbers, blank ones passed over."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_bytes("\n".join(lines).encode())
        read = [
            (int(number), text)
            for some in read_lines(path, lambda *_: None, block_bytes=size)
            for number, text in zip(some.numbers, some.text.to_pylist(), strict=True)
        ]
    lines = [line.removeprefix("\ufeff") if place == 0 else line for place, line in enumerate(lines)]

    assert [(number, line) for number, line in enumerate(lines, start=1) if line.strip(" \t\v\f")] == read


# --- ids ---


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        (["10", "9", "1"], ["1", "9", "10"]),
        (["10", "9", "B", "a"], ["10", "9", "B", "a"]),
        (["010", "9"], ["010", "9"]),
        (["é", "z", "a"], ["a", "z", "é"]),
    ],
)
def test_ids_are_in_the_order_of_numbers_or_of_bytes(tokens, wanted):
    """Numbers if all are, spelled as numbers are; else the bytes of UTF-8."""
    assert wanted == in_order(pa.array(tokens)).to_pylist()


def test_ids_from_1_stay_as_they_are(tmp_path):
    """So what belongs to row i of a table belongs to item i + 1 still."""
    built = release_of(folder_of(tmp_path / "source", A_pairs__csv=microlens_csv()))

    for kind in ("user", "item"):
        assert {1: "1", 2: "2", 3: "3"} == originals(built, kind)


# --- times ---


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_the_unit_of_times_is_seen_by_their_size(tmp_path, unit, per_second):
    """The same moments in any unit give the same release."""
    source = folder_of(tmp_path / "source", a__inter=recbole_inter(per_second=per_second))
    built = release_of(source, "recbole")

    assert unit == built.counts["imported"]["time_unit"]
    assert [ms(days) for _, _, days in sorted((u, d, d) for u, _, d in PAIRS)] == [
        row["timestamp_ms"] for row in rows(built, "interactions")
    ]


def test_fractions_of_seconds_are_milliseconds(tmp_path):
    """8.81250949E8 and 881250949.5, as RecBole's floats may be spelled, are 881250949000 and 881250949500."""
    text = "user_id:token\titem_id:token\ttimestamp:float\nu\ta\t881250949.5\nu\tb\t8.81250949E8\n"
    built = release_of(folder_of(tmp_path / "source", a__inter=text), "recbole")

    assert [881250949000, 881250949500] == [row["timestamp_ms"] for row in rows(built, "interactions")]


@pytest.mark.parametrize("junk", ["0", "17", "1650000000", "1650000000000000", "99999999999999"])
def test_times_that_are_no_moments_are_refused(tmp_path, junk):
    """One in another unit, or of no year: the lines that tell the lowest and the highest are named."""
    source = folder_of(tmp_path / "source", A_pairs__csv=microlens_csv() + f"9,1,{junk}\n")

    with pytest.raises(ForeignFileError, match=r"A_pairs\.csv: times run .*line 11.* not moments") as refused:
        release_of(source)
    assert "--time-unit" in refused.value.hint


def test_times_that_are_no_moments_can_order(tmp_path):
    """`order` takes their order and publishes none; a unit that is named is believed."""
    source = folder_of(tmp_path / "source", A_pairs__csv="user,item,timestamp\n1,5,30\n1,6,10\n1,7,20\n")
    ordered = imported(source, tmp_path / "a", time_unit="order")
    believed = imported(source, tmp_path / "b", time_unit="s")

    assert {"1": ["6", "7", "5"]} == sequences_of(ordered) == sequences_of(believed)
    assert {None} == {row["timestamp_ms"] for row in rows(ordered, "interactions")}
    assert [10_000, 20_000, 30_000] == [row["timestamp_ms"] for row in rows(believed, "interactions")]


# --- what is counted ---


def test_a_lowest_rating_leaves_out_and_counts(tmp_path):
    """Without one every row is an interaction."""
    source = folder_of(tmp_path / "source", a__inter=recbole_inter())
    every, high = imported(source, tmp_path / "a", "recbole"), imported(source, tmp_path / "b", "recbole", min_rating=5)
    kept = sum((user + item) % 5 + 1 >= 5 for user, item, _ in PAIRS)

    assert (9, kept) == (every.counts["interactions"], high.counts["interactions"])
    assert (0, 9 - kept) == tuple(built.counts["imported"]["rows_below_rating"] for built in (every, high))


def test_repeated_pairs_are_kept_and_counted(tmp_path):
    """A user's second meeting with an item is a place of its own in the sequence."""
    built = release_of(folder_of(tmp_path / "source", A_pairs__tsv="7\t5 5 6 5\n8\t6\n"))

    assert {"7": ["5", "5", "6", "5"], "8": ["6"]} == sequences_of(built)
    assert 2 == built.counts["imported"]["repeated_pairs"]


def test_what_belongs_to_no_interaction_is_counted(tmp_path):
    """Items that nobody met, second lines on an item, comments on no pair, and lines that begin none."""
    source = folder_of(
        tmp_path / "source",
        A_pairs__csv=microlens_csv(),
        A_titles__csv='item,title\n\n1,"a, ""quoted""\n\nbroken"\n8,nobody\n1,again\n',
        A_comment_en__txt="1\t3\tfirst\nsecond line of it\n1\t3\tagain\n9\t9\tnobody\n",
    )
    built = release_of(source)
    imported_counts = built.counts["imported"]

    assert ['a, "quoted"\n\nbroken', "", ""] == [row["title"] for row in rows(built, "items")]
    assert (1, 1, 2) == tuple(
        imported_counts[name] for name in ("items_without_interactions", "item_lines_repeated", "items_without_title")
    )
    assert ["first"] == [row["text"] for row in rows(built, "comments")]
    assert (3, 2, 1) == tuple(
        imported_counts[name] for name in ("comments_read", "comments_without_pair", "comment_lines_left_out")
    )


# --- features and media ---


def test_features_follow_their_items(tmp_path):
    """Row i of the source is item i + 1 there; row i of the release is item i + 1 here."""
    source = folder_of(tmp_path / "source", A_pairs__tsv="1\t2 5\n2\t7\n")
    (source / "extracted_features").mkdir()
    np.save(source / "extracted_features" / "A_title.npy", np.arange(14, dtype=np.float64).reshape(7, 2))
    np.save(source / "A_image.npy", np.array([[np.nan], [1], [2]], np.float16))
    built = release_of(source)
    features = {path.name: np.load(path) for path in (built.path / "features").iterdir()}

    assert [[2, 3], [8, 9], [12, 13]] == features["A_title.npy"].tolist()
    assert (np.float32, np.float16) == (features["A_title.npy"].dtype, features["A_image.npy"].dtype)
    assert {
        "A_image.npy": {"rows": 3, "rows_left_out": 0, "rows_not_finite": 1},
        "A_title.npy": {"rows": 7, "rows_left_out": 4, "rows_not_finite": 0},
    } == built.counts["imported"]["features"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.zeros((4, 2), np.float32), "has 4 rows for 3 items, whose highest id is 7"),
        (np.zeros(7, np.float32), r"of shape \(7,\)"),
        (np.zeros((7, 2), bool), "holds bool"),
        (np.array([[{}]] * 7, object), "no .npy table that can be read"),
    ],
)
def test_features_of_other_items_are_refused(tmp_path, table, words):
    """Another number of rows, another shape, no numbers, and what would have to be unpickled."""
    source = folder_of(tmp_path / "source", A_pairs__tsv="1\t2 5\n2\t7\n")
    np.save(source / "A.npy", table)

    with pytest.raises(ForeignFileError, match=words):
        release_of(source)
    assert [source] == list(tmp_path.iterdir())


def test_media_have_the_public_ids_of_their_items(tmp_path):
    """Covers and videos lie where ours do; files of no item and damaged ones are left out, and counted."""
    source = folder_of(tmp_path / "source", A_pairs__tsv="1\t2 5\n2\t7\n")
    covers, videos = source / "A_covers", source / "Videos"
    covers.mkdir()
    videos.mkdir()
    for item in (2, 7, 9):
        Image.new("RGB", (4, 4), (item, 0, 0)).save(covers / f"{item}.jpg")
    (covers / "5.jpg").write_bytes(b"<html>")
    (covers / "2.png").symlink_to("gone.png")
    (covers / "7.png").write_bytes((covers / "7.jpg").read_bytes())
    (videos / "5.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(20))
    built = release_of(source)
    dataset = microlens.load(built.path)
    dataset.verify()

    assert ([1, 3], [2]) == (list(dataset.covers), list(dataset.videos))
    assert (4, 4) == dataset.covers[3].size
    assert dataset.videos[2].samefile(videos / "5.mp4")
    assert (2, 1, 1) == tuple(
        built.counts["imported"][f"covers_{why}"] for why in ("without_item", "damaged", "repeated")
    )


# --- a release that is there, and one that was not finished ---


def test_the_same_files_are_not_imported_again(tmp_path):
    """Other files or options are refused: what stands there is not overwritten."""
    source = folder_of(tmp_path / "source", A_pairs__csv=microlens_csv())
    first, again = release_of(source), release_of(source)
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}

    assert (True, False) == (first.is_new, again.is_new)
    with pytest.raises(RecipeError, match="of other files, options"):
        release_of(source, time_unit="s")
    folder_of(source, A_pairs__csv=microlens_csv(PAIRS[1:]))
    with pytest.raises(RecipeError, match="of other files, options"):
        release_of(source)
    assert before == {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}


def test_a_damaged_release_is_not_taken_for_finished(tmp_path):
    """A file that is not what the manifest says is named."""
    source = folder_of(tmp_path / "source", A_pairs__csv=microlens_csv())
    path = release_of(source).path / "data" / "items.parquet"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(RecipeError, match=r"items\.parquet is damaged"):
        release_of(source)


def test_two_imports_into_one_folder_do_not_meet(tmp_path):
    """The second one, started in the midst of the first, ends at once; the first one is whole."""
    source, refused = folder_of(tmp_path / "source", A_pairs__csv=microlens_csv()), []

    def tell(what, *_):
        if what == "interactions":
            with pytest.raises(NotReadyError, match="another process imports") as error:
                release_of(source)
            refused.append(error)

    built = imported(source, tmp_path / "release", tell=tell)

    assert 1 == len(refused)
    microlens.load(built.path).verify()


@pytest.mark.parametrize("step", ["hashes", "A_pairs.csv", "interactions", "statistics"])
def test_killed_in_its_midst_an_import_is_made_anew(tmp_path, step):
    """SIGKILL leaves no release; the same command then gives the bytes of an undisturbed one."""
    source = folder_of(tmp_path / "source", A_pairs__csv=microlens_csv())
    calm = imported(source, tmp_path / "calm")
    code = (
        "import os, signal, sys\nfrom tests.integration.importing import imported\n"
        f"imported({str(source)!r}, {str(tmp_path / 'killed')!r}, "
        f"tell=lambda what, *_: what == {step!r} and os.kill(os.getpid(), signal.SIGKILL))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)

    assert -signal.SIGKILL == done.returncode
    with pytest.raises(NotReadyError):
        microlens.load(tmp_path / "killed")
    again = imported(source, tmp_path / "killed")
    assert {path.name: path.read_bytes() for path in (calm.path / "data").iterdir()} == {
        path.name: path.read_bytes() for path in (again.path / "data").iterdir()
    }
    assert ["calm", "killed", "source"] == sorted(path.name for path in tmp_path.iterdir())


# --- the real files ---


@real
@pytest.mark.parametrize(
    ("form", "name", "counts"),
    [
        ("microlens", "microlens-50k", (50_000, 19_220, 359_708)),
        ("s3rec", "s3rec-beauty", (22_363, 12_101, 198_502)),
        ("recbole", "ml-100k", (943, 1_682, 100_000)),
    ],
)
def test_real_files_have_their_published_counts(tmp_path, form, name, counts):
    """Users, items and interactions are those that their papers tell, and the rows are those of the files."""
    built = imported(SHARED / name, tmp_path / name, form)
    pairs = pq.read_table(built.path / "data" / "interactions.parquet")

    assert counts == tuple(built.counts[what] for what in ("users", "items", "interactions"))
    assert (pairs["timestamp_ms"].null_count == 0) == (form == "recbole")
    if form != "recbole":
        own = next(path for path in (SHARED / name).iterdir() if path.name.endswith(("_pairs.tsv", "Beauty.txt")))
        lines = (line.split() for line in own.read_text().splitlines())
        assert {user: items for user, *items in lines} == sequences_of(built)
