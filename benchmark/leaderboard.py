"""A leaderboard: rows, how they came about, and the same as Markdown, JSON and a table for a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import orjson
from rich.table import Table

from benchmark.encoders import ENCODERS
from benchmark.models import MODELS
from microlens.whole_files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmark.metrics import Ranks

METRICS = ("hr@10", "ndcg@10", "hr@20", "ndcg@20")
SHOWN = ("model", *METRICS, "standard_error_hr@10", "configurations_tried", "best_epoch", "parameters", "seconds")

ASKED = (
    "release",
    "manifest_sha256",
    "code_version",
    "code_sha256",
    "torch_version",
    "device",
    "protocol",
    "settings",
)
"""What a leaderboard is of: rows that agree in all of it may stand beside each other."""
_CONTENT = {"video": "ID+V", "cover": "ID+I", "title": "ID+T"}


def label_of(row: Mapping[str, Any]) -> str:
    """Name a row's model and, of one that reads features, which ones and of what: `sasrec_id_v (ID+T: text)`.

    What they are of is their encoder's to say, not their name's; of imported ones nobody knows.
    """
    model = str(row["model"])
    features = row.get("settings", {}).get("features")
    if features is None or model not in MODELS or not MODELS[model].reads_features:
        return model
    encoder = row.get("encoder")
    content = f"{_CONTENT[ENCODERS[encoder].source]}: " if encoder in ENCODERS else ""
    return f"{model} ({content}{features})"


def notes_on(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of rows must know of them: a model that no epoch made better was tested as it was built."""
    notes = []
    for row in rows:
        untrained = [run["seed"] for run in row.get("runs", []) if run.get("epochs") and not run.get("best_epoch")]
        if untrained:
            seeds = ", ".join(map(str, untrained))
            notes.append(
                f"{label_of(row)} (seed {seeds}): no epoch was better on validation than the model as it was built, "
                "and so it was tested untrained"
            )
    return notes


@dataclass(frozen=True)
class Leaderboard:
    release: str
    rows: list[dict[str, Any]]
    """One per model, best NDCG@10 first; see `benchmark.results.row_of`."""
    protocol: dict[str, object]
    """How the models were asked: in words, and the counts behind them."""
    settings: dict[str, object]
    manifest_sha256: str | None
    """Of the release's `_manifest.json`; None where it has none."""
    code_version: str
    code_sha256: str
    """Of the modules that results follow from."""
    torch_version: str
    device: str
    failed: Mapping[str, str] = field(default_factory=dict)
    """Models whose training or ranking failed, and why."""
    ranks: Mapping[str, Ranks] = field(default_factory=dict, repr=False, compare=False)
    """Where each user's test item stood, by model, of its first seed, of the models of this call. Those of all rows and
    seeds lie in files that the rows' `runs` name."""

    def to_json(self) -> bytes:
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        return orjson.dumps({name: getattr(self, name) for name in (*ASKED, "failed", "rows")}, option=options)

    def with_rows_of(self, folder: Path, is_of_today: Callable[[Mapping[str, Any]], bool]) -> Leaderboard:
        """Add the rows of other models on a folder's leaderboard, if that is of the very same but for its models.

        `is_of_today` tells of a row whether what it was made of is still there.
        """
        own, asked = orjson.loads(self.to_json()), {*self.failed, *(row["model"] for row in self.rows)}
        try:
            old = orjson.loads((folder / "leaderboard.json").read_bytes())
            if any(old[name] != own[name] for name in ASKED):
                return self
            others = [row for row in old["rows"] if row["model"] not in asked and is_of_today(row)]
            rows = sorted([*self.rows, *others], key=lambda row: row["ndcg@10"], reverse=True)
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged, or an older version's
            return self
        return replace(self, rows=rows)

    def to_markdown(self) -> str:
        return "\n".join(
            [
                f"# Leaderboard of {self.release}",
                "",
                *_markdown_table(self.rows),
                "",
                *(f"- {note}" for note in notes_on(self.rows)),
                *(f"- no row of {why}" for why in self.failed.values()),
                *(
                    f"- {name.replace('_', ' ')}: {_fact(value)}"
                    for name, value in self.protocol.items()
                    if name != "why_skipped" or self.protocol["users_skipped"]
                ),
                f"- release manifest: sha256 {self.manifest_sha256 or 'none'}",
                f"- code: microlens-build {self.code_version}, torch {self.torch_version}, {self.device}",
                f"- settings: {told_settings(self.settings)}",
                "",
            ]
        )

    def to_table(self) -> Table:
        """Lay it out for `rich.print`."""
        table = Table(
            title=f"{self.release}: {self.protocol['asked']}, full ranking", caption="\n".join(notes_on(self.rows))
        )
        for name in SHOWN:
            table.add_column(_heading(name), justify="left" if name == "model" else "right", no_wrap=name == "model")
        for row in self.rows:
            table.add_row(*(_cell_of(row, name) for name in SHOWN))
        return table

    def write(self, folder: Path) -> None:
        """Write `leaderboard.md` and `leaderboard.json`; a reader sees an old file or a new one, never a half."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("leaderboard.md", self.to_markdown().encode()), ("leaderboard.json", self.to_json())):
            with replacing(folder / name) as unfinished:
                unfinished.write_bytes(content)


def told_settings(settings: Mapping[str, object]) -> str:
    """The preset, the seeds, and what was set beside the preset, on one line."""
    changes = cast("Mapping[str, object]", settings.get("changes", {}))
    told = {**{name: value for name, value in settings.items() if name != "changes"}, **changes}
    return ", ".join(f"{name}={value}" for name, value in told.items())


def _fact(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _markdown_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [[_heading(name) for name in SHOWN], ["---", *["---:"] * (len(SHOWN) - 1)]]
    lines += [[_cell_of(row, name) for name in SHOWN] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _heading(name: str) -> str:
    words = {
        "standard_error_hr@10": "SE HR@10",
        "configurations_tried": "tried",
        "best_epoch": "best epoch",
        "seconds": "s",
    }
    return words.get(name, name.upper() if name in METRICS else name)


def _cell_of(row: Mapping[str, Any], name: str) -> str:
    """A number, and how far it strayed from seed to seed."""
    if name == "model":
        return label_of(row)
    deviation = row["deviation"].get(name)
    return _cell(row[name]) + (f" ± {_cell(deviation)}" if deviation is not None else "")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
