"""What an HTTP answer means for the work that asked."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.outcomes import Refusal, refusal_of, retry_after_s


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
