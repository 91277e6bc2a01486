"""How long a title is, counted in meaningful characters."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filtering.drop import Drop
from filtering.title import check_title, meaningful_length

EMOJI = ["😀", "👍🏽", "👨‍👩‍👧", "🇨🇳", "1️⃣", "#️⃣", "ℹ️", "☀️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🔟"]  # noqa: RUF001 - the letter among the emoji is meant
NOISE = st.lists(
    st.sampled_from([*"!?.,;:-_()[]{}'\"/\\|~+=<>$%^&*`\uff0c。\uff01\uff1f、…《》【】·#@\u200b\u200d\n\t ", *EMOJI])
).map("".join)


@pytest.mark.parametrize(
    ("title", "length"),
    [
        ("", 0),
        ("   \n\t\u3000\u200b\ufeff", 0),
        ("Hello", 5),
        ("Hello, world!", 10),
        ("今天天气很好。", 6),
        ("今天 vlog 03!", 8),
        ("\uff28\uff25\uff2c\uff2c\uff2f\uff11", 6),
        ("#日常 #vlog", 6),
        ("@bob look", 4),
        ("@张三 看", 1),
        ("\uff20bob.smith@example.social hi", 2),
        ("mail bob+x@mail.example.com now", 7),
        ("https://example.com/a?b=c#d", 0),
        ("看www.example.com/x很好", 3),
        ("短链http://t.cn/A6x很好看", 5),
        ("HTTPS://EXAMPLE.COM ok", 2),
        ("awww.cute", 8),
        ("café", 4),
        ("cafe\u0301", 4),
        ("한국어", 3),
        ("สวัสดี", 4),
        ("हिन्दी", 3),
        ("۱۲۳", 3),
        ("ㅤ\u115f\u1160\uffa0", 0),
        ("\ue000\U000f0000", 0),
        ("…!!!???---", 0),
        ("1️⃣ 2️⃣ 3 go", 3),
    ],
)
def test_letters_and_digits_of_any_script_count(title, length):
    """Addresses, mentions, emoji, marks and all that is neither letter nor number count nothing."""
    assert meaningful_length(title) == length


@pytest.mark.parametrize("emoji", EMOJI)
def test_an_emoji_counts_nothing(emoji):
    """Neither joiners, skin tones, flags nor the digit under a keycap add to a title."""
    assert meaningful_length(emoji) == 0
    assert meaningful_length(f"a{emoji}b") == 2


@given(st.text(), NOISE, NOISE)
def test_noise_around_a_title_never_makes_it_longer(title, before, after):
    """Nobody gets past the filter with punctuation and emoji."""
    assert meaningful_length(before + title + after) <= meaningful_length(title)


@given(st.text())
def test_a_title_is_never_longer_than_its_characters(title):
    """The count lies between nothing and the title's length, and is the same for both spellings of an accent."""
    assert 0 <= meaningful_length(title) <= len(title)


@pytest.mark.parametrize("unit", ["a", "@", "a@", "www.", "x@a.", "@a@b", "http://", "1\u20e3", "a\ufe0f", "a."])
def test_a_hostile_title_takes_linear_time(unit):
    """Two hundred thousand characters are counted at once, whatever they repeat."""
    started = time.process_time()
    meaningful_length(unit * (200_000 // len(unit)) + "@")

    assert time.process_time() - started < 2


def test_a_title_at_the_threshold_is_kept():
    """One character less is dropped, with both numbers; no title at all has a reason of its own."""
    assert check_title("abc!", min_characters=3) is None
    assert check_title("ab!!", min_characters=3) == Drop("title_too_short", "title", 2, 3)
    assert check_title("", min_characters=0) is None
    assert check_title(None, min_characters=0) == Drop("title_missing", "title", None, 0)
