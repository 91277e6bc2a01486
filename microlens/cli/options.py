"""Options that several commands share, each spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from microlens.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
RunName = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run's name or folder; the one used last if left out.")
]
ReleasePath = Annotated[
    Path | None,
    typer.Argument(metavar="RELEASE", help="A release's folder; the newest of the last run if left out."),
]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: see deploy/recipes/.")]
Processes = Annotated[int, typer.Option("-n", "--processes", min=1, max=256, help="Download processes.")]

# Of the commands that train and rank: how models are asked, and what is set.
SplitRule = Annotated[
    str,
    typer.Option(
        "--split", help="leave-one-out: each user's last item is the test; temporal: everyone is cut at two moments."
    ),
]
Cuts = Annotated[
    str | None,
    typer.Option(
        "--cuts", show_default="0.8,0.9", help="Of --split temporal: shares of all interactions, or two dates."
    ),
]
Warm = Annotated[
    int, typer.Option("--warm", min=0, help="Remove items with fewer interactions first, as 20; 0 keeps all.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting instead of the preset's; may be given repeatedly."),
]
Seeds = Annotated[str, typer.Option("--seeds", "--seed", help="Each draws first weights and batches anew, as 0,1,2.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1; a GPU if there is one.")]

# Of the commands that run steps. Each goes above the setting of its name, whose default holds without either.
EngineName = Annotated[
    Literal["duckdb", "spark"] | None,
    typer.Option(
        "--engine", show_default="duckdb", help="What runs the steps: DuckDB in this process, or a Spark server."
    ),
]
Master = Annotated[
    str | None, typer.Option("--master", metavar="URL", help="The Spark server, as sc://spark.example:15002.")
]
MemoryLimit = Annotated[
    str | None, typer.Option("--memory-limit", metavar="SIZE", show_default="2GB", help="What DuckDB may take, as 8GB.")
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, show_default="2", help="Threads of DuckDB.")]
TemporaryDir = Annotated[
    Path | None,
    typer.Option(
        "--temporary-dir", show_default="the run's tmp/", help="Where DuckDB puts what does not fit its memory."
    ),
]


def settings_for_steps(
    engine: str | None, master: str | None, memory_limit: str | None, threads: int | None, temporary_dir: Path | None
) -> Settings:
    """The settings with what the command line says above them; RecipeError for a --master that nobody would ask."""
    from microlens.settings import Settings

    told: dict[str, Any] = {
        "engine": engine,
        "spark_master": master,
        "memory_limit": memory_limit,
        "threads": threads,
        "temporary_dir": temporary_dir,
    }
    settings = Settings(**{name: value for name, value in told.items() if value is not None})
    if master is not None and settings.engine != "spark":
        raise RecipeError("--master names a Spark server, and the engine is duckdb", hint="add --engine spark")
    return settings


def words(text: str | None) -> tuple[str, ...]:
    """Read `a,b,c`; nothing is none."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def numbers(option: str, text: str) -> list[int]:
    """Read `0,1,2`; RecipeError, naming the option, for anything else."""
    named = words(text)
    wrong = [word for word in named if not word.isdecimal()]
    if wrong or not named:
        raise RecipeError(
            f"{option} is {text!r}, and {(wrong or [text])[0]!r} is no whole number",
            hint=f"separate numbers with commas, as {option} 0,1,2",
        )
    return [int(word) for word in named]
