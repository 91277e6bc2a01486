"""The work that a video makes."""

import pytest

from microlens.backlog import asset_name, comments_item, media_items
from microlens.ledger_rows import PageRow
from microlens.platforms import load_platform
from microlens.recipe import Media
from microlens.records import MediaLink

PAGE = PageRow(
    "v1",
    "http://site.test/v1",
    media=(
        MediaLink("video", "http://cdn.test/1080", height=1080),
        MediaLink("video", "http://cdn.test/480", height=480),
        MediaLink("video", "http://cdn.test/240", height=240),
        MediaLink("audio", "http://cdn.test/audio"),
        MediaLink("cover", "http://cdn.test/cover"),
    ),
)


def test_every_asset_is_one_item():
    """Cover, audio and video are three items, the cover first, the tallest video that the recipe allows."""
    items = sorted(media_items(PAGE, Media()), key=lambda item: item.priority)

    assert ["cover", "audio", "480"] == [item.url.rpartition("/")[2] for item in items]
    assert ["v1/cover", "v1/audio", "v1/video"] == [item.name for item in items]
    assert {"media"} == {item.kind for item in items}
    assert [{"video_id": "v1", "asset": kind} for kind in ("cover", "audio", "video")] == [i.payload for i in items]


def test_a_recipe_may_leave_audio_out():
    """Without audio there are two items."""
    assert ["v1/cover", "v1/video"] == [item.name for item in media_items(PAGE, Media(audio=False))]


@pytest.mark.parametrize("changes", [{"failure": "gone"}, {"refusal": "download_disabled"}, {"media": ()}])
def test_what_must_not_or_cannot_be_taken_makes_no_work(changes):
    """A page that failed, an owner who refuses, and a page without media make no items."""
    page = PageRow(**{"video_id": "v1", "url": PAGE.url, "media": PAGE.media, **changes})

    assert [] == list(media_items(page, Media()))


def test_comments_come_after_all_media():
    """A video's comments are one item of its own kind, later than its media."""
    item = comments_item(PAGE, load_platform("sandbox"))

    assert ("comments", "v1", {"video_id": "v1", "refresh": 0}) == (item.kind, item.name, item.payload)
    assert item.priority > max(media.priority for media in media_items(PAGE, Media()))


def test_names_of_assets_differ():
    """A video's assets have three names."""
    assert 3 == len({asset_name("v1", kind) for kind in ("cover", "audio", "video")})
