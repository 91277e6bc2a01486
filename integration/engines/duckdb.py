"""DuckDB, embedded: the default engine."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Self

import duckdb
import pyarrow.parquet as pq

from integration.steps import step_sql
from microlens.errors import CorruptDataError, DiskFullError, MicrolensError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from microlens.settings import Settings


_OF_FILES = (duckdb.IOException, duckdb.InvalidInputException)
_NO_SPACE = os.strerror(errno.ENOSPC)


class DuckEngine:
    """Runs steps over Parquet files and Arrow tables, within a memory limit, spilling to a folder of its own."""

    def __init__(self, settings: Settings, temporary: Path) -> None:
        temporary = settings.temporary_dir or temporary
        try:
            temporary.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(
                f"the folder for temporary files, {temporary}, cannot be made: {error.strerror}",
                hint="correct MICROLENS_TEMPORARY_DIR, or unset it to use the run's own folder",
            ) from error
        self._connection = duckdb.connect(
            config={
                "memory_limit": settings.memory_limit,
                "threads": settings.threads,
                "temp_directory": str(temporary),
                "preserve_insertion_order": True,
                # A step names its inputs; it must not find anything else on this machine.
                "python_enable_replacements": False,
            }
        )
        # Not a global option: DuckDB refuses it in `config`.
        self._execute("SET enable_progress_bar = false")
        # By the name that Spark knows it by, which has a length to choose.
        self._execute("CREATE TEMPORARY MACRO sha2(text, bits) AS sha256(text)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add_files(
        self, name: str, paths: Sequence[Path], schema: pa.Schema | None = None, *, with_filename: bool = False
    ) -> None:
        """Make Parquet files readable as one table, if asked with a column `filename`.

        Where there may be none, `schema` is that of an empty table in their place.
        """
        if not paths and schema is not None:
            self.add_table(name, schema.empty_table())
            return
        listed = ", ".join(_quoted(str(path)) for path in paths)
        source = f"read_parquet([{listed}], filename = {with_filename})"
        self.add_view(name, f"SELECT * FROM {source}")

    def sorted_key(self, column: str) -> str:
        """A key as a UUID: a number of 128 bits, where bytes are of any length and take a third more time."""
        return f"CAST({column} AS UUID)"

    def add_view(self, name: str, select: str) -> None:
        self._execute(f"CREATE OR REPLACE VIEW {name} AS {select}")

    def add_step(self, step: str) -> None:
        """Make a step readable by its name without materialising it: it is run as often as it is read."""
        self.add_view(step, step_sql(step))

    def add_table(self, name: str, table: pa.Table) -> None:
        self._connection.register(name, table)

    def run(self, step: str, output: Path, parameters: Mapping[str, object] | None = None) -> int:
        """Materialise a step to `output`, and make it readable by its name; gives its rows."""
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = output.with_name(output.name + ".tmp")
        select = self._with_bytes(_bound(step_sql(step), parameters or {}))
        # Level 1 makes these tables no larger than level 3, and costs a fifth less; V2 spares the length of every key.
        options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION V2"
        self._execute(f"COPY ({select}) TO {_quoted(str(temporary))} ({options})")
        temporary.replace(output)
        self._execute(f"CREATE OR REPLACE VIEW {step} AS SELECT * FROM read_parquet({_quoted(str(output))})")
        return int(pq.read_metadata(output).num_rows)

    def _with_bytes(self, select: str) -> str:
        """Have keys that were sorted as UUIDs written as the bytes that they are."""
        columns = self._connection.execute(f"DESCRIBE {select}").fetchall()
        bytes_again = ", ".join(f"CAST({name} AS BLOB) AS {name}" for name, kind, *_ in columns if kind == "UUID")
        return f"SELECT * REPLACE ({bytes_again}) FROM ({select})" if bytes_again else select

    def query(self, sql: str) -> pa.Table:
        return self._connection.sql(sql).to_arrow_table()

    def _execute(self, sql: str) -> None:
        try:
            self._connection.execute(sql).fetchall()  # an unread result would block the connection
        except duckdb.OutOfMemoryException as error:
            raise MicrolensError(
                f"a step needs more memory than it may have: {_first_line(error)}",
                hint="raise MICROLENS_MEMORY_LIMIT, or lower MICROLENS_THREADS",
            ) from error
        except duckdb.Error as error:
            if _NO_SPACE in str(error):
                raise DiskFullError(f"the disk is full: {_first_line(error)}", hint=DiskFullError.usual_hint) from error
            # Damage that only a reader of Parquet notices comes as an error of no class in particular.
            if type(error) is not duckdb.Error and not isinstance(error, _OF_FILES):
                raise
            raise CorruptDataError(
                f"a table cannot be read or written: {_first_line(error)}",
                hint="if a file named there is damaged, delete it and run the stage that makes it again",
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _bound(sql: str, parameters: Mapping[str, object]) -> str:
    """Put parameters in as literals: COPY takes no bound ones. They are the recipe's own numbers and words."""

    def literal(match: re.Match[str]) -> str:
        value = parameters[match.group(1)]
        return str(value) if isinstance(value, (int, float)) else _quoted(str(value))

    return re.sub(r"(?<!:):([a-z_]+)", literal, sql)
