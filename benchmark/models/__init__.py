"""The models of a leaderboard, by name."""

from __future__ import annotations

from dataclasses import asdict, replace
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
from benchmark.models.entry import Entry
from benchmark.presets import ABOUT_ALL_MODELS, load_preset, read_preset
from benchmark.settings import NO_OTHER_RUN, Settings
from benchmark.tasks.masked_item import MaskedItem
from benchmark.tasks.next_item import NextItem
from benchmark.tasks.pairs import PAIRWISE, Pairs
from microlens.errors import RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_OWN_FUSION = {"fusion": "own"}
_RECURRENT = "torch leaves the steps of a GRU as they are"
_PRODUCTS = "torch does not compile products along the edges of a graph"
_LAYERS = ("width", "blocks", "dropout")
_SEQUENCES = (*_LAYERS, "item_bias", "start", "start_length")
_ATTENTION = (*_SEQUENCES, "heads")
_TRANSFORMER = (*_ATTENTION, "norm_first")

MODELS = {
    "popularity": Entry(
        "how often an item was met in training, the same list for everyone", popularity.build, sizes=()
    ),
    "itemknn": Entry(
        "what was met together with a user's last items (Sarwar et al., 2001)",
        itemknn.build,
        built_by=("neighbours", "recency"),
        sizes=("neighbours",),
    ),
    "ease": Entry(
        "one linear layer between items, solved at once (Steck, 2019)", ease.build, built_by=("ridge",), sizes=()
    ),
    "dssm": Entry("two towers that meet in a dot product (Huang et al., 2013)", dssm.build, Pairs, _LAYERS),
    "lightgcn": Entry(
        "ids smoothed over the graph of users and items (He et al., 2020)", lightgcn.build, Pairs, ("width", "blocks")
    ),
    "nfm": Entry(
        "layers on the product of two vectors (He & Chua, 2017)",
        nfm.build,
        Pairs,
        _LAYERS,
        PAIRWISE,
        factorised.SETTINGS,
    ),
    "deepfm": Entry(
        "a factorisation machine beside layers (Guo et al., 2017)",
        deepfm.build,
        Pairs,
        _LAYERS,
        PAIRWISE,
        factorised.SETTINGS,
    ),
    "mmgcn_id": Entry("a graph network over ids (Wei et al., 2019)", mmgcn.build, Pairs, _LAYERS),
    "mmgcn_id_v": Entry(
        "graph networks over ids and over frozen features",
        mmgcn.build_id_v,
        Pairs,
        _LAYERS,
        settings=_OWN_FUSION,
        reads_features=True,
    ),
    "grcn_id": Entry(
        "a graph network over edges that ids have vouched for (Wei et al., 2020)",
        grcn.build,
        Pairs,
        _LAYERS,
        why_not_compiled=_PRODUCTS,
    ),
    "grcn_id_v": Entry(
        "a graph network over edges that ids and frozen features have vouched for",
        grcn.build_id_v,
        Pairs,
        _LAYERS,
        settings=_OWN_FUSION,
        reads_features=True,
        why_not_compiled=_PRODUCTS,
    ),
    "dssm_id_v": Entry(
        "two towers, frozen features beside an item's id",
        dssm.build_id_v,
        Pairs,
        _LAYERS,
        settings={"fusion": "concat"},
        reads_features=True,
    ),
    "youtube_id": Entry(
        "a feed-forward tower on the mean of past items (Covington et al., 2016)", youtube.build, NextItem, _SEQUENCES
    ),
    "gru4rec": Entry(
        "a recurrent network over a user's last items (Hidasi et al., 2016)",
        gru4rec.build,
        NextItem,
        _SEQUENCES,
        why_not_compiled=_RECURRENT,
    ),
    "nextitnet": Entry(
        "dilated causal convolutions over a user's last items (Yuan et al., 2019)",
        nextitnet.build,
        NextItem,
        _SEQUENCES,
    ),
    "sasrec": Entry(
        "self-attention over a user's last items (Kang & McAuley, 2018)", sasrec.build, NextItem, _TRANSFORMER
    ),
    "bert4rec": Entry(
        "attention in both directions to hidden items (Sun et al., 2019)", bert4rec.build, MaskedItem, _TRANSFORMER
    ),
    "gsasrec": Entry(
        "SASRec with gBCE (Petrov & Macdonald, 2023)", gsasrec.build, NextItem, _TRANSFORMER, settings=gsasrec.SETTINGS
    ),
    "esasrec": Entry(
        "SASRec with gated residuals and a sampled softmax (Tikhonovich et al., 2025)",
        esasrec.build,
        NextItem,
        _ATTENTION,
        settings=esasrec.SETTINGS,
    ),
    "hstu": Entry("gated attention without softmax (Zhai et al., 2024)", hstu.build, NextItem, _ATTENTION),
    "youtube_id_v": Entry(
        "YouTube's tower, ids and frozen features", youtube.build_id_v, NextItem, _SEQUENCES, reads_features=True
    ),
    "sasrec_id_v": Entry(
        "SASRec, ids and frozen features", sasrec.build_id_v, NextItem, _TRANSFORMER, reads_features=True
    ),
    "sasrec_id_pop": Entry(
        "SASRec, ids and ten levels of popularity", sasrec.build_id_pop, NextItem, _TRANSFORMER, settings=_OWN_FUSION
    ),
    "sasrec_id_tag": Entry(
        "SASRec, ids and tags", sasrec.build_id_tag, NextItem, _TRANSFORMER, settings=_OWN_FUSION, reads_tags=True
    ),
    "sasrec_id_pop_tag": Entry(
        "SASRec, ids, levels of popularity and tags",
        sasrec.build_id_pop_tag,
        NextItem,
        _TRANSFORMER,
        settings=_OWN_FUSION,
        reads_tags=True,
    ),
    "alphafuse": Entry(
        "SASRec, ids where frozen features say nothing (Hu et al., 2025)",
        alphafuse.build,
        NextItem,
        _TRANSFORMER,
        settings=_OWN_FUSION,
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
    entry.check_settings(model, settings)
    # What is meant for other models of the command makes no other run of this one.
    usual = Settings()
    return replace(settings, **{name: getattr(usual, name) for name in vars(settings) if name not in entry.reads})


def settings_read(model: str, settings: Settings) -> dict[str, Any]:
    """Give those settings that a result of a model follows from."""
    told = MODELS[model].reads - set(NO_OTHER_RUN)
    return {name: value for name, value in asdict(settings).items() if name in told}
