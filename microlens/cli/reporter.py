"""Progress on standard error: where the stages are, and how that is shown."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, cast

from microlens.cli.when import clock_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.progress import Progress

    from microlens.runs import Run

RANKED = ("hr@10", "ndcg@10", "hr@20", "ndcg@20")
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
        line = f"{stage}: {facts_line(facts())}"
        if line != self._line or now - self._told > _SAME_LINE_EVERY_S:
            self._line, self._told = line, now
            self._write(line)

    def done(self, stage: str, facts: Mapping[str, Any]) -> None:
        self._stage = ""
        if self._bar is not None:
            self._bar.hide()
        self._write(f"{stage}: {facts_line(facts)}")

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
            measured = {name: value for name, value in facts.items() if name in RANKED or name == "seconds"}
            self.done(told, measured | ({"finished": "before"} if event == "model_known" else {}))
        elif event == "model_failed":
            self.note(f"{told}: failed, and the others go on: {facts['why']}")
        elif event == "other_checkpoint":
            differs = "; ".join(cast("Sequence[str]", facts["differs"]))
            self.note(f"{told}: from the start; {facts['file']} is of another run ({differs}), and stays")

    def tuning(self, event: str, facts: Mapping[str, object]) -> None:
        """Progress of a search (benchmark.tune's `progress`)."""
        told = f"tune {facts['model']}"
        if event == "known":
            self.done(told, {"settled before": facts["settled"], "of": facts["of"]})
        elif event == "rung":
            self.note(f"{told}: {facts['go_on']} of {facts['of']} go on to epoch {facts['until']}")
        else:
            settings = cast("Mapping[str, object]", facts["settings"])
            configuration = " ".join(f"{name}={value}" for name, value in settings.items())
            name = f"{told} {facts['number']}/{facts['of']}, {configuration}"
            shown = {key: facts[key] for key in ("epoch", "ndcg@10", "best_so_far")}
            if event == "epoch":
                self.tick(told, lambda: {"configuration": f"{facts['number']}/{facts['of']}", **shown})
            else:
                trouble = str(facts["message"]).partition("\n")[0]
                self.done(name, shown | {key: one for key, one in (("state", facts["state"]), ("why", trouble)) if one})

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
        self._progress.update(self._task, description=stage, completed=done or 0, total=total, facts=facts_line(rest))

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
    return {"parked": f"{parked[0].host} ({parked[0].reason}) until {clock_text(parked[0].until_ms)}{others}"}


def facts_line(facts: Mapping[str, Any]) -> str:
    """Names and values on one line."""
    return "  ".join(f"{name} {_short(value)}" for name, value in facts.items() if not isinstance(value, dict))


def _short(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
