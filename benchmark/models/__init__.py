"""The models of a leaderboard, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.models.items import ItemTable
from benchmark.models.popularity import Popularity
from benchmark.models.sasrec import SASRec
from benchmark.models.sequence import SequenceModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.data.split import Split
    from benchmark.models.protocol import Recommender
    from benchmark.settings import Settings


@dataclass(frozen=True)
class Entry:
    build: Callable[[Split, Settings], Recommender]
    """Makes the untrained model; a `SequenceModel` is then trained, anything else is ranked as it is."""
    description: str


def build_popularity(split: Split, settings: Settings) -> Popularity:  # noqa: ARG001
    return Popularity(split.frequency)


def build_sasrec(split: Split, settings: Settings) -> SequenceModel:
    # One is added to every count: an item that only validation or test holds has a log frequency, too.
    log_prior = ((split.frequency + 1) / (split.frequency + 1).sum()).log() if settings.item_bias else None
    encoder = SASRec(
        settings.width,
        steps=settings.keep_interactions - 1,
        blocks=settings.blocks,
        heads=settings.heads,
        dropout=settings.dropout,
        norm_first=settings.norm_first,
    )
    model = SequenceModel(ItemTable(split.item_count, settings.width, log_prior=log_prior), encoder)
    return model.to(split.kept.device)


MODELS = {
    "popularity": Entry(build_popularity, "how often an item was met in training, the same list for everyone"),
    "sasrec": Entry(build_sasrec, "self-attention over a user's last items (Kang & McAuley, 2018)"),
}
