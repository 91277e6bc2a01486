"""`microlens-build platform`: for those who write adapters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from microlens.cli.options import AsJson

if TYPE_CHECKING:
    from microlens.platforms.describe import Description, PageKind

NAME = "platform"

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Write and try out the description of a site.

    microlens-build platform try site.yaml saved.html
    """


@app.command("try")
def try_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A platform file: see docs/adding-a-platform.md; or the word ytdlp.")
    ],
    url: Annotated[str, typer.Argument(metavar="URL", help="A page's address, or a saved page.")],
    *,
    kind: Annotated[
        Literal["home", "video", "related", "comments"] | None,
        typer.Option("--page", help="What the page is, if its address does not tell."),
    ] = None,
    address: Annotated[str | None, typer.Option("--address", help="Where a saved page came from.")] = None,
    contact: Annotated[
        str | None, typer.Option(help="E-mail or address where the site's owner reaches you; needed to fetch.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a platform file (or yt-dlp) takes from one page, field by field, and what is missing (exit code 6).

    microlens-build platform try site.yaml saved.html --address https://site.example/v/17

    microlens-build platform try ytdlp https://site.example/v/17 --contact you@example.org
    """
    from microlens.cli.one_page import get_page
    from microlens.cli.output import print_description
    from microlens.errors import PageChangedError
    from microlens.platforms.describe import describe
    from microlens.platforms.selectors import SelectorsPlatform

    if str(file) == "ytdlp":
        found = _ask_ytdlp(url, kind, contact)
    else:
        platform = SelectorsPlatform.from_file(file)
        found = describe(platform, get_page(url, contact=contact, address=address), kind)
    print_description(found, as_json=as_json)
    if found.missing:
        raise PageChangedError(
            f"no {', '.join(found.missing)} in the {found.kind} page {found.url}",
            hint=f"correct the selectors in {file}, or name the kind of page with --page",
        )


def _ask_ytdlp(url: str, kind: PageKind | None, contact: str | None) -> Description:
    from microlens.cli.one_page import PageFetcher
    from microlens.errors import SiteUnreachableError
    from microlens.platforms.base import NoAnswerError, UnavailableError
    from microlens.platforms.ytdlp.platform import YtDlpPlatform

    platform = YtDlpPlatform()  # says what to do where yt-dlp is not installed
    from microlens.platforms.ytdlp.describe import describe

    try:
        return describe(platform, url, PageFetcher(contact).ask, kind)
    except (NoAnswerError, UnavailableError) as error:
        raise SiteUnreachableError(f"{url} is not given: {error}", hint="try another address, or --page") from error
