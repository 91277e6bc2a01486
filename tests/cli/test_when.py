"""Moments as they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.cli.when import moment_text, parse_when
from microlens.errors import RecipeError

NOW_MS = 1_790_000_000_000
"""2026-09-21T14:13:20Z"""


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("now", NOW_MS),
        ("30m", NOW_MS - 1_800_000),
        ("12h", NOW_MS - 43_200_000),
        (" 7d ", NOW_MS - 604_800_000),
        ("2w", NOW_MS - 1_209_600_000),
        ("2026-09-21", 1_789_948_800_000),
        ("2026-09-21T14:13", 1_789_999_980_000),
        ("2026-09-21T14:13:20Z", NOW_MS),
        ("2026-09-21 16:13:20+02:00", NOW_MS),
    ],
)
def test_days_moments_and_ages(text, at_ms):
    """Each form gives its milliseconds; without a zone it is UTC."""
    assert at_ms == parse_when(text, now_ms=NOW_MS)


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7y", "-7d", "7.5d", "\u0667d", "2026-13-01", "99999w", "1e9"])
def test_what_is_no_moment_is_refused(text):
    """The error repeats what was given, and names the forms."""
    with pytest.raises(RecipeError, match="no moment") as refused:
        parse_when(text, now_ms=NOW_MS)

    assert repr(text) in refused.value.message
    assert "7d" in refused.value.hint


def test_the_future_is_refused():
    """Everything was read before it, again and again."""
    with pytest.raises(RecipeError, match="future"):
        parse_when("2026-09-22", now_ms=NOW_MS)


@given(st.integers(0, NOW_MS))
def test_what_is_told_can_be_typed(at_ms):
    """A moment as `status` shows it is read back to the millisecond."""
    assert at_ms == parse_when(moment_text(at_ms), now_ms=NOW_MS)
