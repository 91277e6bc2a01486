"""What training costs until it ranks as well as RecBole's best: SASRec and GRU4Rec, start-up included.

Both train on the same release's last 13 interactions, leave-one-out, at width 64, and rank all items for every user
after each epoch, the history masked. RecBole has its own settings and trains to its own early stop; its best validation
NDCG@10 is then the mark for ours, with the settings of `tuned`, which stops once it reaches it. CPU seconds count from
the start of each process, those of a spectral start included.

MICROLENS_BENCH_RELEASE names a release (MicroLens-50k imported, say), MICROLENS_BENCH_RECBOLE a Python that has
RecBole, which is no part of this project; without them nothing is measured. RecBole takes about an hour a model;
MICROLENS_BENCH_MODELS names one of them.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmark.data.release import load_release
from benchmark.data.side import Side
from benchmark.data.split import leave_one_out
from benchmark.models import MODELS, settings_of
from benchmark.models.recommender import TrainableModel
from benchmark.train import fit
from benchmarks.measure import cost_of, cost_of_command
from benchmarks.ranking import RELEASE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmark.data.release import Interactions

PEER_VARIABLE, MODELS_VARIABLE = "MICROLENS_BENCH_RECBOLE", "MICROLENS_BENCH_MODELS"
_PEER = Path(__file__).with_name("training_peer.py")
_MODELS = {"sasrec": "SASRec", "gru4rec": "GRU4Rec"}
_GOAL = 10.0


def run(epochs: int) -> Iterator[str]:
    """Train for so many epochs at most."""
    python, release = (os.environ.get(name) for name in (PEER_VARIABLE, RELEASE_VARIABLE))
    if not python or not release:
        yield f"left out: {PEER_VARIABLE} and {RELEASE_VARIABLE} name a Python with RecBole and a release"
        return
    models = os.environ.get(MODELS_VARIABLE, ",".join(_MODELS)).split(",")
    if unknown := set(models) - set(_MODELS):
        yield f"left out: {MODELS_VARIABLE} has {', '.join(sorted(unknown))}; it takes {' and '.join(_MODELS)}"
        return
    threads = torch.get_num_threads()
    interactions = load_release(Path(release))
    yield f"{interactions.name}: {len(interactions.item):,} interactions, width 64, last 13, {threads} threads"
    with tempfile.TemporaryDirectory() as name:
        write_atomic_file(interactions, Path(name) / "release")
        for ours in models:
            arguments = [python, str(_PEER), _MODELS[ours], name, str(epochs), str(threads)]
            curve = cost_of_command(arguments).value
            best = max(curve, key=lambda epoch: epoch["ndcg@10"])
            yield _line("RecBole", ours, best)
            reached = cost_of(_train, release, ours, epochs, best["ndcg@10"]).value
            yield _line("ours", ours, reached)
            if reached["ndcg@10"] < best["ndcg@10"]:
                yield f"  {ours}: RecBole's NDCG@10 was not reached"
            else:
                times = best["cpu_s"] / reached["cpu_s"]
                yield f"  {ours}: {times:.1f} times less CPU than RecBole (goal {_GOAL:.0f})"


def write_atomic_file(interactions: Interactions, folder: Path) -> None:
    """Write every user's last 13 as RecBole reads them, their position for a time."""
    newest = np.zeros(interactions.user.max() + 1, dtype=np.int64)
    np.maximum.at(newest, interactions.user, interactions.position)
    is_kept = interactions.position > newest[interactions.user] - 13
    folder.mkdir()
    with (folder / f"{folder.name}.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        columns = (interactions.user, interactions.item, interactions.position)
        for row in zip(*(column[is_kept].tolist() for column in columns), strict=True):
            file.write("\t".join(map(str, row)) + "\n")


class _ReachedError(Exception):
    """Training may stop."""


def _train(release: str, model: str, epochs: int, mark: float) -> dict[str, float]:
    """Train until validation NDCG@10 is at the mark: the epoch, its NDCG@10, and what was spent by then."""
    began = time.perf_counter()
    settings = settings_of(model, "tuned", {"epochs": epochs, "patience": epochs})
    split = leave_one_out(load_release(Path(release)), keep=settings.keep_interactions)
    torch.manual_seed(0)
    built = MODELS[model].build(split, settings, Side(Path(release)))
    task = MODELS[model].task
    assert isinstance(built, TrainableModel)
    assert task is not None
    best: dict[str, float] = {"ndcg@10": 0.0}

    def tell(event: str, facts: Mapping[str, object]) -> None:
        if event != "epoch":
            return
        ndcg, epoch = float(str(facts["ndcg@10"])), float(str(facts["epoch"]))
        if ndcg > best["ndcg@10"]:
            spent = {"cpu_s": time.process_time(), "wall_s": time.perf_counter() - began}
            best.update({"ndcg@10": ndcg, "epoch": epoch} | spent)
        if ndcg >= mark:
            raise _ReachedError

    with suppress(_ReachedError):
        fit(built, task(built, split, settings), split.validation, settings, seed=0, progress=tell)
    return best


def _line(who: str, model: str, epoch: Mapping[str, float]) -> str:
    return (
        f"  {model} {who:8} NDCG@10 {epoch['ndcg@10']:.4f} after {epoch['epoch']:.0f} epochs, "
        f"{epoch['cpu_s']:,.0f} CPU-s, {epoch['wall_s']:,.0f} s"
    )
