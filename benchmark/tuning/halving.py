"""Successive halving (Jamieson & Talwalkar, AISTATS 2016): everyone a few epochs, the best third three times as many.

What goes on follows from the records alone: not from who was done first, so not from the number of processes, nor from
what was killed on the way. That costs waiting for the slowest at each rung; other models fill the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.settings import Settings
    from benchmark.tuning.records import Record

FACTOR = 3
"""One of so many goes on, with so many times the epochs."""
FINISHED, STOPPED = "finished", "stopped"


@dataclass(frozen=True)
class Outcome:
    """What became of a configuration. It tells nothing that was measured beyond the epochs that it was given."""

    state: str
    """`finished`, `stopped` (others were better after as many epochs), or the trouble that it had."""
    epochs: int
    best_epoch: int
    """0 where it has no epoch."""
    validation: dict[str, float]
    """Metrics of its best epoch; none where it has no epoch."""
    seconds: float
    message: str = ""

    @property
    def ndcg(self) -> float:
        return self.validation.get("ndcg@10", -1.0)

    @property
    def is_sound(self) -> bool:
        return self.state in {FINISHED, STOPPED}


@dataclass
class Standing:
    """Where a search stands; configurations by their place."""

    rung: int = 0
    """Epochs after which those in the race are compared next."""
    racing: list[int] = field(default_factory=list)
    to_train: dict[int, int] = field(default_factory=dict)
    """Up to which epoch."""
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def best(self) -> int | None:
        """The best of those that are settled: by validation NDCG@10, of equals the first."""
        sound = [place for place, one in self.outcomes.items() if one.is_sound]
        return min(sound, key=lambda place: (-self.outcomes[place].ndcg, place), default=None)


def rungs(first: int, epochs: int) -> list[int]:
    """Epochs after which configurations are compared; the last is the most that any is trained."""
    found = []
    while first < epochs:
        found.append(first)
        first *= FACTOR
    return [*found, epochs]


def standing(settings: Sequence[Settings], records: Sequence[Record], first: int) -> Standing:
    """Work out what is settled and what is to be trained now, of configurations that are compared from `first` on.

    At a rung all that are still in the race are trained so far; then the best third goes on. One that came to its
    own end sooner is compared as it is. Whoever has a third of the field above itself is out, though others may still
    be at work.
    """
    told, racing = Standing(), list(range(len(settings)))
    *halts, end = rungs(first, max(one.epochs for one in settings))
    for rung in halts:
        told.rung, told.racing = rung, racing
        reached = {place: found for place in racing if (found := _at(rung, records[place])) is not None}
        told.outcomes |= {place: found for place, found in reached.items() if not found.is_sound}
        sound = sorted((-found.ndcg, place) for place, found in reached.items() if found.is_sound)
        going_on = [place for _, place in sound[: math.ceil(len(racing) / FACTOR)]]
        told.outcomes |= {place: reached[place] for _, place in sound if place not in going_on}
        if len(reached) < len(racing):
            told.to_train = {place: rung for place in racing if place not in reached}
            return told
        racing = sorted(going_on)
    told.rung, told.racing = end, racing
    told.outcomes |= {place: found for place in racing if (found := _at(end, records[place])) is not None}
    told.to_train = {place: end for place in racing if place not in told.outcomes}
    return told


def _at(rung: int, record: Record) -> Outcome | None:
    """What a configuration has come to after so many epochs; None if it has not come so far."""
    curves = record.curves[:rung]
    is_over = record.is_over and len(record.curves) <= rung
    if is_over:
        return _outcome(FINISHED, curves)
    if len(curves) == rung:
        return _outcome(STOPPED, curves)
    return _outcome(record.trouble, curves, record.message) if record.trouble else None


def _outcome(state: str, curves: Sequence[dict[str, float]], message: str = "") -> Outcome:
    ndcg = [one["ndcg@10"] for one in curves]
    best = ndcg.index(max(ndcg)) if ndcg else None
    validation = {} if best is None else {name: value for name, value in curves[best].items() if "@" in name}
    return Outcome(
        state,
        epochs=len(curves),
        best_epoch=0 if best is None else best + 1,
        validation=validation,
        seconds=round(sum(one["seconds"] for one in curves), 3),
        message=message,
    )
