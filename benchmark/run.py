"""The benchmark as one call: a release folder and model names in, a leaderboard out."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import torch

from benchmark.data.release import load_release, manifest_sha256
from benchmark.data.side import Side
from benchmark.data.split import SHORTEST, Split, leave_one_out
from benchmark.device import find_device
from benchmark.evaluate import evaluate_and_list
from benchmark.metrics import Ranks, coverage, hit_rate, mean_popularity, standard_error, summarise
from benchmark.models import MODELS
from benchmark.models.protocol import TrainableModel
from benchmark.report import Leaderboard
from benchmark.settings import Settings, load_preset, nearest
from benchmark.train import Fit, fit
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Progress = Callable[[str, Mapping[str, object]], None]

DEFAULT_MODELS = ("popularity", "sasrec")
CUTOFFS = (10, 20)


def run_benchmark(
    release: Path,
    models: Sequence[str] = DEFAULT_MODELS,
    *,
    preset: str = "default",
    seed: int = 0,
    out: Path | None = None,
    device: str | None = None,
    overrides: Mapping[str, object] | None = None,
    progress: Callable[[str, Mapping[str, object]], None] | None = None,
) -> Leaderboard:
    """Train and rank each model once; write `leaderboard.md` and `leaderboard.json` under `out` where it is given.

    `progress` is called with an event and its facts: `model_started` and `model_finished` once a model, `epoch` after
    each epoch. `device` is torch's word (`cpu`, `cuda`, `cuda:1`); without it, a GPU where there is one.
    """
    if not models:
        raise RecipeError("no model is named", hint=f"choose of {', '.join(MODELS)}")
    for model in models:
        if model not in MODELS:
            raise RecipeError(f"the benchmark has no model {model!r}", hint=nearest(model, MODELS))
    settings = {name: load_preset(preset, name, overrides, own=MODELS[name].settings) for name in models}
    place, tell = find_device(device), progress or _silent
    interactions, side = load_release(release), Side(release)
    splits = {
        keep: leave_one_out(interactions, keep=keep, device=place)
        for keep in {one.keep_interactions for one in settings.values()}
    }
    rows, ranks = [], {}
    for name, chosen in settings.items():
        with _seeded(seed, place, chosen.threads):
            split = splits[chosen.keep_interactions]
            row, ranks[name] = run_model(name, split, chosen, side, seed=seed, progress=tell)
        rows.append(row)
    rows.sort(key=lambda row: row["ndcg@10"], reverse=True)
    leaderboard = Leaderboard(
        release=release.resolve().name,
        rows=rows,
        protocol=_protocol(split),
        settings={"preset": preset, "seed": seed},
        manifest_sha256=manifest_sha256(release),
        code_version=_code_version(),
        torch_version=torch.__version__,
        device=str(place),
        ranks=ranks,
    )
    if out is not None:
        leaderboard.write(out)
    return leaderboard


def run_model(
    name: str, split: Split, settings: Settings, side: Side, *, seed: int, progress: Progress
) -> tuple[dict[str, Any], Ranks]:
    """Build one model, train it if it learns, and ask it for the test items once: its row, and every user's rank."""
    progress("model_started", {"model": name, "epochs": settings.epochs})
    began = time.perf_counter()
    model, task = MODELS[name].build(split, settings, side), MODELS[name].task
    fitted, parameters = Fit(0, 0, 0.0), 0
    if isinstance(model, TrainableModel) and task is not None:
        model.to(split.device)
        parameters = sum(weights.numel() for weights in model.parameters())
        fitted = fit(
            model,
            task(model, split, settings),
            split.validation,
            settings,
            seed=seed,
            progress=lambda event, facts: progress(event, {"model": name, **facts}),
        )
    ranks, lists = evaluate_and_list(model, split.test, max(CUTOFFS))
    shown = {f"coverage@{k}": coverage(lists[:, :k], split.item_count) for k in CUTOFFS}
    shown |= {f"popularity@{k}": mean_popularity(lists[:, :k], split.frequency) for k in CUTOFFS}
    row = {
        "model": name,
        **summarise(ranks, CUTOFFS),
        **shown,
        "users": len(split.test.users),
        "items": split.item_count,
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 3),
        "parameters": parameters,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "standard_error_hr@10": standard_error(hit_rate(ranks, 10)),
        "settings": asdict(settings),
    }
    progress("model_finished", row)
    return row, ranks


@contextmanager
def _seeded(seed: int, device: torch.device, threads: int) -> Iterator[None]:
    """Seed torch and set its threads; leave both as they were to whoever called."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads_before)


def _protocol(split: Split) -> dict[str, object]:
    return {
        "split": split.rule,
        "ranking": "full: against all items, each user's whole history masked; ties count by their expectation",
        "users": len(split.test.users),
        "items": split.item_count,
        "users_skipped": split.skipped_user_count,
        "why_skipped": f"fewer than {SHORTEST} interactions",
        "popularity_of_targets": mean_popularity(split.test.target, split.frequency),
    }


def _code_version() -> str:
    try:
        return version("microlens-build")
    except PackageNotFoundError:  # run from a checkout
        return "unreleased"


def _silent(event: str, facts: Mapping[str, object]) -> None:
    pass
