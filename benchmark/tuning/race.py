"""A race of one model's configurations, and the loop that trains what is to be trained of several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.models import MODELS
from benchmark.tuning.grid import searched
from benchmark.tuning.halving import Standing, standing
from benchmark.tuning.records import FAILED, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmark.progress import Progress
    from benchmark.tuning.processes import Processes
    from benchmark.tuning.worker import Leg

_LOOK_EVERY_S = 0.25


class Race:
    """One model's configurations: how far each has come."""

    def __init__(self, model: str, legs: list[Leg], first: int) -> None:
        self.model = model
        self.legs = legs
        self.settings = [leg.settings for leg in legs]
        self.first = first if MODELS[model].task is not None else max(one.epochs for one in self.settings)
        self.names = searched(self.settings)
        self.places = {leg.record.path: place for place, leg in enumerate(legs)}
        self.records = [_read_again(leg) for leg in legs]
        self.standing = Standing()
        self.judge()

    def judge(self) -> bool:
        """Work out where it stands, and drop what is no longer in the race; whether another rung has begun."""
        rung = self.standing.rung
        self.standing = standing(self.settings, self.records, self.first)
        for place in self.standing.outcomes:
            self.legs[place].checkpoint.path.unlink(missing_ok=True)
        return self.standing.rung != rung

    def to_start(self, at_work: set[Path]) -> Iterator[Leg]:
        for place, until in self.standing.to_train.items():
            if self.legs[place].record.path not in at_work:
                yield replace(self.legs[place], until=until)

    def facts(self, place: int, record: Record) -> dict[str, object]:
        """What there is to tell of a configuration, and of the best so far."""
        best = max((_best_ndcg(one) for one in (*self.records, record)), default=0.0)
        return {
            "model": self.model,
            "number": place + 1,
            "of": len(self.legs),
            "settings": {name: getattr(self.settings[place], name) for name in self.names},
            "epoch": len(record.curves),
            "epochs": self.settings[place].epochs,
            "ndcg@10": _best_ndcg(record),
            "best_so_far": best,
            "state": record.trouble or ("finished" if record.is_over else ""),
            "message": record.message,
        }


def run_races(races: Sequence[Race], at_work: Processes, progress: Progress) -> None:
    """Train what is to be trained until nothing is."""
    of = {path: (race, place) for race in races for path, place in race.places.items()}
    told: dict[Path, int] = {}
    for race in races:
        if race.standing.outcomes:
            known = {"model": race.model, "settled": len(race.standing.outcomes), "of": len(race.legs)}
            progress("known", known)
    while True:
        busy = {leg.record.path for leg in at_work.legs}
        waiting = [leg for race in races for leg in race.to_start(busy)]
        for leg in waiting[: at_work.count - len(busy)]:
            at_work.start(leg)
        if not at_work.legs:
            return
        ended = at_work.wait(_LOOK_EVERY_S)
        for leg in at_work.legs:
            (race, place), record = of[leg.record.path], leg.record.read()
            if told.setdefault(leg.record.path, len(race.records[place].curves)) < len(record.curves):
                told[leg.record.path] = len(record.curves)
                progress("epoch", race.facts(place, record))
        for leg in ended:
            race, place = of[leg.record.path]
            race.records[place] = leg.record.read()
            progress("configuration", race.facts(place, race.records[place]))
            if race.judge():
                facts = {"model": race.model, "until": race.standing.rung, "of": len(race.legs)}
                progress("rung", facts | {"go_on": len(race.standing.racing)})


def _read_again(leg: Leg) -> Record:
    """What is known already; what failed for a cause that may have passed since is tried again."""
    record = leg.record.read()
    if record.trouble == FAILED:
        record = record.with_trouble("", "")
        leg.record.write(record)
    return record


def _best_ndcg(record: Record) -> float:
    return max((one["ndcg@10"] for one in record.curves), default=0.0)
