"""Counts, lengths and moments in the spellings that sites use."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from microlens.platforms.quantities import MAX_COUNT, parse_count, parse_duration, parse_moment

NOW_MS = 1_800_000_000_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
FULL_WIDTH = str.maketrans("0123456789.,", "０１２３４５６７８９．，")  # noqa: RUF001 - the spelling is the point


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1,234", 1234),
        ("1.234", 1234),
        ("1 234 567", 1_234_567),
        ("1\u00a0234", 1234),
        ("1\u2009234 views", 1234),
        ("1\u202f234", 1234),
        ("1'234", 1234),
        ("12,34,567", 1_234_567),
        ("1.234.567,8K", 1_234_567_800),
        ("1,234.5K", 1_234_500),
        ("12.3K", 12_300),
        ("12,3K", 12_300),
        ("1.234K", 1234),
        ("1,234K", 1_234_000),
        ("1.2M", 1_200_000),
        ("1.2 million views", 1_200_000),
        ("1,2 Mio. Aufrufe", 1_200_000),
        ("3B", 3_000_000_000),
        ("1.2万", 12_000),
        ("1.2万次播放", 12_000),
        ("1万+", 10_000),
        ("1.2w+", 12_000),
        ("3.4亿", 340_000_000),
        ("3亿5000万", 350_000_000),
        ("1.2만", 12_000),
        ("1만 2천", 12_000),
        ("5千", 5000),
        ("2.5 lakh views", 250_000),
        ("12,5 тыс.", 12_500),
        ("١٢", 12),
        ("١٬٢٣٤", 1234),  # noqa: RUF001
        ("١٫٢ مليون", 1_200_000),  # noqa: RUF001
        ("１２３", 123),  # noqa: RUF001
        ("1.2K likes", 1200),
        ("点赞 1.2万", 12_000),
        ("点赞12", 12),
        ("10 km", 10),
        ("0", 0),
        ("007", 7),
        ("12.0", 12),
        (12, 12),
    ],
)
def test_a_count_is_read_in_its_spelling(text, count):
    """Groups, decimals, units and words around are understood in many scripts."""
    assert count == parse_count(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "likes", "-5", "\u22125", "1.2", "4.5 stars", ".5M", "1.2.3", "1,23,4", "12,345,67", "12:30", "85%"),
        *("5-10K", "Top 10: 1.2K", "1万2", "2千3万", "9" * 30, "9" * 5000, "9" * 18 + "万", "1e5"),
        *(None, True, -1, 2**63),
    ],
)
def test_what_is_no_count_is_none(text):
    """Two numbers, fractions of a thing, negative, too large and broken ones are not guessed at."""
    assert parse_count(text) is None


SPELLINGS = [str, "{:,}".format, lambda n: f"{n:,}".replace(",", " "), lambda n: f"{n:,}".replace(",", "\u202f")]
SPELLINGS += [lambda n: f"{n:,}".replace(",", "."), lambda n: f"{n:,}".replace(",", "'")]
SPELLINGS += [lambda n: str(n).translate(ARABIC), lambda n: f"{n:,}".translate(FULL_WIDTH)]


@given(st.integers(0, MAX_COUNT), st.sampled_from(SPELLINGS), st.sampled_from(["{}", "{} likes", "点赞 {}", "({})"]))
def test_a_whole_number_survives_every_spelling(count, spell, words):
    """Whatever groups its digits and whatever stands around it, a count comes back exactly."""
    assert count == parse_count(words.format(spell(count)))


UNITS = {
    "K": 10**3,
    "k": 10**3,
    "M": 10**6,
    "B": 10**9,
    "万": 10**4,
    "亿": 10**8,
    "만": 10**4,
    "千": 10**3,
    " M": 10**6,
}


@given(st.integers(0, 10**12), st.sampled_from(sorted(UNITS)), st.integers(0, 2), st.sampled_from(".,"))
def test_a_short_count_comes_back_within_its_precision(count, unit, digits, point):
    """A count written with a unit and a few decimals is off by no more than half the last one."""
    factor = UNITS[unit]
    text = f"{count / factor:.{digits}f}".replace(".", point) + unit

    assert abs(count - parse_count(text)) <= factor / 10**digits / 2 + 1


@given(st.text() | st.text("0123456789.,' -万亿KkM٫٬:%", max_size=20) | st.integers() | st.none())  # noqa: RUF001
def test_any_text_gives_a_count_or_none(text):
    """Nothing raises, and nothing is negative or larger than a table can hold."""
    count = parse_count(text)

    assert count is None or 0 <= count <= MAX_COUNT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H2M3.5S", 3723.5),
        ("PT3,5S", 3.5),
        ("P1DT2H", 93_600.0),
        ("P2W", 1_209_600.0),
        ("P0D", 0.0),
        ("1:02", 62.0),
        ("01:02:03", 3723.0),
        ("61:00", 3660.0),
        ("0:02.5", 2.5),
        ("62.5", 62.5),
        ("１:０２", 62.0),  # noqa: RUF001
        (5, 5.0),
        (2.5, 2.5),
    ],
)
def test_a_length_is_read(text, seconds):
    """ISO 8601, a clock, or plain seconds."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "PT", "P", "P1Y", "P1M", "1:75", "1:61:00", "x", "-3", "1e5", None, True, float("nan"), float("inf")]
)
def test_what_is_no_length_is_none(text):
    """Months and years have no length in seconds, and a clock has sixty of each."""
    assert parse_duration(text) is None


@given(st.integers(0, 9999 * 3600))
def test_a_length_survives_every_spelling(seconds):
    """Whole seconds come back from ISO 8601 and from a clock."""
    minutes, rest = divmod(seconds, 60)
    hours, left = divmod(minutes, 60)

    assert seconds == parse_duration(f"PT{hours}H{left}M{rest}S") == parse_duration(f"{hours}:{left:02}:{rest:02}")
    assert seconds == parse_duration(str(seconds))


@given(st.text() | st.floats() | st.integers())
def test_any_text_gives_a_length_or_none(text):
    """Nothing raises, and no length is negative or endless."""
    seconds = parse_duration(text)

    assert seconds is None or 0 <= seconds < 1e16


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-03-01T12:00:00.250Z", 1_772_366_400_250),
        ("2026-03-01T12:00:00", 1_772_366_400_000),
        ("2026-03-01 20:00+08:00", 1_772_366_400_000),
        ("2026-03-01", 1_772_323_200_000),
        ("20260301", 1_772_323_200_000),
        ("2026/3/1", 1_772_323_200_000),
        ("2026年3月1日 12:00", 1_772_366_400_000),
        ("Sun, 01 Mar 2026 12:00:00 +0000", 1_772_366_400_000),
        ("1 Mar 2026 12:00:00 GMT", 1_772_366_400_000),
        (1_772_366_400, 1_772_366_400_000),
        ("1772366400.25", 1_772_366_400_250),
        (1_772_366_400_250, 1_772_366_400_250),
    ],
)
def test_a_moment_is_read(text, ms):
    """ISO 8601, RFC 2822, seconds and milliseconds; UTC where no zone is said."""
    assert ms == parse_moment(text, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("just now", 0),
        ("刚刚", 0),
        ("30 seconds ago", 30_000),
        ("an hour ago", HOUR_MS),
        ("3 hours ago", 3 * HOUR_MS),
        ("Posted 3 Hours Ago (edited)", 3 * HOUR_MS),
        ("2 days ago", 2 * DAY_MS),
        ("1 month ago", 30 * DAY_MS),
        ("yesterday", DAY_MS),
        ("5分钟前", 5 * 60_000),
        ("发布于５分钟前", 5 * 60_000),
        ("3小时前", 3 * HOUR_MS),
        ("2天前", 2 * DAY_MS),
        ("3个月前", 90 * DAY_MS),
        ("昨天", DAY_MS),
        ("前天", 2 * DAY_MS),
        ("昨天 14:05", NOW_MS - (NOW_MS // DAY_MS - 1) * DAY_MS - 14 * HOUR_MS - 5 * 60_000),
    ],
)
def test_a_relative_moment_counts_back_from_now(text, ago_ms):
    """English and Chinese, as exact as they are written."""
    assert NOW_MS - ago_ms == parse_moment(text, now_ms=NOW_MS)


@pytest.mark.parametrize(
    "text",
    ["", "junk", "2021", 5, -1, 0, 1e20, True, None, float("nan"), "0001-01-01", "1 day, 2 hours ago", "1.5 hours ago",
     "in 3 hours", "99 Foo 2026 99:99:99 +0000", "2026-13-01", "2026年13月1日"],
)  # fmt: skip
def test_what_is_no_moment_is_none(text):
    """Years, small numbers, dates that do not exist and moments before 1970 are not guessed at."""
    assert parse_moment(text, now_ms=NOW_MS) is None


@given(st.datetimes(datetime(1974, 1, 1), datetime(5000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_survives_every_spelling(moment):
    """Milliseconds come back from ISO 8601 and numbers, seconds from RFC 2822."""
    whole = moment.replace(microsecond=0)
    ms = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    assert {ms} == {
        parse_moment(text, now_ms=NOW_MS)
        for text in (whole.isoformat(), str(ms), ms, ms // 1000, format_datetime(whole), f"{whole:%Y-%m-%d %H:%M:%S}")
    }


@given(st.integers(0, 9999), st.sampled_from([("{} days ago", DAY_MS), ("{}天前", DAY_MS), ("{} min ago", 60_000)]))
def test_a_relative_moment_survives_every_spelling(count, spelling):
    """A number of units ago comes back as that many units before now."""
    words, unit_ms = spelling

    assert NOW_MS - count * unit_ms == parse_moment(words.format(count), now_ms=NOW_MS)


@given(st.text() | st.floats() | st.integers())
@example("9999-12-31T23:59:59.999999-23:59")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_text_gives_a_moment_or_none(text):
    """Nothing raises, and nothing is before 1970."""
    ms = parse_moment(text, now_ms=NOW_MS)

    assert ms is None or 0 <= ms
