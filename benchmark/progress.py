"""What a run tells of itself while it goes on."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Progress: TypeAlias = Callable[[str, Mapping[str, object]], None]
    """Hears an event and its facts; `benchmark.run.run_benchmark` says which."""
    Tell: TypeAlias = Callable[[int, int], None]
    """Hears how many steps are done, and of how many."""

Step = TypeVar("Step")

EVERY_S = 1.0


def silent(*_: object) -> None:
    """Hear nothing."""


def counted(steps: Iterable[Step], count: int, tell: Tell) -> Iterator[Step]:
    """Pass steps on; tell how many of `count` are done once in EVERY_S, so that a loop which takes less says nothing.

    All that it costs is a look at the clock each step: what a GPU has in work is not waited for.
    """
    due = monotonic() + EVERY_S
    for done, step in enumerate(steps, 1):
        yield step
        if (now := monotonic()) >= due:
            due = now + EVERY_S
            tell(done, count)
