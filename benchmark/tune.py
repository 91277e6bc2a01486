"""Search settings: a release and model names in, a preset and a table of all that was tried out.

Configurations are compared on validation. The test is not asked: its questions are taken away before a worker starts.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.checkpoint import DIGITS
from benchmark.data.release import load_release, manifest_sha256
from benchmark.data.side import Side
from benchmark.device import find_device
from benchmark.memory import tells_lack_of_memory
from benchmark.models import MODELS
from benchmark.parallel import is_started_by_torchrun
from benchmark.presets import is_file_name, preset_facts
from benchmark.progress import silent
from benchmark.protocol import Protocol
from benchmark.provenance import made_of
from benchmark.run import check_names
from benchmark.tuning.grid import configurations
from benchmark.tuning.processes import Processes, devices_of, usual_count
from benchmark.tuning.questions import write_questions
from benchmark.tuning.race import Race, run_races
from benchmark.tuning.result import PRESET, TABLE, Found, Tuning
from benchmark.tuning.worker import Leg
from microlens.errors import MicrolensError, RecipeError
from microlens.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from benchmark.progress import Progress
    from benchmark.settings import Settings
    from benchmark.tuning.grid import Grid

CONFIGURATIONS = 30
FIRST_EPOCHS = 3


def tune(
    release: Path,
    models: Sequence[str],
    out: Path,
    *,
    preset: str = "default",
    overrides: Mapping[str, object] | None = None,
    grid: Grid | None = None,
    count: int = CONFIGURATIONS,
    first_epochs: int = FIRST_EPOCHS,
    seed: int = 0,
    processes: int | None = None,
    protocol: Protocol | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Tuning:
    """Try `count` points of a grid (the paper's, unless one is given) for each model; choose by validation NDCG@10.

    After `first_epochs` epochs, and three times as many again and again, the best third goes on
    (`benchmark.tuning.halving`); as many as the setting `epochs` compares nothing before its end.

    In `out` lie a record of every configuration, checkpoints of those that are at work, and in the end `tuned.yaml`,
    `configurations.md` and `.json`. Whatever is killed, the same call goes on with the epoch that it was in, and comes
    to the same; so it does with another number of `processes`. A configuration that diverges, has no memory or fails
    is recorded and costs itself alone. MicrolensError, after all else is written, for a model that has no other;
    NotReadyError, before anything is trained, for one whose features or tags the release has not.

    `progress` is called with an event and its facts: `known` (configurations that were settled before) and `rung` (who
    goes on) once a model and rung, `epoch` after each epoch, `configuration` when one has come as far as it should.
    """
    check_names(models, [seed])
    _check_place(preset, out)
    asked, place = protocol or Protocol(), find_device(device)
    drawn = {
        name: configurations(name, preset=preset, overrides=overrides or {}, grid=grid, count=count, seed=seed)
        for name in dict.fromkeys(models)
    }
    every = [one for settings in drawn.values() for one in settings]
    out.mkdir(parents=True, exist_ok=True)
    taken = MicrolensError(f"another search works in {out}", hint="wait for it, or choose another folder with --out")
    with exclusive(out / ".lock", taken):
        _remove_unfinished(out)
        with tells_lack_of_memory("reading and splitting the release"):
            legs = _prepare(release, drawn, asked, out, seed=seed, place=place)
        races = [Race(model, own, first_epochs) for model, own in legs.items()]
        count_at_once = processes or usual_count(place, max(one.threads for one in every))
        with Processes(count_at_once, devices_of(place)) as at_work:
            run_races(races, at_work, progress)
        for path in {leg.questions for own in legs.values() for leg in own}:
            path.unlink()
        tuning = Tuning(
            release=release.resolve().name,
            found=[Found(one.model, one.settings, one.records, one.standing) for one in races],
            facts={
                **preset_facts(preset),
                "models": list(drawn),
                "seed": seed,
                "first_epochs": first_epochs,
                "protocol": asked.facts(),
                "manifest_sha256": manifest_sha256(release),
                **_code_and_data(next(iter(legs.values()))[0]),
            },
            preset=preset,
        )
        tuning.write(out)
    _check_all_chosen(tuning, out)
    return tuning


def _remove_unfinished(out: Path) -> None:
    """What writers of this folder left who were killed, by the names that they write under: the rest is not ours.

    No benchmark is at work on its own in `models/`: it would hold the lock.
    """
    digest = "[0-9a-f]" * DIGITS
    own = (
        f"models/*-[0-9]*-{digest}.tmp",
        f"configurations/.*-[0-9]*-{digest}.json.[0-9]*.tmp",
        "questions-[0-9]*.tmp",
    )
    for left in (path for names in own for path in out.glob(names)):
        if left.is_file():
            left.unlink()


def _check_place(preset: str, out: Path) -> None:
    if is_started_by_torchrun():
        raise RecipeError("tune starts its own processes", hint="run it without torchrun, with --processes")
    if is_file_name(preset) and Path(preset).resolve() == (out / PRESET).resolve():
        raise RecipeError(
            f"the preset {preset} would be written over by what is found from it", hint="choose another --out"
        )


def _prepare(
    release: Path,
    drawn: Mapping[str, Sequence[Settings]],
    asked: Protocol,
    out: Path,
    *,
    seed: int,
    place: torch.device,
) -> dict[str, list[Leg]]:
    """Split for every length that is kept, write all but the test, and say what each configuration follows from."""
    interactions, side = asked.select(load_release(release), Side(release))
    _check_ready(release, drawn)
    files: dict[int, Path] = {}
    legs: dict[str, list[Leg]] = {}
    for model, settings in drawn.items():
        legs[model] = []
        for one in settings:
            keep = one.keep_interactions
            if keep not in files:
                files[keep] = out / f"questions-{keep}.pt"
                write_questions(asked.divide(interactions, keep=keep), files[keep])
            # Its file is none of a benchmark's, even in the same folder: those are kept.
            made = made_of(model, seed, one, release, place) | {"protocol": asked.facts(), "test": "not asked"}
            legs[model].append(Leg(model, one, seed, 0, files[keep], side, out, made))
    return legs


def _check_ready(release: Path, drawn: Mapping[str, Sequence[Settings]]) -> None:
    """NotReadyError for features or tags that the release has not, before hours go into the other models.

    What is read is dropped again: a worker reads it for itself, rather than being sent it. A configuration that does
    not go with what is there (it is wider than the features, say) costs itself alone: a worker records it.
    """
    side = Side(release)
    for model, settings in drawn.items():
        for one in settings:
            with suppress(RecipeError):
                MODELS[model].read(side, one)


def _code_and_data(leg: Leg) -> dict[str, Any]:
    return {name: leg.made_of[name] for name in ("data_sha256", "code_sha256", "code_version", "device")}


def _check_all_chosen(tuning: Tuning, out: Path) -> None:
    for one in tuning.found:
        if one.chosen is None:
            first = one.rows()[0]
            raise MicrolensError(
                f"no configuration of {one.model} came to a result; the first: {first['state']}: {first['message']}",
                hint=f"see {out / TABLE}; take other values with --try and --set, and run the command again",
            )
