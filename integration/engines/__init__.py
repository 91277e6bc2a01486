"""Where the steps' SQL runs: DuckDB, in this process, or Spark, on a server of its own.

Both give the same rows of the same types in the same order. The steps are written in what both read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from microlens.settings import Settings


class Engine(Protocol):
    """Runs steps over Parquet files and Arrow tables.

    A view is made anew whenever something that it stands on is: engines differ in whether it would follow.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def add_files(
        self, name: str, paths: Sequence[Path], schema: pa.Schema | None = None, *, with_filename: bool = False
    ) -> None:
        """Make Parquet files readable as one table, if asked with a column `filename`.

        Where there may be none, `schema` is that of an empty table in their place.
        """

    def sorted_key(self, column: str) -> str:
        """SQL for a key of 16 bytes as what this engine sorts fastest, in the same order; `run` writes bytes again."""

    def add_view(self, name: str, select: str) -> None: ...

    def add_step(self, step: str) -> None:
        """Make a step readable by its name without materialising it: it is run as often as it is read."""

    def add_table(self, name: str, table: pa.Table) -> None: ...

    def run(self, step: str, output: Path, parameters: Mapping[str, object] | None = None) -> int:
        """Materialise a step to one Parquet file in its order, and make it readable by its name; gives its rows."""

    def query(self, sql: str) -> pa.Table: ...


def open_engine(settings: Settings, temporary: Path) -> Engine:
    """The engine that the settings name; `temporary` is a folder for what it puts aside.

    RecipeError if its packages are not installed, or it is Spark and no master is named.
    """
    engine = "spark" if settings.engine == "spark" else "build"
    try:
        if engine == "spark":
            from integration.engines.spark import SparkEngine  # noqa: PLC0415 -- an extra that few install

            return SparkEngine(settings, temporary)
        from integration.engines.duckdb import DuckEngine  # noqa: PLC0415 -- not needed where Spark runs

        return DuckEngine(settings, temporary)
    except ImportError as error:
        raise RecipeError(
            f"the engine {settings.engine} needs packages that are not installed: {error}",
            hint=f"pip install 'microlens-build[{engine}]'",
        ) from error
