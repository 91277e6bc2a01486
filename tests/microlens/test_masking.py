"""A masked page keeps its shape and nothing that anybody wrote."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.masking import MAX_BYTES, masked_page, masked_text, masked_value
from microlens.platforms.base import Page
from microlens.platforms.sandbox import SandboxPlatform

NAMES = st.text("abcdefgKLMN23456789_.é猫", min_size=5, max_size=20).map(lambda name: f"Zq{name}")
"""Nothing that a page has by itself."""
NUMBERS = st.integers(10**6, 10**15).filter(lambda number: len(set(str(number))) > 3)


def masked(text):
    body, kind = masked_page(text.encode())
    return body.decode(), kind


HTML = """<!doctype html><html><head><title>{0} on video</title><meta name="author" content="{0}">
<meta property="og:url" content="https://site.test/@{0}/{1}"><style>.u-{1} {{}}</style><!-- served to {0} -->
<script>window.user = "{0}"; track({1})</script>
<script type="application/ld+json">{{"@type": "VideoObject", "author": {{"name": "{0}", "identifier": {1}}}}}</script>
<script>window.STATE = {{"users": {{"{0}": {{"id": {1}}}}}, "by": "{0}", "mid": {1}, "seen": ["{0}"]}};</script>
</head><body data-viewer="{0}" onload="hello('{0}')"><div class="comment" id="user-{1}"><a href="/u/{0}?id={1}"
title="{0}">{0}</a> says <b>hi @{0}</b> {1}<img src="/u/{0}.jpg" alt="{0}"></div><textarea>{0}</textarea></body>"""


@given(name=NAMES, number=NUMBERS)
def test_no_name_and_no_number_of_a_user_is_left_in_html(name, number):
    """Texts, attributes, comments, styles, code and JSON in scripts: planted anywhere, a user is not in the sample."""
    text, kind = masked(HTML.format(name, number))

    assert "html" == kind
    assert name not in text
    assert str(number) not in text


def test_the_structure_of_html_is_left():
    """Elements, classes and the words of vocabularies are what selectors are mended by."""
    text, _ = masked(HTML.format("Zqana", 1234567))

    assert '<div class="comment" id="xxxx-0000000">' in text
    assert '<meta property="og:url" content="xxxxx://xxxx.xxxx/@Xxxxx/0000000">' in text
    assert (
        '<script type="application/ld+json">{"@type":"VideoObject","author":{"name":"Xxxxx","identifier":1111111}}'
        in text
    )
    assert 'window.STATE = {"users":{' in text
    assert "<title>Xxxxx xx xxxxx</title>" in text


def planted(name, number):
    """JSON with a user at every place where sites put one."""
    leaf = st.sampled_from([name, number, f"by {name}!", f"https://site.test/@{name}", f"{number}"])
    other = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
    keys = st.sampled_from(["author", "by", "who", "says", "mid", "avatar", "text", "rows", "@id"])
    person = st.fixed_dictionaries({"id": leaf}, optional={"nick": leaf, "since": other})
    tables = st.fixed_dictionaries({name: person, f"{name}2": person})
    alone = st.sampled_from(["users", "authorMap", "commentUsers", "accounts_by_name"]).map(
        lambda key: {key: {name: 5}}
    )
    return st.recursive(
        leaf | other | tables | alone | st.just({str(number): 1}) | st.just({f"{name} x": 1}),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


@given(data=st.data(), name=NAMES, number=NUMBERS)
def test_no_name_and_no_number_of_a_user_is_left_in_json(data, name, number):
    """Whatever key they stand under, and where they are keys themselves."""
    page = {"page": data.draw(planted(name, number)), "users": {name: {"id": number}}}

    text, kind = masked(json.dumps(page, ensure_ascii=False))

    assert "json" == kind
    assert name not in text
    assert str(number) not in text


def test_the_structure_of_json_is_left():
    """Field names, kinds, depths and the shapes of values; of a list the first rows, of a table by user no user."""
    page = {
        "total": 1234,
        "data": [{"uuid": "a1b2-c3", "likes": "1.2K", "at": "2026-03-01T12:00:00Z", "live": False, "tags": None}] * 9,
        "users": {"ana": {"id": 1}, "bob": {"id": 2, "age": 3}},
        "accounts": {"total": 2, "data": []},
        "rate": 0.75,
    }
    row = {"uuid": "x0x0-x0", "likes": "0.0X", "at": "0000-00-00X00:00:00X", "live": False, "tags": None}

    assert {
        "total": 1111,
        "data": [row] * 3,
        "users": {"xxx~0": {"id": 1}, "xxx~1": {"id": 1, "age": 1}},
        "accounts": {"total": 1, "data": []},
        "rate": 1.11,
    } == orjson.loads(masked_page(orjson.dumps(page))[0])


def test_what_is_kept_is_scrubbed_besides():
    """A class that holds an address or a number is not left as it is."""
    text, _ = masked('<p class="by-ana@mail.example user-77231 big">x</p>')

    assert "ana@mail" not in text
    assert "77231" not in text
    assert "big" in text


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_give_a_sample(body):
    """No answer is too broken to be kept, none grows."""
    text, kind = masked_page(body)

    assert kind in {"json", "html"}
    assert len(text) <= MAX_BYTES


@pytest.mark.parametrize("body", [b"[" * 3000, b'{"a":' * 900 + b"1" + b"}" * 900, b"<div>" * 5000 + b"x"])
def test_depth_costs_no_recursion(body):
    """A page that is nested without end gives a sample as well."""
    assert len(masked_page(body)[0]) <= MAX_BYTES


def test_a_long_page_gives_a_short_sample():
    """Rows and texts are cut, and so is the whole."""
    rows = b"<li>" + b"a" * 500 + b"</li>"

    assert MAX_BYTES >= len(masked_page(b"<ul>" + rows * 40_000)[0])
    assert 41 == len(masked_text("a" * 500))
    assert 3 == len(masked_value(["a"] * 500))


def test_a_masked_page_is_read_as_its_adapter_reads_the_page():
    """A page that has not changed keeps what an adapter needs: the sample is good for mending one."""
    told = {"@type": "VideoObject", "identifier": "v7", "url": "/v/v7", "name": "Cats", "genre": "pets"}
    body = f'<script type="application/ld+json">{json.dumps(told)}</script><a class="related" href="/v/k1">next</a>'
    sample = Page("http://site.test/v/v7", masked_page(body.encode())[0])

    assert ("x0", "Xxxx", "xxxx") == (
        (video := SandboxPlatform().parse_video(Page(sample.url, sample.body.replace(b"/x/x0", b"/v/x0")))).video_id,
        video.title,
        video.category,
    )


@pytest.mark.parametrize(
    "table",
    [
        {"comments": {"alice_smith": {"text": "hi"}}},
        {"avatars": {"alice_smith": "http://x.test/a.png", "bobjones": "http://x.test/b.png"}},
        {"likesOf": {"alice_smith": 3, "bobjones": 5}},
        {"threads": {"alice_smith": [1], "bobjones": [2]}},
    ],
)
def test_a_table_by_user_keeps_no_users_name(table):
    """Where one kind of thing stands under all keys, only what fields are called by is kept."""
    shape = orjson.dumps(masked_value(table)).decode()

    assert "alice" not in shape
    assert "bobjones" not in shape


def test_fields_of_one_kind_keep_their_names():
    """Counts side by side are what a selector is mended with."""
    assert {"viewCount": 1, "like_count": 1, "comments": 1} == masked_value(
        {"viewCount": 7, "like_count": 5, "comments": 3}
    )
