"""Canonical addresses: one spelling for what is the same, and nothing else is touched."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.addresses import TRACKING, canonical_url, origin_of

SITE = "https://site.test"
WORDS = st.text("abzAZ019-._~%2fé/;=:@+", max_size=8)
TRACKERS = st.sampled_from([*sorted(TRACKING), "utm_source", "UTM_Medium", "Fbclid"])
PAIRS = st.tuples(st.booleans(), st.lists(st.tuples(st.text("abq_", max_size=3), st.none() | WORDS), max_size=4))


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://Site.TEST:443", f"{SITE}/"),
        ("https://site.test.:0443/a", f"{SITE}/a"),
        ("http://site.test:443/", "http://site.test:443/"),
        ("http://site.test:/x#top", "http://site.test/x"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080/"),
        (f"{SITE}/caf%c3%a9?q=%e4%zz", f"{SITE}/caf%C3%A9?q=%E4%zz"),
        (f"{SITE}/v?b=2&utm_source=x&a=1&fbclid=y", f"{SITE}/v?b=2&a=1"),
        (f"{SITE}/v?UTM_Campaign=x&spm", f"{SITE}/v"),
        (f"{SITE}/v?&&b&utm_id=1", f"{SITE}/v?&&b"),
        (f"{SITE}/v?", f"{SITE}/v?"),
        (f"{SITE}/v?next=utm_source=x", f"{SITE}/v?next=utm_source=x"),
        (f"{SITE}/a/../b//c", f"{SITE}/a/../b//c"),
        ("https://Ana:Pw@site.test/", "https://Ana:Pw@site.test/"),
        ("ftp://SITE.test#x", "ftp://SITE.test#x"),
        ("/v/17?utm_source=x", "/v/17?utm_source=x"),
        ("http://[broken", "http://[broken"),
        ("https:///path", "https:///path"),
        ("", ""),
    ],
)
def test_an_address_has_one_spelling(url, canonical):
    """Case, port, dot, empty path, encodings, fragment and tracking; nothing that a server may tell apart."""
    assert canonical == canonical_url(url)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A:443/", "https://a"),
        ("https://a", "https://a"),
        ("https://a./x", "https://a"),
        ("https://u:p@A:8443/x", "https://a:8443"),
        ("http://a:443", "http://a:443"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://a:port/", "http://a:port"),
        ("http://a:0/", "http://a:0"),
        ("http://a.te\tst/x", "http://a.test"),
    ],
)
def test_an_origin_has_one_spelling(url, origin):
    """What a budget is kept for: https://A:443/ and https://a are one host."""
    assert origin == origin_of(url)


@given(st.text(max_size=40) | st.builds("http{}://{}".format, st.sampled_from(["", "s"]), st.text(max_size=40)))
def test_a_canonical_address_is_its_own(url):
    """Twice is once, whatever the text."""
    once = canonical_url(url)

    assert once == canonical_url(once)


def spelled(path, pairs, *, has_mark):
    query = "&".join(name if value is None else f"{name}={value}" for name, value in pairs)
    return f"{path}?{query}" if has_mark or query else path


@given(path=WORDS, query=PAIRS)
def test_a_server_sees_the_same_request(path, query):
    """Where nothing named above is there to change, path and query reach the server letter for letter."""
    has_mark, pairs = query
    target = spelled(f"/{path.replace('%', '')}", [(n, v and v.replace("%", "")) for n, v in pairs], has_mark=has_mark)

    assert SITE + target == canonical_url(SITE + target)


@given(
    path=WORDS,
    query=PAIRS,
    trackers=st.lists(st.tuples(st.integers(0, 4), TRACKERS, WORDS), max_size=3),
    host=st.sampled_from(["site.test", "SITE.test", "Site.Test.", "site.test:443", "SITE.TEST.:443"]),
    fragment=st.none() | WORDS,
)
def test_what_is_named_does_not_count(path, query, trackers, host, fragment):
    """Any tracking parameters at any place, any case of the host, its port and a fragment leave one address."""
    has_mark, pairs = query
    noisy = list(pairs)
    for place, name, value in trackers:
        noisy.insert(place, (name, value.replace("&", "")))
    plain = SITE + spelled(f"/{path}", pairs, has_mark=has_mark or bool(pairs))
    url = f"HTTPS://{host}" + spelled(f"/{path}", noisy, has_mark=has_mark or bool(noisy))
    url += "" if fragment is None else f"#{fragment}"

    if pairs or not trackers:
        assert canonical_url(plain) == canonical_url(url)
    assert not urlsplit(canonical_url(url)).fragment
