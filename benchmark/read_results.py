"""Results read back: a leaderboard, its rows, and where every user's test item stood.

U users, S seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import orjson
import torch

from benchmark.metrics import Ranks
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

BOARD = "leaderboard.json"
_RUN_AGAIN = "run `microlens-build benchmark` again, with the same --out"


@dataclass(frozen=True)
class UserRanks:
    """Of one model and one seed, in the order of the users' ids."""

    user_id: NDArray[np.int64]  # (U,)
    ranks: Ranks  # (U,) each
    target_count: NDArray[np.int64]  # (U,) how often the item that was asked for was met in training


@dataclass(frozen=True)
class Result:
    """A folder that `microlens-build benchmark` wrote."""

    folder: Path
    board: dict[str, Any]

    @property
    def release(self) -> str:
        return str(self.board["release"])

    @property
    def data(self) -> str:
        """What tells its release from others: the hash of its tables and its manifest; its name says nothing."""
        rows: list[dict[str, Any]] = self.board["rows"]
        known = next((row.get("data_sha256") for row in rows), None) or self.board.get("manifest_sha256")
        return str(known or self.release)

    @property
    def protocol(self) -> dict[str, Any]:
        told: dict[str, Any] = self.board["protocol"]
        return told

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """By model, in the order of the leaderboard."""
        return {row["model"]: row for row in self.board["rows"]}

    def row(self, model: str) -> dict[str, Any]:
        if model not in self.rows:
            raise RecipeError(f"{self.folder / BOARD} has no model {model!r}", hint=nearest(model, self.rows))
        return self.rows[model]

    def ranks(self, model: str) -> list[UserRanks]:
        """One per seed: (S,)."""
        runs = self.row(model).get("runs", [])
        if not all("ranks" in run for run in runs) or not runs:
            raise NotReadyError(f"{self.folder / BOARD} names no file of ranks of {model}", hint=_RUN_AGAIN)
        return [_read_ranks(self._inside(run["ranks"])) for run in runs]

    def _inside(self, name: str) -> Path:
        """A path that the leaderboard names; one that leads out of its folder is no path of ours."""
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise CorruptDataError(
                f"{self.folder / BOARD} names a file outside of its folder: {name!r}", hint=_RUN_AGAIN
            )
        return path


def read_result(path: Path) -> Result:
    """Read a results folder, or the leaderboard.json in it."""
    file = path / BOARD if path.is_dir() else path
    if not file.is_file():
        raise NotReadyError(
            f"there is no result {file}", hint="`microlens-build benchmark RELEASE --out FOLDER` writes one there"
        )
    try:
        board = orjson.loads(file.read_bytes())
        rows = [(row["model"], row["hr@10"], row["ndcg@10"]) for row in board["rows"]]
        whole = all(isinstance(board[name], kind) for name, kind in (("release", str), ("protocol", dict)))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        lacks = f"it has no {error}" if isinstance(error, KeyError) else "it is damaged, or another file"
        raise CorruptDataError(f"{file} is no leaderboard of the benchmark: {lacks}", hint=_RUN_AGAIN) from error
    if not whole or not all(isinstance(model, str) for model, *_ in rows):
        raise CorruptDataError(f"{file} is no leaderboard of the benchmark", hint=_RUN_AGAIN)
    return Result(file.parent, board)


def mean_by_user(seeds: list[UserRanks], metric: Callable[[Ranks, int], torch.Tensor], k: int) -> NDArray[np.float64]:
    """A metric of each user, averaged over the seeds: (U,)."""
    means: NDArray[np.float64] = torch.stack([metric(one.ranks, k) for one in seeds]).mean(0).numpy()
    return means


def _read_ranks(path: Path) -> UserRanks:
    if not path.is_file():
        raise NotReadyError(f"the ranks {path} are not there", hint=_RUN_AGAIN)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = ("user_id", "above", "tied", "target_count")
            user_id, above, tied, target_count = (file[name].astype(np.int64) for name in names)
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise CorruptDataError(
            f"{path} cannot be read as ranks: it is cut short, damaged, or holds more than numbers", hint=_RUN_AGAIN
        ) from error
    if not len(user_id) == len(above) == len(tied) == len(target_count) or (tied < 1).any() or (above < 0).any():
        raise CorruptDataError(f"{path} holds no rank of each of its users", hint=_RUN_AGAIN)
    order = np.argsort(user_id)
    ranks = Ranks(torch.from_numpy(above[order]), torch.from_numpy(tied[order]))
    return UserRanks(user_id[order], ranks, target_count[order])
