"""What a search leaves behind: every configuration in a table, and the chosen ones as a preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from rich.table import Table

from benchmark.presets import read_preset
from benchmark.settings import as_line
from benchmark.tuning.grid import searched
from microlens.whole_files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmark.settings import Settings
    from benchmark.tuning.halving import Standing
    from benchmark.tuning.records import Record

PRESET, TABLE, JSON = "tuned.yaml", "configurations.md", "configurations.json"
SHOWN = ("model", "number", "settings", "ndcg@10", "hr@10", "best_epoch", "epochs", "seconds", "state")


@dataclass(frozen=True)
class Found:
    """One model's search."""

    model: str
    settings: Sequence[Settings]
    records: Sequence[Record]
    standing: Standing

    @property
    def chosen(self) -> int | None:
        return self.standing.best

    def rows(self) -> list[dict[str, Any]]:
        """One a configuration, best validation NDCG@10 first, those in trouble last; `number` is that of the draw."""
        outcomes = self.standing.outcomes
        order = sorted(outcomes, key=lambda place: (not outcomes[place].is_sound, -outcomes[place].ndcg, place))
        return [self._row(place) for place in order]

    def _row(self, place: int) -> dict[str, Any]:
        one, names = self.standing.outcomes[place], searched(self.settings)
        return {
            "model": self.model,
            "number": place + 1,
            "state": "chosen" if place == self.chosen else one.state,
            "settings": {name: getattr(self.settings[place], name) for name in names},
            **one.validation,
            "best_epoch": one.best_epoch,
            "epochs": one.epochs,
            "seconds": one.seconds,
            "peak_memory_bytes": self.records[place].peak_memory_bytes,
            "message": one.message,
        }


@dataclass(frozen=True)
class Tuning:
    release: str
    found: Sequence[Found]
    facts: Mapping[str, Any]
    """What the search follows from: data, protocol, preset, seed, code."""
    preset: str
    """What was tuned: its name, or its file."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for one in self.found for row in one.rows()]

    @property
    def chosen(self) -> dict[str, Settings]:
        return {one.model: one.settings[one.chosen] for one in self.found if one.chosen is not None}

    @property
    def tried(self) -> dict[str, int]:
        """Configurations that each model's settings were chosen of, those of earlier searches that it began at too."""
        before: dict[str, int] = read_preset(self.preset).get("tried", {})
        return {**before, **{one.model: len(one.settings) + before.get(one.model, 0) for one in self.found}}

    def to_json(self) -> bytes:
        told = {
            "release": self.release,
            "search": self.facts,
            "tried": self.tried,
            "chosen": {model: as_line(settings) for model, settings in self.chosen.items()},
            "configurations": self.rows,
        }
        return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def to_yaml(self) -> str:
        """Give the preset that was tuned, with the chosen settings for each model that has any."""
        base = {name: values for name, values in read_preset(self.preset).items() if name != "search"}
        lines = {model: as_line(settings) for model, settings in self.chosen.items()}
        whole = base | lines | {"tried": self.tried, "search": {"release": self.release, **self.facts}}
        return (
            "# Written by `microlens-build tune`: the lines of the models that `search` names were chosen on\n"
            "# validation NDCG@10, each of as many configurations as `tried` says. The test was not asked.\n"
            "# Take it with `microlens-build benchmark RELEASE --preset THIS-FILE`.\n"
        ) + yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, width=120)

    def to_markdown(self) -> str:
        lines = [[_heading(name) for name in SHOWN], ["---"] * len(SHOWN)]
        lines += [[cell_of(row, name) for name in SHOWN] for row in self.rows]
        troubles = [
            f"- {row['model']} {row['number']}: {row['message'].splitlines()[0]}" for row in self.rows if row["message"]
        ]
        return "\n".join(
            [
                f"# Configurations tried on {self.release}",
                "",
                "Metrics are those of validation, at the best epoch; the test was not asked.",
                "",
                *(f"| {' | '.join(line)} |" for line in lines),
                "",
                *troubles,
                *(f"- {name.replace('_', ' ')}: {_words(value)}" for name, value in self.facts.items()),
                "",
            ]
        )

    def to_table(self) -> Table:
        """Lay it out for `rich.print`."""
        table = Table(title=f"{self.release}: validation of all configurations")
        for name in SHOWN:
            table.add_column(_heading(name), justify="left" if name in {"model", "settings", "state"} else "right")
        for row in self.rows:
            table.add_row(*(cell_of(row, name) for name in SHOWN))
        return table

    def write(self, folder: Path) -> None:
        """Write table and preset; a reader sees an old file or a new one, never a half."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {JSON: self.to_json(), TABLE: self.to_markdown().encode(), PRESET: self.to_yaml().encode()}
        for name, content in files.items():
            with replacing(folder / name) as unfinished:
                unfinished.write_bytes(content)


def cell_of(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, dict):
        return " ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, float):
        return f"{value:.4f}" if "@" in name else f"{value:,.1f}"
    return "\u2013" if value is None else str(value)


def _words(value: object) -> str:
    """Without what is empty: a protocol has moments only where there are any."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(one)}" for name, one in value.items() if one)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _heading(name: str) -> str:
    return name.upper() if "@" in name else {"number": "no.", "seconds": "s"}.get(name, name.replace("_", " "))
