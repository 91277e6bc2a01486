"""`filter`: thresholds are tried, looked over on a page, and taken over, on a site whose titles and covers lie."""

import base64
import io

import lxml.html
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sandbox.truth import collect_frozen, expected_release
from tests.e2e.harness import Cli, read_back
from tests.integration.made import Made

LONG = "filters.min_title_characters=200"
HOSTILE = [
    "</bdi></figure></body><script>alert(1)</script>",
    "\"><img src=x onerror=alert('1')>",
    "<style>*{display:none}</style><!-- ",
    "<svg onload=alert(1)><a href=javascript:alert(1)>x</a>",
    "&#60;script&#62;alert(1)&lt;/script&gt; {{7*7}} ${7*7}",
    "<base href=//evil.example><meta http-equiv=refresh content=0>",
    "\u202etxt.exe\u202c \u2066x",
    "' onmouseover='alert(1)",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory, frozen_site):
    """A run whose release is made; whoever changes its recipe puts it back."""
    cli = Cli(tmp_path_factory.mktemp("filter"))
    cli("run", cli.recipe(frozen_site.url, benchmark={"models": []}))
    return cli


def test_a_page_of_hostile_titles_and_covers_is_harmless(tmp_path, make_hostile):
    """What a site sends to break a page stands there as text, and of covers nothing but their pixels."""
    made, titles = make_hostile
    cli = Cli(tmp_path, made.settings.pseudonym_key.get_secret_value())
    told = cli.json("filter", "small", "--dry-run", "--set", LONG, "--samples", "50", "--html", "dropped.html")
    text = (tmp_path / "dropped.html").read_text()
    root = lxml.html.document_fromstring(text)
    policy = root.find(".//meta[@http-equiv]")
    pictures = [base64.b64decode(one.get("src").removeprefix("data:image/jpeg;base64,")) for one in root.iter("img")]

    assert {"title_too_short": len(titles)} == {one["reason"]: one["count"] for one in told["dropped"] if one["count"]}
    assert sorted(titles) == sorted(one.text for one in root.iter("bdi"))
    assert [] == [one.tag for one in root.iter("script", "iframe", "object", "form", "a", "link", "svg", "b", "base")]
    assert [] == [name for one in root.iter() for name in one.attrib if name.startswith("on")]
    assert "<script" not in text
    assert ("Content-Security-Policy", True) == (
        policy.get("http-equiv"),
        policy.get("content").startswith("default-src 'none'; img-src data:;"),
    )
    assert (2, len(titles) - 2) == (len(pictures), len(list(root.iter("span"))))
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as image:
            assert ("JPEG", True) == (image.format, max(image.size) <= 160)
        assert b"script" not in picture


@pytest.fixture
def make_hostile(tmp_path):
    """A run of videos with hostile titles, two covers that can be drawn, and others that cannot."""
    made, titles = Made(tmp_path / "runs"), HOSTILE
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    jpeg, png, info = io.BytesIO(), io.BytesIO(), PngInfo()
    info.add_text("Comment", titles[0])
    Image.fromarray(noise).save(jpeg, "JPEG", comment=titles[0])
    Image.fromarray(noise[:150]).save(png, "PNG", pnginfo=info)
    bomb = b"GIF89a" + (50_000).to_bytes(2, "little") * 2 + bytes(100)
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    bodies = [jpeg.getvalue(), png.getvalue(), bomb, svg, jpeg.getvalue()[:300], None]
    for number, title in enumerate(titles):
        body = bodies[min(number, len(bodies) - 1)]
        measured = {"cover": {"body": body and body + b" " * number}, "video": {"body": bytes([number])}}
        made.add_videos({f"v{number}": {"title": title, "like_count": 1, "stage": "seed", "measured": measured}})
    yield made, titles
    made.close()


def test_a_trial_is_what_the_filters_then_do(built, frozen_site):
    """What a trial counts is what stands in the tables once the recipe says so; back again, all is as before."""
    before = read_back(built.open(), "all", frozen_site.world.user_ids).verdicts
    tried = built.json("filter", "--dry-run", "--set", "filters.max_cover_share=0.1")
    applied = built.json("filter", built.recipe(frozen_site.url, filters={"max_cover_share": 0.1}))
    again = built.json("filter", built.recipe(frozen_site.url))

    assert applied["is_new"]
    assert 0 < tried["kept_now"] - tried["kept"]
    assert applied["funnel"]["dropped"] == {one["reason"]: one["count"] for one in tried["dropped"] if one["count"]}
    assert (tried["kept"], tried["kept_now"]) == (applied["funnel"]["kept"], again["funnel"]["kept"])
    assert before == read_back(built.open(), "all", frozen_site.world.user_ids).verdicts
    assert "nothing to do" in built("filter", "site")[1]


def test_a_laxer_threshold_waits_for_the_comments_that_were_not_asked_for(built, frozen_site):
    """A node never asked for the comments of short titles; once they are kept, `work` collects them."""
    before = built.json("filter", built.recipe(frozen_site.url))["funnel"]
    laxer = built.recipe(frozen_site.url, filters={"min_title_characters": 0})
    refused = built("filter", laxer, expect=3)[1]
    built("work")
    after = built.json("filter", laxer)["funnel"]
    built("filter", built.recipe(frozen_site.url))

    assert "microlens-build work" in refused
    assert 0 < before["dropped"]["title_too_short"] == after["kept"] - before["kept"]
    assert before["interactions"] < after["interactions"]


def test_merged_twins_are_those_of_the_world(built, frozen_site):
    """A comment on a copy is an interaction with the video that stays, at the user's earliest time on any of them."""
    world = frozen_site.world
    truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)
    expected = expected_release(world, truth.ids, merges_twins=True)
    told = built.json("filter", built.recipe(frozen_site.url, filters={"twins": "merge"}))
    built("subset", "--name", "merged")
    built("filter", built.recipe(frozen_site.url))
    published = read_back(built.open(), "merged", world.user_ids)

    assert expected.interactions == published.interactions
    assert expected.users == published.users
    assert len(expected_release(world, truth.ids).interactions) < len(expected.interactions)
    assert 0 < told["funnel"]["merged"]["videos"] < told["funnel"]["merged"]["interactions"]


def test_what_is_for_a_trial_is_refused_without_one(built):
    """A threshold that stands nowhere but on a command line would publish what no recipe tells."""
    for options in (["--set", LONG], ["--html", "x.html"], ["--samples", "9"]):
        assert "--dry-run" in built("filter", *options, expect=2)[1]
    assert "no file that could be written" in built("filter", "--dry-run", "--html", "nowhere/x.html", expect=2)[1]


def test_a_trial_in_words(built):
    """One line a reason with counts and share, below it samples without control characters."""
    out, _ = built("filter", "--dry-run", "--set", LONG, "--samples", "2", "--html", "dropped.html")
    lines = out.splitlines()
    page = lxml.html.document_fromstring((built.folder / "dropped.html").read_text())

    assert "  min_title_characters     200  (now 3)" in lines
    assert any(line.split()[:2] == ["title_too_short", "title"] for line in lines)
    assert any(line.startswith("    ") and "measured" in line for line in lines)
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert ("covers and titles: dropped.html", True) == (lines[-1], len(list(page.iter("img"))) == 2)
