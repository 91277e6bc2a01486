"""Links to media that end: off unless asked for, refused when old or forged, and no part of the truth."""

import json
import re
import time

import pytest

from sandbox.process import SandboxSite
from sandbox.signing import Signer

WORLD = {"videos": 30, "users": 60, "seed": 3, "frozen": True}


def links_of(page):
    """Links to media on a page: in its JSON-LD and in its player."""
    told = json.loads(re.search(r"<script[^>]*>(.*?)</script>", page)[1])
    player = re.findall(r'(?:poster|src)="([^"]+)"', page)
    return told["thumbnailUrl"], told["contentUrl"], told["audio"]["contentUrl"], *player


@pytest.fixture(scope="module")
def signing_site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed")
    with SandboxSite(
        **WORLD, media_dir=folder / "media", log_file=folder / "log", links_expire_s=0.5, with_media=2
    ) as running:
        yield running


def page_with_media(site, fetch):
    world = site.world
    video = next(i for i, has in enumerate(world.has_media) if has and not world.videos.flaws.kind[i])
    return fetch(f"{site.url}/v/{world.videos.ids[video]}").text


def test_a_link_lasts_so_long_and_no_longer(signing_site, fetch):
    """A cover is served at once and refused when its time is over; the page then has another link to it."""
    cover = links_of(page_with_media(signing_site, fetch))[0]
    at_once = fetch(cover).status
    time.sleep(2)
    later = fetch(cover)
    again = fetch(links_of(page_with_media(signing_site, fetch))[0]).status

    assert (200, 403, 200) == (at_once, later.status, again)
    assert "expired" in later.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\?.*", ""),
        (r"expires=\d+", "expires=4000000000"),
        (r"signature=\w+", "signature=%C3%A4"),
        (r"cover\.jpg", "audio.m4a"),
    ],
)
def test_a_link_that_was_changed_is_refused(signing_site, fetch, old, new):
    """Without its signature, for longer, with another signature, for another file: 403, and the log tells."""
    cover = links_of(page_with_media(signing_site, fetch))[0]
    forged = re.sub(old, new, cover)
    answer = fetch(forged)
    last = json.loads(signing_site.log_file.read_text().splitlines()[-1])

    assert cover != forged
    assert (403, "forged") == (answer.status, last["link"])


def test_a_playlist_is_signed_as_a_file_is(tmp_path, fetch):
    """The address of a clip in pieces ends as that of a whole one does; without its signature it is refused."""
    with SandboxSite(**WORLD, media_dir=tmp_path, links_expire_s=60, with_media=2, hls=1.0) as running:
        clip = links_of(page_with_media(running, fetch))[1]
        statuses = [fetch(link).status for link in (clip, clip.partition("?")[0])]

    assert ".m3u8?" in clip
    assert [200, 403] == statuses


def test_the_player_has_such_links_too(signing_site, fetch):
    """Every link to media on a page is signed, escaped as HTML asks for."""
    *told, poster, source = links_of(page_with_media(signing_site, fetch))

    assert all("&signature=" in link for link in told)
    assert all("&amp;signature=" in link for link in (poster, source))


def test_no_link_ends_unless_it_is_asked_for(site, fetch):
    """Without the option links are bare, and stay what they were."""
    page = page_with_media(site, fetch)

    assert not [link for link in links_of(page) if "?" in link]
    assert page == page_with_media(site, fetch)


def test_a_signature_is_of_its_path_and_time():
    """Sites of one seed agree on a signature, and those of another do not."""
    link = Signer(60, seed=1).sign("/media/a/cover.jpg")
    query = dict(pair.split("=") for pair in link.partition("?")[2].split("&"))

    assert Signer(5, seed=1).wrong("/media/a/cover.jpg", query) is None
    assert "forged" == Signer(60, seed=2).wrong("/media/a/cover.jpg", query)
    assert "forged" == Signer(60, seed=1).wrong("/media/b/cover.jpg", query)
