"""`microlens-build export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import RunName

NAME = "export"
_MOST_HOURS = 31 * 24


def command(
    run_name: RunName = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen at: a private one, or with TLS any.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8780,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM: serve https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    is_token: Annotated[
        bool, typer.Option("--make-token", help="Print a token to read with, and serve nothing.")
    ] = False,
    hours: Annotated[float, typer.Option(min=0.01, max=_MOST_HOURS, help="How long that token is valid.")] = 24.0,
) -> None:
    """Serve the media and parts that this machine holds of a run, read-only, to whoever has a token.

    Stops at Ctrl-C or SIGTERM, when what is under way has ended.

        microlens-build export my-run --make-token --hours 24
    """
    import time

    from microlens.export_tokens import export_key, make_token
    from microlens.runs import find_run
    from microlens.settings import Settings

    settings = Settings()
    run = find_run(run_name, settings)
    given = settings.export_key.get_secret_value() if settings.export_key else None
    key = export_key(run.folder / "private" / "export.key", given)
    if is_token:
        typer.echo(make_token(key, run.shared_name, int(time.time() + hours * 3600)))
        return

    import asyncio

    from download_nodes.export import Export, serve
    from download_nodes.export_binding import addresses_of, tls_of

    tls = tls_of(tls_cert, tls_key)
    addresses = addresses_of(host, has_tls=tls is not None)
    export = Export(run, key)
    asyncio.run(
        serve(export, addresses, port, tls, lambda urls: typer.echo(f"{run.run_id}: {' '.join(urls)}", err=True))
    )
