"""How much a title says: its length once meaningless characters are gone (paper, section 2.2)."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

# Not `re`, which knows neither Unicode's properties nor graphemes; and its Unicode is the same under every Python.
import regex

from filtering.drop import Drop

if TYPE_CHECKING:
    from microlens.recipe import Hashtags

# Lengths are bounded and starts anchored: a hostile title of a megabyte must not take quadratic time.
_URL = regex.compile(
    r"(?:(?:https?|ftp)://|(?<![a-z0-9])www\.)(?:[!-~\p{Latin}]+|[\w.:@%\[\]-]+(?:[/?#][!-~]*)?)", regex.IGNORECASE
)
_EMAIL = regex.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_NAME = r"[\p{L}\p{N}_][\p{L}\p{N}\p{M}_]*"
_MENTION = regex.compile(rf"[@\uFE6B\uFF20]{_NAME}(?:\.{_NAME})*(?:@[\w.-]+)?")
_HASHTAG = regex.compile(rf"[#\uFE5F\uFF03]{_NAME}")
# Digits under a keycap, or shown as a picture: all emoji else hold no letter and no number, but U+2139 (see below).
# Flags must go before graphemes are told apart: in a row of n of them that takes the square of n.
_EMOJI = regex.compile(r"[0-9#*](?:\uFE0F\u20E3?|\u20E3)|\p{Regional_Indicator}+")
_GRAPHEME = regex.compile(r"\X")
_MEANINGFUL = regex.compile(r"(?V1)[[\p{L}\p{N}]--[\p{Default_Ignorable_Code_Point}\p{Extended_Pictographic}]]")
"""Letters and numbers, without fillers that show nothing (Hangul's), and the emoji among them: U+2139 is a letter."""


def meaningful_graphemes(title: str, *, hashtags: Hashtags = "counted") -> list[str]:
    """Give what a reader sees as the letters, digits and ideographs of a title, in their order, in any script.

    In this order:

    1. The title is brought to Unicode's composed form (NFC), so that both spellings of `é` are one.
    2. What is meaningless as a whole is removed:
       - URLs (`http`, `https`, `ftp` or a leading `www.`), to the next character that is neither visible ASCII nor
         Latin, so Chinese words behind a short link stay; where the host begins in another script, to the end of the
         host and of its ASCII path. Without scheme or `www.` a domain counts as words.
       - E-mail addresses, and @mentions (`@name`, `@name@host`, a full-width `@` too), to the next character that is
         no letter, digit, mark, `_` or inner dot.
       - Hashtags, if they are `meaningless`: `#word`, to the next character that is no letter, digit, mark or `_`;
         `#a#b` is two of them. If `counted`, their words count, and their `#` does not.
       - Keycaps, digits shown as pictures, and flags.
    3. The rest is cut into extended grapheme clusters (Unicode Standard Annex 29). One stays if it has a character of
       the categories L (letters) or N (numbers): an ideograph, a syllable of Hangul or Devanagari, a Latin letter with
       its accents, a digit. What never stays: white space, punctuation, symbols, emoji with skin tones, joiners and
       tags, control, format, private and unassigned characters, marks that stand alone, and letters that show nothing
       (Default_Ignorable_Code_Point).

    Lone surrogates count nothing; no text raises. The time is linear in the title's length.
    """
    text = unicodedata.normalize("NFC", title)
    for meaningless in (_URL, _EMAIL, _MENTION, *([_HASHTAG] if hashtags == "meaningless" else []), _EMOJI):
        text = meaningless.sub(" ", text)
    return [grapheme for grapheme in _GRAPHEME.findall(text) if any(map(_is_meaningful, grapheme))]


@cache
def _is_meaningful(character: str) -> bool:
    return _MEANINGFUL.match(character) is not None


def meaningful_length(title: str, *, hashtags: Hashtags = "counted") -> int:
    """Count the `meaningful_graphemes` of a title."""
    return len(meaningful_graphemes(title, hashtags=hashtags))


def check_title(title: str | None, *, min_characters: int, hashtags: Hashtags = "counted") -> Drop | None:
    """Drop a title of FEWER than `min_characters` meaningful graphemes, and a video that has none."""
    if title is None:
        return Drop("title_missing", "title", None, min_characters)
    length = meaningful_length(title, hashtags=hashtags)
    return Drop("title_too_short", "title", length, min_characters) if length < min_characters else None
