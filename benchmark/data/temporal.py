"""A split by two moments that hold for everyone: what is trained on came before whatever is asked.

Leave-one-out cuts each user's sequence at its own end, so a model trains on some users' Friday and is asked about
others' Monday. Two moments for all leave no such leak: Ji, Sun, Zhang & Li, "A Critical Study on Data Leakage in
Recommender System Offline Evaluation" (ACM TOIS 41, 2023), show that the leak changes the order of models, and Meng,
McCreadie, Macdonald & Ounis, "Exploring Data Splitting Strategies for the Evaluation of Recommendation Models"
(RecSys 2020), that the choice of a split does.

U users, T steps (oldest first, left-padded with item 0), N interactions, Q questions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmark.data.split import Question, Split, first_pairs, last_items, seen_of
from microlens.errors import NotReadyError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.data.release import Interactions

DEFAULT_CUTS = ("0.8", "0.9")
"""Train on the first eight tenths of all interactions, validate on the ninth, test on the last."""


def temporal(
    interactions: Interactions,
    *,
    keep: int = 13,
    cuts: Sequence[str] = DEFAULT_CUTS,
    device: torch.device | str = "cpu",
) -> Split:
    """Train on what came before the first of two moments; ask about the first item of each window that they open.

    A moment is a share of all interactions (`0.8`) or a date (`2022-08-01`, or `2022-08-01T12:00`, UTC), and belongs to
    the window that it opens. A user's question is the first interaction in a window, with all that came before it as
    history. Users without an interaction before the first moment are neither trained on nor asked about; items that
    nobody met before it are ranked like all others.

    RecipeError for moments that cannot be used, NotReadyError where the release tells no times or a window is empty.
    """
    if interactions.timestamp_ms is None:
        raise NotReadyError(
            f"{interactions.name} cannot be split by time: its `timestamp_ms` is null, so it tells the order of each "
            "user's items, and not what came first of two users",
            hint="take --split leave-one-out, or a release with times: publish it with `timestamps: exact` or `day`, "
            "import a source that has them",
        )
    train_end, test_begin = _moments(cuts, interactions.timestamp_ms)
    order = np.lexsort((interactions.position, interactions.timestamp_ms, interactions.user))
    user, item, time = (one[order] for one in (interactions.user, interactions.item, interactions.timestamp_ms))
    user_ids, row = np.unique(user, return_inverse=True)
    trained = np.bincount(row[time < train_end], minlength=len(user_ids))  # of each user, how many
    is_known = trained > 0
    trained = trained[is_known]
    item, counts = item[is_known[row]], np.bincount(row)[is_known]
    untested = np.bincount(row[time < test_begin], minlength=len(user_ids))[is_known]
    pairs = first_pairs(item, counts, trained)
    asked = []
    for window, lengths, ends, steps in (
        ("validation", trained, untested, keep - 2),
        ("test", untested, counts, keep - 1),
    ):
        is_asked = lengths < ends
        if not is_asked.any():
            raise NotReadyError(
                f"nobody can be asked about the {window} window: of {len(user_ids):,} users of {interactions.name} "
                f"{len(counts):,} have a history before {_told(train_end)}, and none of them an interaction in it",
                hint="choose other moments with --cuts, such as --cuts 0.7,0.85",
            )
        asked.append(
            _question(
                item[np.repeat(is_asked, counts)],
                counts[is_asked],
                lengths[is_asked],
                users=torch.from_numpy(np.flatnonzero(is_asked)).to(device),
                steps=steps,
                item_count=interactions.item_count,
            )
        )
    validation, test = asked
    return Split(
        train=torch.from_numpy(last_items(pairs[:, 1], trained, keep - 2)).to(device),
        pairs=torch.from_numpy(pairs).to(device),
        validation=validation,
        test=test,
        item_count=interactions.item_count,
        user_ids=user_ids[is_known],
        skipped_user_count=int((~is_known).sum()),
        rule=f"temporal: training before {_told(train_end)}, then validation, test from {_told(test_begin)} on; "
        "a question is a user's first interaction in a window",
        why_skipped=f"no interaction before {_told(train_end)}",
        left_out={
            "users_without_validation": len(counts) - len(validation.users),
            "users_without_test": len(counts) - len(test.users),
        },
    )


def _question(
    item: NDArray[np.int64],
    counts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    users: Tensor,
    steps: int,
    item_count: int,
) -> Question:
    """Ask users (Q,) for the item that came after so many of theirs (Q,)."""
    up_to_target = first_pairs(item, counts, lengths + 1)[:, 1]
    kept = torch.from_numpy(last_items(up_to_target, lengths + 1, steps + 1)).to(users.device)
    return Question(users, kept[:, :-1], kept[:, -1], seen_of(item, counts, lengths, kept[:, -1]), item_count)


def _moments(cuts: Sequence[str], times: NDArray[np.int64]) -> tuple[int, int]:
    """Milliseconds of both, the first before the second."""
    if len(cuts) != 2:  # noqa: PLR2004 - where training ends, and where the test begins
        raise RecipeError(f"a temporal split has two moments, not {len(cuts)}: {list(cuts)}", hint="as --cuts 0.8,0.9")
    first, second = (_moment(cut, times) for cut in cuts)
    if first >= second:
        raise RecipeError(
            f"the moments {cuts[0]} and {cuts[1]} are {_told(first)} and {_told(second)}: "
            "the first does not come first",
            hint="choose moments further apart; a release whose times are days has many at the same one",
        )
    return first, second


def _moment(cut: str, times: NDArray[np.int64]) -> int:
    try:
        share = float(cut)
    except ValueError:
        return _read_date(cut)
    if not 0 < share < 1:
        raise RecipeError(f"the moment {cut!r} is no share between 0 and 1", hint="as --cuts 0.8,0.9")
    return int(np.quantile(times, share, method="higher"))


def _read_date(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecipeError(
            f"the moment {text!r} is neither a share of all interactions nor a date",
            hint="as --cuts 0.8,0.9 or --cuts 2022-08-01,2022-09-01",
        ) from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _told(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
