"""How much a title says: its length once meaningless characters are gone (paper, section 2.2)."""

from __future__ import annotations

import re
import unicodedata

from filtering.drop import Drop

_URL = re.compile(r"(?:(?:https?|ftp)://|(?<![a-z0-9])www\.)[\w.:@%\[\]-]+(?:[/?#][!-~]*)?", re.IGNORECASE)
# Lengths are bounded and starts anchored: a hostile title of a megabyte must not take quadratic time.
_EMAIL = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_MENTION = re.compile(r"[@\uFF20]\w+(?:\.\w+)*(?:@[\w.-]+)?")
# Keycaps (1 + U+20E3), whatever U+FE0F turns into a picture, and U+2139, the only emoji that Unicode calls a letter.
_EMOJI = re.compile(r"[0-9#*]\uFE0F?\u20E3|.\uFE0F|\u2139", re.DOTALL)
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Hangul fillers: letters by category, and nothing on the screen."""


def meaningful_length(title: str) -> int:
    """Count the letters and digits of a title that carry meaning, in any script.

    In this order:

    1. The title is brought to Unicode's composed form (NFC), so that both spellings of `é` are one letter.
    2. Removed whole: URLs (`http`, `https`, `ftp` or a leading `www.`; the path ends where ASCII ends, so Chinese
       words behind a short link stay; without scheme or `www.` a domain counts as words), e-mail addresses,
       @mentions (`@name`, `@name@host`, to the next character that is no letter, digit, `_` or inner dot),
       and emoji that contain a digit or a letter (keycaps).
    3. Of the rest every character of the Unicode categories L (letters) and N (numbers) counts one: an ideograph, a
       syllable of Hangul, a Latin letter, a digit. All else counts nothing: punctuation, symbols, emoji with their
       flags, skin tones and joiners, white space, control, format, private and unassigned characters, Hangul fillers,
       and marks, which belong to the letter that they stand on.

    A hashtag's word counts; its `#` does not. Categories are those of the running Python's `unicodedata`.
    """
    text = unicodedata.normalize("NFC", title)
    for meaningless in (_URL, _EMAIL, _MENTION, _EMOJI):
        text = meaningless.sub(" ", text)
    return sum(unicodedata.category(letter)[0] in "LN" for letter in text if letter not in _BLANK_LETTERS)


def check_title(title: str | None, *, min_characters: int) -> Drop | None:
    if title is None:
        return Drop("title_missing", "title", None, min_characters)
    length = meaningful_length(title)
    return Drop("title_too_short", "title", length, min_characters) if length < min_characters else None
