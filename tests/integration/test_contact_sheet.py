"""The page of dropped videos: whatever a title says, it is text there, and a browser loads and runs nothing."""

import base64
import hashlib

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.contact_sheet import MOST_LETTERS, contact_sheet, element
from integration.trial import Dropped, Sample, Trial
from microlens.recipe import Filters

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td", "section", "div"),
    *("figure", "figcaption", "img", "span", "bdi", "small"),
}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "src", "alt", "dir"}
HOSTILE = [
    "</bdi></figure><script>alert(1)</script>",
    "\"><img src=x onerror=alert('1')>",
    "<style>*{display:none}</style><!-- ",
    "]]><svg onload=alert(1)>&lt;script&gt;",
    "&#60;script&#62; {{7*7}} ${7*7}",
    "\u202e\u2066txt.exe\u202e",
    "a\x00b\x1b[31m\x85\ud800",
    "javascript:alert(1)",
]
JPEG = b"\xff\xd8\xff\xe0 a small picture"


def page(*titles, detail=None, twin=None):
    samples = tuple(Sample(f"v{title}", title, 2.0, 3.0, detail, "aa", twin) for title in titles)
    dropped = Dropped("title_too_short", "title", len(samples), 0.25, 7, 0, samples)
    filters = Filters().model_dump(mode="json")
    trial = Trial("small", {**filters, "min_title_characters": 5}, filters, 40, 30, 31, (dropped,))
    return contact_sheet(trial, {"aa": JPEG})


def parsed(text):
    text.encode()  # a lone surrogate could not be written
    return lxml.html.document_fromstring(text)


def assert_harmless(root):
    elements = list(root.iter())
    assert {one.tag for one in elements} <= TAGS
    assert {name for one in elements for name in one.attrib} <= ATTRIBUTES
    assert all(one.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,") for one in elements)


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_title_is_shown_as_it_is(title):
    """Title, id, detail and the kept copy's title: each is text, and control characters are marks."""
    twin = Sample(title, title, None, None, None, None)
    root = parsed(page(title, detail=title, twin=twin))
    shown = "".join("\ufffd" if ord(letter) < 32 or letter in "\x85\ud800" else letter for letter in title)

    assert_harmless(root)
    assert [shown, shown] == [one.text for one in root.iter("bdi")]
    assert f"measured 2, threshold 3, {shown}, video v{shown}" == root.find(".//figcaption/small").text


@given(st.lists(st.text(st.characters(exclude_categories=()), min_size=1)))
def test_no_text_makes_an_element(titles):
    """The page has as many captions as samples, and no element that is not its own."""
    root = parsed(page(*titles))

    assert_harmless(root)
    assert len(titles) == len(list(root.iter("bdi")))


def test_the_policy_lets_nothing_in_but_the_pages_own_style():
    """Scripts, fonts, frames, forms and the network are refused; the one style is allowed by its hash."""
    root = parsed(page("A title"))
    first, policy = root.findall(".//meta")[:2]
    rules = dict(rule.split(" ", 1) for rule in policy.get("content").split("; "))
    digest = base64.b64encode(hashlib.sha256(root.find(".//style").text.encode()).digest()).decode()

    assert ("utf-8", "Content-Security-Policy") == (first.get("charset"), policy.get("http-equiv"))
    assert {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    } == rules


def test_a_page_tells_counts_thresholds_and_pictures():
    """The table, the threshold that is tried beside the one of now, and a picture for each cover that there is."""
    root = parsed(page("A title", twin=Sample("k", "Kept", None, None, None, "bb")))
    pictures = [base64.b64decode(one.get("src").partition(",")[2]) for one in root.iter("img")]

    assert ["title_too_short", "title", "1", "25.00%", "7", "0"] == [one.text for one in root.iter("td")]
    assert "min_title_characters 5 (now 3)" in root.findall(".//p")[1].text
    assert [JPEG] == pictures
    assert ["no picture"] == [one.text for one in root.iter("span")]
    assert "title_too_short: 1 of 1" == root.find(".//h2").text


def test_a_title_of_a_megabyte_is_cut():
    """A page stays a page."""
    (caption,) = parsed(page("x" * 1_000_000)).iter("bdi")

    assert "x" * MOST_LETTERS + "…" == caption.text


def test_attributes_are_escaped_as_well():
    """A quote does not end a value."""
    assert '<img alt="&quot;&gt;&lt;b&gt;">' == element("img", alt='"><b>')
    assert "<p>a &lt;b&gt;<bdi>c</bdi></p>" == element("p", "a <b>", element("bdi", "c"))
