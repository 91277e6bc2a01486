"""Ask a model one question per user, a chunk of users at a time: no (users, items) table ever exists whole.

Where several ranks evaluate, each asks for its share of the users; all of them get all answers, each once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.device import tf32
from benchmark.metrics import Ranks, ranks
from benchmark.parallel import joined, rank, world
from benchmark.progress import counted, silent
from benchmark.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Question
    from benchmark.models.recommender import Recommender
    from benchmark.progress import Tell

CHUNK_SCORES = Settings.chunk_scores


def evaluate(model: Recommender, question: Question, *, chunk_scores: int = CHUNK_SCORES, tell: Tell = silent) -> Ranks:
    """Rank every user's target among all items; the answer does not depend on `chunk_scores`.

    `tell` hears now and then how many chunks are done.
    """
    return _of_all_users([found for found, _ in _ranked(model, question, chunk_scores, tell)], question)


def evaluate_and_list(
    model: Recommender, question: Question, k: int, *, chunk_scores: int = CHUNK_SCORES, tell: Tell = silent
) -> tuple[Ranks, Tensor]:
    """The same, and the first `k` items that each user is shown, best first: (Q, K), fewer of a small catalogue.

    Where a user has met so much that less than that are left, the last places are 0.
    """
    k = min(k, question.item_count)
    found, lists = [], [question.target.new_zeros(0, k)]
    for ranked, scores in _ranked(model, question, chunk_scores, tell):
        found.append(ranked)
        best = scores.topk(k)
        lists.append(best.indices.masked_fill(best.values == -torch.inf, 0))
    return _of_all_users(found, question), joined(torch.cat(lists))


def _of_all_users(found: list[Ranks], question: Question) -> Ranks:
    nobody = question.target.new_zeros(0, dtype=torch.int32)  # all that a rank finds where there are more than users
    own = Ranks.joined([Ranks(nobody, nobody), *found])
    return Ranks(joined(own.above), joined(own.tied))


def _ranked(model: Recommender, question: Question, chunk_scores: int, tell: Tell) -> Iterator[tuple[Ranks, Tensor]]:
    """Ranks and masked scores, chunk by chunk."""
    width = max(1, chunk_scores // (question.item_count + 1))
    first, end = (len(question.target) * turn // world() for turn in (rank(), rank() + 1))
    starts = range(first, end, width)
    with torch.inference_mode(), tf32(question.target.device, is_on=False):
        for start in counted(starts, len(starts), tell):
            asked = torch.arange(start, min(start + width, end), device=question.target.device)
            scores = model.scores(question.users[asked], question.history[asked])
            yield ranks(scores, question.target[asked], *question.seen.of(asked)), scores
