"""Headers as text of ours. They may hold any bytes, and aiohttp keeps those that are not UTF-8 as lone surrogates.

Such text can stand in no ledger, no JSON and no request; so what is kept of a header, or followed, comes through here.
"""

from __future__ import annotations

import re

_RAW_BYTES = re.compile("[\ud800-\udfff]")


def readable(value: str) -> str:
    """A header's value with a replacement character for each byte that is no text."""
    return _RAW_BYTES.sub("\ufffd", value)


def address(value: str) -> str:
    """A header's value as part of a URL, with its raw bytes percent-encoded, as browsers follow it (RFC 3986, 2.1)."""
    return _RAW_BYTES.sub(lambda match: f"%{ord(match[0]) & 0xFF:02X}", value)
