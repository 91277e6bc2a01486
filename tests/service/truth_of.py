"""What a run collected, held against what the sandbox knows to be true: sets, not counts."""

from __future__ import annotations

from collections import Counter

import pyarrow.parquet as pq

from microlens.settings import Settings
from sandbox import truth
from sandbox.pages import comment_id
from tests.integration.made import integrated_rows


def check(run, world):
    """Verdicts with reasons, items, interactions, users and raw comments are the world's, each once."""
    recipe = run.recipe
    collected = truth.collect_frozen(
        world,
        run_seed=recipe.seed,
        target=recipe.seeds.target,
        related_per_page=recipe.expansion.related_per_page,
        depth=recipe.expansion.depth,
        stale_refreshes=recipe.seeds.max_stale_refreshes,
    )
    check_selection(run, collected)
    check_tables(run, world, collected)
    check_raw_comments(run, world, collected)
    return collected


def check_selection(run, collected):
    stages = {row.video_id: row.stage for row in run.ledger.selections() if row.video_id not in collected.gone}
    assert dict.fromkeys(collected.related, "related") | dict.fromkeys(collected.seeds, "seed") == stages


def check_tables(run, world, collected):
    expected = truth.expected_release(world, collected.ids, max_comments=run.recipe.comments.max_per_video, min_user=1)
    reasons = {**expected.dropped, **dict.fromkeys(expected.kept)}
    reasons |= dict.fromkeys(collected.unpopular, "unpopular") | dict.fromkeys(collected.gone, "gone")
    raw_of = {run.pseudonyms.user_key(run.recipe.platform, raw): raw for raw in world.user_ids}
    verdicts, items = (pq.read_table(run.integrated / f"{name}.parquet").to_pylist() for name in ("verdicts", "items"))
    interactions, users = (integrated_rows(run, Settings(), name) for name in ("interactions", "users"))
    found = {row["video_id"]: row["reason"] for row in verdicts}
    assert set(reasons.items()) == set(found.items())
    assert len(found) == len(verdicts)
    assert expected.kept == {row["video_id"] for row in items}
    pairs = {(raw_of[row["user_key"]], row["video_id"], row["commented_at_ms"]) for row in interactions}
    assert expected.interactions == pairs
    assert len(pairs) == len(interactions)
    assert expected.users == {raw_of[row["user_key"]] for row in users}


def check_raw_comments(run, world, collected):
    """The listed parts hold every comment of every collected video once, and no other; its text lies beside."""
    found = ids_in(run, "comments")
    assert 1 == max(found.values())
    assert (found if run.recipe.comments.text != "none" else Counter()) == ids_in(run, "texts")
    most = run.recipe.comments.max_per_video
    wanted = set()
    for video_id in collected.ids:
        newest = world.comments.of_video(world.index[video_id]).tolist()[-most:]
        keys = run.pseudonyms.comment_keys(run.recipe.platform, [comment_id(number) for number in newest])
        wanted |= {(video_id, key) for key in keys}
    assert (set(), set()) == (wanted - found.keys(), found.keys() - wanted)
    assert found.total() == len(wanted)


def ids_in(run, kind):
    """How often each comment stands in the listed parts of a kind."""
    paths = [run.folder / part.path for part in run.ledger.parts(kind)]
    if not paths:
        return Counter()
    table = pq.ParquetDataset(paths).read(columns=["video_id", "comment_id"])
    return Counter(zip(table["video_id"].to_pylist(), table["comment_id"].to_pylist(), strict=True))
