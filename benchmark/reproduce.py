"""Run what a table or figure of the paper shows, as far as its rows exist here, and put it beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark.compare import compare
from benchmark.device import find_device
from benchmark.models import MODELS
from benchmark.paper import FLOORS, published_tables
from benchmark.parallel import is_first, process_group
from benchmark.progress import silent
from benchmark.protocol import Protocol
from benchmark.read_results import Result, read_result
from benchmark.reports.sections import groups_section, make_report
from benchmark.reports.write import write_report
from benchmark.run import run_benchmark
from microlens.errors import MicrolensError, NotReadyError, RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmark.progress import Progress

TABLES = {"table2": "2", "table8": "8", "table11": "11"}
FIGURE6 = "figure6"
SUBJECTS = (*TABLES, FIGURE6)
FIGURE6_MODELS = ("sasrec", "sasrec_id_v")
"""The paper divides VideoRec by IDRec; the nearest that learns no video encoder has frozen features beside ids."""


@dataclass(frozen=True)
class Reproduction:
    written: list[Path]
    not_run: dict[str, str]
    """Why, and what to do about it, of each row that was left out."""
    failed: list[MicrolensError] = field(default_factory=list)
    """What went wrong with those of them that could be run."""

    def raise_failed(self) -> None:
        """Raise the first error of a row that could be run; the report is finished all the same."""
        if self.failed:
            raise self.failed[0]


def reproduce(
    subject: str,
    release: Path,
    out: Path,
    *,
    preset: str = "paper",
    seeds: Sequence[int] = (0, 1, 2),
    models: Sequence[str] = (),
    device: str | None = None,
    overrides: Mapping[str, object] | None = None,
    progress: Progress = silent,
) -> Reproduction:
    """Train and rank the rows of `subject` (one of `SUBJECTS`), or those of them that `models` names; write the report.

    Every protocol has a folder under `out`, with its leaderboard, ranks and checkpoints: what was killed goes on. A
    row that cannot be run (its features are not made, too few items are warm), or fails (it diverges, or memory
    lacks), is left out and told. NotReadyError if that leaves nothing. In a figure the first model is the one that
    the others are compared with.
    """
    if subject not in SUBJECTS:
        raise RecipeError(f"there is nothing to reproduce that is called {subject!r}", hint=nearest(subject, SUBJECTS))
    wanted, protocols = _plan(subject, models)
    needed = 2 if subject == FIGURE6 else 1
    not_run: dict[str, str] = {}
    failed: list[MicrolensError] = []
    folders = []
    with process_group(find_device(device)):  # the same one for all protocols
        for protocol in protocols:
            folder, left_out = out / protocol.name.replace(", ", "-"), dict[str, MicrolensError]()
            try:
                run_benchmark(
                    release,
                    wanted,
                    preset=preset,
                    seeds=seeds,
                    protocol=protocol,
                    out=folder,
                    device=device,
                    overrides=overrides,
                    leave_out=left_out.__setitem__,
                    fewest=needed,
                    progress=progress,
                )
            except (
                NotReadyError
            ) as error:  # of the protocol itself (too few items are warm, say), or too few rows are left
                left_out = left_out or dict.fromkeys(wanted, error)
            else:
                folders.append(folder)
            failed += [error for error in left_out.values() if not isinstance(error, NotReadyError)]
            not_run |= {f"{name}, {protocol.name}": str(error) for name, error in left_out.items()}
    if not is_first():
        return Reproduction([], not_run)
    results = [read_result(folder) for folder in folders]
    if not results and failed:
        raise failed[0]
    if not results:
        why = "; ".join(f"{name}: {' '.join(reason.split())}" for name, reason in not_run.items())
        raise NotReadyError(
            f"{subject} needs {needed} or more rows that can be run on {release}, and these cannot: {why}",
            hint="do what they say, or name others with --models",
        )
    return Reproduction(_report(subject, results, wanted, out, not_run), not_run, failed)


def _plan(subject: str, models: Sequence[str]) -> tuple[list[str], list[Protocol]]:
    """Which models are run, and how each is asked."""
    if subject == FIGURE6:
        wanted = list(models or FIGURE6_MODELS)
        for name in models:
            if name not in MODELS:
                raise RecipeError(f"the benchmark has no model {name!r}", hint=nearest(name, MODELS))
        if len(wanted) < 2:  # noqa: PLR2004 - one to compare, one to compare with
            raise RecipeError(
                f"{FIGURE6} compares models, and {wanted} is one", hint=f"as --models {','.join(FIGURE6_MODELS)}"
            )
        return wanted, [Protocol()]
    table = published_tables()[TABLES[subject]]
    for name in models:
        if name not in {*table.models, *FLOORS}:
            raise RecipeError(f"{subject} has no row {name!r}", hint=nearest(name, [*table.models, *FLOORS]))
    known = [*FLOORS, *table.models]
    return [name for name in known if not models or name in models], [Protocol(warm=warm) for warm in table.warm]


def _report(
    subject: str, results: list[Result], wanted: Sequence[str], out: Path, not_run: Mapping[str, str]
) -> list[Path]:
    tables = () if subject == FIGURE6 else (TABLES[subject],)
    report = make_report(results, tables)
    if subject == FIGURE6:
        base, *others = (name for name in wanted if name in results[0].rows)
        found = [compare((results[0], base), (results[0], other)) for other in others]
        figures = [groups_section(one.groups, base, other) for one, other in zip(found, others, strict=True)]
        report = replace(report, sections=[*figures, *report.sections])
    told = [f"not run: {name}: {' '.join(why.split())}" for name, why in not_run.items()]
    return write_report(replace(report, facts=[*report.facts, *told]), out)
