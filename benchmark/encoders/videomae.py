"""VideoMAE: a transformer over cubes of a clip, pretrained to fill in those that were hidden.

Tong et al., NeurIPS 2022, https://arxiv.org/abs/2203.12602. B clips, T frames (16), S pixels a side (224), D width
(768).

    clips (B, T, S, S, 3) -> cubes of 2 x 16 x 16 -> tokens (B, T/2 * (S/16)^2, D) -> their mean (B, D)

Weights that were tuned to classify normalise that mean before their last layer (`fc_norm`): it is taken after that.

Frames: from frame N // 2 of N on. `encoder` takes every fourth, as VideoMAE was trained on Kinetics (16 frames, 2 s);
`paper` takes consecutive ones, of which the first five are the five of MicroLens.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEModel

from benchmark.encoders.pixels import Pixels, own_pixels, paper_pixels
from microlens.clips import Framing, read_clip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.encoders.weights import Weights

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STRIDE = 4


class VideoMAE:
    def __init__(self, weights: Weights, device: torch.device, *, preprocessing: str) -> None:
        config = weights.load_settings(VideoMAEConfig)
        if VideoMAEForVideoClassification.__name__ in (config.architectures or ()):
            tuned: Any = weights.load(VideoMAEForVideoClassification)
            self.model, self.norm = tuned.videomae.to(device), tuned.fc_norm and tuned.fc_norm.to(device)
        else:
            self.model, self.norm = weights.load(VideoMAEModel).to(device), None
        side, is_paper = config.image_size, preprocessing == "paper"
        usual = Pixels(Framing(side, side), _MEAN, _STD)
        self.pixels = paper_pixels(side) if is_paper else own_pixels(weights, usual)
        self.stride = 1 if is_paper else _STRIDE
        self.read = partial(read_clip, framing=self.pixels.framing, frames=config.num_frames, stride=self.stride)
        self.width = config.hidden_size
        self.facts = {"pixels": self.pixels, "frames": config.num_frames, "stride": self.stride, "pooling": "mean"}
        self.device = device

    def encode(self, clips: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Take B clips (T, S, S, 3); give (B, D)."""
        pixels = self.pixels.normalise(torch.from_numpy(np.stack(clips)).to(self.device))  # (B, T, 3, S, S)
        mean: Tensor = self.model(pixels).last_hidden_state.mean(1)
        return mean if self.norm is None else cast("Tensor", self.norm(mean))
