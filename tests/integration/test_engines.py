"""Two engines give the same: every step, and whole runs. The second one here is Sail, a quick dialect of Spark."""

import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from integration.engines import open_engine
from integration.steps import step_sql
from integration.trial import changed_filters, try_filters
from microlens.cli import checks
from microlens.cli.options import settings_for_steps
from microlens.errors import CorruptDataError, MicrolensError, RecipeError, SparkUnreachableError
from microlens.settings import Settings
from tests.integration.every_step import csv_sha256, made_tables, run_steps, shuffled
from tests.integration.made import KEY, data_bytes, world
from tests.integration.sail import sail

with pytest.MonkeyPatch.context() as patch:
    # PySpark takes a program without a file, such as a worker of pytest-xdist, for its own doctests, and ends it.
    patch.setattr(sys, "ps1", "", raising=False)
    from integration.engines import spark as spark_module

STEPS = Path(step_sql.__code__.co_filename).parent


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    with sail(tmp_path_factory.mktemp("sail")) as address:
        yield address


@contextmanager
def both(master, folder):
    """DuckDB and the other one, with a folder each."""
    with (
        open_engine(Settings(threads=2, memory_limit="500MB"), folder / "duck") as duck,
        open_engine(Settings(engine="spark", spark_master=master), folder / "spark") as spark,
    ):
        yield duck, spark


@contextmanager
def spark_in(folder, master):
    with open_engine(Settings(engine="spark", spark_master=master), folder) as engine:
        yield engine


@pytest.mark.parametrize("seed", range(2))
def test_every_step_gives_the_same_csv_on_both_engines(master, tmp_path, seed):
    """Nulls, hostile texts, ties, extremes, rows in any order: the same rows, in the same order, of the same types."""
    tables = made_tables(seed, 3000)
    mixed = shuffled(tables, seed)
    with both(master, tmp_path) as (duck, spark):
        ones, others = dict(run_steps(duck, tables, tmp_path / "a")), dict(run_steps(spark, mixed, tmp_path / "b"))
    different = [step for step in ones if csv_sha256(ones[step], tmp_path) != csv_sha256(others[step], tmp_path)]

    assert {path.stem for path in STEPS.glob("*.sql")} == set(ones)
    assert [] == [step for step, path in ones.items() if pq.read_metadata(path).num_rows == 0]
    assert [] == different


def test_steps_over_nothing_give_the_same_types(master, tmp_path):
    """An empty input gives a table without rows, whose columns are those that it has with rows."""
    tables = {name: table.slice(0, 0) for name, table in made_tables(1, 100).items()}
    with both(master, tmp_path) as engines:
        one, other = (
            {step: csv_sha256(path, tmp_path) for step, path in run_steps(engine, tables, tmp_path / name)}
            for engine, name in zip(engines, "ab", strict=True)
        )

    assert one == other


def on_spark(made, master):
    made.settings = made.settings.model_copy(update={"engine": "spark", "spark_master": SecretStr(master)})
    return made


@pytest.mark.parametrize("twins", ["drop", "merge"])
def test_a_run_is_the_same_on_both_engines(master, make, tmp_path, twins):
    """Integrated by one engine or the other, in two increments and small buckets: same tables, same bytes released."""
    first, more = world(3, videos=12, users=40, comments=500), world(4, videos=6, users=40, comments=200)
    first.videos["v1"]["title"] = 'it\'s a "视频" \\ 😀'
    for video in ("v2", "v3"):
        first.videos[video]["measured"] = {"video": {"body": b"the same bytes " * 100}}
    more.videos = {f"w{name}": told for name, told in more.videos.items()}
    more.comments = [{**row, "video_id": f"w{row['video_id']}"} for row in more.comments]
    recipe = {"comments": {"max_per_video": 20, "gender": True}, "filters": {"twins": twins}}
    runs = [make("duck", **recipe), on_spark(make("spark", **recipe), master)]
    for made in runs:
        made.settings = made.settings.model_copy(update={"bucket_rows": 100})
        made.fill(first, parts=3)
        made.integrate()
        made.fill(more)
    one, other = (made.build(users=25, min_user=2, min_item=2, stage="seed", cutoff=None) for made in runs)
    tables = [
        {
            path.relative_to(made.run.integrated).as_posix(): csv_sha256(path, tmp_path)
            for path in made.run.integrated.rglob("*.parquet")
            if not path.name.startswith("readings")  # parts are named by chance
        }
        for made in runs
    ]

    assert tables[0] == tables[1]
    assert len(tables[0]) > 10
    assert data_bytes(one) == data_bytes(other)
    assert one.counts == other.counts
    assert one.counts["interactions"] > 20


def test_a_trial_of_filters_is_the_same_on_both_engines(master, make):
    """What would be dropped, and the samples of it, do not depend on who joins the tables."""
    runs = [make("duck").fill(world(5)), on_spark(make("spark").fill(world(5)), master)]
    filters = changed_filters(runs[0].run.recipe, ["filters.min_title_characters=8"])
    one, other = (try_filters(made.run, made.settings, filters) for made in runs)

    assert one == other
    assert 8 == one.found


def test_rows_can_tell_their_file(master, tmp_path):
    """A column `filename` holds the paths that were given, whatever signs are in them."""
    paths = [tmp_path / "plain.parquet", tmp_path / "it's 100% [a]{b}*?.parquet"]
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"n": pa.array([number], pa.int32())}), path)

    with both(master, tmp_path) as engines:
        for engine in engines:
            engine.add_files("told", paths, pa.schema([("n", pa.int32())]), with_filename=True)
            found = engine.query("SELECT n, filename FROM told ORDER BY n").to_pylist()

            assert [{"n": number, "filename": str(path)} for number, path in enumerate(paths)] == found


def test_the_bytes_of_a_file_do_not_depend_on_how_its_rows_came(tmp_path):
    """A server sends batches of any size: row groups are of one size all the same."""
    table = pa.table({"n": range(300_000)})
    spark_module._write(tmp_path / "one", iter([table]))
    spark_module._write(tmp_path / "many", (table.slice(at, 7_777) for at in range(0, 300_000, 7_777)))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()
    assert 3 == pq.read_metadata(tmp_path / "one").num_row_groups


def test_words_are_parameters_and_not_sql(master, tmp_path):
    """Quotes, backslashes and line ends are what they are; a parameter that a step does not know is passed over."""
    users = pa.table({"user_key": [b"\x00" * 16], "interaction_count": [1], "sampling_hash": [""]})
    word = 'it\'s \\ "x"\n😀'
    told = {"seed": word, "is_reseeded": True, "min_user": 1, "bound": "g", "unknown": 1}
    with both(master, tmp_path) as engines:
        for at, engine in enumerate(engines):
            engine.add_table("users", users)
            engine.run("candidates", tmp_path / f"{at}.parquet", told)
    one, other = (pq.read_table(tmp_path / f"{at}.parquet").to_pylist() for at in range(2))

    assert one == other
    assert hashlib.sha256(f"{word}:{'0' * 32}".encode()).hexdigest() == one[0]["sampling_hash"]


def test_nothing_is_left_behind(master, tmp_path):
    """What an engine puts aside goes with it."""
    with spark_in(tmp_path, master) as engine:
        engine.add_table("one", pa.table({"n": [1]}))

        assert [] != list((tmp_path / "spark").iterdir())

    assert [] == list(tmp_path.iterdir())


def test_a_server_that_sees_another_disk_is_told_at_once(monkeypatch, master, tmp_path):
    """The paths of a run must be the server's as well: our working folder is not its own."""
    monkeypatch.chdir(tmp_path)

    with (
        pytest.raises(RecipeError, match="does not see") as told,
        spark_in(Path("/proc/self/cwd"), master),
    ):
        pass

    assert "same path" in told.value.hint
    assert [] == list(tmp_path.iterdir())


def test_a_master_that_nobody_answers_for_is_named(monkeypatch, tmp_path):
    """The message has the server's address, but no token that stands in it."""
    monkeypatch.setattr(spark_module, "_CONNECT_S", 0.2)

    with pytest.raises(SparkUnreachableError, match=r"sc://127\.0\.0\.1:9 does not answer") as told:
        open_engine(Settings(engine="spark", spark_master="sc://127.0.0.1:9/;token=hidden;use_ssl=true"), tmp_path)

    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("master", [None, "spark://127.0.0.1:7077", "nonsense", "sc://127.0.0.1:port"])
def test_a_master_that_is_none_is_refused(tmp_path, master):
    """Spark needs to be told its server, by an address of Spark Connect."""
    with pytest.raises(RecipeError, match=r"Spark|spark") as told:
        open_engine(Settings(engine="spark", spark_master=master), tmp_path)

    assert "sc://" in told.value.hint


@pytest.mark.filterwarnings("ignore:.RETRIES_EXCEEDED")
def test_a_server_that_goes_away_is_missed(monkeypatch, tmp_path):
    """What it was asked for cannot be had; the message says where it was."""
    monkeypatch.setattr(spark_module, "_RETRIES", {"max_retries": 1})
    with sail(tmp_path) as address:
        engine = open_engine(Settings(engine="spark", spark_master=address), tmp_path / "run")

    with engine, pytest.raises(SparkUnreachableError, match=r"sc://127\.0\.0\.1:\d+ was lost"):
        engine.query("SELECT 1 AS one")


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    """Without the packages of Spark the message says how they are installed."""
    monkeypatch.delitem(sys.modules, "integration.engines.spark")
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)

    with pytest.raises(RecipeError) as told:
        open_engine(Settings(engine="spark", spark_master="sc://127.0.0.1:15002"), tmp_path)

    assert "pip install 'microlens-build[spark]'" == told.value.hint


def test_a_damaged_file_is_corrupt_data(master, tmp_path):
    """A file that is no Parquet is what the message is about."""
    (tmp_path / "bad.parquet").write_bytes(b"nothing of the kind" * 10)

    with both(master, tmp_path) as engines:
        for engine in engines:
            with pytest.raises(CorruptDataError):
                engine.add_files("bad", [tmp_path / "bad.parquet"])


def test_the_command_line_names_the_engine(master, make):
    """`--engine` and `--master` decide who runs the steps; Spark's tables are written by Arrow."""
    made = make().fill(world())
    names = {"MICROLENS_RUNS_DIR": str(made.settings.runs_dir), "MICROLENS_PSEUDONYM_KEY": KEY}
    items = made.run.integrated / "items.parquet"

    for options, writer in ((["--engine", "spark", "--master", master], "arrow"), ([], "DuckDB")):
        command = [sys.executable, "-m", "microlens.cli", "integrate", "small", *options]
        done = subprocess.run(command, env={**os.environ, **names}, capture_output=True, text=True, check=False)

        assert 0 == done.returncode, done.stderr
        assert writer in pq.read_metadata(items).created_by
        items.unlink()


def test_options_stand_above_settings(monkeypatch, tmp_path):
    """What the command line does not say the environment does; a server that nobody would ask is refused."""
    monkeypatch.setenv("MICROLENS_THREADS", "3")
    told = settings_for_steps(None, None, "40MB", None, tmp_path)

    assert ("duckdb", "40MB", 3, tmp_path) == (told.engine, told.memory_limit, told.threads, told.temporary_dir)
    with pytest.raises(RecipeError, match="--master"):
        settings_for_steps(None, "sc://127.0.0.1:15002", None, None, None)


def test_doctor_tries_the_server_out(master, tmp_path):
    """A line says whether the server answers and sees the runs; where DuckDB is the engine there is none."""
    (fine,) = checks._spark(Settings(engine="spark", spark_master=master, runs_dir=tmp_path))
    (wrong,) = checks._spark(Settings(engine="spark", runs_dir=tmp_path))

    assert fine.is_fine
    assert not wrong.is_fine
    assert "--master" in wrong.hint
    assert [] == list(checks._spark(Settings()))
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Job aborted: java.lang.OutOfMemoryError: Java heap space", MicrolensError),
        ("Total size of serialized results is bigger than spark.driver.maxResultSize", MicrolensError),
        ("[FAILED_READ_FILE.NO_HINT] Encountered error while reading file", CorruptDataError),
        ("[RETRIES_EXCEEDED] The maximum number of retries has been exceeded.", SparkUnreachableError),
        ("[UNRESOLVED_COLUMN] A column cannot be resolved", type(None)),
    ],
)
def test_what_spark_says_is_told_in_our_words(message, kind):
    """Memory, damaged files and lost servers are nobody's bug; a step that cannot be read is one."""
    assert kind is type(spark_module._in_our_words(Exception(message), "spark:15002"))
