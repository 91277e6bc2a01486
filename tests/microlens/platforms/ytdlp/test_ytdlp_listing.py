"""Listings of yt-dlp: which addresses are one, and the links of a page of one."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from microlens.errors import RecipeError
from microlens.platforms.base import Answer
from microlens.platforms.ytdlp.listing import ENTRIES_PER_REFRESH, link_of, place_of
from microlens.platforms.ytdlp.platform import YtDlpPlatform
from microlens.recipe import parse_recipe

PLATFORM = YtDlpPlatform()
CHANNEL = "https://peertube.cpy.re/c/films/videos"
RECIPE = "name: r\nplatform: {platform}\ninstances: [{instance}]\ncontact: owner@example.org\n"


def channel(count):
    """An `ask` that is a PeerTube server with one channel."""
    asked = []

    def ask(question):
        asked.append(question.url)
        url = urlsplit(question.url)
        if not url.path.endswith("/videos"):
            return Answer(question.url, 200, (), b'{"displayName": "Films"}')
        start = int(parse_qs(url.query)["start"][0])
        rows = [{"shortUUID": f"{number:022}", "name": "t"} for number in range(count)][start : start + 30]
        return Answer(question.url, 200, (), json.dumps({"data": rows}).encode())

    return ask, asked


@pytest.mark.parametrize(
    "listing",
    [
        "https://www.youtube.com/@somebody/shorts",
        "https://www.youtube.com/hashtag/cats",
        "https://www.tiktok.com/tag/cats",
        CHANNEL,
        "ytsearch50:cats and dogs",
        "scsearchall:a: b",
    ],
)
def test_a_listing_stands_in_a_recipe(listing):
    """A channel, a hashtag and a search are instances; the frontier's address keeps them whole and names a host."""
    recipe = parse_recipe(RECIPE.format(platform="ytdlp", instance=json.dumps(listing)))
    PLATFORM.check_instances(recipe.instances)
    url = PLATFORM.home_url(recipe.instances[0], 3)

    assert (listing, 3) == place_of(url)
    assert urlsplit(url).scheme == "https"
    assert urlsplit(url).netloc


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ("https://example.org/films", "no extractor of its own for 'https://example.org/films'"),
        ("ytserch:cats", "did you mean 'ytsearch'"),
        ("cats", "neither the address of a listing"),
        (f"{CHANNEL}#top", "without '#'"),
        ("ftp://site.example/x", "no extractor"),
    ],
)
def test_what_is_no_listing_is_told_when_the_run_is_made(instance, message):
    """An address that only the generic extractor would take, and anything else, is an error of the recipe."""
    with pytest.raises(RecipeError) as caught:
        PLATFORM.check_instances([instance])

    assert message in str(caught.value)


def test_other_platforms_still_want_origins():
    """A search is no address for any other platform."""
    with pytest.raises(RecipeError, match="not of the form"):
        parse_recipe(RECIPE.format(platform="peertube", instance="'ytsearch:cats'"))


def test_refreshes_page_through_a_listing():
    """Refresh n is the listing's n-th page; it asks only for what it shows; the last says so."""
    ask, asked = channel(ENTRIES_PER_REFRESH + 5)
    first = PLATFORM.ask_home(PLATFORM.home_url(CHANNEL, 0), ask)
    asked.clear()
    second = PLATFORM.ask_home(PLATFORM.home_url(CHANNEL, 1), ask)

    assert (ENTRIES_PER_REFRESH, False) == (len(first.links), first.is_last)
    assert (5, True) == (len(second.links), second.is_last)
    assert f"PeerTube:{ENTRIES_PER_REFRESH:022}" == second.links[0].video_id
    assert f"https://peertube.cpy.re/w/{ENTRIES_PER_REFRESH:022}" == second.links[0].url
    assert 2 == len(asked)


def test_the_past_of_a_listing_is_empty_and_last():
    """A listing that is read to its end has no further page."""
    ask, _ = channel(5)
    home = PLATFORM.ask_home(PLATFORM.home_url(CHANNEL, 4), ask)

    assert ((), True) == (home.links, home.is_last)


def key_of(url, key=None):
    return key or ("Site" if "site.example" in url else None)


@pytest.mark.parametrize(
    ("entry", "video_id", "refusal"),
    [
        ({"_type": "url", "url": "https://site.example/v/1", "id": "1", "ie_key": "Other"}, "Other:1", None),
        ({"_type": "url", "url": "https://site.example/v/1?a=b#c"}, "Site:site.example/v/1?a=b", None),
        ({"_type": "url", "url": "https://unknown.example/v"}, "unsupported:unknown.example/v", "unsupported_address"),
        ({"webpage_url": "https://site.example/v/2", "url": "https://f.example/a.mp4", "id": "2"}, "Site:2", None),
        ({"url": "https://f.example/a.mp4", "id": "3", "extractor_key": "Site"}, "Site:3", "no_page_of_its_own"),
        ({"_type": "url", "url": "https://site.example/v/4", "id": "4", "age_limit": 18}, "Site:4", "sensitive"),
        (
            {"_type": "url", "url": "https://site.example/5", "id": "5", "availability": "needs_auth"},
            "Site:5",
            "private",
        ),
        ({"_type": "url", "url": "https://site.example/6", "id": "6", "live_status": "is_upcoming"}, "Site:6", "live"),
    ],
)
def test_links_of_entries(entry, video_id, refusal):
    """An entry's id begins with its extractor; what cannot or must not be visited says why."""
    link = link_of(entry, key_of)

    assert (video_id, refusal) == (link.video_id, link.refusal)


def test_an_entry_that_says_nothing_is_no_link():
    """Neither an address nor an id: there is nothing to visit or to name."""
    assert link_of({"title": "t"}, key_of) is None
