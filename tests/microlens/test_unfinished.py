"""Videos that the nodes are not done with, as SQL finds them: those that a look at all rows finds, in little memory."""

import random
import tracemalloc
from types import SimpleNamespace

import pytest

from microlens import unfinished as unfinished_module
from microlens.backlog import asset_name, media_items
from microlens.ledger_rows import PageRow, Selected
from microlens.recipe import Media
from microlens.records import AssetRecord, Failure, MediaLink, refreshed
from microlens.refreshes import Refreshes
from microlens.unfinished import count_lacking, unfinished

KINDS = ("cover", "video")


def asset(video_id, kind):
    return AssetRecord("sandbox", video_id, kind, "ab" * 32, 1000, "x/y", frame_hashes=("cd" * 32,) * 16)


def failure(work, name, video_id, *, is_final):
    return Failure(work, name, "sandbox", video_id, "u", "timeout", None, 1, is_final)


def page(video_id, dice, failures):
    kinds = [kind for kind in (*KINDS, "audio") if dice.random() < 0.7]
    media = tuple(MediaLink(kind, f'http://site.test/?"kind":"{kind}"') for kind in kinds)
    failed, refusal = dice.choice(failures), dice.choice([None] * 4 + ["sensitive"])
    return PageRow(video_id, "u", failure=failed, refusal=refusal, media=media)


def fill(ledger, refreshes, dice):
    """Videos of every fate; ids that look like the names of other videos' work among them."""
    names = [*(f"v{number}" for number in range(40)), "v1@1", "v2@0", "v3/cover", "V4", "ü", "\0", "%"]
    for name in names:
        pages = [page(name, dice, [None] * 4 + ["gone", "timeout"])]
        chosen = [Selected(name, "seed", None, 0)] if dice.random() < 0.8 else []
        ledger.commit_crawl(pages=pages, selections=chosen)
    for number in (1, 2):
        seen = dice.sample(names, 20)
        refreshes.commit(number, [page(name, dice, [None] * 4 + ["gone", "timeout"]) for name in seen], None)
    for name in names:
        for kind in KINDS:
            fate = dice.choice(["stored", "stored", "final", "tried", "open"])
            if fate == "stored":
                ledger.commit_assets([asset(name, kind)])
            elif fate != "open":
                ledger.record_failure(failure("media", f"{name}/{kind}", name, is_final=fate == "final"))
        for refresh in range(3):
            fate = dice.choice(["collected", "final", "tried", "open"])
            if fate == "collected":
                ledger.commit_comments(None, {name: 0}, refresh=refresh)
            elif fate != "open":
                ledger.record_failure(failure("comments", refreshed(name, refresh), name, is_final=fate == "final"))


def looked_for(ledger, refreshes, kinds):
    """The same by looking at every row."""
    selected = {row.video_id for row in ledger.selections()}
    stored = {(row["video_id"], row["kind"]) for row in ledger.assets()}
    given_up = {(work, row["name"]) for work in ("media", "comments") for row in ledger.final_failures(work)}
    lists, found = ledger.comment_lists(), []
    for standing in refreshes.standings():
        one = standing.page
        if one.video_id not in selected or one.failure or one.refusal:
            continue
        name = refreshed(one.video_id, standing.refresh)
        has_list = any(each.video_id == one.video_id and each.refresh >= standing.refresh for each in lists)
        lacks = [
            link.kind
            for link in one.media
            if (one.video_id, link.kind) not in stored and ("media", f"{one.video_id}/{link.kind}") not in given_up
        ]
        if set(lacks) & set(kinds) or not (has_list or ("comments", name) in given_up):
            found.append(one.video_id)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_a_look_at_every_row_finds(ledger, seed, monkeypatch):
    """Whatever became of a video in the first crawl and two refreshes, and however long the ranges are."""
    dice, refreshes = random.Random(seed), Refreshes(ledger)
    fill(ledger, refreshes, dice)
    wanted = looked_for(ledger, refreshes, KINDS)
    found = []
    for size in (1, 3, 1000):
        monkeypatch.setattr(unfinished_module, "_RANGE", size)
        found.append(sorted(video_id for some in unfinished(ledger, KINDS) for video_id in some))

    assert wanted
    assert [sorted(wanted)] * 3 == found


@pytest.mark.parametrize("seed", range(6))
def test_it_counts_the_files_that_a_look_at_every_row_finds(ledger, seed, monkeypatch):
    """Offered by what holds of a selected video's page, neither stored nor given up."""
    refreshes = Refreshes(ledger)
    fill(ledger, refreshes, random.Random(seed))
    selected = {row.video_id for row in ledger.selections()}
    known = {asset_name(row["video_id"], row["kind"]) for row in ledger.assets()}
    known |= {row["name"] for row in ledger.final_failures("media")}
    pages = [one.page for one in refreshes.standings() if one.page.video_id in selected]
    wanted = [item for page in pages for item in media_items(page, Media(audio=True, audio_from_video=False))]
    monkeypatch.setattr(unfinished_module, "_RANGE", 7)

    for kinds in (KINDS, (*KINDS, "audio"), ("audio",)):
        assert count_lacking(ledger, kinds) == sum(
            item.payload["asset"] in kinds and item.name not in known for item in wanted
        )


def test_a_ledger_without_videos_has_one_empty_range(ledger):
    """Nothing is selected, so nothing is unfinished."""
    assert [[]] == list(unfinished(ledger, KINDS))


def test_finished_videos_take_no_memory(ledger):
    """Neither a look for what is unfinished nor one for lost files holds what is done with: megabytes, here."""
    names, links = [f"v{number:04}" for number in range(3000)], [MediaLink(kind, "u" * 500) for kind in KINDS]
    pages = [PageRow(name, "u", media=tuple(links)) for name in names]
    ledger.commit_crawl(pages=pages, selections=[Selected(name, "seed", None, 0) for name in names])
    ledger.commit_assets(asset(name, kind) for name in names for kind in KINDS)
    ledger.commit_comments(None, dict.fromkeys(names, 0))
    list(unfinished(ledger, KINDS))  # what is made once for each query
    tracemalloc.start()
    try:
        found = SimpleNamespace(
            unfinished=sum(map(len, unfinished(ledger, KINDS))), stored=sum(map(len, ledger.stored()))
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert SimpleNamespace(unfinished=0, stored=6000) == found
    assert peak < 6_000_000
