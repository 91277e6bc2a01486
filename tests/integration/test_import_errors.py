"""A foreign file that is wrong is refused by name, line and value, and nothing of the import stays."""

import pytest

from integration.imports import lines
from integration.imports.errors import ForeignFileError
from integration.imports.lines import read_lines
from microlens.errors import RecipeError
from tests.integration.importing import folder_of, imported, microlens_csv, recbole_inter

CSV, INTER = microlens_csv(), recbole_inter()
HEAD = "user_id:token\titem_id:token\t"


@pytest.mark.parametrize(
    ("form", "files", "words"),
    [
        ("microlens", {"A_pairs__csv": CSV + "1,2\n"}, r"A_pairs\.csv, line 11: has 2 fields, not the 3 .*'1,2'"),
        ("microlens", {"A_pairs__csv": CSV + "\n1,-2,1650000000000\n"}, r"line 12: the item is not a whole .*'-2'"),
        ("microlens", {"A_pairs__csv": CSV + "1,0x10,1650000000000\n"}, r"line 11: .*'0x10'"),
        ("microlens", {"A_pairs__csv": CSV + "1,9999999999999999999,1650000000000\n"}, "'9999999999999999999'"),
        ("microlens", {"A_pairs__csv": CSV + "1,2,\n"}, "line 11: the timestamp is not a number of 0 or more: ''"),
        ("microlens", {"A_pairs__csv": CSV + "1,2,nan\n"}, "line 11: the timestamp is not a number"),
        ("microlens", {"A_pairs__csv": CSV + "1,2,1e999\n"}, "line 11: the timestamp is larger than"),
        ("microlens", {"A_pairs__csv": CSV[20:]}, "line 1: the header is"),
        ("microlens", {"A_pairs__csv": CSV.replace("item,", "item,x_label,", 1)}, "unknown column 'x_label'"),
        ("microlens", {"A_pairs__csv": CSV.splitlines()[0]}, "holds no interactions"),
        ("microlens", {"A_pairs__csv": ""}, "holds no interactions"),
        ("microlens", {"A_pairs__csv": CSV.encode() + b"1,\0002,3\n"}, "line 11: holds a NUL byte"),
        ("microlens", {"A_pairs__csv": CSV.encode("utf-16")}, "is UTF-16"),
        ("microlens", {"A_pairs__csv": b"\x1f\x8b\x08" + bytes(40)}, "is compressed"),
        ("microlens", {"A_pairs__tsv": "1\t2 3\n2\t\n"}, r"A_pairs\.tsv, line 2: an item is not a whole number.*''"),
        ("microlens", {"A_pairs__tsv": "1\t2 3\n2\n"}, "line 2: has 1 fields, not the 2"),
        ("microlens", {"A_pairs__tsv": "1\t2 3\n2\t4 1.5\n"}, "line 2: an item .*'1.5'"),
        ("microlens", {"A_pairs__tsv": "1\t2 3\n5\t2\n1\t4\n"}, "line 3: user 1 has a line already, 1"),
        (
            "microlens",
            {"A_pairs__csv": CSV, "A_title_en__csv": "1,one\n2,二\n".encode("gb18030")},
            r"A_title_en\.csv, line 2: is not UTF-8",
        ),
        ("microlens", {"A_pairs__csv": CSV, "A_title_en__csv": "1,one\ntwo\n"}, "line 2: has 1 fields"),
        (
            "microlens",
            {"A_pairs__csv": CSV, "A_titles__csv": 'item,title\n1,"one\n'},
            r"A_titles\.csv, line 2: is no CSV",
        ),
        ("microlens", {"A_pairs__csv": CSV, "A_titles__csv": "item,title\nx,one\n"}, "line 2: is not an item's number"),
        ("microlens", {"A_pairs__csv": CSV, "A_likes_and_views__txt": "1\t2\t1.2万\n"}, "views is not a whole .*1.2万"),
        ("microlens", {"A_pairs__csv": CSV, "A_duration__txt": "1,-3\n"}, "the duration is not a number"),
        ("recbole", {"a__inter": INTER + "4\t\t3\t881250949\n"}, r"a\.inter, line 11: item_id is empty"),
        (
            "recbole",
            {"a__inter": INTER.replace("item_id", "video")},
            "no item_id:token, but user_id:token, video:token",
        ),
        ("recbole", {"a__inter": INTER.replace(":token\t", "\t", 1)}, "'user_id' in the header is no NAME:TYPE"),
        ("recbole", {"a__inter": HEAD + "timestamp:date\n1\t2\tx\n"}, "'timestamp:date'"),
        ("recbole", {"a__inter": HEAD + "user_id:token\n1\t2\t3\n"}, "the header names 'user_id' twice"),
        (
            "recbole",
            {"a__inter": HEAD + "timestamp:float\n1\t2\tyesterday\n"},
            "line 2: timestamp is not .*'yesterday'",
        ),
        ("recbole", {"a__inter": INTER, "a__item": "item_id:token\ttitle:token_seq\n1\n"}, r"a\.item, line 2: has 1"),
        ("s3rec", {"A__txt": "1 2 3\n2 b\n"}, r"A\.txt, line 2: an item is not a whole number.*'b'"),
        ("s3rec", {"A__txt": "1 2\n", "A_item2attributes__json": "{"}, "is no JSON"),
        ("s3rec", {"A__txt": "1 2\n", "A_item2attributes__json": [1]}, "is a JSON list"),
        ("s3rec", {"A__txt": "1 2\n", "A_item2attributes__json": {"2": ["x"]}}, "item '2' has .*not a list of numbers"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, form, files, words):
    """The message names the file, the line and the value; the hint says what to do; no folder is left behind."""
    source = folder_of(tmp_path / "source", **files)

    with pytest.raises(ForeignFileError, match=words) as refused:
        imported(source, tmp_path / "release", form)
    assert refused.value.hint
    assert [source] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("form", "files", "words"),
    [
        ("microlens", {}, r"no file of pairs, NAME_pairs\.csv or NAME_pairs\.tsv; there is nothing"),
        ("microlens", {"A__inter": INTER}, r"there is A\.inter"),
        ("microlens", {"A_pairs__csv": CSV, "B_pairs__tsv": "1\t2\n"}, "holds 2 datasets: A, B"),
        ("recbole", {"a__inter": HEAD.strip() + "\n1\t2\n"}, "--min-rating needs a column rating"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(tmp_path, form, files, words):
    """What is missing, or is there twice, is told with what is there."""
    source = folder_of(tmp_path / "source", **files)

    with pytest.raises(RecipeError, match=words):
        imported(source, tmp_path / "release", form, min_rating=3 if form == "recbole" else None)


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    """What is no text has no line ends, and is not read into memory whole; a long last line is one."""
    monkeypatch.setattr(lines, "_LONGEST_BYTES", 16)
    path = tmp_path / "lines"
    path.write_bytes(b"1\n" + b"x" * 16)

    assert ["1", "x" * 16] == [
        text for some in read_lines(path, lambda *_: None, block_bytes=3) for text in some.text.to_pylist()
    ]

    path.write_bytes(b"1\n" + b"x" * 40)
    with pytest.raises(ForeignFileError, match="a line of more than 256 MB"):
        list(read_lines(path, lambda *_: None, block_bytes=3))


def test_a_unit_of_no_times_is_refused(tmp_path):
    """An option that would do nothing is none."""
    source = folder_of(tmp_path / "source", A_pairs__tsv="1\t2\n")

    with pytest.raises(RecipeError, match=r"--time-unit ms: .*A_pairs\.tsv tells no times"):
        imported(source, tmp_path / "release", time_unit="ms")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    """A file stands where the release's folder should be."""
    source = folder_of(tmp_path / "source", A_pairs__csv=CSV)

    with pytest.raises(RecipeError, match=r"A_pairs\.csv.*Not a directory"):
        imported(source, source / "A_pairs.csv" / "release")


def test_one_of_several_datasets_is_named_by_its_file(tmp_path):
    """The file of pairs stands for the dataset."""
    source = folder_of(tmp_path / "source", A_pairs__csv=CSV, B_pairs__tsv="1\t2\n")
    built = imported(source / "B_pairs.tsv", tmp_path / "release")

    assert (1, "B") == (built.counts["interactions"], built.counts["imported"]["dataset"])
