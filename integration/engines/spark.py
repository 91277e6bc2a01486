"""Spark, on a server that is reached through Spark Connect: the same steps on a cluster.

The server reads files at the paths that they have here, so the run must lie on a disk that both see (docs/spark.md). It
writes none: a step's rows come back in their order, a batch at a time, and are written here. What a step gives is one
bucket, or what a sample holds; so no file depends on how the server divides its work, or on whose name it works under.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Self

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import DefaultPolicy

from integration.steps import step_sql
from microlens.errors import CorruptDataError, MicrolensError, RecipeError, SparkUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from microlens.settings import Settings

_CONNECT_S = 15
_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, as it is in DuckDB
    "spark.sql.caseSensitive": "false",
}
_RETRIES = {"max_retries": 7, "max_backoff": 8_000}
"""Half a minute, in milliseconds: the library's own ten minutes are long for somebody who waits."""
_GROUP_ROWS = 122_880
"""Rows of a row group: as many as DuckDB writes."""
_LOST = (
    "UNAVAILABLE",
    "RETRIES_EXCEEDED",
    "SESSION_NOT_FOUND",
    "SESSION_CLOSED",
    "SESSION_CHANGED",
    "OPERATION_NOT_FOUND",
    "stopped SparkContext",
)
_TOO_LARGE = ("OutOfMemory", "UNABLE_TO_ACQUIRE_MEMORY", "maxResultSize", "Java heap space", "Resources exhausted")
_UNREADABLE = (
    "FAILED_READ_FILE",
    "CANNOT_READ_FILE_FOOTER",
    "PATH_NOT_FOUND",
    "Parquet error",
    "ParquetDecodingException",
)
_SHOWN = 300


class SparkEngine:
    """Runs steps on a server that was started before; how much memory and how many cores it has is said there."""

    def __init__(self, settings: Settings, temporary: Path) -> None:
        if settings.spark_master is None:
            raise RecipeError(
                "the engine spark needs to know its server",
                hint="give --master sc://HOST:15002, or set MICROLENS_SPARK_MASTER",
            )
        master = settings.spark_master.get_secret_value()
        self._address = _reachable(master)
        self._is_lost = False
        self._tables = 0
        # None of Python's own temporary folders: they are closed to everybody else, whom the server may be.
        self._scratch = temporary.absolute() / "spark"
        shutil.rmtree(self._scratch, ignore_errors=True)  # a killed process may have left it
        self._scratch.mkdir(parents=True)
        with self._errors():
            builder = SparkSession.builder.remote(master)
            for key, value in _SESSION.items():
                builder = builder.config(key, value)
            self._session = builder.create()
            self._session.client.set_retry_policies([DefaultPolicy(**_RETRIES)])
        self._check_sight()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.release_session_on_close = not self._is_lost  # there may be nobody to release it
        self._session.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def add_files(
        self, name: str, paths: Sequence[Path], schema: pa.Schema | None = None, *, with_filename: bool = False
    ) -> None:
        """Make Parquet files readable as one table, if asked with a column `filename`.

        Where there may be none, `schema` is that of an empty table in their place.
        """
        if not paths and schema is not None:
            self.add_table(name, schema.empty_table())
        elif with_filename:
            self._add_files([self._named(path) for path in paths], name)
        else:
            self._add_files(paths, name)

    def sorted_key(self, column: str) -> str:
        """A key as it is."""
        return column

    def add_view(self, name: str, select: str) -> None:
        with self._errors():
            self._session.sql(select).createOrReplaceTempView(name)

    def add_step(self, step: str) -> None:
        """Make a step readable by its name without materialising it: it is run as often as it is read."""
        self.add_view(step, step_sql(step))

    def add_table(self, name: str, table: pa.Table) -> None:
        path = self._next_path()
        pq.write_table(table, path)
        self._add_files([path], name)

    def run(self, step: str, output: Path, parameters: Mapping[str, object] | None = None) -> int:
        """Materialise a step to `output`, and make it readable by its name; gives its rows."""
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = output.with_name(output.name + ".tmp")
        with self._errors():
            _write(temporary, self._stream(step_sql(step), parameters or {}))
        temporary.replace(output)
        self._add_files([output], step)
        return int(pq.read_metadata(output).num_rows)

    def query(self, sql: str) -> pa.Table:
        with self._errors():
            return self._session.sql(sql).toArrow()

    def _stream(self, sql: str, parameters: Mapping[str, object]) -> Iterator[pa.Table]:
        """The rows in their order, a batch at a time, the first one perhaps without any: what `toArrow` gathers."""
        plan = self._session.sql(sql, args=dict(parameters))._plan  # noqa: SLF001 -- no public method streams Arrow
        client = self._session.client
        answers = client.to_table_as_iterator(plan.to_proto(client), plan.observations)
        return (answer for answer in answers if isinstance(answer, pa.Table))

    def _add_files(self, paths: Sequence[Path], name: str) -> None:
        with self._errors():
            self._session.read.parquet(*map(_address_of, paths)).createOrReplaceTempView(name)

    def _named(self, path: Path) -> Path:
        """A copy of a file whose rows tell its path: no function that does so is known to every dialect."""
        copy = self._next_path()
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow.append(pa.field("filename", pa.string()))
            with pq.ParquetWriter(copy, schema) as writer:
                for batch in file.iter_batches():
                    writer.write_batch(batch.append_column("filename", pa.array([str(path)] * len(batch))))
        return copy

    def _next_path(self) -> Path:
        self._tables += 1
        return self._scratch / f"{self._tables}.parquet"

    def _check_sight(self) -> None:
        """RecipeError if the server does not see what is written here."""
        path, word = self._next_path(), uuid.uuid4().hex
        pq.write_table(pa.table({"word": [word]}), path)
        try:
            seen = self._session.read.parquet(_address_of(path)).toArrow().to_pylist()
        except (PySparkException, grpc.RpcError):
            seen = []
        if seen != [{"word": word}]:
            self.__exit__()
            raise RecipeError(
                f"the Spark server {self._address} does not see {path.parent.parent}, or not what is written there",
                hint="put MICROLENS_RUNS_DIR on a disk that this machine and all of Spark's have at the same path, "
                "readable for the user that Spark works as",
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (PySparkException, grpc.RpcError) as error:
            told = _in_our_words(error, self._address)
            if told is None:
                raise
            self._is_lost = isinstance(told, SparkUnreachableError)
            raise told from error


def _reachable(master: str) -> str:
    """The server's host and port; SparkUnreachableError if nobody answers there, RecipeError if it is no address."""
    # It writes every refusal to standard error, a page of JSON each; ours are told by whoever catches them.
    logging.getLogger("SQLQueryContextLogger").disabled = True
    try:
        builder = DefaultChannelBuilder(master)
    except (PySparkException, ValueError) as error:
        raise RecipeError(
            "the address of the Spark server cannot be used", hint="give it as sc://HOST:15002"
        ) from error
    try:
        with builder.toChannel() as channel:
            grpc.channel_ready_future(channel).result(timeout=_CONNECT_S)
    except grpc.FutureTimeoutError as error:
        raise _unreachable(builder.endpoint, "does not answer") from error
    return str(builder.endpoint)


def _unreachable(address: str, what: str) -> SparkUnreachableError:
    return SparkUnreachableError(
        f"the Spark server sc://{address} {what}",
        hint="see that a Spark Connect server runs there (Spark's sbin/start-connect-server.sh) and is the one that "
        "--master or MICROLENS_SPARK_MASTER names; then run the same again: what is done is kept",
    )


def _in_our_words(error: Exception, address: str) -> MicrolensError | None:
    """None for what is a bug."""
    text = str(error)
    shown = text.strip().partition("\n")[0][:_SHOWN]
    if any(word in text for word in _LOST):
        return _unreachable(address, f"was lost: {shown}")
    if any(word in text for word in _TOO_LARGE):
        return MicrolensError(
            f"a step needs more memory than the Spark server {address} has: {shown}",
            hint="start it with more spark.driver.memory and spark.executor.memory, and spark.driver.maxResultSize=0",
        )
    if any(word in text for word in _UNREADABLE):
        return CorruptDataError(
            f"a table cannot be read: {shown}",
            hint="if a file named there is damaged, delete it and run the stage that makes it again",
        )
    return None


def _address_of(path: Path) -> str:
    """A path as the server reads it; Spark takes signs such as brackets for patterns."""
    told = "".join(f"\\{letter}" if letter in "[]{}*?\\" else letter for letter in str(path.absolute()))
    return f"file://{told}"


def _write(path: Path, tables: Iterator[pa.Table]) -> None:
    """Write rows in groups of one size, under plain types: the same rows give the same bytes, however they came."""
    first = next(tables)
    schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in first.schema])
    left = schema.empty_table()
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for table in chain([first], tables):
            left = pa.concat_tables([left, table.cast(schema)])
            while left.num_rows >= _GROUP_ROWS:
                writer.write_table(left.slice(0, _GROUP_ROWS).combine_chunks(), _GROUP_ROWS)
                left = left.slice(_GROUP_ROWS)
        if left.num_rows:
            writer.write_table(left.combine_chunks(), _GROUP_ROWS)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Some dialects remember that all keys are of one length."""
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind
