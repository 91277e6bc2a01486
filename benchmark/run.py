"""The benchmark as one call: a release folder and model names in, a leaderboard out."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from benchmark.checkpoint import Checkpoint
from benchmark.data.features import encoder_of
from benchmark.data.release import load_release, manifest_sha256
from benchmark.data.side import Side
from benchmark.device import find_device
from benchmark.leaderboard import Leaderboard
from benchmark.memory import tells_lack_of_memory
from benchmark.metrics import Ranks, mean_popularity
from benchmark.model_run import run_model, seeded
from benchmark.models import MODELS, settings_of
from benchmark.parallel import process_group, rank, world
from benchmark.presets import configurations_tried, preset_facts
from benchmark.progress import silent
from benchmark.protocol import Protocol
from benchmark.provenance import code_sha256, code_version, made_of, read_by
from benchmark.results import row_of, write_ranks
from benchmark.settings import Settings
from microlens.errors import MicrolensError, NotReadyError, RecipeError
from microlens.locks import exclusive
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmark.data.release import Interactions
    from benchmark.data.split import Split
    from benchmark.progress import Progress

DEFAULT_MODELS = ("popularity", "sasrec")


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
    leave_out: Callable[[str, MicrolensError], None] | None = None,
    fewest: int = 0,
    progress: Progress = silent,
) -> Leaderboard:
    """Train and rank each model once a seed; a model that draws nothing has one result.

    `protocol` says how they are asked: leave-one-out over all items, unless told otherwise.

    Where `out` is given, `leaderboard.md` and `leaderboard.json` are written there, in `ranks/` every user's rank, and
    in `models/` checkpoints: what was killed goes on, and what is finished is taken from there. Rows of other models
    that stand there and are of the very same (release, protocol, preset, seeds, changes, code) stay on the leaderboard.
    Under torchrun every process calls this, and the first one writes.

    A model that cannot be run on this release (its features are not made, say) ends it all with a NotReadyError,
    and unknown names or settings that cannot be with a RecipeError, before any is trained. One that fails later
    (with a DivergedError, a NoMemoryError, or a CorruptDataError for its checkpoint) costs no other its row, where
    these are kept in `out`: their leaderboard is written, and then the first such error raised. Where `leave_out`
    is given, it is called with a model and its error, and nothing is raised if `fewest` rows are left: else a
    NotReadyError says so. Several processes end at once with the first error. MicrolensError where another
    benchmark writes to `out`.

    `progress` is called with an event and its facts: `model_started` and `model_finished` once a model and seed, or
    `model_known` if it was finished before, or `model_failed`; `epoch` after each epoch; `step`, about once a second,
    for where a long training, validation or test is; `other_checkpoint`, where training begins at its start, for the
    most similar file of the same model and seed. `device` is torch's word (`cpu`, `cuda`, `cuda:1`); without it, a GPU
    where there is one.
    """
    check_names(models, seeds)
    asked = protocol or Protocol()
    settings = {name: settings_of(name, preset, overrides) for name in models}
    with process_group(find_device(device)) as place:
        tell = progress if rank() == 0 else silent
        with tells_lack_of_memory("reading and splitting the release"):
            interactions, side = asked.select(load_release(release), Side(release))
            splits = {
                keep: asked.divide(interactions, keep=keep, device=place)
                for keep in {one.keep_interactions for one in settings.values()}
            }
            ready = _ready(settings, side, leave_out)
        _require_rows(len(ready), fewest, release)
        plans = {
            name: [
                made_of(name, seed, chosen, release, place) | {"protocol": asked.facts()}
                for seed in (seeds if MODELS[name].task is not None else seeds[:1])
            ]
            for name, chosen in ready.items()
        }
        # Else nothing would be kept of the others; and where there are several processes, they wait for each other.
        is_lenient = (out is not None or leave_out is not None) and world() == 1
        with _alone_in(out):
            rows, ranks, failed = _rank_each(ready, splits, side, plans, out=out, is_lenient=is_lenient, tell=tell)
            for row in rows:
                row["configurations_tried"] = configurations_tried(preset, row["model"])
            rows.sort(key=lambda row: row["ndcg@10"], reverse=True)
            leaderboard = Leaderboard(
                release=release.resolve().name,
                rows=rows,
                protocol=_told(asked, interactions, next(iter(splits.values()))),
                settings={**preset_facts(preset), "seeds": list(seeds), "changes": dict(overrides or {})},
                manifest_sha256=manifest_sha256(release),
                code_version=code_version(),
                code_sha256=code_sha256(),
                torch_version=torch.__version__,
                device=str(place),
                failed={name: error.message for name, error in failed.items()},
                ranks=ranks,
            )
            if rows and out is not None and rank() == 0:
                leaderboard = leaderboard.with_rows_of(out, partial(_is_of, release))
                leaderboard.write(out)
    _tell_failed(failed, leave_out, out if rows else None)
    _require_rows(len(rows), fewest, release)
    return leaderboard


def _is_of(release: Path, row: Mapping[str, Any]) -> bool:
    """Whether a row was made of what the release still holds: its tables, and the features that the model reads."""
    read = read_by(row["model"], Settings(**row["settings"]), release)
    return read.items() <= row.items()


def _require_rows(count: int, fewest: int, release: Path) -> None:
    if count < fewest:
        raise NotReadyError(f"{count} of the models can be run on {release}", hint=f"it takes {fewest}")


def _without_frames(error: MicrolensError) -> MicrolensError:
    """What went wrong without where: the frames of a failed training hold its model and all that it computed with."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _tell_failed(
    failed: Mapping[str, MicrolensError], leave_out: Callable[[str, MicrolensError], None] | None, out: Path | None
) -> None:
    """Say it to who wants to hear; else raise the first error, which says where the others' rows stand."""
    for name, error in failed.items():
        if leave_out is None:
            also = [f"{' and '.join(list(failed)[1:])} failed as well"] if len(failed) > 1 else []
            also += [f"the rows of the others stand in {out / 'leaderboard.md'}"] if out is not None else []
            error.hint = "\n".join([error.hint, *also])
            raise error
        leave_out(name, error)


def _ready(
    settings: Mapping[str, Settings], side: Side, leave_out: Callable[[str, MicrolensError], None] | None
) -> dict[str, Settings]:
    """Those models for which the release has everything; looked at before hours go into the others."""
    ready = {}
    for name, chosen in settings.items():
        try:
            MODELS[name].read(side, chosen)
        except NotReadyError as error:
            if leave_out is None:
                raise
            leave_out(name, error)
        else:
            ready[name] = chosen
    return ready


def _rank_each(
    ready: Mapping[str, Settings],
    splits: Mapping[int, Split],
    side: Side,
    plans: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    out: Path | None,
    is_lenient: bool,
    tell: Progress,
) -> tuple[list[dict[str, Any]], dict[str, Ranks], dict[str, MicrolensError]]:
    """Rows, ranks of the first seed by model, and what went wrong with those that have none.

    `splits` are by how many interactions they keep, `plans` say by model what each of its results follows from.
    """
    rows, ranks = list[dict[str, Any]](), dict[str, Ranks]()
    failed = dict[str, MicrolensError]()
    for name, chosen in ready.items():
        split, found = splits[chosen.keep_interactions], list[tuple[dict[str, Any], Ranks]]()
        try:
            for inputs in plans[name]:
                found.append(_run_seed(split, chosen, side, inputs, out=out, tell=tell))
        except MicrolensError as error:
            if not is_lenient:
                raise
            seed = plans[name][len(found)]["seed"]
            tell("model_failed", {"model": name, "seed": seed, "why": error.message})
            error.message = f"{name}, seed {seed}: {error.message}"
            failed[name] = _without_frames(error)
        else:
            rows.append(row_of([result for result, _ in found]))
            ranks[name] = found[0][1]
    return rows, ranks, failed


def _run_seed(
    split: Split,
    settings: Settings,
    side: Side,
    inputs: Mapping[str, Any],
    *,
    out: Path | None,
    tell: Progress,
) -> tuple[dict[str, Any], Ranks]:
    """One result and its ranks; where there is a folder, its checkpoint and the ranks of all users lie there."""
    name, seed = inputs["model"], inputs["seed"]
    checkpoint = None if out is None else Checkpoint(out / "models", inputs)
    with seeded(seed, split.device, settings.threads):
        result, ranks = run_model(name, split, settings, side, seed=seed, progress=tell, checkpoint=checkpoint)
    if checkpoint is not None and out is not None:
        result |= _write_ranks(out, f"ranks/{checkpoint.path.stem}.npz", split, ranks)
        result["checkpoint"] = f"models/{checkpoint.path.name}"
    result |= {name: inputs[name] for name in ("data_sha256", "features_sha256")}
    if MODELS[name].reads_features and side.release is not None:
        result["encoder"] = encoder_of(side.release, settings.features)
    return result, ranks


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
