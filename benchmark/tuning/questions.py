"""What a worker is given to train on and to be asked: a file without a test question in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmark.checkpoint import save_whole
from benchmark.data.lists import Lists
from benchmark.data.split import Question, Split

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def write_questions(split: Split, path: Path) -> None:
    """Write all of a split but its test.

    Tensors are copied first: of a view, such as all steps but the last two, torch would write what lies beneath.
    """
    asked = split.validation
    tensors = {
        "train": split.train,
        "pairs": split.pairs,
        "users": asked.users,
        "history": asked.history,
        "target": asked.target,
        "seen_items": asked.seen.values,
        "seen_bounds": asked.seen.bounds,
        "user_ids": torch.from_numpy(split.user_ids),
    }
    save_whole({name: one.cpu().clone() for name, one in tensors.items()} | _words(split), path)


def read_questions(path: Path, device: torch.device) -> Split:
    """Read the split, whose test asks nobody. Workers share the file's pages, until one copies them to a GPU."""
    found: dict[str, Any] = torch.load(path, weights_only=True, mmap=True)
    tensors: dict[str, Tensor] = {name: one.to(device) for name, one in found.items() if isinstance(one, torch.Tensor)}
    seen = Lists(tensors["seen_items"], tensors["seen_bounds"])
    validation = Question(tensors["users"], tensors["history"], tensors["target"], seen, found["item_count"])
    return Split(
        train=tensors["train"],
        pairs=tensors["pairs"],
        validation=validation,
        test=validation.drawn(0, 0),
        item_count=found["item_count"],
        user_ids=found["user_ids"].numpy(),
        skipped_user_count=found["skipped_user_count"],
        rule=found["rule"],
    )


def _words(split: Split) -> dict[str, Any]:
    return {name: getattr(split, name) for name in ("item_count", "skipped_user_count", "rule")}
