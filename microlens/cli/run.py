"""`microlens-build run RECIPE`."""

from __future__ import annotations

from microlens.cli.options import (
    AsJson,
    EngineName,
    Master,
    MemoryLimit,
    Processes,
    RecipePath,
    TemporaryDir,
    Threads,
    settings_for_steps,
)

NAME = "run"


def command(
    recipe: RecipePath,
    *,
    processes: Processes = 2,
    engine: EngineName = None,
    master: Master = None,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    temporary_dir: TemporaryDir = None,
    as_json: AsJson = False,
) -> None:
    """Build a recipe's dataset from end to end: crawl, download, integrate, release, benchmark.

    Run again, it goes on where it stopped, and does nothing if all is done.

        microlens-build run deploy/recipes/peertube.yaml
    """
    from microlens.cli.output import print_result
    from microlens.cli.pipeline import run_recipe
    from microlens.cli.reporter import Reporter
    from microlens.recipe import load_recipe

    result = run_recipe(
        load_recipe(recipe),
        settings_for_steps(engine, master, memory_limit, threads, temporary_dir),
        processes=processes,
        reporter=Reporter(),
    )
    print_result(result, as_json=as_json)
