"""The models of a leaderboard, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.models import deepfm, dssm, ease, grcn, itemknn, lightgcn, mmgcn, nfm
from benchmark.models.items import ItemTable
from benchmark.models.popularity import Popularity
from benchmark.models.sasrec import SASRec
from benchmark.models.sequence import SequenceModel
from benchmark.tasks.next_item import NextItem
from benchmark.tasks.pairs import Pairs

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
    """Makes the model; untrained where it has a task, and else ready to be asked."""
    task: Callable[[Any, Split, Settings], Task] | None = None
    """What it is trained on."""


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
    "dssm": Entry("two towers that meet in a dot product (Huang et al., 2013)", dssm.build, Pairs),
    "lightgcn": Entry("ids smoothed over the graph of users and items (He et al., 2020)", lightgcn.build, Pairs),
    "nfm": Entry("layers on the product of two vectors (He & Chua, 2017)", nfm.build, Pairs),
    "deepfm": Entry("a factorisation machine beside layers (Guo et al., 2017)", deepfm.build, Pairs),
    "mmgcn_id": Entry("a graph network over ids (Wei et al., 2019)", mmgcn.build, Pairs),
    "mmgcn_id_v": Entry("graph networks over ids and over frozen features", mmgcn.build_id_v, Pairs),
    "grcn_id": Entry("a graph network over edges that ids have vouched for (Wei et al., 2020)", grcn.build, Pairs),
    "grcn_id_v": Entry("the same, with frozen features besides ids", grcn.build_id_v, Pairs),
    "dssm_id_v": Entry("two towers, frozen features beside an item's id", dssm.build_id_v, Pairs),
    "sasrec": Entry("self-attention over a user's last items (Kang & McAuley, 2018)", _sasrec, NextItem),
}
