"""Real Spark gives what DuckDB gives: every step on five million comments, and a whole run."""

import os
import time

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from integration.engines import open_engine
from microlens.errors import CorruptDataError
from microlens.settings import Settings
from tests.integration.conftest import make
from tests.integration.every_step import csv_sha256, made_tables, run_steps
from tests.integration.made import data_bytes, world
from tests.service.spark import spark_server
from tests.service.trial import say

__all__ = ["make"]

ROWS = int(os.environ.get("SERVICE_SPARK_ROWS", "5_000_000"))

pytestmark = [pytest.mark.service, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    with spark_server(tmp_path_factory.mktemp("spark")) as address:
        yield address


def test_every_step_gives_the_same_csv_on_real_spark(master, tmp_path):
    """The same rows, in the same order, of the same types, whatever the step."""
    tables, different = made_tables(1, ROWS), []
    with (
        open_engine(Settings(), tmp_path / "duck") as duck,
        open_engine(Settings(engine="spark", spark_master=master), tmp_path / "spark") as spark,
    ):
        ones, others = run_steps(duck, tables, tmp_path / "a"), run_steps(spark, tables, tmp_path / "b")
        for (step, one), began in zip(ones, iter(time.monotonic, None), strict=False):
            _, other = next(others)
            took = time.monotonic() - began
            if csv_sha256(one, tmp_path) != csv_sha256(other, tmp_path):
                different.append(step)
            say(f"{step}: {pq.read_metadata(one).num_rows:,} rows, Spark took {took:.1f} s")

    assert [] == different


def test_a_run_is_the_same_on_real_spark(master, make):
    """Merged in small buckets and drawn from: the same bytes are released."""
    built = {}
    for name, changes in (("duck", {}), ("it's [s]park", {"engine": "spark", "spark_master": SecretStr(master)})):
        made = make(name, comments={"max_per_video": 20, "gender": True})
        made.settings = made.settings.model_copy(update={"bucket_rows": 100, **changes})
        built[name] = made.fill(world(3, videos=12, users=40, comments=300), parts=2).build(
            users=25, min_user=2, min_item=2, stage="seed"
        )
    one, other = built.values()

    assert data_bytes(one) == data_bytes(other)
    assert one.counts == other.counts
    assert one.counts["interactions"] > 20


def test_a_damaged_file_is_told_by_real_spark(master, tmp_path):
    """A file that is no Parquet is what the message is about."""
    (tmp_path / "bad.parquet").write_bytes(b"nothing of the kind" * 10)

    with (
        open_engine(Settings(engine="spark", spark_master=master), tmp_path / "run") as engine,
        pytest.raises(CorruptDataError, match=r"bad\.parquet"),
    ):
        engine.add_files("bad", [tmp_path / "bad.parquet"])
