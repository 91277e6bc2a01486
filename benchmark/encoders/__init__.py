"""Frozen encoders: what an item shows or says, as one vector. A registry; transformers is imported by who is asked."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from benchmark.encoders.weights import Weights

PREPROCESSINGS = ("encoder", "paper")
"""What weights were trained with, or the recipe of the MicroLens paper."""


class Encoder(Protocol):
    """Weights on a device."""

    width: int
    """F: numbers in a vector."""
    facts: Mapping[str, Any]
    """What is done to an input, for the record."""

    @property
    def read(self) -> Callable[[Path], NDArray[np.uint8]] | None:
        """Give a file's pixels, in a process without torch; None if it encodes texts."""

    def encode(self, batch: Sequence[Any]) -> torch.Tensor:
        """Take B of what `read` gives, or B texts; give (B, F)."""


@dataclass(frozen=True)
class Entry:
    place: str
    """Module and class."""
    source: Literal["video", "cover", "title"]
    """What of an item it takes."""
    batch: int
    """Items at once, for a machine of 16 GB."""
    weights: str
    """On the hub, if none are named."""
    description: str

    def load(self, weights: str | None, device: torch.device, *, preprocessing: str) -> tuple[Encoder, Weights]:
        """Load weights from a folder or by a name on the hub."""
        module, _, kind = self.place.partition(":")
        try:
            loading = import_module("benchmark.encoders.weights")
            make = getattr(import_module(f"benchmark.encoders.{module}"), kind)
        except ModuleNotFoundError as error:
            raise RecipeError(
                f"encoders need {error.name}, which is not installed", hint="pip install 'microlens-build[features]'"
            ) from error
        found = loading.find_weights(weights or self.weights, usual=self.weights)
        return make(found, device, preprocessing=preprocessing), found


ENCODERS = {
    "videomae": Entry(
        "videomae:VideoMAE", "video", 8, "MCG-NJU/videomae-base-finetuned-kinetics", "16 frames of a video"
    ),
    "clip": Entry("clip:CLIPCovers", "cover", 64, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "a cover"),
    "clip-text": Entry(
        "clip:CLIPTitles", "title", 256, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "a title, in the space of covers"
    ),
    "text": Entry("text:SentenceEncoder", "title", 128, "sentence-transformers/all-MiniLM-L6-v2", "a title"),
}
