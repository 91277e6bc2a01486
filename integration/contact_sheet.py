"""One HTML page of videos that filters would drop, for a person to look over.

Titles and words of a site are hostile text: see `microlens.pages`. Nothing but small pictures stands in the page.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from microlens.pages import Html, element, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from integration.trial import Dropped, Sample, Trial

MOST_LETTERS = 300
"""Of a text that is shown; a title may be a megabyte long."""

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.sheet { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; padding: .5rem; max-width: 22rem; border: 1px solid #ddd; }
img, .none { width: 160px; height: 160px; object-fit: contain; background: #eee; color: #777; }
.none { display: inline-block; line-height: 160px; text-align: center; }
figcaption { overflow-wrap: anywhere; } small { display: block; color: #555; }
"""


def contact_sheet(trial: Trial, pictures: Mapping[str, bytes]) -> str:
    """Make the page; `pictures` are JPEGs that were drawn anew, by the SHA-256 of their covers."""
    heading = f"What the filters drop: {trial.run}"
    return page(
        heading,
        element("h1", heading),
        element("p", f"{trial.found:,} videos found, {trial.kept:,} kept (now {trial.kept_now:,})."),
        _filters(trial),
        _counts(trial),
        *(_section(dropped, pictures) for dropped in trial.dropped if dropped.samples),
        style=_STYLE,
    )


def _filters(trial: Trial) -> Html:
    """The thresholds that were tried; those that are others now say so."""
    now = trial.filters_now
    told = (
        f"{key} {value}" + (f" (now {now[key]})" if now[key] != value else "") for key, value in trial.filters.items()
    )
    return element("p", ", ".join(told))


def _counts(trial: Trial) -> Html:
    names = ("reason", "filter", "drops", "share", "applies to", "drops now")
    rows = (
        (d.reason, d.filter, f"{d.count:,}", f"{d.share:.2%}", f"{d.applies_to:,}", f"{d.count_now:,}")
        for d in trial.dropped
    )
    return element(
        "table",
        element("tr", *(element("th", name) for name in names)),
        *(element("tr", *(element("td", cell) for cell in row)) for row in rows),
    )


def _section(dropped: Dropped, pictures: Mapping[str, bytes]) -> Html:
    heading = f"{dropped.reason}: {len(dropped.samples):,} of {dropped.count:,}"
    figures = (element("figure", *_figure(sample, pictures)) for sample in dropped.samples)
    return element("section", element("h2", heading), element("div", *figures, class_="sheet"))


def _figure(sample: Sample, pictures: Mapping[str, bytes]) -> Iterator[Html]:
    """A video's cover beside that of the copy that is kept; below them the titles and the numbers."""
    both = [sample] if sample.twin is None else [sample, sample.twin]
    for one in both:
        yield _picture(pictures.get(one.cover_sha256 or ""))
    yield element(
        "figcaption",
        _title(sample),
        element("small", ", ".join(_facts(sample))),
        *([element("small", "kept: "), _title(sample.twin)] if sample.twin is not None else []),
    )


def _picture(jpeg: bytes | None) -> Html:
    if jpeg is None:
        return element("span", "no picture", class_="none")
    return element("img", src=f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}", alt="")


def _title(sample: Sample) -> Html:
    # <bdi>: a title's own marks of direction end with it.
    return element("bdi", _cut(sample.title) if sample.title is not None else "(no title)", dir="auto")


def _facts(sample: Sample) -> Iterator[str]:
    if sample.measured is not None:
        yield f"measured {sample.measured:g}"
    if sample.threshold is not None:
        yield f"threshold {sample.threshold:g}"
    if sample.detail is not None:
        yield _cut(sample.detail)
    yield f"video {_cut(sample.video_id)}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
