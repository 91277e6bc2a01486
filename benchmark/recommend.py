"""Top-K lists out of a finished checkpoint, in the release's own ids: what users have not met, best first.

A user's history is all that the release holds of them, the benchmark's validation and test items included.

B users of a chunk, T steps, K places of a list, V items with padding.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import torch

from benchmark.checkpoint import read_checkpoint
from benchmark.data.release import load_release
from benchmark.data.side import Side
from benchmark.data.split import whole_histories
from benchmark.device import find_device, tf32
from benchmark.memory import tells_lack_of_memory
from benchmark.models import MODELS
from benchmark.models.recommender import TrainableModel
from benchmark.protocol import Protocol
from benchmark.provenance import read_by
from benchmark.settings import Settings
from microlens.errors import NotReadyError, RecipeError
from microlens.spelling import nearest
from microlens.whole_files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmark.data.lists import Lists
    from benchmark.models.recommender import Recommender

SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.int64(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("item_id", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)
LESS_MEMORY = (
    "choose --device cpu where a GPU is too small, or a checkpoint that was made with lower `width` or `chunk_scores`"
)
SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class Trained:
    """A model of a checkpoint, and whom and what it knows: U users, V items with padding."""

    model: Recommender
    user_ids: NDArray[np.int64]
    """(U,) as the release has them, ascending."""
    why_unknown: str
    """What the other users of the release lack."""
    item_ids: NDArray[np.int64]
    """(V,) as the release has them; 0 for padding."""
    history: torch.Tensor
    """(U, T) each user's last items."""
    met: Lists
    """All that each user met."""
    settings: Settings


def recommend(
    checkpoint: Path,
    *,
    users: Sequence[int] | None = None,
    top: int = 10,
    out: Path | None = None,
    release: Path | None = None,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `top` items for each of `users` (all that the model knows), as .parquet or .csv, or CSV on standard output.

    Gives the number of rows; `progress` hears how many users are done, and of how many. `release` is where the
    checkpoint's release lies now, if it was moved. RecipeError for a user whom the model does not know.
    """
    if out is not None and out.suffix not in SUFFIXES:
        raise RecipeError(f"{out} is neither .parquet nor .csv", hint=f"name a file such as {out.stem}.parquet")
    if top < 1:
        raise RecipeError(f"top is {top}, but a list has 1 item or more", hint="choose --top 10, say")
    with tells_lack_of_memory("reading the checkpoint and its release", LESS_MEMORY):
        trained = load_trained(checkpoint, release=release, device=device)
    asked = _places_of(users, trained)
    rows = 0
    with _writer(out) as write, tells_lack_of_memory("ranking", LESS_MEMORY):
        for done, table in _lists(trained, asked, top):
            write(table)
            rows += len(table)
            if progress is not None:
                progress(done, len(asked))
    return rows


def load_trained(checkpoint: Path, *, release: Path | None = None, device: str | None = None) -> Trained:
    """Build a finished checkpoint's model on its own release. NotReadyError if it is not finished."""
    place = find_device(device)
    state = read_checkpoint(checkpoint, place)
    made_of = state["made_of"]
    if "result" not in state:
        raise NotReadyError(
            f"{checkpoint} is of a model that is not trained to its end: {len(state['curves'])} epochs so far",
            hint="run the same `microlens-build benchmark` again, which goes on from there",
        )
    if made_of["model"] not in MODELS:
        raise RecipeError(
            f"{checkpoint} is of model {made_of['model']!r}, which this version does not have",
            hint=nearest(made_of["model"], MODELS),
        )
    folder = release or (checkpoint.resolve().parent / state["release"]).resolve()
    if not folder.is_dir():
        raise NotReadyError(
            f"the release of {checkpoint} does not lie in {folder}", hint="say where it is with --release FOLDER"
        )
    settings, protocol = _asked(made_of, checkpoint)
    settings = replace(settings, chunk_scores=state.get("chunk_scores", settings.chunk_scores))
    interactions, side = protocol.select(load_release(folder), Side(folder))
    MODELS[made_of["model"]].read(side, settings)  # what it needs and is not there is told as such
    if not read_by(made_of["model"], settings, folder).items() <= made_of.items():
        raise RecipeError(
            f"{folder} is not the release that {checkpoint} was trained on, or has changed since",
            hint="name that one with --release FOLDER, or train again on this one",
        )
    split = protocol.divide(interactions, keep=settings.keep_interactions, device=place)
    # What a model starts from is replaced by what it learned, and may take long to make.
    model = MODELS[made_of["model"]].build(split, replace(settings, start="random"), side)
    if isinstance(model, TrainableModel):
        _load(model.to(place), state["model"], checkpoint)
    steps = settings.keep_interactions - 1  # as many as a test is given
    history, met = whole_histories(interactions, split.user_ids, steps=steps, device=place)
    item_ids = np.concatenate([[0], interactions.item_ids])
    return Trained(model, split.user_ids, split.why_skipped, item_ids, history, met, settings)


def _asked(made_of: dict[str, Any], checkpoint: Path) -> tuple[Settings, Protocol]:
    try:
        return Settings(**made_of["settings"]), Protocol.of(made_of.get("protocol", {}))
    except TypeError as error:
        raise RecipeError(
            f"{checkpoint} was made with settings that this version does not have: {error}",
            hint="recommend with the version that made it, or train again with `microlens-build benchmark`",
        ) from error


def _load(model: TrainableModel, weights: dict[str, torch.Tensor], checkpoint: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RecipeError(
            f"the weights of {checkpoint} are not this version's: {str(error).splitlines()[0]}",
            hint="train again with `microlens-build benchmark`",
        ) from error
    model.eval()


def _places_of(users: Sequence[int] | None, trained: Trained) -> torch.Tensor:
    """Where users stand among those whom the model knows: (Q,)."""
    user_ids = trained.user_ids
    if users is None:
        return torch.arange(len(user_ids))
    unknown = sorted(set(users) - set(user_ids.tolist()))
    if unknown:
        raise RecipeError(
            f"the model does not know {len(unknown)} of {len(users)} users, such as {unknown[:3]}: they are not in the "
            f"release, or have {trained.why_unknown}",
            hint=f"name users of the release such as {user_ids[:3].tolist()}, or none for all of them",
        )
    return torch.from_numpy(np.searchsorted(user_ids, np.asarray(users, dtype=np.int64)))


def _lists(trained: Trained, asked: torch.Tensor, top: int) -> Iterator[tuple[int, pa.Table]]:
    """How many users are done, and the lists of the last of them, a chunk at a time."""
    item_count = len(trained.item_ids) - 1
    width = max(1, trained.settings.chunk_scores // (item_count + 1))
    for start in range(0, len(asked), width):
        users = asked[start : start + width].to(trained.history.device)
        with torch.inference_mode(), tf32(users.device, is_on=False):
            scores = trained.model.scores(users, trained.history[users])
            row, met = trained.met.of(users)
            scores[row, met] = -torch.inf
            scores[:, 0] = -torch.inf
            best = scores.float().topk(min(top, item_count))
        yield start + len(users), _table(trained, users.cpu(), best.indices.cpu(), best.values.cpu())


def _table(trained: Trained, asked: torch.Tensor, items: torch.Tensor, scores: torch.Tensor) -> pa.Table:
    """Lists (B, K) as rows; where less than K are left to be recommended, a list is shorter."""
    is_left = (scores > -torch.inf).numpy()
    users = trained.user_ids[asked.numpy()]
    K = items.shape[1]
    columns = (np.repeat(users, K), np.tile(np.arange(1, K + 1, dtype=np.int32), len(users)))
    numbers = (*columns, trained.item_ids[items.numpy()].ravel(), scores.numpy().ravel())
    return pa.table([column[is_left.ravel()] for column in numbers], schema=SCHEMA)


@contextmanager
def _writer(out: Path | None) -> Iterator[Callable[[pa.Table], None]]:
    """Write tables one after the other; a file is whole or not there."""
    if out is None:
        with pa_csv.CSVWriter(sys.stdout.buffer, SCHEMA) as writer:
            yield writer.write_table
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    kind = pq.ParquetWriter if out.suffix == ".parquet" else pa_csv.CSVWriter
    with replacing(out) as unfinished, kind(unfinished, SCHEMA) as writer:
        yield writer.write_table
