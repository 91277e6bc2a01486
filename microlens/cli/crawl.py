"""`microlens-build crawl RECIPE`."""

from __future__ import annotations

from microlens.cli.options import RecipePath

NAME = "crawl"


def command(recipe: RecipePath) -> None:
    """Find videos: seeds from the home page, then related videos. Nothing is downloaded yet.

    Stopped or killed, it goes on where it was when it is started again.

        microlens-build crawl deploy/recipes/peertube.yaml
    """
    from crawler.run import crawl
    from microlens.cli.output import Reporter, crawl_facts
    from microlens.embedded import redis_server
    from microlens.logs import configure_logs
    from microlens.recipe import load_recipe
    from microlens.runs import mark_used, open_or_create
    from microlens.settings import Settings

    configure_logs()
    settings = Settings()
    run, _ = open_or_create(load_recipe(recipe), settings)
    mark_used(run)
    with redis_server(settings.redis_url, lock=run.folder / "redis.lock") as redis_url:
        crawl(run, redis_url)
    Reporter().done("crawl", crawl_facts(run))
