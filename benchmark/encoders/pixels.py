"""From a picture to the numbers that an encoder takes: scaled, cut, and normalised.

Pretrained weights want what they were trained with, which stands beside them in `preprocessor_config.json`. The recipe
of the MicroLens paper is another: 224 x 224 without a cut, mean and standard deviation 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from microlens.clips import Framing
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.encoders.weights import Weights

_SETTINGS = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
_CUTS_NOTHING = "without a cut"


@dataclass(frozen=True)
class Pixels:
    framing: Framing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1 / 255

    def normalise(self, pixels: Tensor) -> Tensor:
        """Take bytes (..., S, S, 3); give (..., 3, S, S): (byte * scale - mean) / std."""
        mean, std = (torch.tensor(each, device=pixels.device) for each in (self.mean, self.std))
        return ((pixels.float() * self.scale - mean) / std).movedim(-1, -3)


def paper_pixels(side: int) -> Pixels:
    """Scale both sides, cut nothing, and normalise by 0.5, as the MicroLens paper's recipe does."""
    return Pixels(Framing(side), (0.5,) * 3, (0.5,) * 3)


def own_pixels(weights: Weights, usual: Pixels) -> Pixels:
    """Read what the weights were trained with; `usual`, of the model's own side, for what is not told.

    Known are scaling of the shorter side and a cut of the middle, or scaling of both sides; RecipeError for others.
    """
    told = next((found for name in _SETTINGS if (found := _pictures(weights.json(name)))), {})
    if not told:
        return usual
    mean = told.get("image_mean", usual.mean) if told.get("do_normalize", True) else 0.0
    std = told.get("image_std", usual.std) if told.get("do_normalize", True) else 1.0
    return Pixels(
        _framing(told, usual.framing, weights),
        _by_channel(mean),
        _by_channel(std),
        float(told.get("rescale_factor", usual.scale)) if told.get("do_rescale", True) else 1.0,
    )


def _pictures(told: dict[str, Any]) -> dict[str, Any]:
    """Of a file that has settings for texts as well, those for pictures."""
    return dict(told.get("image_processor") or told.get("video_processor") or (told if "size" in told else {}))


def _framing(told: dict[str, Any], usual: Framing, weights: Weights) -> Framing:
    resample = int(told.get("resample", usual.resample))
    size, cut = told["size"], told.get("crop_size", usual.side)
    shortest = size if isinstance(size, int) else size.get("shortest_edge")
    sides = set(cut.values()) if isinstance(cut, dict) else {cut}
    is_cut = bool(told.get("do_center_crop", usual.shortest is not None))
    if shortest is None:
        sides, is_fine = {size.get("height"), size.get("width")}, not is_cut
    else:
        is_fine = is_cut and max(sides) <= shortest
    if sides != {usual.side} or not is_fine or not told.get("do_resize", True):
        raise RecipeError(
            f"the weights {weights.name!r} want pictures of size {size}, cut to {cut if is_cut else _CUTS_NOTHING}, "
            f"which is not known here: known are the middle {usual.side} x {usual.side} pixels, the model's own, "
            "of a scaled picture, and a picture scaled to so many",
            hint="add --preprocessing paper to scale pictures to a square, or name other weights",
        )
    return Framing(usual.side, shortest, int(Image.Resampling(resample)))


def _by_channel(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (list, tuple)) else (float(value),) * 3
