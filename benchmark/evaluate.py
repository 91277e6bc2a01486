"""Ask a model one question per user, a chunk of users at a time: no (users, items) table ever exists whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.metrics import Ranks, ranks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Question
    from benchmark.models.protocol import Recommender

CHUNK_SCORES = 4_000_000  # 16 MB of float32, which half fits a cache, and as much again while they are ranked


def evaluate(model: Recommender, question: Question, *, chunk_scores: int = CHUNK_SCORES) -> Ranks:
    """Rank every user's target among all items; the answer does not depend on `chunk_scores`."""
    return Ranks.joined([found for found, _ in _ranked(model, question, chunk_scores)])


def evaluate_and_list(
    model: Recommender, question: Question, k: int, *, chunk_scores: int = CHUNK_SCORES
) -> tuple[Ranks, Tensor]:
    """The same, and the first `k` items that each user is shown, best first: (Q, K), fewer of a small catalogue."""
    found, lists = [], []
    for ranked, scores in _ranked(model, question, chunk_scores):
        found.append(ranked)
        lists.append(scores.topk(min(k, question.item_count)).indices)
    return Ranks.joined(found), torch.cat(lists)


def _ranked(model: Recommender, question: Question, chunk_scores: int) -> Iterator[tuple[Ranks, Tensor]]:
    """Ranks and masked scores, chunk by chunk."""
    width = max(1, chunk_scores // (question.item_count + 1))
    with torch.inference_mode():
        for start in range(0, len(question.target), width):
            chunk = slice(start, min(start + width, len(question.target)))
            scores = model.scores(question.users[chunk], question.history[chunk])
            target, seen = question.target[chunk], question.seen
            yield ranks(scores, target, *seen.of(chunk), seen.counts(chunk)), scores
