"""Encode what a release's items show and say, once; models read the vectors (benchmark.data.features).

Each distinct file, and each distinct title, is encoded once. A file that cannot be decoded costs its items: they have
rows of zeros, and a word in the map of ids.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import torch

from benchmark.checkpoint import sha256_of_json
from benchmark.data.decoding import Decoders, Unread
from benchmark.data.feature_draft import Draft, Features, check_dtype, one_maker
from benchmark.data.features import (
    Item,
    features_folder,
    finished_features,
    items_sha256,
    load_feature_ids,
    read_items,
)
from benchmark.device import cpu_threads, find_device, tf32
from benchmark.encoders import ENCODERS, PREPROCESSINGS, Encoder, Entry
from benchmark.memory import tells_lack_of_memory
from benchmark.progress import silent
from microlens import __version__
from microlens.errors import NotReadyError, RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from microlens.manifest import Manifest

    Heard = Callable[[Mapping[str, object]], None]

NO_INPUT = {"video": "no_video_file", "cover": "no_cover_file", "title": "no_title"}
"""Why an item has no feature though nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Input:
    """One file or title, and the rows of the items that have it."""

    what: Path | str
    rows: list[int]


def extract_features(
    release: Path,
    encoder: str,
    *,
    name: str | None = None,
    weights: str | None = None,
    preprocessing: str = "encoder",
    dtype: str = "float32",
    batch: int | None = None,
    device: str | None = None,
    processes: int = 2,
    threads: int | None = None,
    progress: Heard = silent,
) -> Features:
    """Encode a release's items into `<release>/features/<name>/`, or go on where a process before this one stopped.

    `name` is the encoder's if it is None, `weights` a folder or a name on the hub, `batch` the inputs encoded at once,
    `processes` decode files ahead of the encoder, `threads` are torch's. The same command gives the same bytes; another
    batch, device or number of threads moves a number by what rounding does, about 1e-6.
    """
    entry = _entry(encoder)
    if preprocessing not in PREPROCESSINGS:
        raise RecipeError(f"preprocessing {preprocessing!r} is not known", hint=nearest(preprocessing, PREPROCESSINGS))
    check_dtype(dtype)
    folder = features_folder(release, name or encoder)
    items = read_items(release)
    inputs, lacking = _inputs(release, items, entry.source)
    if not inputs:
        raise _nothing_for(
            f"no item of {release} has a {entry.source}, which {encoder} takes", possible_encoders(release)
        )
    place = find_device(device)
    with tells_lack_of_memory(f"loading the weights of {encoder}", "choose --device cpu, or smaller --weights"):
        model, found = entry.load(weights, place, preprocessing=preprocessing)
    identity = {
        "encoder": encoder,
        "weights_sha256": found.sha256,
        "preprocessing": preprocessing,
        "done_to_inputs": json.loads(orjson.dumps(model.facts)),
        "dtype": dtype,
        "items_sha256": items_sha256(release),
        "code_version": __version__,
    }
    sha256 = sha256_of_json(identity)
    with one_maker(folder) as partial:
        known = finished_features(release, folder.name)
        if known is not None and known.recipe_sha256 == sha256:
            return _finished(release, folder, known, is_new=False)
        began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        draft = Draft(partial, identity, (len(items), model.width), dtype)
        with cpu_threads(threads), torch.inference_mode(), tf32(place, is_on=False):
            _encode(model, inputs, draft, batch or entry.batch, processes=processes, progress=progress)
        for number, reason in draft.broken.items():
            lacking |= dict.fromkeys(inputs[int(number)].rows, reason)
        manifest = draft.publish(
            folder,
            [(item.item_id, lacking.get(row)) for row, item in enumerate(items)],
            run_id=release.resolve().name,
            code_version=__version__,
            recipe_sha256=sha256,
            inputs={"items": identity["items_sha256"], "weights": found.sha256},
            counters={
                **identity,
                "weights": found.name,
                "shape": [len(items), model.width],
                "items": len(items),
                "items_with_feature": len(items) - len(lacking),
                "distinct_inputs": len(inputs),
                "broken_inputs": len(draft.broken),
                "batch": batch or entry.batch,
                "device": str(place),
                "torch_version": torch.__version__,
                "seconds": round(time.monotonic() - began, 1),
            },
            started_at=started,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    return _finished(release, folder, manifest, is_new=True)


def possible_encoders(release: Path) -> list[str]:
    """Name the encoders that find something in this release; of the two for titles the one made for texts alone."""
    items = read_items(release)
    return [
        name for name, entry in ENCODERS.items() if name != "clip-text" and _inputs(release, items, entry.source)[0]
    ]


def usual_encoders(release: Path) -> list[str]:
    """Name the encoders that are meant where none is; NotReadyError for a release with nothing to encode."""
    able = possible_encoders(release)
    if not able:
        raise _nothing_for(f"no item of {release} has a title, a cover or a video", able)
    return able


def _nothing_for(lacking: str, able: Sequence[str]) -> NotReadyError:
    other = f"choose another --encoder: {', '.join(able)}"
    return NotReadyError(lacking, hint=other if able else "get a release with titles, covers or videos")


def _entry(encoder: str) -> Entry:
    if encoder not in ENCODERS:
        raise RecipeError(f"there is no encoder {encoder!r}", hint=nearest(encoder, ENCODERS))
    return ENCODERS[encoder]


def _inputs(release: Path, items: Sequence[Item], source: str) -> tuple[list[Input], dict[int, str]]:
    """Gather the distinct inputs, and the rows of items that have none, with the reason.

    Files are in the order of their items. Titles are in the order of their length, so that those of a batch need
    little padding; the longest first, so that a batch that is too large fails at once.
    """
    inputs: dict[str, Input] = {}
    lacking: dict[int, str] = {}
    for row, item in enumerate(items):
        what: Path | str
        if source == "title":
            key, what = item.title.strip(), item.title.strip()
        else:
            path, sha256 = (item.video, item.video_sha256) if source == "video" else (item.cover, item.cover_sha256)
            key, what = sha256 or path or "", release / path if path else ""
        if what == "":
            lacking[row] = NO_INPUT[source]
        else:
            inputs.setdefault(key, Input(what, [])).rows.append(row)
    found = list(inputs.values())
    return (sorted(found, key=lambda each: -len(str(each.what))) if source == "title" else found), lacking


def _encode(
    model: Encoder, inputs: Sequence[Input], draft: Draft, batch: int, *, processes: int, progress: Heard
) -> None:
    """Fill the draft from where it stands, a batch at a time."""
    with ExitStack() as stack:
        left: Iterator[Any] = (each.what for each in inputs[draft.done :])
        if model.read is not None:
            decoders = stack.enter_context(Decoders(min(processes, len(inputs)), model.read))
            left = decoders.map(left, ahead=2 * batch)
        for start in range(draft.done, len(inputs), batch):
            answers = dict(enumerate(islice(left, batch), start))
            bad = {str(number): answer.reason for number, answer in answers.items() if isinstance(answer, Unread)}
            good = [number for number in answers if str(number) not in bad]
            if good:
                vectors = _vectors(model, [answers[number] for number in good], batch, draft.rows.dtype)
                for number, vector in zip(good, vectors, strict=True):
                    draft.rows[inputs[number].rows] = vector
            draft.broken |= bad
            draft.save(start + len(answers))
            progress({"done": draft.done, "left": len(inputs) - draft.done, "broken": len(draft.broken)})


def _vectors(model: Encoder, inputs: Sequence[Any], batch: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Encode one batch, to numbers that can be kept: (B, F)."""
    less = f"lower --batch, to {max(1, batch // 2)} for example; what is done stays"
    with tells_lack_of_memory(f"encoding a batch of {batch}", less):
        vectors = model.encode(inputs).float().cpu().numpy().astype(dtype)
    if not np.isfinite(vectors).all():
        raise RecipeError(
            f"the weights give numbers that are not finite, or too large for {dtype}",
            hint="choose --dtype float32, or other weights",
        )
    return vectors


def _finished(release: Path, folder: Path, manifest: Manifest, *, is_new: bool) -> Features:
    rows = load_feature_ids(release, folder.name).to_pylist()
    usual = set(NO_INPUT.values())
    broken = [
        {"item_id": row["item_id"], "reason": row["reason"]}
        for row in rows
        if not row["has_feature"] and row["reason"] not in usual
    ]
    return Features(folder.name, folder, manifest.counters, broken, is_new)
