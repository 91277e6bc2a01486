"""robots.txt as RFC 9309 has it, shared by all machines through the frontier."""

import pytest
from protego import Protego

from microlens import robots as robots_module
from microlens.outcomes import POLICIES
from microlens.recipe import Politeness
from microlens.robots import MAX_BODY_BYTES, UNREACHABLE_S, Robots, is_no_rule, is_unreachable

SITE = "http://site.test"
AGENT = "microlens-build/0.1 (+https://example.org/somebot)"


@pytest.fixture
def robots(make_frontier, ledger):
    return Robots(make_frontier(knows=()), AGENT, ledger.hosts)


def is_allowed(robots, url):
    return robots.why_not(url) is None


def allows(robots, text, path="/v/1"):
    robots.remember(SITE, 200, text if isinstance(text, bytes) else text.encode())
    return is_allowed(robots, SITE + path)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 499])
def test_a_client_error_allows_everything(robots, status):
    """A site without a robots.txt may be crawled, whatever stands in the error page (section 2.3.1.3)."""
    robots.remember(SITE, status, b"User-agent: *\nDisallow: /\nCrawl-delay: 60\n")

    assert is_no_rule(status)
    assert is_allowed(robots, f"{SITE}/anything")
    assert 0.0 == robots._frontier.take(SITE) == robots._frontier.take(SITE)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
def test_a_server_error_is_unreachable(status):
    """After a server error, or a plea for calm, nothing may be fetched until a later try succeeds (2.3.1.4)."""
    assert is_unreachable(status)
    assert not is_no_rule(status)


@pytest.mark.parametrize("status", [200, 206, 301])
def test_a_success_is_neither(status):
    """An answer that can be read decides by what it says."""
    assert not is_unreachable(status)
    assert not is_no_rule(status)


def test_an_unknown_host_is_refused(robots):
    """Of a host whose robots.txt nobody has fetched nothing is allowed."""
    assert not is_allowed(robots, "http://new.test/")


def test_a_host_that_was_given_up_is_refused(robots):
    """A host that never gave a robots.txt may not be asked for anything."""
    robots.remember(SITE, 404, b"")
    robots.refuse(SITE)

    assert not is_allowed(robots, f"{SITE}/v/1")


def test_no_try_is_made_while_a_host_is_given_up():
    """The items of such a host are tried again when the verdict on it has ended, and count no try before."""
    policy = POLICIES["robots_unreachable"]

    assert all(policy.delay_s(attempt) >= UNREACHABLE_S for attempt in range(8) for _ in range(200))
    assert 2 <= policy.attempts(Politeness().max_attempts)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("", "/v/1", True),
        ("User-agent: *\nDisallow:", "/v/1", True),
        ("User-agent: *\nDisallow: /", "/v/1", False),
        ("User-agent: *\nDisallow: /v/", "/v/1", False),
        ("User-agent: *\nDisallow: /v/", "/w/1", True),
        ("USER-AGENT: *\ndisallow: /v/", "/v/1", False),
        ("User-agent: *\r\nDisallow: /v/ # ours\r\n", "/v/1", False),
        # The longest match wins; of equals, allow (section 2.2.2).
        ("User-agent: *\nDisallow: /v/\nAllow: /v/1", "/v/1", True),
        ("User-agent: *\nAllow: /v\nDisallow: /v/1", "/v/1", False),
        ("User-agent: *\nDisallow: /v/1\nAllow: /v/1", "/v/1", True),
        ("User-agent: *\nDisallow: /*.mp4$", "/a/b.mp4", False),
        ("User-agent: *\nDisallow: /*.mp4$", "/a/b.mp4?x", True),
        ("User-agent: *\nDisallow: /v?page=", "/v?page=2", False),
        ("User-agent: *\nDisallow: /\n", "/robots.txt", True),
        # Our group counts, and only if there is none the one for all.
        ("User-agent: *\nDisallow: /\nUser-agent: microlens-build\nDisallow: /w/", "/v/1", True),
        ("User-agent: *\nAllow: /\nUser-agent: Microlens-Build\nDisallow: /", "/v/1", False),
        ("User-agent: otherbot\nDisallow: /", "/v/1", True),
        ("User-agent: otherbot\nUser-agent: microlens-build\nDisallow: /", "/v/1", False),
        ("User-agent: microlens-build\nDisallow: /a\nUser-agent: microlens-build\nDisallow: /v", "/v/1", False),
        # The contact in our User-Agent is no product token.
        ("User-agent: somebot\nAllow: /\nUser-agent: *\nDisallow: /", "/v/1", False),
        ("User-agent: example.org\nAllow: /\nUser-agent: *\nDisallow: /", "/v/1", False),
        ("User-agent: bot\nDisallow: /", "/v/1", True),
        # Rules without a group, unknown lines and junk change nothing.
        ("Disallow: /", "/v/1", True),
        ("<html>not found</html>", "/v/1", True),
        ("Sitemap: /s.xml\nUser-agent: *\nSitemap: /t.xml\nDisallow: /v/", "/v/1", False),
    ],
)
def test_rules_are_read_as_the_rfc_says(robots, text, path, expected):
    """Groups are chosen by product token, rules by their longest match."""
    assert expected == allows(robots, text, path)


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\xff\xfe\n", b"# \xe9\n", b"\x00\n"])
def test_strange_bytes_hide_no_rule(robots, start):
    """A byte order mark, or a line that is not UTF-8, leaves the rules as they are."""
    assert not allows(robots, start + b"User-agent: *\nDisallow: /\n")


def test_a_long_file_is_read_to_its_limit(robots):
    """Half a megabyte is read, as the RFC asks for; what comes after it is not."""
    rule = b"User-agent: *\nDisallow: /v/\n"

    assert not allows(robots, b"#\n" * 250_000 + rule)
    assert allows(robots, b"#\n" * (MAX_BODY_BYTES // 2) + rule)


@pytest.mark.parametrize(
    ("delay", "least", "most"),
    [("5", 4, 5), ("0.5", 0.1, 0.5), ("1e9", 590, 600), ("0", 0, 0), ("-3", 0, 0), ("nan", 0, 0), ("soon", 0, 0)],
)
def test_a_crawl_delay_goes_to_the_frontier(robots, delay, least, most):
    """A host's crawl delay paces all machines, ten minutes at most; a delay that is no number is none."""
    robots.remember(SITE, 200, f"User-agent: *\nCrawl-delay: {delay}\n".encode())
    first, second = robots._frontier.take(SITE), robots._frontier.take(SITE)

    assert 0.0 == first
    assert least <= second <= most


def test_a_crawl_delay_is_that_of_our_group(robots):
    """Another bot's delay is not ours."""
    robots.remember(SITE, 200, b"User-agent: slowbot\nCrawl-delay: 60\nUser-agent: *\nDisallow: /x\n")

    assert 0.0 == robots._frontier.take(SITE) == robots._frontier.take(SITE)


def test_rules_are_shared(make_frontier, ledger):
    """One machine asks for all: what it remembered holds for another without a request."""
    one, two = (Robots(make_frontier(knows=()), AGENT, ledger.hosts) for _ in range(2))
    one.remember(SITE, 200, b"User-agent: *\nDisallow: /v/\n")

    assert (False, True) == (is_allowed(two, f"{SITE}/v/1"), is_allowed(two, f"{SITE}/w/1"))


def test_rules_fetched_anew_by_another_machine_are_taken_over(make_frontier, ledger, monkeypatch):
    """A machine that had given a host up hears, after a while, that another got its robots.txt."""
    one, two = (Robots(make_frontier(knows=()), AGENT, ledger.hosts) for _ in range(2))
    one.refuse(SITE)
    before = is_allowed(one, f"{SITE}/v/1")
    two.remember(SITE, 404, b"")
    at_once = is_allowed(one, f"{SITE}/v/1")
    monkeypatch.setattr(robots_module, "_REREAD_S", 0.0)

    assert (False, False, True) == (before, at_once, is_allowed(one, f"{SITE}/v/1"))


def test_what_has_not_changed_is_not_parsed_anew(make_frontier, ledger, monkeypatch):
    """A long robots.txt takes half a second to parse: once, however often it is read again, until it is another."""
    parsed, parse = [], Protego.parse
    monkeypatch.setattr(robots_module.Protego, "parse", lambda text: parsed.append(len(text)) or parse(text))
    monkeypatch.setattr(robots_module, "_REREAD_S", -1.0)
    one, two = (Robots(make_frontier(knows=()), AGENT, ledger.hosts) for _ in range(2))
    one.remember(SITE, 200, b"User-agent: *\nDisallow: /v/\n")
    before = [is_allowed(one, f"{SITE}/v/1") for _ in range(3)], len(parsed)
    two.remember(SITE, 200, b"User-agent: *\nDisallow: /w/\n")
    parsed.clear()

    assert ([False] * 3, 1) == before
    assert [True] * 3 == [is_allowed(one, f"{SITE}/v/1") for _ in range(3)]
    assert 1 == len(parsed)


def test_rules_are_kept_by_origin(robots):
    """Scheme and port belong to a robots.txt: another port's rules do not count."""
    robots.remember(SITE, 404, b"")

    assert is_allowed(robots, f"{SITE}/v/1")
    assert not is_allowed(robots, "https://site.test/v/1")
    assert not is_allowed(robots, "http://site.test:8080/v/1")
