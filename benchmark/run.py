"""The benchmark as one call: a release folder and model names in, a leaderboard out."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from benchmark.checkpoint import Checkpoint, sha256_of_json
from benchmark.data.release import load_release, manifest_sha256
from benchmark.data.side import Side
from benchmark.device import cpu_threads, find_device
from benchmark.evaluate import evaluate_and_list
from benchmark.memory import forget_peak, names_what_to_lower, peak_bytes
from benchmark.metrics import Ranks, coverage, hit_rate, mean_popularity, standard_error, summarise
from benchmark.models import MODELS
from benchmark.models.protocol import Recommender, TrainableModel
from benchmark.parallel import process_group, rank
from benchmark.progress import silent
from benchmark.protocol import Protocol
from benchmark.provenance import code_sha256, code_version, made_of
from benchmark.report import Leaderboard
from benchmark.results import fit_facts, row_of, write_ranks
from benchmark.settings import Settings, configurations_tried, load_preset, nearest, preset_facts
from benchmark.train import Fit, as_written, fit
from microlens.errors import MicrolensError, RecipeError
from microlens.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmark.data.release import Interactions
    from benchmark.data.split import Split
    from benchmark.progress import Progress

DEFAULT_MODELS = ("popularity", "sasrec")
CUTOFFS = (10, 20)


def run_benchmark(
    release: Path,
    models: Sequence[str] = DEFAULT_MODELS,
    *,
    preset: str = "default",
    seeds: Sequence[int] = (0,),
    protocol: Protocol | None = None,
    out: Path | None = None,
    device: str | None = None,
    overrides: Mapping[str, object] | None = None,
    progress: Progress = silent,
) -> Leaderboard:
    """Train and rank each model once a seed; a model that draws nothing has one result.

    `protocol` says how they are asked: leave-one-out over all items, unless told otherwise.

    Where `out` is given, `leaderboard.md` and `leaderboard.json` are written there, in `ranks/` every user's rank, and
    in `models/` checkpoints: what was killed goes on, and what is finished is taken from there. Under torchrun every
    process calls this, and the first one writes.

    `progress` is called with an event and its facts: `model_started` and `model_finished` once a model and seed, or
    `model_known` if it was finished before; `epoch` after each epoch; `step`, about once a second, for where a
    long training, validation or test is; `other_checkpoint`, where training begins at its start, for the most similar
    file of the same model and seed. `device` is torch's word (`cpu`, `cuda`,
    `cuda:1`); without it, a GPU where there is one.
    """
    check_names(models, seeds)
    asked = protocol or Protocol()
    settings = {name: load_preset(preset, name, overrides, own=MODELS[name].settings) for name in models}
    with process_group(find_device(device)) as place, _alone_in(out):
        tell = progress if rank() == 0 else silent
        interactions, side = asked.select(load_release(release), Side(release))
        splits = {
            keep: asked.divide(interactions, keep=keep, device=place)
            for keep in {one.keep_interactions for one in settings.values()}
        }
        rows: list[dict[str, Any]] = []
        ranks: dict[str, Ranks] = {}
        for name, chosen in settings.items():
            split, results = splits[chosen.keep_interactions], []
            for seed in seeds if MODELS[name].task is not None else seeds[:1]:
                inputs = made_of(name, seed, chosen, release, place) | {"protocol": asked.facts()}
                checkpoint = None if out is None else Checkpoint(out / "models", inputs)
                with seeded(seed, place, chosen.threads):
                    result, found = run_model(
                        name, split, chosen, side, seed=seed, progress=tell, checkpoint=checkpoint
                    )
                if checkpoint is not None and out is not None:
                    result |= _write_ranks(out, f"ranks/{name}-{seed}.npz", split, found)
                    result["checkpoint"] = f"models/{checkpoint.path.name}"
                results.append(result | {name: inputs[name] for name in ("data_sha256", "features_sha256")})
                ranks.setdefault(name, found)
            rows.append(row_of(results) | {"configurations_tried": configurations_tried(preset, name)})
        rows.sort(key=lambda row: row["ndcg@10"], reverse=True)
        leaderboard = Leaderboard(
            release=release.resolve().name,
            rows=rows,
            protocol=_told(asked, interactions, split),
            settings={**preset_facts(preset), "seeds": list(seeds)},
            manifest_sha256=manifest_sha256(release),
            code_version=code_version(),
            code_sha256=code_sha256(),
            torch_version=torch.__version__,
            device=str(place),
            ranks=ranks,
        )
        if out is not None and rank() == 0:
            leaderboard.write(out)
    return leaderboard


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
    with names_what_to_lower("training", settings):
        model = MODELS[name].build(split, settings, side)
        fitted, parameters = train(name, model, split, settings, seed=seed, progress=progress, checkpoint=checkpoint)
    with names_what_to_lower("ranking", settings), as_written(settings):
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
        "settings": asdict(settings),
        "config_sha256": sha256_of_json({"model": name, **asdict(settings)}),
    }
    if checkpoint is not None and side.release is not None:
        _save_finished(checkpoint, model, result, ranks, side.release)
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


def _save_finished(
    checkpoint: Checkpoint, model: Recommender, result: dict[str, Any], ranks: Ranks, release: Path
) -> None:
    """Keep what was found, and what a recommendation needs: weights, and where the release lies from here."""
    if rank() > 0:
        return
    weights = model.state_dict() if isinstance(model, TrainableModel) else {}
    where = os.path.relpath(release.resolve(), checkpoint.path.parent.resolve())
    found = {"result": result, "above": ranks.above, "tied": ranks.tied}
    checkpoint.save({**found, "model": weights, "release": where})


def _write_ranks(out: Path, name: str, split: Split, ranks: Ranks) -> dict[str, str]:
    if rank() == 0:
        write_ranks(
            out / name, split.user_ids[split.test.users.cpu().numpy()], ranks, split.target_counts.cpu().numpy()
        )
    return {"ranks": name}


def check_names(models: Sequence[str], seeds: Sequence[int]) -> None:
    """RecipeError for an unknown model, with the nearest, and for seeds that are none."""
    if not models:
        raise RecipeError("no model is named", hint=f"choose of {', '.join(MODELS)}")
    for model in models:
        if model not in MODELS:
            raise RecipeError(f"the benchmark has no model {model!r}", hint=nearest(model, MODELS))
    if not seeds or len(set(seeds)) < len(seeds):
        raise RecipeError(f"the seeds are {list(seeds)}", hint="name one or more, each once, as --seeds 0,1,2")


@contextmanager
def _alone_in(out: Path | None) -> Iterator[None]:
    """Keep other processes' benchmarks out of the same results for the length of the block."""
    if out is None or rank() > 0:
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with exclusive(
        out / ".lock",
        taken=MicrolensError(
            f"another benchmark writes to {out}", hint="wait for it, or choose another folder with --out"
        ),
    ):
        yield


@contextmanager
def seeded(seed: int, device: torch.device, threads: int) -> Iterator[None]:
    """Seed torch and set its threads; leave both as they were to whoever called."""
    with cpu_threads(threads), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _told(protocol: Protocol, interactions: Interactions, split: Split) -> dict[str, object]:
    return {
        "asked": protocol.name,
        "split": split.rule,
        **{name: value for name, value in protocol.facts().items() if value and name != "split"},
        "ranking": "full: against all items, each user's whole history masked; ties count by their expectation",
        "users": len(split.test.users),
        "items": split.item_count,
        "users_skipped": split.skipped_user_count,
        "why_skipped": split.why_skipped,
        **interactions.left_out,
        **split.left_out,
        "popularity_of_targets": mean_popularity(split.test.target, split.frequency),
    }
