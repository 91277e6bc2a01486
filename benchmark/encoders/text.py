"""A sentence encoder: BERT or its kin, tuned so that texts of like meaning lie close to each other.

Reimers & Gurevych, *Sentence-BERT*, EMNLP 2019, https://arxiv.org/abs/1908.10084. B titles, L tokens, D width (384).

    tokens (B, L) -> transformer -> states (B, L, D) -> mean of the real tokens (B, D) -> length 1

Weights whose `1_Pooling/config.json` says that the first token stands for the text (BGE-M3, of MicroLens' own title
features) are pooled so. `paper` lower-cases and reads 30 tokens, as MicroLens does; `encoder` reads as many as the
weights were tuned on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from benchmark.encoders.weights import Weights

PAPER_TOKENS = 30
_MOST_TOKENS = 512
_MEAN, _FIRST = "pooling_mode_mean_tokens", "pooling_mode_cls_token"


class SentenceEncoder:
    read = None

    def __init__(self, weights: Weights, device: torch.device, *, preprocessing: str) -> None:
        # What stands on top of the first token, for next-sentence prediction, is not asked.
        self.model = weights.load(AutoModel, unused="pooler.").to(device)
        self.tokenizer = weights.load_settings(AutoTokenizer)
        self.is_lowered = preprocessing == "paper"
        tuned_on = weights.json("sentence_bert_config.json").get("max_seq_length") or _MOST_TOKENS
        most = min(tuned_on, self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        self.tokens = min(PAPER_TOKENS, most) if self.is_lowered else most
        self.takes_first = _takes_first(weights)
        self.width = self.model.config.hidden_size
        pooling = f"{'first token' if self.takes_first else 'mean'}, length 1"
        self.facts = {"tokens": self.tokens, "is_lowered": self.is_lowered, "pooling": pooling}
        self.device = device

    def encode(self, titles: Sequence[str]) -> Tensor:
        """Take B titles; give (B, D)."""
        texts = [title.lower() if self.is_lowered else title for title in titles]
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=self.tokens, return_tensors="pt").to(
            self.device
        )
        states = self.model(**tokens).last_hidden_state  # (B, L, D)
        return normalize(states[:, 0] if self.takes_first else mean_of_real(states, tokens["attention_mask"]), dim=-1)


def mean_of_real(states: Tensor, real: Tensor) -> Tensor:
    """Take states (B, L, D) and which tokens are real (B, L); give the real ones' mean (B, D)."""
    weight = real.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


def _takes_first(weights: Weights) -> bool:
    told = weights.json("1_Pooling/config.json")
    modes = {name for name, value in told.items() if name.startswith("pooling_mode_") and value is True}
    if modes - {_MEAN, _FIRST} or len(modes) > 1:
        raise RecipeError(
            f"the weights {weights.name!r} pool by {', '.join(sorted(modes))}, which is not known here",
            hint="name weights that pool by the mean or the first token",
        )
    return modes == {_FIRST}
