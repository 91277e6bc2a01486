"""What an HTTP answer means for the work that asked."""

import ast
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.outcomes import PASSING, POLICIES, SILENCE, Refusal, RetryPolicy, policy_of, refusal_of, retry_after_s

SOURCE = Path(__file__).parents[2]


@pytest.mark.parametrize("status", [200, 206])
def test_an_answer_that_can_be_used_is_no_refusal(status):
    """A whole answer, or the part asked for, is what was wanted."""
    assert refusal_of(status) is None


@pytest.mark.parametrize(
    ("status", "reason", "is_final", "is_backoff"),
    [
        (404, "gone", True, False),
        (410, "gone", True, False),
        (451, "gone", True, False),
        (401, "private", True, False),
        (403, "private", True, False),
        (408, "timeout", False, False),
        (429, "rate_limited", False, True),
        (503, "server_error", False, True),
        (500, "server_error", False, False),
        (502, "server_error", False, False),
        (599, "server_error", False, False),
        (400, "bad_status", True, False),
        (418, "bad_status", True, False),
        (204, "bad_status", True, False),
        (301, "bad_status", True, False),
    ],
)
def test_a_status_has_one_meaning(status, reason, is_final, is_backoff):
    """What no try can mend is final; a server's trouble may pass; only 429 and 503 ask for rest."""
    assert Refusal(reason, is_final=is_final, is_backoff=is_backoff) == refusal_of(status)


@given(st.integers(100, 999))
def test_every_status_has_a_meaning(status):
    """No number a server can send is without a verdict, and none that asks for rest is final."""
    refusal = refusal_of(status)

    assert (refusal is None) == (status in (200, 206))
    assert refusal is None or not (refusal.is_backoff and refusal.is_final)
    assert refusal is None or refusal.reason == refusal.reason.lower().replace(" ", "_")


@pytest.mark.parametrize(("value", "seconds"), [("1", 1.0), (" 120 ", 120.0), ("007", 7.0)])
def test_seconds_are_seconds(value, seconds):
    """The first form of Retry-After is a number of seconds."""
    assert seconds == retry_after_s(value)


@pytest.mark.parametrize("ahead_s", [30, 3600, 86_400])
def test_a_date_is_the_time_until_it(ahead_s):
    """The second form is a moment: what lies between now and then is waited."""
    moment = datetime.now(UTC) + timedelta(seconds=ahead_s)
    found = retry_after_s(format_datetime(moment, usegmt=True))

    assert ahead_s - 20 < found <= ahead_s


def test_a_date_in_another_time_zone_is_that_moment():
    """An offset counts, and a date without a zone is UTC."""
    moment = datetime.now(UTC) + timedelta(seconds=3600)
    naive = retry_after_s(moment.strftime("%a, %d %b %Y %H:%M:%S"))
    offset = retry_after_s((moment + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S +0200"))

    assert 3580 < naive <= 3600
    assert 3580 < offset <= 3600


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "0",
        "000",
        "-5",
        "1.5",
        "soon",
        "1 2",
        "\u0663",
        "\u00b2",
        "Fri, 01 Jan 1999 00:00:00 GMT",
        "Fri, 99 Jan 2099 00:00:00 GMT",
        "Mon, 1 Jan 2099 00:00:00 +99999999999999999999",
        "Mon, 1 Jan 99999999999 00:00:00 GMT",
    ],
)
def test_zero_the_past_and_junk_are_nothing(value):
    """A Retry-After that asks for no wait, or that cannot be read, is treated as absent."""
    assert retry_after_s(value) is None


@pytest.mark.parametrize("value", ["9" * 12, "9" * 400, "Fri, 01 Jan 9999 00:00:00 GMT"])
def test_no_wait_is_longer_than_a_month(value):
    """A host that asks for an age is asked again after a month; no number is too large to be read."""
    assert 30 * 24 * 3600.0 == retry_after_s(value)


texts = st.text(max_size=40) | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,2} Jan \d{1,6} [\d:]{1,8} ?[+-]?\w{0,6}\Z")


@given(texts | st.integers().map(str))
def test_any_header_is_a_finite_wait_or_none(value):
    """Whatever a server sends, the answer is None or a positive, finite number of seconds."""
    found = retry_after_s(value)

    assert found is None or (0 < found <= 30 * 24 * 3600 and math.isfinite(found))


# --- what is done about each class ---


def refusals():
    """Every reason that stands in the source as a word, and whether it is told to be final."""
    for package in ("microlens", "crawler", "download_nodes"):
        for path in sorted((SOURCE / package).rglob("*.py")):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                name, word = getattr(call.func, "id", ""), call.args and getattr(call.args[0], "value", None)
                if name == "PlaylistError" and isinstance(word, str):
                    yield word, True
                elif name == "Refusal" and isinstance(word, str):
                    told = {given.arg: getattr(given.value, "value", None) for given in call.keywords}
                    yield word, told["is_final"]


def test_every_class_of_failure_has_a_policy():
    """`retry --reason` knows every word that the source can give, those of aiohttp's exceptions included."""
    from download_nodes.fetch_errors import _REASONS, LOCAL

    told = {word for word, _ in refusals()} | {word for _, word in _REASONS} | SILENCE
    assert len(told) > 25

    assert set() == told - POLICIES.keys()
    assert set() == LOCAL & POLICIES.keys(), "a trouble of this machine is never written down as an item's"


def test_what_is_not_final_may_pass():
    """A failure that is tried again is also one that `work` opens again, and what never passes is final."""
    assert set() == {word for word, is_final in refusals() if is_final is False} - PASSING
    assert SILENCE <= PASSING


def test_an_unknown_word_is_for_good():
    """Adapters and robots tags bring words of their own."""
    assert not policy_of("robots_noai").is_passing
    assert 3 == policy_of("whatever_a_site_says").attempts(3)


policies = st.sampled_from(sorted(POLICIES.items())).map(lambda pair: pair[1]) | st.builds(
    RetryPolicy, patience=st.floats(0, 10), first_s=st.floats(0.01, 100), longest_s=st.floats(100, 1000)
)


@given(policies, st.integers(1, 1000))
def test_an_item_is_tried_at_least_once(policy, max_attempts):
    """Whatever the patience, and never more often than patience times the recipe's number."""
    tries = policy.attempts(max_attempts)

    assert max(1, round(max_attempts * policy.patience)) == tries


@given(policies, st.integers(0, 10_000))
def test_delays_grow_and_are_capped(policy, attempt):
    """Each is at most a quarter off from twice the one before, and never above the longest by more than a quarter."""
    plain = min(policy.first_s * 2.0 ** min(attempt, 60), policy.longest_s)
    found = policy.delay_s(attempt)

    assert 0 < found <= policy.longest_s * 1.25
    assert plain * 0.75 <= found <= plain * 1.25 or attempt > 16


@pytest.mark.parametrize("reason", sorted(PASSING))
def test_no_two_wait_alike(reason):
    """Items that failed together do not come back together; the last delay of a class is longer than its first."""
    policy = POLICIES[reason]
    delays = {policy.delay_s(0) for _ in range(50)}

    assert len(delays) > 40
    assert max(delays) < policy.delay_s(16)
    assert policy.first_s <= policy.longest_s
