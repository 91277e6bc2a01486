"""Pseudonyms: the only place that sees raw user ids.

A pseudonym is HMAC-SHA256(key, domain, id) truncated to 128 bits (RFC 2104; NIST SP 800-107 allows the truncation).
Whoever holds the key can recompute it, so pseudonymised data is still personal data; it is never called anonymous.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import struct
from typing import TYPE_CHECKING

from microlens.errors import CorruptDataError, KeyMismatchError, NotReadyError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

KEY_BYTES = 32
USER_KEY_BYTES = 16
COMMENT_KEY_BYTES = 8
"""A comment is told from the others of its video. A billion of them, on videos of 5,000, are 2.5e12 pairs that must not
meet: in 64 bits one does with a chance of 1 in 7 million, and one comment is then lost. That all the ids of such a run
differ is less sure (two are the same with a chance of 1 in 37): nothing may look for a comment without its video.
"""

# Every repetition is bounded: a hostile text must not cost more than its length.
_EMAIL = re.compile(r"[\w.+-]{1,64}[@\uff20][\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"[@\uff20][\w.-]{1,256}(?:@[\w.-]{1,256})?")
# Chinese is written without spaces: a number may touch any letters but Latin ones (`v1234567` is no phone number).
# A date (2024-01-15) and a decimal fraction (3.14159265) are none either.
_PHONE = re.compile(
    r"(?!\d{4}-\d{2}-\d{2}(?!\d))(?!\d{1,20}\.\d{1,20}(?![\d.]))"
    r"(?<![\dA-Za-z_.])\+?\d(?:[ ().-]{0,2}\d){6,14}(?![\dA-Za-z_])"
)
# Every match of the patterns above holds one of these; most comments hold none, and are left at once.
_SUSPECT = re.compile(r"[@\uff20]|://|www\.|\d[^A-Za-z]{6}", re.IGNORECASE)
# An at sign or a digit: \d as a table, which is far quicker to look up (above the BMP as ranges that hold all digits).
_DIGITS = "".join(chr(code) for code in range(0x10000) if chr(code).isdecimal())
_HINT = re.compile(f"[@\uff20{_DIGITS}\U000104a0-\U0001e959\U0001fbf0-\U0001fbf9]")


class Pseudonymiser:
    """Turns raw ids into keyed ones; holds the run's key in memory."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise CorruptDataError(
                f"the pseudonym key has {len(key)} bytes, not {KEY_BYTES}",
                hint="set MICROLENS_PSEUDONYM_KEY to 64 hexadecimal digits, or restore private/pseudonym.key",
            )
        self._key = key
        self._user_prefixes: dict[str, bytes] = {}

    def user_key(self, platform: str, raw_user_id: str) -> bytes:
        """16 bytes, the same for one user of one platform throughout the run."""
        # A node does this for every comment: what is the same for all users of a platform is put together once.
        prefix = self._user_prefixes.get(platform)
        if prefix is None:
            prefix = self._user_prefixes[platform] = _framed(b"user", platform.encode())
        raw = raw_user_id.encode()
        message = prefix + len(raw).to_bytes(4, "big") + raw
        return hmac.digest(self._key, message, "sha256")[:USER_KEY_BYTES]

    def comment_keys(self, platform: str, comment_ids: Iterable[str]) -> list[int]:
        """A number of 64 bits, signed, for each comment's own id: some sites spell its author's name in it.

        Keyed BLAKE2b (RFC 7693) under a key derived for the platform: half the time of an HMAC, and a crawl makes a
        billion of them.
        """
        key = hmac.digest(self._key, _framed(b"comment", platform.encode()), "sha256")
        keyed = hashlib.blake2b(key=key, digest_size=COMMENT_KEY_BYTES)
        digests = []
        for comment_id in comment_ids:
            one = keyed.copy()
            one.update(comment_id.encode())
            digests.append(one.digest())
        return numbers_of(b"".join(digests))

    def order_key(self, domain: str, name: bytes | str) -> bytes:
        """A keyed position in a public order, so that dense ids tell nothing of the crawl."""
        text = name.hex() if isinstance(name, bytes) else name
        message = _framed(b"order", domain.encode(), text.encode())
        return hmac.digest(self._key, message, "sha256")[:USER_KEY_BYTES]

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart without telling anything of either."""
        return hmac.digest(self._key, b"fingerprint", "sha256").hex()[:16]


def numbers_of(raw: bytes) -> list[int]:
    """Comments' keys from the 8 bytes of each."""
    return list(struct.unpack(f"<{len(raw) // COMMENT_KEY_BYTES}q", raw))


def bytes_of(keys: Sequence[int]) -> bytes:
    """The same backwards."""
    return struct.pack(f"<{len(keys)}q", *keys)


def _framed(*parts: bytes) -> bytes:
    """Put parts together with their lengths before them, so that ("a", "bc") and ("ab", "c") differ."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def create_key(path: Path, given: str | None = None) -> Pseudonymiser:
    """Make the run's key (or take the one given) and keep it in a file that only its owner can read."""
    key = _given_key(given) if given is not None else secrets.token_bytes(KEY_BYTES)
    pseudonymiser = Pseudonymiser(key)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
    return pseudonymiser


def open_key(path: Path, *, fingerprint: str, given: str | None = None) -> Pseudonymiser:
    """Read the run's key; KeyMismatchError if it is not the one that the run was created with."""
    if given is None and not path.exists():
        raise NotReadyError(
            f"this machine has no pseudonym key for the run: {path} does not exist",
            hint="set MICROLENS_PSEUDONYM_KEY to the run's key (64 hexadecimal digits)",
        )
    pseudonymiser = Pseudonymiser(_given_key(given) if given is not None else _stored_key(path))
    if not hmac.compare_digest(pseudonymiser.fingerprint, fingerprint):
        raise KeyMismatchError(
            f"this process holds pseudonym key {pseudonymiser.fingerprint}, the run was created with {fingerprint}; "
            "two keys would make two users of one, so nothing was started",
            hint=f"use the run's own key: unset MICROLENS_PSEUDONYM_KEY or restore {path}",
        )
    return pseudonymiser


def given_fingerprint(text: str) -> str:
    """Of a key in hexadecimal digits; RecipeError if it is none."""
    return Pseudonymiser(_given_key(text)).fingerprint


def stored_fingerprint(path: Path) -> str:
    """Of the key in a file."""
    return Pseudonymiser(_stored_key(path)).fingerprint


def scrub(text: str) -> str:
    """Remove what names a person or a place on the net: e-mail addresses, URLs, @mentions, phone numbers."""
    if _is_clean(text) or not _SUSPECT.search(text):
        return text
    for pattern, mark in ((_URL, "[url]"), (_EMAIL, "[email]"), (_MENTION, "[mention]"), (_PHONE, "[phone]")):
        text = pattern.sub(mark, text)
    return text


def scrub_all(texts: Sequence[str]) -> list[str]:
    """`scrub` for a page of texts; where none holds anything suspicious, one look at the whole is enough."""
    return list(texts) if _is_clean("\n".join(texts)) else [scrub(text) for text in texts]


def _is_clean(text: str) -> bool:
    """A quick look that tells of nearly every text that there is nothing to scrub."""
    return not _HINT.search(text) and "://" not in text and "www." not in text.lower()


def _given_key(text: str) -> bytes:
    key = key_from_hex(text)
    if key is None:
        raise RecipeError(
            f"MICROLENS_PSEUDONYM_KEY is not {2 * KEY_BYTES} hexadecimal digits: it has {len(text.strip())} characters",
            hint="unset it to use the run's own key; a new one comes from `openssl rand -hex 32`",
        )
    return key


def _stored_key(path: Path) -> bytes:
    key = key_from_hex(path.read_text(encoding="utf-8", errors="replace"))
    if key is None:
        raise CorruptDataError(
            f"{path} does not hold {2 * KEY_BYTES} hexadecimal digits",
            hint="restore it from a backup: nothing else can",
        )
    return key


def key_from_hex(text: str) -> bytes | None:
    """The key's bytes; None if the text is no key."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None
