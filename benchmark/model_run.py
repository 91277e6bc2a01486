"""One model with one seed: built, trained if it learns, and asked for the test items once."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from benchmark.checkpoint import sha256_of_json
from benchmark.device import cpu_threads
from benchmark.evaluate import evaluate_and_list
from benchmark.memory import forget_peak, names_what_to_lower, peak_bytes, tells_lack_of_memory
from benchmark.metrics import Ranks, coverage, hit_rate, mean_popularity, standard_error, summarise
from benchmark.models import MODELS, settings_read
from benchmark.models.recommender import Recommender, TrainableModel
from benchmark.parallel import rank
from benchmark.results import fit_facts
from benchmark.train import Fit, as_written, fit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmark.checkpoint import Checkpoint
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.progress import Progress
    from benchmark.settings import Settings

CUTOFFS = (10, 20)


def run_model(
    name: str,
    split: Split,
    settings: Settings,
    side: Side,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> tuple[dict[str, Any], Ranks]:
    """Build one model, train it if it learns, and ask it for the test items once: its result, and every user's rank.

    A checkpoint that is finished has both already.
    """
    with tells_lack_of_memory("reading what is finished"):
        known = None if checkpoint is None else _finished(checkpoint, split.device)
    if known is not None:
        progress("model_known", known[0])
        return known
    other = checkpoint.nearest_other() if checkpoint is not None and not checkpoint.path.exists() else None
    if other is not None and MODELS[name].task is not None:
        progress("other_checkpoint", {"model": name, "seed": seed, "file": other[0], "differs": other[1]})
    progress("model_started", {"model": name, "seed": seed, "epochs": settings.epochs})
    began = time.perf_counter()
    forget_peak(split.device)
    entry = MODELS[name]
    with names_what_to_lower("training", settings, entry.sizes_of_training):
        model = entry.build(split, settings, side)
        fitted, parameters = train(name, model, split, settings, seed=seed, progress=progress, checkpoint=checkpoint)
    with names_what_to_lower("ranking", settings, entry.sizes_of_ranking), as_written(settings):
        ranks, lists = evaluate_and_list(
            model,
            split.test,
            max(CUTOFFS),
            chunk_scores=settings.chunk_scores,
            tell=lambda done, of: progress(
                "step", {"model": name, "seed": seed, "doing": "test", "done": done, "of": of}
            ),
        )
    shown = {f"coverage@{k}": coverage(lists[:, :k], split.item_count) for k in CUTOFFS}
    shown |= {f"popularity@{k}": mean_popularity(lists[:, :k], split.frequency) for k in CUTOFFS}
    result = {
        "model": name,
        **summarise(ranks, CUTOFFS),
        **shown,
        "users": len(split.test.users),
        "items": split.item_count,
        "seed": seed,
        "seconds": round(time.perf_counter() - began + fitted.seconds_before, 3),
        **peak_bytes(split.device),
        "parameters": parameters,
        **fit_facts(fitted),
        "standard_error_hr@10": standard_error(hit_rate(ranks, 10)),
        "settings": settings_read(name, settings),
        "config_sha256": sha256_of_json({"model": name, **settings_read(name, settings)}),
    }
    if checkpoint is not None and side.release is not None:
        kept = {"result": result, "above": ranks.above, "tied": ranks.tied, "chunk_scores": settings.chunk_scores}
        _save_finished(checkpoint, model, kept, side.release)
    progress("model_finished", result)
    return result, ranks


def train(
    name: str,
    model: Recommender,
    split: Split,
    settings: Settings,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint | None,
    until: int | None = None,
) -> tuple[Fit, int]:
    """Train what learns, up to epoch `until` if it is given; gives how it went, and how many numbers were learned."""
    task = MODELS[name].task
    if not isinstance(model, TrainableModel) or task is None:
        return Fit(0, 0, 0.0), 0
    model.to(split.device)
    fitted = fit(
        model,
        task(model, split, settings),
        split.validation,
        settings,
        seed=seed,
        progress=lambda event, facts: progress(event, {"model": name, "seed": seed, **facts}),
        checkpoint=checkpoint,
        until=until,
    )
    return fitted, sum(weights.numel() for weights in model.parameters())


def _finished(checkpoint: Checkpoint, device: torch.device) -> tuple[dict[str, Any], Ranks] | None:
    state = checkpoint.load(device)
    if state is None or "result" not in state:
        return None
    return state["result"], Ranks(state["above"], state["tied"])


def _save_finished(checkpoint: Checkpoint, model: Recommender, kept: dict[str, Any], release: Path) -> None:
    """Keep what was found, and what a recommendation needs: weights, and where the release lies from here."""
    if rank() > 0:
        return
    weights = model.state_dict() if isinstance(model, TrainableModel) else {}
    where = os.path.relpath(release.resolve(), checkpoint.path.parent.resolve())
    checkpoint.save({**kept, "model": weights, "release": where})


@contextmanager
def seeded(seed: int, device: torch.device, threads: int) -> Iterator[None]:
    """Seed torch and set its threads; leave both as they were to whoever called."""
    with cpu_threads(threads), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
