"""`microlens-build subset`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import (
    AsJson,
    EngineName,
    Master,
    MemoryLimit,
    RunName,
    TemporaryDir,
    Threads,
    settings_for_steps,
)

NAME = "subset"


def command(
    run_name: RunName = None,
    *,
    users: Annotated[
        int | None, typer.Option(min=1, help="Users to draw, as 100000; all eligible ones if left out.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the release, as MicroLens-100K; else by run and count.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="paper: as the published subsets were drawn: --stage seed --min-likes 10000.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the users, as 7; the recipe's seed if left out.")] = None,
    min_user: Annotated[
        int | None,
        typer.Option(min=1, show_default="5", help="Fewest interactions of an eligible user in the pool, as 5."),
    ] = None,
    max_user: Annotated[
        int | None, typer.Option(min=1, help="Most interactions of an eligible user in the pool, as 500.")
    ] = None,
    min_item: Annotated[
        int | None,
        typer.Option(
            min=1, help="Fewest interactions of an item with the users drawn, as 3; these keep to --min-user."
        ),
    ] = None,
    k_core: Annotated[
        int | None,
        typer.Option(
            min=2, help="Keep the K-core of what is drawn: users and items with at least K interactions each, as 5."
        ),
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only items that were found so: seed or related.")] = None,
    min_likes: Annotated[
        int | None, typer.Option(min=0, help="Fewest likes of an item, at the cutoff, as 10000.")
    ] = None,
    pool: Annotated[
        int | None, typer.Option(min=1, help="Only the first items by the order of the crawl, as 34321.")
    ] = None,
    cutoff: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only comments made before, as 2022-09-13 or 2022-09-13T18:00 (UTC)."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="Draw only from this release of the run, as MicroLens-1M."),
    ] = None,
    is_strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 if fewer users are eligible.")] = False,
    engine: EngineName = None,
    master: Master = None,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    temporary_dir: TemporaryDir = None,
    as_json: AsJson = False,
) -> None:
    """Draw users and publish them as a release; a smaller draw lies within every larger one of the same pool.

    microlens-build subset --preset paper --users 100000 --name MicroLens-100K
    """
    from integration.subset import Draw, subset
    from microlens.cli.output import print_release
    from microlens.cli.reporter import Reporter
    from microlens.recipe import parse_release
    from microlens.runs import find_run, mark_used

    asked = {
        "users": users,
        "preset": preset,
        "seed": seed,
        "min_user": min_user,
        "max_user": max_user,
        "min_item": min_item,
        "k_core": k_core,
        "stage": stage,
        "min_likes": min_likes,
        "pool": pool,
        "cutoff": cutoff,
        "within": within,
    }
    release = parse_release({option: value for option, value in asked.items() if value is not None})
    settings, reporter = settings_for_steps(engine, master, memory_limit, threads, temporary_dir), Reporter()
    run = find_run(run_name, settings)
    mark_used(run)
    draw = Draw.of(release, name=name, is_strict=is_strict)
    built = subset(run, settings, draw, lambda step: reporter.tick("subset", lambda: {"step": step}))
    print_release(built, as_json=as_json)
