"""The models of a leaderboard, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.models import ease, itemknn
from benchmark.models.items import ItemTable
from benchmark.models.popularity import Popularity
from benchmark.models.sasrec import SASRec
from benchmark.models.sequence import SequenceModel
from benchmark.tasks.next_item import NextItem

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.protocol import Recommender
    from benchmark.settings import Settings
    from benchmark.tasks import Task


@dataclass(frozen=True)
class Entry:
    description: str
    build: Callable[[Split, Settings, Side], Recommender]
    task: Callable[[Any, Split, Settings], Task] | None = None


def _popularity(split: Split, settings: Settings, side: Side) -> Popularity:  # noqa: ARG001
    return Popularity(split.frequency)


def _sasrec(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    encoder = SASRec(
        settings.width,
        steps=settings.keep_interactions - 1,
        blocks=settings.blocks,
        heads=settings.heads,
        dropout=settings.dropout,
        norm_first=settings.norm_first,
    )
    return SequenceModel(_items(split, settings), encoder)


def _items(split: Split, settings: Settings) -> ItemTable:
    # One is added to every count: an item that only validation or test holds has a log frequency, too.
    log_prior = ((split.frequency + 1) / (split.frequency + 1).sum()).log() if settings.item_bias else None
    return ItemTable(split.item_count, settings.width, log_prior=log_prior)


MODELS = {
    "popularity": Entry("how often an item was met in training, the same list for everyone", _popularity),
    "itemknn": Entry("what was met together with a user's last items (Sarwar et al., 2001)", itemknn.build),
    "ease": Entry("one linear layer between items, solved at once (Steck, 2019)", ease.build),
    "sasrec": Entry("self-attention over a user's last items (Kang & McAuley, 2018)", _sasrec, NextItem),
}
