"""What a command shows: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.progress import Progress
    from rich.table import Table

    from benchmark.features import Features
    from benchmark.report import Leaderboard
    from integration.release import BuiltRelease
    from microlens.cli.checks import Check
    from microlens.cli.pipeline import RunResult
    from microlens.estimate import Estimate
    from microlens.ledger_rows import PageRow
    from microlens.platforms.describe import Description
    from microlens.runs import Run

_RANKED = ("hr@10", "ndcg@10", "hr@20", "ndcg@20")
_WIDTH = 60
_LIVE_EVERY_S = 0.25
_LINE_EVERY_S = 5.0
_SAME_LINE_EVERY_S = 300.0
"""A node that has nothing to do says so now and then."""


class Reporter:
    """Progress: a bar on a terminal, a plain line every few seconds in a log."""

    def __init__(self) -> None:
        self._bar = _Bar() if sys.stderr.isatty() else None
        self._every_s = _LIVE_EVERY_S if self._bar else _LINE_EVERY_S
        self._last = 0.0
        self._stage = self._line = ""
        self._told = 0.0
        self._began = time.monotonic()

    def tick(self, stage: str, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Show where a stage is, if it is time to; `facts` is asked only then.

        `done` and `left` among the facts, where both are known, make the bar's length.
        """
        now = time.monotonic()
        if stage == self._stage and now - self._last < self._every_s:
            return
        self._stage, self._last = stage, now
        if self._bar is not None:
            self._bar.show(stage, facts())
            return
        line = f"{stage}: {_line(facts())}"
        if line != self._line or now - self._told > _SAME_LINE_EVERY_S:
            self._line, self._told = line, now
            self._write(line)

    def done(self, stage: str, facts: Mapping[str, Any]) -> None:
        self._stage = ""
        if self._bar is not None:
            self._bar.hide()
        self._write(f"{stage}: {_line(facts)}")

    def note(self, text: str) -> None:
        if self._bar is not None:
            self._bar.hide()
        self._write(text)

    def training(self, event: str, facts: Mapping[str, object]) -> None:
        """Progress of the benchmark (benchmark.run_benchmark's `progress`)."""
        told = f"train {facts['model']}, seed {facts['seed']}"
        if event == "epoch":
            epoch, epochs = cast("int", facts["epoch"]), cast("int", facts["epochs"])
            shown = {name: value for name, value in facts.items() if name not in {"model", "seed", "epoch", "epochs"}}
            self.tick(told, lambda: {"done": epoch, "left": epochs - epoch, **shown})
        elif event == "step":
            self.tick(told, lambda: _step_facts(facts))
        elif event in {"model_finished", "model_known"}:
            measured = {name: value for name, value in facts.items() if name in _RANKED or name == "seconds"}
            self.done(told, measured | ({"finished": "before"} if event == "model_known" else {}))
        elif event == "other_checkpoint":
            differs = "; ".join(cast("Sequence[str]", facts["differs"]))
            self.note(f"{told}: from the start; {facts['file']} is of another run ({differs}), and stays")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - self._began:6.1f}s] {text}\n")
        sys.stderr.flush()


def _step_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Where a long epoch is, `training 1,200 of 39,063`, beside the epochs that are done; a test has none."""
    where = {facts["doing"]: f"{facts['done']:,} of {facts['of']:,}"}
    if "epoch" not in facts:
        return where
    done = max(0, facts["epoch"] - 1)
    return {"done": done, "left": facts["epochs"] - done, **where}


class _Bar:
    """One rich progress bar, made when it is first shown and gone when a stage is done."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def show(self, stage: str, facts: Mapping[str, Any]) -> None:
        if self._progress is None:
            self._progress = _new_progress()
            self._task = self._progress.add_task("", total=None, facts="")
            self._progress.start()
        done, left = facts.get("done"), facts.get("left")
        total = done + left if done is not None and left is not None else None
        rest = {name: value for name, value in facts.items() if name not in {"done", "left"}}
        self._progress.update(self._task, description=stage, completed=done or 0, total=total, facts=_line(rest))

    def hide(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _new_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[facts]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, expand=True)


def crawl_facts(run: Run) -> dict[str, Any]:
    progress = run.ledger.progress()
    facts = {"pages": progress["pages"], "seeds": progress["seeds"], "videos": progress["selected"]}
    return facts | _parked_facts(run)


def work_facts(run: Run, left: int) -> dict[str, Any]:
    """What the nodes have committed, and how many items are left of what is known so far."""
    progress = run.ledger.progress()
    return {
        "done": progress["assets"] + progress["collected"],
        "left": left,
        "files": progress["assets"],
        "MB": round(progress["bytes"] / 1e6, 1),
        "comments": progress["comments"],
        "failures": progress["failures"],
        **_links_facts(run),
        **_parked_facts(run),
    }


def _links_facts(run: Run) -> dict[str, Any]:
    waiting = run.fresh_links.counts()["files"]
    return {"waiting for fresh links": waiting} if waiting else {}


def _parked_facts(run: Run) -> dict[str, Any]:
    """The silent host that is asked again soonest, and how many there are: a crawl may have to wait for them."""
    parked = run.ledger.hosts.parked()
    if not parked:
        return {}
    others = f" and {len(parked) - 1} more" if len(parked) > 1 else ""
    return {"parked": f"{parked[0].host} ({parked[0].reason}) until {_clock(parked[0].until_ms)}{others}"}


def _clock(at_ms: int) -> str:
    """A moment as this machine's clock shows it; with its date if that is not today."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()
    is_today = moment.date() == datetime.now(UTC).astimezone().date()
    return moment.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M")


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
        sys.stdout.write(board.to_json().decode() + "\n")
        return
    _print_table(board.to_table())


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


def print_status(status: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    sys.stdout.write(f"run        {status['run']} ({status['platform']}) in {status['folder']}\n")
    sys.stdout.write(f"crawl      {'finished' if status['crawl_finished'] else 'not finished'}\n")
    if status.get("refresh"):
        sys.stdout.write(f"refresh    {_refresh_line(status['refresh'])}\n")
    sys.stdout.write(f"progress   {_line(status['progress'])}\n")
    if "nodes" in status:
        print_nodes(status, as_json=False)
    if status["links"]["files"]:
        sys.stdout.write(f"links      {_links_line(status['links'])}\n")
    sys.stdout.write(f"failures   {_line(status['failures']) or 'none'}\n")
    if status["given_up"]:
        sys.stdout.write(f"given up   {_line(status['given_up'])}\n")
    sys.stdout.write(f"robots.txt {_line(status['robots'])}\n")
    for parked in status["parked"]:
        often = f"{parked['times']} times in a row" if parked["times"] > 1 else "once"
        until = _clock(parked["until_ms"])
        sys.stdout.write(f"parked     {parked['host']}: {parked['reason']}, {often}, until {until}\n")
    if status["samples"]:
        count = len(status["samples"])
        sys.stdout.write(f"samples    {count} of pages that could not be read: {status['samples'][0]}\n")
    if status["funnel"]:
        print_funnel(status["funnel"])
    for release in status["releases"]:
        sys.stdout.write(
            f"release    {release['path']}: {_line({k: release[k] for k in ('users', 'items', 'interactions')})}\n"
        )


def print_nodes(status: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    from microlens.cli.nodes import node_lines

    sys.stdout.writelines(f"{line}\n" for line in node_lines(status))


def _links_line(links: Mapping[str, Any]) -> str:
    return f"{links['files']:,} files wait for fresh links: {links['pages']:,} pages are to be read again"


def _refresh_line(refresh: Mapping[str, Any]) -> str:
    if refresh["finished_at"] is not None:
        return f"{refresh['number']}, finished {refresh['finished_at']}"
    return (
        f"{refresh['number']}, open since {refresh['started_at']}: {refresh['left']:,} of the videos last read before "
        f"{refresh['since']} are still to be read; go on with `microlens-build crawl RUN --since {refresh['since']}`"
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
    sys.stdout.write(f"\nrelease {name}: {path}\n  {_line(shown)}\n")


def _leaderboard_table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.table import Table

    columns = ("model", *_RANKED, "seconds")
    headings = (column.upper() if column in _RANKED else column for column in columns)
    table = Table(*headings, title=f"{name}: leave-one-out, full ranking")
    for row in rows:
        table.add_row(*(f"{row[c]:.4f}" if "@" in c else str(row[c]) for c in columns))
    return table


def _print_table(table: Table) -> None:
    from rich.console import Console

    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100).print(table)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def _line(facts: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {_short(value)}" for name, value in facts.items() if not isinstance(value, dict))


def _short(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
