"""What a subset is asked for: which users may be drawn, how many, and what is left out of what they did."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from microlens.recipe import Release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_NO_RULES = {"name", "timestamps", "is_strict"}
"""They decide nothing of who and what is drawn."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A recipe's release (its keys say what each field means), and what the command line adds."""

    users: int | None = None
    """How many; None takes all that are eligible."""
    min_user: int = 5
    max_user: int | None = None
    min_item: int = 1
    k_core: int | None = None
    seed: int | None = None
    stage: str | None = None
    min_likes: int | None = None
    pool: int | None = None
    cutoff: datetime | None = None
    within: str | None = None
    preset: str | None = None
    name: str | None = None
    """Of the release; None names it by the run and the users that it really has."""
    timestamps: str = "exact"
    is_strict: bool = False
    """Fail, rather than warn, if fewer users are eligible than asked for."""

    @classmethod
    def of(cls, release: Release, **more: Any) -> Self:
        """`more` goes above what the release says: a name of None, for one."""
        told = {field.name: getattr(release, field.name) for field in fields(cls) if field.name in Release.model_fields}
        return cls(**{**told, **more})

    @property
    def is_of_a_pool(self) -> bool:
        """Whether the users' counts in the integrated tables do not tell who is eligible."""
        return any(rule is not None for rule in (self.stage, self.min_likes, self.pool, self.cutoff, self.within))

    @property
    def core(self) -> tuple[int, int] | None:
        """Fewest interactions of a user and of an item in the core that is kept of what is drawn; None keeps all."""
        least = self.k_core or 1
        return (max(self.min_user, least), max(self.min_item, least)) if max(self.min_item, least) > 1 else None

    @property
    def cutoff_ms(self) -> int | None:
        return round(self.cutoff.timestamp() * 1000) if self.cutoff is not None else None

    def rules(self) -> Iterator[tuple[str, str]]:
        """The options that are not at their default, as the command line spells them, with their values."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in _NO_RULES and (field.name == "min_user" or value != field.default):
                shown = value.isoformat().replace("+00:00", "Z") if field.name == "cutoff" else str(value)
                yield f"--{field.name.replace('_', '-')}", shown

    def text(self) -> str:
        """The same for the same draw: what a release's manifest remembers of it."""
        told = {name: value for name, value in asdict(self).items() if name != "is_strict"}
        return json.dumps(told, sort_keys=True, default=str)
