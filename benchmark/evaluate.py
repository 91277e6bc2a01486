"""Ask a model one question per user, a chunk of users at a time: no (users, items) table ever exists whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.metrics import Ranks, ranks

if TYPE_CHECKING:
    from benchmark.data.split import Question
    from benchmark.models.protocol import Recommender

CHUNK_SCORES = 8_000_000  # 32 MB of float32, and about as much again while they are ranked


def evaluate(model: Recommender, question: Question, item_count: int, *, chunk_scores: int = CHUNK_SCORES) -> Ranks:
    """Rank every user's target among all items; the answer does not depend on `chunk_scores`."""
    size = max(1, chunk_scores // (item_count + 1))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(question.target), size):
            users = slice(start, start + size)
            scores = model.scores(question.history[users])
            seen = question.seen.mask(users, item_count + 1)
            parts.append(ranks(scores, question.target[users], seen))
    return Ranks.joined(parts)
