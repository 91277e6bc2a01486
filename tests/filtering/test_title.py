"""How long a title is, counted in meaningful graphemes."""

import csv
import time
import unicodedata
from pathlib import Path

import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from filtering.drop import Drop
from filtering.early import Thresholds, passes_early
from filtering.title import check_title, meaningful_graphemes, meaningful_length

EMOJI = ["😀", "👍🏽", "👨‍👩‍👧", "🇨🇳", "1️⃣", "#️⃣", "ℹ️", "☀️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🔟"]  # noqa: RUF001 - the letter among the emoji is meant
NOISE = st.lists(
    st.sampled_from([*"!?.,;:-_()[]{}'\"/\\|~+=<>$%^&*`\uff0c。\uff01\uff1f、…《》【】·#@\u200b\u200d\n\t ", *EMOJI])
).map("".join)
ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Lone surrogates, unassigned and private characters included."""
LETTERS = st.lists(
    # Without what makes one grapheme with its neighbours, and without the letters of which addresses begin.
    st.characters(categories=["L", "N"], exclude_characters="wWtT\u2139").filter(regex.compile(r"\p{GCB=Other}").match)
)
MEANINGLESS = st.one_of(
    st.sampled_from([*EMOJI, "https://t.cn/A6x?y=1#z ", " @bob.b ", " \uff20张三@site.example "]),
    # Python's Unicode may be older than that of `regex`: what it takes for unassigned may be a letter.
    st.characters(categories=["P", "S", "Z", "C"], exclude_characters="@\uff20\ufe6b").filter(
        regex.compile(r"[^\p{L}\p{M}\p{N}]").match
    ),
)


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
        ("हिन्दी", 2),
        ("क्षत्रिय", 3),
        ("น้ำดี", 2),
        ("\uff76\uff9e\uff77\uff9e", 2),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", 2),
        ("𠮷野家", 3),
        ("日出了", 3),
        ("猫☀️狗", 2),
        ("①②Ⅷ", 3),
        ("a\ufe0fb", 2),
        ("看www.example.com很好", 3),
        ("看http://t.cn很好", 3),
        ("https://b\u00fccher.example/x ab", 2),
        ("http://例子.中国/x 好", 1),
        ("@हिन्दी ab", 2),
        ("C#minor", 6),
        ("\ud800a", 1),
        ("۱۲۳", 3),
        ("ㅤ\u115f\u1160\uffa0", 0),
        ("\ue000\U000f0000", 0),
        ("…!!!???---", 0),
        ("1️⃣ 2️⃣ 3 go", 3),
    ],
)
def test_letters_and_digits_of_any_script_count(title, length):
    """Addresses, mentions, emoji, marks and all that is neither letter nor number count nothing."""
    assert length == meaningful_length(title)


@pytest.mark.parametrize(
    ("title", "counted", "meaningless"),
    [
        ("#日常 #vlog", 6, 0),
        ("今天\uff03日常 看", 5, 3),
        ("#日常#今天 看", 5, 1),
        ("C# 入门", 3, 3),
        ("#हिन्दी ab", 4, 2),
        ("#️⃣ ab", 2, 2),
        ("## !", 0, 0),
    ],
)
def test_hashtags_count_as_the_recipe_says(title, counted, meaningless):
    """Their words are part of the title, or are not; the sign itself never counts."""
    assert (counted, meaningless) == tuple(meaningful_length(title, hashtags=how) for how in ("counted", "meaningless"))


@pytest.mark.parametrize("emoji", EMOJI)
def test_an_emoji_counts_nothing(emoji):
    """Neither joiners, skin tones, flags nor the digit under a keycap add to a title."""
    assert meaningful_length(emoji) == 0
    assert meaningful_length(f"a{emoji}b") == 2


@given(st.text(), NOISE, NOISE)
def test_noise_around_a_title_never_makes_it_longer(title, before, after):
    """Nobody gets past the filter with punctuation and emoji."""
    assert meaningful_length(before + title + after) <= meaningful_length(title)


@given(ANY_TEXT)
def test_a_title_is_never_longer_than_its_characters(title):
    """Any text has a count, hashtags never lower it, and it lies between nothing and the title's length."""
    shorter = meaningful_length(title, hashtags="meaningless")

    assert 0 <= shorter <= meaningful_length(title) <= len(title)


@given(ANY_TEXT, st.sampled_from(["NFC", "NFD"]))
def test_both_spellings_of_an_accent_are_one(title, form):
    """Canonically equal titles are equally long."""
    assert meaningful_graphemes(title) == meaningful_graphemes(unicodedata.normalize(form, title))


@given(LETTERS, st.lists(MEANINGLESS, min_size=1), st.randoms(use_true_random=False))
def test_meaningless_characters_never_change_the_length(letters, noise, random):
    """Wherever they stand between letters, and however many, the letters are counted."""
    title = "".join(f"{letter}{random.choice(noise)}" for letter in letters)

    assert len(letters) == meaningful_length(random.choice(noise) + title)


@given(ANY_TEXT)
def test_what_is_meaningful_stays_so(title):
    """To count what was counted gives the same: nothing in it is meaningless."""
    assume("www" not in title.lower())  # what stood apart would make an address
    once = meaningful_graphemes(title)

    assert once == meaningful_graphemes(" ".join(once))


@given(LETTERS, NOISE)
def test_a_node_counts_as_integration_does(letters, noise):
    """The early check asks for a title's comments exactly if the filter lets it through."""
    title = "".join(letters) + noise
    for thresholds in (Thresholds(), Thresholds(hashtags="meaningless")):
        is_kept = meaningful_length(title, hashtags=thresholds.hashtags) >= 3

        assert is_kept is passes_early(title, 0.5, True, 100_000, thresholds)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "@",
        "a@",
        "www.",
        "x@a.",
        "@a@b",
        "http://",
        "1\u20e3",
        "a\ufe0f",
        "a.",
        "\U0001f1e8",
        "\u0301",
        "क्",
        "👨\u200d",
        "#a",
    ],
)
def test_a_hostile_title_takes_linear_time(unit):
    """Two hundred thousand characters are counted at once, whatever they repeat."""
    started = time.process_time()
    meaningful_length(unit * (200_000 // len(unit)) + "@", hashtags="meaningless")

    assert time.process_time() - started < 2


def test_the_published_titles_pass():
    """Of the 19,220 items of MicroLens-50K, which its authors filtered by the same rule, none is dropped by ours."""
    path = Path(__file__).parents[3] / "shared/real-data/microlens-50k/MicroLens-50k_titles.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with path.open(encoding="utf-8", newline="") as file:
        titles = [row["title"] for row in csv.DictReader(file)]

    assert 19_220 == len(titles)
    assert [] == [title for title in titles if check_title(title, min_characters=3) is not None]


def test_a_title_at_the_threshold_is_kept():
    """One character less is dropped, with both numbers; no title at all has a reason of its own."""
    assert check_title("abc!", min_characters=3) is None
    assert check_title("ab!!", min_characters=3) == Drop("title_too_short", "title", 2, 3)
    assert check_title("", min_characters=0) is None
    assert check_title(None, min_characters=0) == Drop("title_missing", "title", None, 0)
