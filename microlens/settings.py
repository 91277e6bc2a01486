"""Where things are on this machine: read once from the environment (prefix MICROLENS_), passed down as arguments."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from microlens.errors import RecipeError


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MICROLENS_", frozen=True)

    runs_dir: Path = Field(default=Path("runs"), description="Folder that holds all runs.")
    redis_url: str | None = Field(default=None, description="Frontier and queue; an embedded server if absent.")
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL for the ledgers of new runs; a SQLite file in each run's folder if absent.",
    )
    pseudonym_key: SecretStr | None = Field(
        default=None, description="64 hexadecimal digits; else the file that the run made when it was created."
    )
    store_url: str | None = Field(
        default=None,
        description="Where media are kept: s3://BUCKET/PREFIX or file:///FOLDER; the run's own folder if absent.",
    )
    parts_url: str | None = Field(
        default=None,
        description="Where parts are kept besides the run's folder: s3://BUCKET/PREFIX; nowhere else if absent.",
    )
    store_allow_http: bool = Field(default=False, description="Whether an S3 endpoint may be plain http.")
    export_key: SecretStr | None = Field(
        default=None, description="64 hexadecimal digits that sign an export's tokens; else the run's own file."
    )
    export_token: SecretStr | None = Field(
        default=None, description="Opens the exports that `integrate --from` reads; made with `export --make-token`."
    )
    node_id: str = Field(default_factory=socket.gethostname, description="Name of this machine in the ledger.")
    min_free_bytes: int = Field(
        default=1_000_000_000, ge=0, description="A node with less free disk claims nothing until there is more."
    )
    bytes_per_second: float | None = Field(
        default=None,
        gt=0,
        description="Most that this machine's processes download together for one run; no limit if absent.",
    )
    warn_failure_share: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of failures above which a node warns, and a command ends with a note.",
    )
    engine: Literal["duckdb", "spark"] = Field(
        default="duckdb", description="What runs the steps: DuckDB in this process, or a Spark server."
    )
    spark_master: SecretStr | None = Field(
        default=None, description="The server of a Spark engine, as sc://HOST:15002; it may hold a token."
    )
    memory_limit: str = Field(default="2GB", pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$", description="What DuckDB may take.")
    threads: int = Field(default=2, ge=1, description="Threads of DuckDB.")
    temporary_dir: Path | None = Field(
        default=None, description="Where DuckDB puts what does not fit its memory; the run's own folder if absent."
    )
    bucket_rows: int = Field(
        default=4_000_000, ge=1, description="Comments that `integrate` sorts at once; fewer take less memory."
    )

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            wrong = [f"MICROLENS_{str(d['loc'][0]).upper()} = {d['input']!r}: {d['msg']}" for d in error.errors()]
            raise RecipeError("\n".join(wrong), hint="correct the variable, or unset it to use its default") from error
