"""Ours beside the paper's: its numbers, the three forms of a report, and tables run by name."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmark.leaderboard import label_of
from benchmark.models import MODELS
from benchmark.paper import FLOORS, nearest_dataset, published_tables
from benchmark.protocol import Protocol
from benchmark.read_results import read_result
from benchmark.reports.html import to_html
from benchmark.reports.latex import escaped, to_latex
from benchmark.reports.markdown import to_markdown
from benchmark.reports.plots import dot_plot
from benchmark.reports.sections import Point, Report, Section, make_report
from benchmark.reports.write import write_report
from benchmark.reproduce import reproduce
from benchmark.run import run_benchmark
from benchmark.train import DivergedError
from microlens.errors import NotReadyError, RecipeError

PAPER = Path(__file__).parents[3] / "shared" / "reference" / "microlens-paper.txt"
QUICK = {"width": 16, "blocks": 1, "epochs": 1, "threads": 1}
# Every name that a row of the paper has here; those that a version does not have yet are left out when it is run.
KNOWN = {
    "popularity", "itemknn", "dssm", "lightgcn", "nfm", "deepfm", "nextitnet", "gru4rec", "sasrec", "youtube_id",
    "youtube_id_v", "mmgcn_id", "mmgcn_id_v", "grcn_id", "grcn_id_v", "dssm_id_v", "sasrec_id_v", "sasrec_id_pop",
    "sasrec_id_tag", "sasrec_id_pop_tag",
}  # fmt: skip
HOSTILE = "<script>alert(1)</script> | `x` \\input{/etc/passwd} \x07 _a_ % $"


@pytest.fixture(scope="module")
def results(tmp_path_factory, small_release):
    """The usual protocol with two seeds, and warm items."""
    folder = tmp_path_factory.mktemp("results")
    run_benchmark(small_release, seeds=[0, 1], out=folder / "usual", overrides=QUICK, device="cpu")
    run_benchmark(small_release, protocol=Protocol(warm=20), out=folder / "warm", overrides=QUICK, device="cpu")
    return [read_result(folder / "usual"), read_result(folder / "warm")]


@pytest.fixture
def bare_release(tmp_path, small_release):
    """Without a manifest: the toy's lists no files, and is none to look features up in."""
    release = shutil.copytree(small_release, tmp_path / "bare")
    (release / "_manifest.json").unlink()
    return release


@pytest.mark.parametrize(
    ("number", "begins", "ends"),
    [
        ("2", "Table 2: Bench", "individual models from"),
        ("8", "Table 8: Comparison", "F Warm-up"),
        ("9", "observed on MicroLens-100K.\n\nClass", "Table 9: Bench"),
        ("10", "Table 10: Comparison", "H Recommendation"),
        ("11", "Table 11: Recommendation", "I Recommendation"),
    ],
)
def test_the_numbers_are_the_papers(number, begins, ends):
    """Our copy of a table has its numbers, each as often as the paper has it; where it keeps rows whole, row by row."""
    if not PAPER.is_file():
        pytest.skip("the paper's text is not beside this checkout")
    text = PAPER.read_text(encoding="utf-8")
    start = text.index(begins)
    numbers = re.findall(r"\b0\.\d{4}\b", text[start : text.index(ends, start)])
    table = published_tables()[number]
    ours = [f"{value:.4f}" for row in table.rows for value in row.values.values()]

    assert sorted(numbers) == sorted(ours)
    assert numbers == ours or number in {"8", "9", "10"}


def test_rows_have_names_of_ours():
    """Every name of the data is one that the registry has, or will have; each that it has is found by its row."""
    named = {model for table in published_tables().values() for model in table.models} | set(FLOORS)

    assert KNOWN == named
    assert {"popularity", "sasrec"} <= named & set(MODELS)


def test_a_release_is_put_beside_the_papers_of_its_size():
    """50,000 users are compared with MicroLens-100K, a million with MicroLens-1M."""
    assert ["MicroLens-100K", "MicroLens-100K", "MicroLens-1M"] == [nearest_dataset(n) for n in (1, 50_000, 900_000)]


def test_a_report_has_ours_and_the_papers(results):
    """A row has our mean with its deviation and the paper's number; what was not run says so; the floor comes first."""
    report = make_report(results)
    table2 = report.sections[0]
    [sasrec] = [row for row in table2.rows if row[1] == "SASRec"]
    row = results[0].rows["sasrec"]

    assert table2.title.startswith("Table 2:")
    assert f"{row['hr@10']:.4f} ± {row['deviation']['hr@10']:.4f}" == sasrec[3]
    assert "0.0909" == sasrec[4]
    assert "popularity (floor)" == table2.rows[0][1]
    assert "learned end to end: not run" == table2.rows[-1][2]
    assert ["Table 2", "Table 8", "Table 11"] == [one.title.split(":")[0] for one in report.sections[:3]]
    assert ["All models: leave-one-out", "All models: leave-one-out, warm-20"] == [
        one.title for one in report.sections[3:]
    ]


@pytest.mark.parametrize(
    ("model", "features", "encoder", "label"),
    [
        ("sasrec", "text", None, "sasrec"),
        ("sasrec_id_v", "videomae", "videomae", "sasrec_id_v (ID+V: videomae)"),
        ("sasrec_id_v", "covers", "clip", "sasrec_id_v (ID+I: covers)"),
        ("alphafuse", "minilm", "text", "alphafuse (ID+T: minilm)"),
        ("youtube_id_v", "videomae", None, "youtube_id_v (videomae)"),
    ],
)
def test_a_row_of_content_is_labelled_with_what_it_reads(model, features, encoder, label, results):
    """Features of titles beside the paper's ID+V say ID+T; of those that were brought along only the name is known."""
    told = results[0].rows["sasrec"] | {"model": model, "encoder": encoder, "settings": {"features": features}}
    result = replace(results[0], board=results[0].board | {"rows": [told]})

    cells = {cell for section in make_report([result]).sections for row in section.rows for cell in row}

    assert label == label_of(told)
    assert label in cells


def test_what_is_odd_about_the_paper_is_told(results):
    """The jump from Warm-20 to Warm-50 stands below Table 8."""
    table8 = make_report(results, ["8"]).sections[0]

    assert any("jumps from 0.11 to 0.65" in note for note in table8.notes)


def test_a_report_is_of_one_release_and_asks_once(tmp_path, results, make_world, write_release):
    """Two releases, two rows of one model asked alike, and a table that the paper does not have."""
    run_benchmark(
        write_release(tmp_path / "Other", make_world(users=60)), ["popularity"], out=tmp_path / "o", device="cpu"
    )

    with pytest.raises(RecipeError, match="make a report of each release"):
        make_report([*results, read_result(tmp_path / "o")])
    with pytest.raises(RecipeError, match="popularity stands in"):
        make_report([results[0], replace(results[0])])
    with pytest.raises(RecipeError, match="no table '3'"):
        make_report(results, ["3"])


def test_forms_are_written_whole(tmp_path, results):
    """Three files, nothing unfinished; each names every section."""
    report = make_report(results)
    written = write_report(report, tmp_path / "new")

    assert ["report.html", "report.md", "report.tex"] == sorted(path.name for path in (tmp_path / "new").iterdir())
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert all(one.title.split(",")[0] in text for one in report.sections)


def test_hostile_words_stay_words():
    """A release or a feature may be called anything: no form reads it as its own language."""
    section = Section(
        HOSTILE, (HOSTILE, "n"), [(HOSTILE, "0.1")], (HOSTILE,), HOSTILE, [Point(HOSTILE, 0.1, 0.0, None)]
    )
    report = Report(HOSTILE, [HOSTILE], [section])
    page, latex, markdown = to_html(report), to_latex(report), to_markdown(report)

    assert "<script" not in page
    assert "script-src" not in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert "\x07" not in page + latex
    assert all(line.startswith("%") or r"\input{" not in line for line in latex.splitlines())
    assert r"\textbackslash{}input\{/etc/passwd\}" in escaped(HOSTILE)
    assert "<script" not in re.sub(r"\\<", "", markdown)


def test_a_page_is_well_formed_and_loads_nothing(results):
    """It has a plot for each section, light and dark, and neither script, link nor address to load."""
    page = to_html(make_report(results))
    body = page.removeprefix("<!doctype html>\n")
    tree = ET.fromstring(re.sub(r"(<meta[^>]*)>", r"\1/>", body))

    assert len(make_report(results).sections) == sum(one.tag.endswith("svg") for one in tree.iter())
    assert "prefers-color-scheme: dark" in page
    assert not {one.tag for one in tree.iter()} & {"script", "link", "a", "form", "img", "iframe"}
    assert {"http://www.w3.org/2000/svg"} >= set(re.findall(r"https?://[^\s\"']+", page))


@pytest.mark.parametrize(
    "points",
    [
        [Point("a", 0.0, 0.0, None)],
        [Point("a", None, 0.0, None)],
        [Point("a", -0.8, 0.1, None), Point("b", 9.5, 10.8, None)],
        [Point("a", 1.0, 0.0, 0.0909)],
    ],
)
def test_a_plot_holds_its_points(points):
    """Whatever the numbers, every mark lies within the picture."""
    tree = ET.fromstring(dot_plot(points, "HR@10"))
    width, height = float(tree.get("width")), float(tree.get("height"))

    for one in tree.iter():
        assert all(0 <= float(one.get(name)) <= width for name in ("cx", "x", "x1", "x2") if one.get(name))
        assert all(0 <= float(one.get(name)) <= height for name in ("cy", "y", "y1", "y2") if one.get(name))


def test_a_table_is_run_by_its_name(tmp_path, small_release):
    """Table 8 has a leaderboard for each threshold that the release can have; the others are told with the reason."""
    done = reproduce(
        "table8", small_release, tmp_path, preset="default", seeds=[0], models=["sasrec"], overrides=QUICK, device="cpu"
    )
    text = (tmp_path / "report.md").read_text(encoding="utf-8")

    assert {"sasrec, leave-one-out, warm-50", "sasrec, leave-one-out, warm-200"} == done.not_run.keys()
    assert "the most popular one has" in done.not_run["sasrec, leave-one-out, warm-50"]
    assert ["leave-one-out", "leave-one-out-warm-20"] == sorted(
        one.parent.name for one in tmp_path.glob("*/leaderboard.json")
    )
    assert "not run: sasrec, leave-one-out, warm-200" in text
    assert "Table 8" in text


def test_a_figure_compares_with_its_first_model(tmp_path, small_release):
    """Figure 6 has a line for each group of targets, and how much better the second model is there."""
    done = reproduce(
        "figure6", small_release, tmp_path, preset="default", seeds=[0], models=["popularity", "sasrec"],
        overrides=QUICK, device="cpu",
    )  # fmt: skip
    text = done.written[0].read_text(encoding="utf-8")

    assert "sasrec against popularity (the paper's Figure 6)" in text
    assert "| 5-9 |" in text


def test_a_row_that_fails_is_told_and_its_error_raised_after_the_report(tmp_path, small_release):
    """The others have theirs; one that can be run and fails is no row that cannot be run."""
    preset = tmp_path / "steep.yaml"
    preset.write_text("every_model: {width: 8, epochs: 1}\nsasrec: {learning_rate: 1.0e+30}\n")
    models = ["popularity", "sasrec"]
    done = reproduce("table2", small_release, tmp_path, preset=str(preset), seeds=[0], models=models, device="cpu")

    assert "training diverged" in done.not_run["sasrec, leave-one-out"]
    assert "not run: sasrec, leave-one-out: sasrec, seed 0: training diverged" in done.written[0].read_text()
    with pytest.raises(DivergedError, match="sasrec, seed 0"):
        done.raise_failed()
    with pytest.raises(DivergedError):
        reproduce("table2", small_release, tmp_path, preset=str(preset), seeds=[0], models=["sasrec"], device="cpu")


def test_what_cannot_be_reproduced_is_told(tmp_path, small_release):
    """Another table, a row of another table, one model to compare, and a release of which nothing can be run."""
    with pytest.raises(RecipeError, match="called 'table6'"):
        reproduce("table6", small_release, tmp_path)
    with pytest.raises(RecipeError, match="no row 'bert4rec'"):
        reproduce("table2", small_release, tmp_path, models=["bert4rec"])
    with pytest.raises(RecipeError, match="is one"):
        reproduce("figure6", small_release, tmp_path, models=["sasrec"])
    with pytest.raises(NotReadyError, match="is no finished release"):
        reproduce("table2", tmp_path / "nowhere", tmp_path / "out", models=["sasrec"], preset="default")


def test_a_figure_without_its_second_row_ends_before_its_first_is_trained(tmp_path, bare_release):
    """With the command that makes what is lacking."""
    heard = []
    with pytest.raises(NotReadyError, match="figure6 needs 2 or more rows") as caught:
        reproduce(
            "figure6", bare_release, tmp_path / "out", preset="default", seeds=[0], overrides=QUICK, device="cpu",
            progress=lambda event, _: heard.append(event),
        )  # fmt: skip

    assert "microlens-build features" in str(caught.value)
    assert [] == heard


def test_a_figure_goes_on_without_one_of_three(tmp_path, bare_release):
    done = reproduce(
        "figure6", bare_release, tmp_path / "out", preset="default", seeds=[0], overrides=QUICK, device="cpu",
        models=["popularity", "sasrec_id_v", "itemknn"],
    )  # fmt: skip

    assert ["sasrec_id_v, leave-one-out"] == list(done.not_run)
    assert "itemknn against popularity" in done.written[0].read_text(encoding="utf-8")


def test_a_benchmark_is_refused_before_anything_is_trained(bare_release):
    """The first model could be trained; the second one's features are not there."""
    heard = []
    with pytest.raises(NotReadyError, match="has no features"):
        run_benchmark(
            bare_release, ["sasrec", "sasrec_id_v"], overrides=QUICK, progress=lambda event, _: heard.append(event)
        )

    assert [] == heard
