"""Text as sites write it, made plain: ASCII digits, ordinary spaces, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

_SPACES = re.compile(r"\s+")


def plain(text: str) -> str:
    """Give compatibility forms (full width, no-break and thin spaces) and any script's digits as ASCII, in one line."""
    return _SPACES.sub(" ", "".join(_plain_letter(letter) for letter in unicodedata.normalize("NFKC", text))).strip()


def _plain_letter(letter: str) -> str:
    if letter.isascii():
        return letter
    digit = unicodedata.decimal(letter, None)
    if digit is not None:
        return str(digit)
    # Direction marks and zero-width joiners stand between digits in right-to-left scripts.
    return "" if unicodedata.category(letter) == "Cf" else letter
