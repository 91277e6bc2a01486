"""CLIP: pictures and texts in one space, trained so that a picture lies by its caption.

Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020. B items, S pixels a side (224), L tokens, P width of the
space (512).

    covers (B, S, S, 3) -> patches -> transformer -> first token -> projection (B, P) -> length 1
    titles (B, L)                  -> transformer -> end token   -> projection (B, P) -> length 1

Length 1, since only the angle was trained. Vectors of both sides can be compared if they are of the same weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoTokenizer, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from benchmark.encoders.pixels import Pixels, own_pixels, paper_pixels
from benchmark.encoders.text import PAPER_TOKENS
from microlens.clips import Framing, read_cover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.encoders.weights import Weights

_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class CLIPCovers:
    def __init__(self, weights: Weights, device: torch.device, *, preprocessing: str) -> None:
        self.model = weights.load(CLIPVisionModelWithProjection).to(device)
        side = self.model.config.image_size
        usual = Pixels(Framing(side, side, int(Image.Resampling.BICUBIC)), _MEAN, _STD)
        self.pixels = paper_pixels(side) if preprocessing == "paper" else own_pixels(weights, usual)
        self.read = partial(read_cover, framing=self.pixels.framing)
        self.width = self.model.config.projection_dim
        self.facts = {"pixels": self.pixels, "pooling": "projection, length 1"}
        self.device = device

    def encode(self, covers: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Take B covers (S, S, 3); give (B, P)."""
        pixels = self.pixels.normalise(torch.from_numpy(np.stack(covers)).to(self.device))  # (B, 3, S, S)
        return normalize(self.model(pixels).image_embeds, dim=-1)


class CLIPTitles:
    read = None

    def __init__(self, weights: Weights, device: torch.device, *, preprocessing: str) -> None:
        self.model = weights.load(CLIPTextModelWithProjection).to(device)
        self.tokenizer = weights.load_settings(AutoTokenizer)
        most = self.model.config.max_position_embeddings
        self.tokens = min(PAPER_TOKENS, most) if preprocessing == "paper" else most
        self.width = self.model.config.projection_dim
        self.facts = {"tokens": self.tokens, "pooling": "projection, length 1"}
        self.device = device

    def encode(self, titles: Sequence[str]) -> Tensor:
        """Take B titles; give (B, P). The tokenizer lower-cases, as CLIP was trained."""
        tokens = self.tokenizer(
            list(titles), padding=True, truncation=True, max_length=self.tokens, return_tensors="pt"
        ).to(self.device)
        found = self.model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return normalize(found.text_embeds, dim=-1)
