"""The models of a leaderboard, by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmark.models import (
    alphafuse,
    bert4rec,
    deepfm,
    dssm,
    ease,
    esasrec,
    factorised,
    grcn,
    gru4rec,
    gsasrec,
    hstu,
    itemknn,
    lightgcn,
    mmgcn,
    nextitnet,
    nfm,
    popularity,
    sasrec,
    youtube,
)
from benchmark.settings import ABOUT_ALL_MODELS, Settings, load_preset, read_preset
from benchmark.tasks.masked_item import MaskedItem
from benchmark.tasks.next_item import NextItem
from benchmark.tasks.pairs import Pairs
from microlens.errors import RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from torch import Tensor

    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.protocol import Recommender
    from benchmark.tasks import Task

_OWN_FUSION = {"fusion": "own"}
_RECURRENT = "torch leaves the steps of a GRU as they are"
_PRODUCTS = "torch does not compile products along the edges of a graph"


@dataclass(frozen=True)
class Entry:
    description: str
    build: Callable[[Split, Settings, Side], Recommender]
    """Makes the model; untrained where it has a task, and else ready to be asked."""
    task: Callable[[Any, Split, Settings], Task] | None = None
    """What it is trained on."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What makes it this model: these hold unless a preset's line for it, or an override, says otherwise."""
    reads_features: bool = False
    """Whether it reads the frozen features that the settings name."""
    check_features: Callable[[Tensor, Settings], None] | None = None
    """RecipeError for features that it cannot use with these settings."""
    reads_tags: bool = False
    """Whether it reads the tags of items."""
    sizes: tuple[str, ...] = ("width",)
    """Settings that say how large it is: what to lower where memory lacks, beside the size of a batch."""
    why_not_compiled: str | None = None
    """Why `torch.compile` is of no use to it, where it is of none."""

    @property
    def sizes_of_training(self) -> tuple[str, ...]:
        return self.sizes if self.task is None else ("batch_size", *self.sizes)

    @property
    def sizes_of_ranking(self) -> tuple[str, ...]:
        return ("chunk_scores", *self.sizes)

    def read(self, side: Side, settings: Settings) -> None:
        """Read what the model needs besides interactions: NotReadyError where the release has none of it.

        RecipeError where the settings do not go with what it has.
        """
        if self.reads_features:
            features = side.features(settings.features)
            if self.check_features is not None:
                self.check_features(features, settings)
        if self.reads_tags:
            side.tags()


MODELS = {
    "popularity": Entry(
        "how often an item was met in training, the same list for everyone", popularity.build, sizes=()
    ),
    "itemknn": Entry(
        "what was met together with a user's last items (Sarwar et al., 2001)", itemknn.build, sizes=("neighbours",)
    ),
    "ease": Entry("one linear layer between items, solved at once (Steck, 2019)", ease.build, sizes=()),
    "dssm": Entry("two towers that meet in a dot product (Huang et al., 2013)", dssm.build, Pairs),
    "lightgcn": Entry("ids smoothed over the graph of users and items (He et al., 2020)", lightgcn.build, Pairs),
    "nfm": Entry("layers on the product of two vectors (He & Chua, 2017)", nfm.build, Pairs, factorised.SETTINGS),
    "deepfm": Entry(
        "a factorisation machine beside layers (Guo et al., 2017)", deepfm.build, Pairs, factorised.SETTINGS
    ),
    "mmgcn_id": Entry("a graph network over ids (Wei et al., 2019)", mmgcn.build, Pairs),
    "mmgcn_id_v": Entry(
        "graph networks over ids and over frozen features", mmgcn.build_id_v, Pairs, _OWN_FUSION, reads_features=True
    ),
    "grcn_id": Entry(
        "a graph network over edges that ids have vouched for (Wei et al., 2020)",
        grcn.build,
        Pairs,
        why_not_compiled=_PRODUCTS,
    ),
    "grcn_id_v": Entry(
        "the same, with frozen features besides ids",
        grcn.build_id_v,
        Pairs,
        _OWN_FUSION,
        reads_features=True,
        why_not_compiled=_PRODUCTS,
    ),
    "dssm_id_v": Entry(
        "two towers, frozen features beside an item's id",
        dssm.build_id_v,
        Pairs,
        {"fusion": "concat"},
        reads_features=True,
    ),
    "youtube_id": Entry(
        "a feed-forward tower on the mean of past items (Covington et al., 2016)", youtube.build, NextItem
    ),
    "gru4rec": Entry(
        "a recurrent network over a user's last items (Hidasi et al., 2016)",
        gru4rec.build,
        NextItem,
        why_not_compiled=_RECURRENT,
    ),
    "nextitnet": Entry("dilated causal convolutions over them (Yuan et al., 2019)", nextitnet.build, NextItem),
    "sasrec": Entry("self-attention over a user's last items (Kang & McAuley, 2018)", sasrec.build, NextItem),
    "bert4rec": Entry("attention in both directions to hidden items (Sun et al., 2019)", bert4rec.build, MaskedItem),
    "gsasrec": Entry("SASRec with gBCE (Petrov & Macdonald, 2023)", gsasrec.build, NextItem, gsasrec.SETTINGS),
    "esasrec": Entry(
        "SASRec with gated residuals and a sampled softmax (Tikhonovich et al., 2025)",
        esasrec.build,
        NextItem,
        esasrec.SETTINGS,
    ),
    "hstu": Entry("gated attention without softmax (Zhai et al., 2024)", hstu.build, NextItem),
    "youtube_id_v": Entry(
        "YouTube's tower, ids and frozen features", youtube.build_id_v, NextItem, reads_features=True
    ),
    "sasrec_id_v": Entry("SASRec, ids and frozen features", sasrec.build_id_v, NextItem, reads_features=True),
    "sasrec_id_pop": Entry("SASRec, ids and ten levels of popularity", sasrec.build_id_pop, NextItem, _OWN_FUSION),
    "sasrec_id_tag": Entry("SASRec, ids and tags", sasrec.build_id_tag, NextItem, _OWN_FUSION, reads_tags=True),
    "sasrec_id_pop_tag": Entry(
        "SASRec, ids, levels of popularity and tags", sasrec.build_id_pop_tag, NextItem, _OWN_FUSION, reads_tags=True
    ),
    "alphafuse": Entry(
        "SASRec, ids where frozen features say nothing (Hu et al., 2025)",
        alphafuse.build,
        NextItem,
        _OWN_FUSION,
        reads_features=True,
        check_features=alphafuse.check_features,
    ),
}


def settings_of(model: str, preset: str, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read a model's settings from a preset, `overrides` above it; RecipeError for what could not be done with it."""
    entry = MODELS[model]
    for line in read_preset(preset):
        if line not in {*ABOUT_ALL_MODELS, *MODELS}:
            raise RecipeError(f"the preset {preset} has a line for {line!r}, no model", hint=nearest(line, MODELS))
    settings = load_preset(preset, model, overrides, own=entry.settings)
    if settings.compile and entry.why_not_compiled is not None:
        raise RecipeError(
            f"{model} is not trained with compile=true: {entry.why_not_compiled}",
            hint=f"leave compile out for {model}, and run the others in a command of their own",
        )
    has_own = entry.settings.get("fusion") == "own"
    _check_fusion(model, settings.fusion, has_own=has_own)
    if entry.reads_features:
        return settings
    # What is meant for other models of the command makes no other run of this one.
    usual = Settings()
    return replace(settings, features=usual.features, fusion=settings.fusion if has_own else usual.fusion)


def _check_fusion(model: str, fusion: str, *, has_own: bool) -> None:
    """A result tells its fusion: it must be what was done."""
    if has_own and fusion != "own":
        raise RecipeError(
            f"{model} puts together what it knows of an item in a way of its own, not by fusion={fusion}",
            hint=f"leave fusion out for {model}, and run the others in a command of their own",
        )
    if fusion == "own" and not has_own:
        raise RecipeError(f"{model} has no fusion of its own", hint="choose fusion=sum or fusion=concat")
