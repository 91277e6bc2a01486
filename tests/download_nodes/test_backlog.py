"""What is still to be fetched, told by the ledger alone: exactly what is missing."""

import random
from dataclasses import replace

import pytest

from download_nodes.backlog import forget_lost, is_anything_left, is_worth_comments, outstanding
from microlens.backlog import asset_name
from microlens.ledger_rows import PageRow
from microlens.records import AssetRecord, Failure
from tests.download_nodes.desk import PLATFORM

COVER = AssetRecord("sandbox", "v", "cover", "a" * 64, 5, "image/jpeg", dominant_share=0.3, is_decodable=True)
VIDEO = AssetRecord("sandbox", "v", "video", "b" * 64, 1000, "video/mp4", is_decodable=True)


def fail(ledger, work, name, *, is_final):
    video_id = name.partition("/")[0]
    ledger.record_failure(Failure(work, name, "sandbox", video_id, "u", "gone", 404, 1, is_final))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("when", ["after_checks", "always"])
def test_outstanding_is_what_is_missing(desk, seed, when):
    """Every wanted asset and comment list is stored, given up, or in the backlog: one of the three."""
    desk.make(comments={"when": when})
    ledger, dice, wanted = desk.run.ledger, random.Random(seed), set()
    for number in range(12):
        video_id = f"v{number}"
        is_selected, refusal = dice.random() < 0.8, dice.choice([None] * 5 + ["sensitive"])
        media = {kind: f"/m/{video_id}.{kind}" for kind in ("cover", "audio", "video") if dice.random() < 0.8}
        desk.add_page(
            video_id, is_selected=is_selected, media=media, refusal=refusal, title=dice.choice(["ok!!!", "okay"])
        )
        is_wanted = is_selected and refusal is None
        good = set()
        for kind in media:
            fate = dice.choice(["stored", "bad", "final", "tried", "open"])
            if fate in {"stored", "bad"}:
                made = replace(VIDEO if kind == "video" else COVER, video_id=video_id, kind=kind)
                made = replace(made, size_bytes=999, dominant_share=0.9) if fate == "bad" else made
                desk.store(made)
            if fate in {"final", "tried"}:
                fail(ledger, "media", f"{video_id}/{kind}", is_final=fate == "final")
            if fate in {"tried", "open"} and is_wanted:
                wanted.add(("media", f"{video_id}/{kind}"))
            if fate == "stored":
                good.add(kind)
        fate = dice.choice(["collected", "final", "tried", "open", "open"])
        if fate == "collected":
            ledger.commit_comments(None, {video_id: 0})
        if fate in {"final", "tried"}:
            fail(ledger, "comments", video_id, is_final=fate == "final")
        has_title = ledger.pages([video_id])[0].title == "okay"
        is_due = when == "always" or (has_title and {"cover", "video"} <= good)
        if fate in {"tried", "open"} and is_wanted and is_due:
            wanted.add(("comments", video_id))

    found = [(item.kind, item.name) for item in outstanding(desk.run, PLATFORM)]

    assert wanted == set(found)
    assert len(wanted) == len(found)


def test_a_lost_redis_loses_nothing(desk):
    """Pushed again after a loss, the frontier holds what is missing; pushed twice, no more than that."""
    desk.make(comments={"when": "always"})
    for number in range(5):
        desk.add_page(f"v{number}")
    desk.store(replace(COVER, video_id="v0"))
    pushed = desk.push()
    desk.lose_redis()

    assert (14, 14, 0) == (pushed, desk.push(), desk.push())
    assert 14 == desk.frontier.open_count(["media", "comments"])


def test_an_asset_whose_bytes_are_gone_is_fetched_again(desk):
    """What the ledger lists without bytes is taken back, once, whoever looks; what the store holds stays."""
    desk.make(comments={"when": "always"})
    for name in ("v", "w"):
        desk.add_page(name)
        desk.store(replace(COVER, video_id=name), name.encode())
        desk.store(replace(VIDEO, video_id=name), b"film of " + name.encode())
    desk.add_page("unselected", is_selected=False)
    desk.store(replace(COVER, video_id="unselected"), b"u")
    lost = {row["sha256"] for row in desk.run.ledger.assets(["v", "unselected"]) if row["kind"] == "cover"}
    for sha256 in lost:
        desk.run.store.path(sha256).unlink()
    desk.push()
    before = desk.frontier.open_count(["media"])

    assert is_anything_left(desk.run, PLATFORM)
    assert [2, 0] == [forget_lost(desk.run, desk.frontier, PLATFORM) for _ in range(2)]
    assert (0, 1) == (before, desk.frontier.open_count(["media"]))
    assert {"v/cover"} == {item.name for item in outstanding(desk.run, PLATFORM) if item.kind == "media"}
    assert {"v/video", "w/cover", "w/video"} == {
        asset_name(row["video_id"], row["kind"]) for row in desk.run.ledger.assets()
    }


@pytest.mark.parametrize(
    ("changes", "is_worth"),
    [
        ({}, True),
        ({"cover": None}, False),
        ({"video": None}, False),
        ({"video": {"size_bytes": 999}}, False),
        ({"video": {"size_bytes": 1000}}, True),
        ({"cover": {"dominant_share": 0.75}}, True),
        ({"cover": {"dominant_share": 0.7501}}, False),
        ({"cover": {"is_decodable": False}}, False),
        ({"title": "ab"}, False),
        ({"title": "abc"}, True),
        ({"title": None}, False),
        ({"failure": "gone"}, False),
        ({"refusal": "sensitive"}, False),
    ],
)
def test_comments_are_worth_it_once_title_cover_and_size_pass(desk, changes, is_worth):
    """A value equal to its threshold passes."""
    desk.make()
    stored = {"cover": {"dominant_share": 0.3, "is_decodable": True}, "video": {"size_bytes": 5000}}
    for kind in ("cover", "video"):
        if kind in changes:
            stored[kind] = changes[kind] and {**stored[kind], **changes[kind]}
    told = {"title": "A title", **{name: changes[name] for name in changes if name not in stored}}
    assets = [{"kind": kind, **facts} for kind, facts in stored.items() if facts]

    assert is_worth == is_worth_comments(desk.run, PageRow("v", "u", **told), assets)
