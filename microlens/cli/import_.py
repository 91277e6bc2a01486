"""`microlens-build import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from microlens.cli.options import AsJson, MemoryLimit, TemporaryDir, Threads, settings_for_steps

NAME = "import"


def command(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A folder with the files of one dataset, or its file of pairs.")
    ],
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="The folder to make, as releases/MicroLens-50k.")],
    *,
    form: Annotated[str, typer.Option("--format", help="Whose files they are: microlens, recbole or s3rec.")],
    time_unit: Annotated[
        str,
        typer.Option(
            help="What times are told in: s, ms, us or ns; auto finds out; order takes their order alone, for times "
            "that are no moments."
        ),
    ] = "auto",
    min_rating: Annotated[
        float | None, typer.Option(help="Only interactions rated so or higher, as 4 (recbole); all if left out.")
    ] = None,
    has_gender: Annotated[
        bool, typer.Option("--gender", help="Take users' gender, where the source tells it (recbole).")
    ] = False,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    temporary_dir: TemporaryDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a release of foreign files: MicroLens, RecBole's atomic files, or S3-Rec's sequences.

    microlens-build import --format microlens downloads/MicroLens-50k releases/MicroLens-50k
    """
    from integration.imports.build import Import, import_release
    from integration.imports.foreign import Options
    from microlens.cli.output import print_release
    from microlens.cli.reporter import Reporter

    settings, reporter = settings_for_steps(None, None, memory_limit, threads, temporary_dir), Reporter()

    def tell(step: str, done: int, size: int) -> None:
        reporter.tick(NAME, lambda: {"step": step, **_share(done, size)})

    options = Options(time_unit, min_rating, has_gender)
    built = import_release(Import(form, source, release, options), settings, tell)
    reporter.done(NAME if built.is_new else f"{NAME} (nothing new)", _shown(built.counts["imported"]))
    print_release(built, as_json=as_json)


def _share(done: int, size: int) -> dict[str, Any]:
    return {"done": done, "left": size - done} if size else {}


def _shown(imported: dict[str, Any]) -> dict[str, Any]:
    """What a line tells of an import: its counts, and names of what was left out."""
    facts = {name: value for name, value in imported.items() if not isinstance(value, (dict, list)) and value != 0}
    lists = {name: ", ".join(value) for name, value in imported.items() if isinstance(value, list) and value}
    return facts | lists
