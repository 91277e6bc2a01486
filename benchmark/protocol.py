"""How models are asked: which items there are, and where everyone's sequence is cut. Compare what was asked alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmark.data.split import Split, leave_one_out
from benchmark.data.temporal import DEFAULT_CUTS, temporal
from benchmark.data.warm import only_items, warm_items
from microlens.errors import RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from benchmark.data.release import Interactions
    from benchmark.data.side import Side

LEAVE_ONE_OUT, TEMPORAL = SPLITS = ("leave-one-out", "temporal")


@dataclass(frozen=True)
class Protocol:
    split: str = LEAVE_ONE_OUT
    warm: int = 0
    """Items with fewer interactions are removed before the split; 0 removes none."""
    cuts: tuple[str, ...] = ()
    """Of a temporal split: where validation begins, and where the test does; see `benchmark.data.temporal`."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise RecipeError(f"there is no split {self.split!r}", hint=nearest(self.split, SPLITS))
        if self.warm < 0:
            raise RecipeError(f"warm is {self.warm}", hint="choose --warm 20, or 0 to keep every item")
        if self.cuts and self.split != TEMPORAL:
            raise RecipeError(
                f"the split {self.split} has no cuts, and {self.cuts} are named", hint="add --split temporal"
            )
        if self.split == TEMPORAL and not self.cuts:
            object.__setattr__(self, "cuts", DEFAULT_CUTS)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Protocol:
        """Make the one whose `facts` these are."""
        return cls(**{**facts, "cuts": tuple(facts.get("cuts", ()))})

    @property
    def name(self) -> str:
        """A short one: `leave-one-out`, `temporal, warm-20`."""
        return self.split + (f", warm-{self.warm}" if self.warm else "")

    @property
    def folder(self) -> str:
        """Where results go below those of the usual protocol, which has none of its own: `temporal-warm-20`."""
        return "" if self == Protocol() else self.name.replace(", ", "-")

    def facts(self) -> dict[str, Any]:
        """As JSON has it, `cuts` as a list."""
        return asdict(self) | {"cuts": list(self.cuts)}

    def select(self, interactions: Interactions, side: Side) -> tuple[Interactions, Side]:
        """Remove what is not warm, of both."""
        if not self.warm:
            return interactions, side
        items = warm_items(interactions, self.warm)
        return only_items(interactions, items), side.only(items)

    def divide(self, interactions: Interactions, *, keep: int, device: torch.device | str = "cpu") -> Split:
        """Split everyone's interactions, the last `keep` of each as sequences; NotReadyError where nobody can be asked.

        Of a temporal split a NotReadyError, too, for interactions without times, and a RecipeError for its cuts.
        """
        if self.split == TEMPORAL:
            return temporal(interactions, keep=keep, cuts=self.cuts, device=device)
        return leave_one_out(interactions, keep=keep, device=device)
