"""What the benchmark knows of a model: how it is built and trained, what it reads, and what it cannot be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.models.stack import require_shares
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.recommender import Recommender
    from benchmark.settings import Settings
    from benchmark.tasks import TaskKind

EVERYONES = ("keep_interactions", "chunk_scores", "threads")
"""Settings by which every model is asked."""
TRAINING = (
    "loss",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "gradient_clip",
    "epochs",
    "patience",
    "validation_users",
    "average_epochs",
    "row_wise",
    "mixed_precision",
    "compile",
)
"""Settings by which every model is trained that learns by steps."""


@dataclass(frozen=True)
class Entry:
    description: str
    build: Callable[[Split, Settings, Side], Recommender]
    """Makes the model; untrained where it has a task, and else ready to be asked."""
    task: TaskKind | None = None
    """What it is trained on."""
    built_by: tuple[str, ...] = ()
    """Settings that it is built by; those that it is trained and asked by are its task's, and everyone's."""
    losses: tuple[str, ...] | None = None
    """The losses that it takes, where these are not all of its task."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What makes it this model: these hold unless a preset's line for it, or an override, says otherwise."""
    reads_features: bool = False
    """Whether it reads the frozen features that the settings name."""
    check_features: Callable[[Tensor, Settings], None] | None = None
    """RecipeError for features that it cannot use with these settings."""
    reads_tags: bool = False
    """Whether it reads the tags of items."""
    sizes: tuple[str, ...] = ("width",)
    """Settings that say how large it is: what to lower where memory lacks, beside the size of a batch."""
    why_not_compiled: str | None = None
    """Why `torch.compile` is of no use to it, where it is of none."""

    @property
    def reads(self) -> frozenset[str]:
        """Settings that make a difference to it: others may be whatever they are."""
        trained = () if self.task is None else (*TRAINING, *self.task.reads)
        content = ("features", "fusion") if self.reads_features else ()
        told = ("fusion",) if self.has_own_fusion else ()
        return frozenset([*EVERYONES, *trained, *self.built_by, *content, *told])

    @property
    def has_own_fusion(self) -> bool:
        """Whether it has one way, and no choice, of putting together what it knows of an item."""
        return self.settings.get("fusion") == "own"

    @property
    def sizes_of_training(self) -> tuple[str, ...]:
        return self.sizes if self.task is None else ("batch_size", *self.sizes)

    @property
    def sizes_of_ranking(self) -> tuple[str, ...]:
        return ("chunk_scores", *self.sizes)

    def read(self, side: Side, settings: Settings) -> None:
        """Read what the model needs besides interactions: NotReadyError where the release has none of it.

        RecipeError where the settings do not go with what it has, or with each other.
        """
        if "heads" in self.built_by:
            require_shares(settings.width, settings.heads)
        if self.reads_features:
            features = side.features(settings.features)
            if self.check_features is not None:
                self.check_features(features, settings)
        if self.reads_tags:
            side.tags()

    def check_settings(self, name: str, settings: Settings) -> None:
        """RecipeError for settings that it cannot be trained with; a result tells them, and they must be what was done.

        `name` is what it is called in `MODELS`.
        """
        elsewhere = f"for {name}, and run the others in a command of their own"
        if settings.compile and self.why_not_compiled is not None:
            raise RecipeError(
                f"{name} is not trained with compile=true: {self.why_not_compiled}",
                hint=f"leave compile out {elsewhere}",
            )
        losses = () if self.task is None else self.losses or self.task.losses
        if losses and settings.loss not in losses:
            raise RecipeError(
                f"{name} is not trained with loss={settings.loss}",
                hint=f"choose one of {', '.join(losses)} {elsewhere}",
            )
        if self.has_own_fusion and settings.fusion != "own":
            raise RecipeError(
                f"{name} puts together what it knows of an item in a way of its own, not by fusion={settings.fusion}",
                hint=f"leave fusion out {elsewhere}",
            )
        if settings.fusion == "own" and not self.has_own_fusion:
            raise RecipeError(f"{name} has no fusion of its own", hint="choose fusion=sum or fusion=concat")
