"""What a command has found, on standard output: for people, or as one JSON object."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from microlens.cli.reporter import RANKED, facts_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from benchmark.data.feature_draft import Features
    from benchmark.leaderboard import Leaderboard
    from benchmark.tuning.result import Tuning
    from integration.release import BuiltRelease
    from microlens.cli.checks import Check
    from microlens.cli.pipeline import RunResult
    from microlens.estimate import Estimate
    from microlens.ledger_rows import PageRow
    from microlens.platforms.describe import Description

_WIDTH = 60


def print_result(result: RunResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    if not result.did_anything:
        sys.stdout.write(f"{result.run}: nothing to do, all is built already ({result.seconds} s)\n")
    print_funnel(result.funnel)
    for release in result.releases:
        _print_counts(release["name"], release["path"], release["counts"])
        if release["leaderboard"]:
            _print_table(_leaderboard_table(release["name"], release["leaderboard"]))


def print_release(built: BuiltRelease, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": built.name, "path": str(built.path), "counts": built.counts, "is_new": built.is_new})
        return
    _print_counts(built.name, str(built.path), built.counts)
    from integration.shape import comparison

    sys.stdout.write("\n")
    for what, own, published in comparison(built.name, built.counts["shape"]):
        sys.stdout.write(f"  {what:<36} {own:>16} {published:>16}\n")


def print_leaderboard(board: Leaderboard, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(board.to_json().decode())
        return
    _print_table(board.to_table())


def print_tuning(found: Tuning, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(found.to_json().decode())
        return
    _print_table(found.to_table())


def print_models(*, as_json: bool) -> None:
    from benchmark.models import MODELS

    described = {name: entry.description for name, entry in MODELS.items()}
    if as_json:
        print_json(described)
        return
    width = max(map(len, described))
    sys.stdout.writelines(f"{name:<{width}}  {sentence}\n" for name, sentence in described.items())


def print_features(made: Sequence[Features], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"name": each.name, "path": str(each.path), "is_new": each.is_new, **each.facts, "broken": each.broken}
            for each in made
        ]
        print_json({"features": told})
        return
    for each in made:
        shape = " x ".join(f"{number:,}" for number in each.facts["shape"])
        state = "" if each.is_new else "  (nothing to do, they are finished already)"
        sys.stdout.write(f"features {each.name}: {each.path}\n")
        sys.stdout.write(
            f"  {shape} {each.facts['dtype']}, {each.facts['items_with_feature']:,} items have one{state}\n"
        )


def print_found(pages: Sequence[PageRow]) -> None:
    """One line a page, as a dry run shows them; a site's text is shown without its control characters."""
    for page in pages:
        what = page.failure or page.refusal or f"{page.like_count} likes, {len(page.related)} links drawn"
        title = "".join(letter for letter in page.title or "" if letter.isprintable())
        sys.stdout.write(f"{page.url}  {what}  {title[:60]}\n")


def print_estimate(estimate: Estimate, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(estimate))
        return
    lines = (
        ("videos", f"{estimate.videos:,}"),
        ("requests for pages", f"{estimate.page_requests:,}"),
        ("requests for media", f"{estimate.media_requests:,}"),
        ("requests for comments", f"{estimate.comment_requests:,}"),
        ("comments", f"{estimate.comments:,}"),
        ("comments of a seed, over", f"{estimate.seed_comments:,}"),
        ("media", f"{estimate.media_bytes / 1e9:,.1f} GB"),
        ("Redis memory, at most", f"{estimate.redis_bytes / 1e6:,.1f} MB"),
        ("days, at least", f"{estimate.days:,.2f}"),
    )
    for name, value in lines:
        sys.stdout.write(f"{name:<24} {value:>18}\n")
    sys.stdout.write("if the site has as much as the recipe asks for; the assumptions stand in microlens/estimate.py\n")


def print_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
        return
    for check in checks:
        advice = "" if check.is_fine else f"  -> {check.hint}"
        sys.stdout.write(f"{'ok  ' if check.is_fine else 'FAIL'}  {check.name:<14} {check.found}{advice}\n")


def print_description(found: Description, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    sys.stdout.write(f"{found.kind} page {found.url}\n")
    for line in found.lines:
        mark = "MISSING" if line.is_missing else _cut(line.value)
        sys.stdout.write(f"  {line.name:<14} {mark:<{_WIDTH}}  {line.source}".rstrip() + "\n")


def _cut(value: Any) -> str:
    """A value on one line; of a list how long it is, and its beginning."""
    if value is None:
        return "-"
    text = json.dumps(value, ensure_ascii=False)
    counted = f"{len(value)}: {text}" if isinstance(value, (list, tuple)) else text
    return counted if len(counted) <= _WIDTH else counted[: _WIDTH - 1] + "…"


def print_funnel(funnel: Mapping[str, Any]) -> None:
    dropped = funnel["dropped"]
    lines = [("found", funnel["found"]), ("fetched", funnel["fetched"])]
    lines += [("dropped, of those found", sum(dropped.values()))]
    lines += [(f"  {reason}", count) for reason, count in dropped.items()]
    lines += [(name, funnel[name]) for name in ("kept", "interactions")]
    if funnel.get("merged"):
        lines += [("  of them, made on duplicates", funnel["merged"]["interactions"])]
    lines += [("users", funnel["users"])]
    sys.stdout.write("\nfunnel\n")
    for name, count in lines:
        sys.stdout.write(f"  {name:<34} {count:>12,}\n")


def _print_counts(name: str, path: str, counts: Mapping[str, Any]) -> None:
    shown = {key: counts[key] for key in ("users", "items", "interactions", "sparsity", "tags")}
    sys.stdout.write(f"\nrelease {name}: {path}\n  {facts_line(shown)}\n")


def _leaderboard_table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.table import Table

    columns = ("model", *RANKED, "seconds")
    headings = (column.upper() if column in RANKED else column for column in columns)
    table = Table(*headings, title=f"{name}: leave-one-out, full ranking")
    for row in rows:
        table.add_row(*(f"{row[c]:.4f}" if "@" in c else str(row[c]) for c in columns))
    return table


def _print_table(table: Table) -> None:
    from rich.console import Console

    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(table)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
