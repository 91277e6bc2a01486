"""The benchmark as one call: a release folder and model names in, a leaderboard out."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import torch

from benchmark.data.release import load_release, manifest_sha256
from benchmark.data.split import SHORTEST, Split, leave_one_out
from benchmark.evaluate import evaluate
from benchmark.metrics import Ranks, hit_rate, standard_error, summarise
from benchmark.models import MODELS
from benchmark.models.sequence import SequenceModel
from benchmark.report import Leaderboard
from benchmark.settings import Settings, load_preset, nearest
from benchmark.train import Fit, fit
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Progress = Callable[[str, Mapping[str, object]], None]

DEFAULT_MODELS = ("popularity", "sasrec")


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
    settings = load_preset(preset, overrides)
    place = _device(device)
    split = leave_one_out(load_release(release), keep=settings.keep_interactions, device=place)
    tell = progress or _silent
    rows, ranks = [], {}
    for name in dict.fromkeys(models):
        with _seeded(seed, place, settings.threads):
            row, ranks[name] = run_model(name, split, settings, seed=seed, progress=tell)
        rows.append(row)
    rows.sort(key=lambda row: row["ndcg@10"], reverse=True)
    leaderboard = Leaderboard(
        release=release.resolve().name,
        rows=rows,
        protocol=_protocol(split, settings),
        settings={"preset": preset, "seed": seed, **asdict(settings)},
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
    name: str, split: Split, settings: Settings, *, seed: int, progress: Progress
) -> tuple[dict[str, Any], Ranks]:
    """Build one model, train it if it learns, and ask it for the test items once: its row, and every user's rank."""
    progress("model_started", {"model": name, "epochs": settings.epochs})
    began = time.perf_counter()
    model = MODELS[name].build(split, settings)
    fitted, parameters = Fit(0, 0, 0.0), 0
    if isinstance(model, SequenceModel):
        parameters = sum(weights.numel() for weights in model.parameters())
        fitted = fit(
            model, split, settings, seed=seed, progress=lambda event, facts: progress(event, {"model": name, **facts})
        )
    ranks = evaluate(model, split.test, split.item_count)
    row = {
        "model": name,
        **summarise(ranks),
        "users": len(split.kept),
        "items": split.item_count,
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 3),
        "parameters": parameters,
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        "standard_error_hr@10": standard_error(hit_rate(ranks, 10)),
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


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA says so with an assertion
        raise RecipeError(
            f"torch {torch.__version__} cannot compute on device {name!r}: {str(error).splitlines()[0]}",
            hint="choose cpu, or leave the device out to take a GPU where there is one",
        ) from error
    return device


def _protocol(split: Split, settings: Settings) -> dict[str, object]:
    return {
        "split": "leave-one-out by time: a user's last item is the test, the last but one validation",
        "ranking": "full: against all items, each user's whole history masked; ties count by their expectation",
        "history": f"the last {settings.keep_interactions} interactions of a user, validation and test included",
        "users": len(split.kept),
        "items": split.item_count,
        "users_skipped": split.skipped_user_count,
        "why_skipped": f"fewer than {SHORTEST} interactions",
    }


def _code_version() -> str:
    try:
        return version("microlens-build")
    except PackageNotFoundError:  # run from a checkout
        return "unreleased"


def _silent(event: str, facts: Mapping[str, object]) -> None:
    pass
