"""What a report says, before it has a form: sections of words, tables of cells, and points for a plot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.leaderboard import METRICS, label_of, notes_on, told_settings
from benchmark.models import MODELS
from benchmark.paper import FLOORS, SOURCE, PublishedRow, PublishedTable, nearest_dataset, published_tables
from benchmark.protocol import LEAVE_ONE_OUT
from microlens.errors import RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.groups import Group
    from benchmark.read_results import Result

NOTHING = "\u2013"  # a dash


@dataclass(frozen=True)
class Point:
    """One line of a plot: a mean, how far it strays, and the paper's value."""

    label: str
    ours: float | None
    deviation: float
    paper: float | None


@dataclass(frozen=True)
class Section:
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    axis: str = ""
    """What the points measure."""
    points: list[Point] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    title: str
    facts: list[str]
    sections: list[Section]


def make_report(results: Sequence[Result], tables: Sequence[str] | None = None) -> Report:
    """Put results of one release beside the paper's `tables`.

    Without names, beside those that have a model of the results, of the paper's dataset nearest in size.

    RecipeError for results of several releases, for two rows of one model and protocol, and for an unknown table.
    """
    rows = _rows_by_question(results)
    known = published_tables()
    for number in tables or ():
        if number not in known:
            raise RecipeError(f"there is no table {number!r} to compare with", hint=nearest(number, known))
    dataset = nearest_dataset(int(results[0].protocol.get("users", 0)))
    similar = [number for number, table in known.items() if table.dataset == dataset and _has_row(table, rows)]
    chosen = [table for number, table in known.items() if number in (similar if tables is None else tables)]
    sections = [_beside_paper(table, rows) for table in chosen]
    sections += [_own(result) for result in results]
    return Report(f"Benchmark of {results[0].release}", _facts(results), sections)


def groups_section(groups: Sequence[Group], a: str, b: str) -> Section:
    """Figure 6: how much better B is than A, by how often the target was met in training."""
    points = [
        Point(one.name, one.improvement, one.improvement_error or 0.0, None)
        for one in groups
        if one.improvement is not None
    ]
    return Section(
        title=f"By popularity of the target: {b} against {a} (the paper's Figure 6)",
        header=("met in training", "users", f"HR@10 of {a}", f"HR@10 of {b}", "relative improvement"),
        rows=[
            (
                one.name,
                f"{one.users:,}",
                f"{one.a:.4f} ± {one.a_error:.4f}",
                f"{one.b:.4f} ± {one.b_error:.4f}",
                NOTHING if one.improvement is None else f"{one.improvement:+.3f} ± {one.improvement_error:.3f}",
            )
            for one in groups
        ],
        notes=(
            "± is the standard error over users. The paper tells neither the edges of its groups nor the numbers of "
            "its figure; its ratio is that of a video encoder learned end to end.",
            f"{NOTHING}: {a} hits nothing there.",
        ),
        axis="relative improvement of HR@10",
        points=points,
    )


def _rows_by_question(results: Sequence[Result]) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Rows under leave-one-out by model and threshold of warm items; the paper has no other split."""
    rows: dict[tuple[str, int], Mapping[str, Any]] = {}
    where: dict[tuple[str, str], Result] = {}
    for result in results:
        if result.data != results[0].data:
            raise RecipeError(
                f"{results[0].folder} is of release {results[0].release} and {result.folder} of {result.release}, or "
                "of another version of it",
                hint="make a report of each release",
            )
        asked = str(result.protocol.get("asked", LEAVE_ONE_OUT))
        for model, row in result.rows.items():
            other = where.setdefault((model, asked), result)
            if other is not result:
                raise RecipeError(
                    f"{model} stands in {other.folder} and in {result.folder}, asked alike",
                    hint="name one of them, or `microlens-build benchmark compare` both",
                )
            if asked.startswith(LEAVE_ONE_OUT):
                rows[model, int(result.protocol.get("warm", 0))] = row
    return rows


def _has_row(table: PublishedTable, rows: Mapping[tuple[str, int], object]) -> bool:
    """Whether it tells something: a table of warm items does so where any are."""
    own = [(row.model, row.warm) in rows for row in table.rows if row.warm or table.warm == (0,)]
    return any(own)


def _beside_paper(table: PublishedTable, rows: Mapping[tuple[str, int], Mapping[str, Any]]) -> Section:
    lines, points, beside = [], [], []
    for warm in table.warm:
        kind = next(row.kind for row in table.rows if row.warm == warm) if len(table.warm) > 1 else "floor"
        shown = [PublishedRow(kind, f"{floor} (floor)", {}, floor, warm) for floor in FLOORS if (floor, warm) in rows]
        shown += [row for row in table.rows if row.warm == warm]
        for row in shown:
            ours = rows.get((row.model, warm)) if row.model else None
            beside += [] if ours is None else [ours]
            cells = [
                cell for metric in table.metrics for cell in (_cell(ours, metric), _number(row.values.get(metric)))
            ]
            lines.append((row.kind, row.label, _why_not(row) if ours is None else label_of(ours), *cells))
            name = f"{row.kind}: {row.label}" if len(table.warm) > 1 else row.label
            mean = None if ours is None else float(ours["hr@10"])
            points.append(Point(name, mean, _deviation(ours, "hr@10") or 0.0, row.values.get("hr@10")))
    columns = [column for metric in table.metrics for column in (metric.upper(), f"paper's {metric.upper()}")]
    return Section(
        title=f"Table {table.number}: {table.title}, {table.dataset}",
        header=("class", "row", "ours", *columns),
        rows=lines,
        notes=(*notes_on(beside), *table.notes),
        axis="HR@10",
        points=points,
    )


def _why_not(row: PublishedRow) -> str:
    if row.model is None:
        return "learned end to end: not run"
    return "not run" if row.model in MODELS else "not in this version"


def _own(result: Result) -> Section:
    """Everything of one result, best NDCG@10 first, whether the paper has it or not."""
    header = (
        "model",
        *(metric.upper() for metric in METRICS),
        "seeds",
        "tried",
        "coverage@10",
        "parameters",
        "seconds",
    )
    rows = [
        (
            label_of(row),
            *(_cell(row, metric) for metric in METRICS),
            str(len(row.get("seeds", [0]))),
            str(row.get("configurations_tried", NOTHING)),
            _number(row.get("coverage@10")),
            f"{row.get('parameters', 0):,.0f}",
            f"{row.get('seconds', 0):,.1f}",
        )
        for row in result.rows.values()
    ]
    points = [Point(label_of(row), row["hr@10"], _deviation(row, "hr@10") or 0.0, None) for row in result.rows.values()]
    told = {
        name.replace("_", " "): value for name, value in result.protocol.items() if name not in {"asked", "ranking"}
    }
    notes = [f"{name}: {_short(value)}" for name, value in told.items() if value not in (0, [])]
    if settings := result.board.get("settings"):
        notes.append(f"settings: {told_settings(settings)}")
    asked = result.protocol.get("asked", LEAVE_ONE_OUT)
    return Section(
        f"All models: {asked}",
        header,
        rows,
        notes=(*notes_on(list(result.rows.values())), *notes),
        axis="HR@10",
        points=points,
    )


def _facts(results: Sequence[Result]) -> list[str]:
    board = results[0].board
    return [
        f"release {results[0].release}, manifest sha256 {board.get('manifest_sha256') or 'none'}",
        f"ranking {results[0].protocol.get('ranking', 'full')}",
        f"code microlens-build {board.get('code_version')}, torch {board.get('torch_version')}, {board.get('device')}",
        "± is the standard deviation over seeds, where there is more than one; " + NOTHING + " is no number",
        "tried: configurations compared on validation to choose a row's settings; 0 where they are the preset's own",
        f"the paper's columns are of its own data: {SOURCE}. They are shown, and are no target",
    ]


def _cell(row: Mapping[str, Any] | None, metric: str) -> str:
    """A mean, and its deviation over seeds."""
    if row is None or metric not in row:
        return NOTHING
    deviation = _deviation(row, metric)
    return _number(row[metric]) + (f" ± {deviation:.4f}" if deviation is not None else "")


def _deviation(row: Mapping[str, Any] | None, metric: str) -> float | None:
    found = (row or {}).get("deviation", {}).get(metric)
    return None if found is None else float(found)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"
