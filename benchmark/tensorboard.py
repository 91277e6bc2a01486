"""Curves for TensorBoard, where it is installed: one run a model and seed, one point an epoch."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmark.progress import Progress

_NO_CURVES = {"model", "seed", "epoch", "epochs"}


@contextmanager
def tensorboard_log(folder: Path, progress: Progress) -> Iterator[Progress]:
    """Write every `epoch` that `progress` hears of to `folder` as well; RecipeError if TensorBoard is not installed.

    An epoch that was taken from a checkpoint was written when it was trained.
    """
    if find_spec("tensorboard") is None:
        raise RecipeError(
            f"--tensorboard {folder} needs TensorBoard, which is not installed", hint="pip install tensorboard"
        )
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - it imports what may not be there

    writers: dict[str, SummaryWriter] = {}

    def tell(event: str, facts: Mapping[str, Any]) -> None:
        progress(event, facts)
        if event != "epoch":
            return
        name = f"{facts['model']}-{facts['seed']}"
        if name not in writers:
            writers[name] = SummaryWriter(str(folder / name))
        for curve in facts.keys() - _NO_CURVES:
            writers[name].add_scalar(curve, facts[curve], facts["epoch"])
        writers[name].flush()

    try:
        yield tell
    finally:
        for writer in writers.values():
            writer.close()
