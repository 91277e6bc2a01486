"""One spelling for addresses that mean the same (RFC 3986, section 6): for identity, never for fetching.

    changed                                  http(s)://HOST:443/%e4?b=2&utm_source=x&a=1#top
    scheme and host in lower case            a host's trailing dots and the scheme's own port go
    an empty path                            is /
    percent-encodings in capitals            %e4 -> %E4; what is encoded stays encoded
    fragment, tracking parameters            go; the other parameters keep their order and their spelling

Nothing else: dot segments, doubled slashes and an empty query are left, since a server may tell them apart.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

TRACKING = frozenset(
    {
        "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "ysclid", "twclid", "ttclid",
        "li_fat_id", "igshid", "igsh", "spm", "spm_id_from", "vd_source", "share_source", "mc_cid", "mc_eid", "mkt_tok",
        "_ga", "_gl", "_hsenc", "_hsmi", "oly_anon_id", "oly_enc_id", "vero_id", "wickedid",
    }
)  # fmt: skip
"""Parameters that say where a visitor came from, and nothing of what is asked for; besides all that begin with utm_."""

_TRACKING_PREFIX = "utm_"
_PORTS = {"http": "80", "https": "443"}
_PERCENT = re.compile(r"%[0-9a-f]{2}", re.IGNORECASE)


def canonical_url(url: str) -> str:
    """The one spelling of an http(s) address; anything else, a broken address included, is given back as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a broken IPv6 address is one
        return url
    if parts.scheme not in _PORTS or not parts.netloc:
        return url
    user, at, _ = parts.netloc.rpartition("@")
    path = _capital(parts.path) or "/"
    return f"{parts.scheme}://{user}{at}{_host(parts)}{path}{_capital(_query(url, parts))}"


def origin_of(url: str) -> str:
    """Scheme, host and port in their one spelling, without user names; ValueError for a broken address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{_host(parts)}"


def _host(parts: SplitResult) -> str:
    """Host and port; taken apart here, since `SplitResult.port` raises for what is no number."""
    host, colon, port = parts.netloc.rpartition("@")[2].lower().rpartition(":")
    if not colon or "]" in port:  # the last colon of [::1] is no port's
        host, port = f"{host}{colon}{port}", ""
    bare = host.rstrip(".") or host
    return bare if port == "" or port.lstrip("0") == _PORTS.get(parts.scheme) else f"{bare}:{port}"


def _query(url: str, parts: SplitResult) -> str:
    """The query with its question mark; an empty one stays, unless tracking parameters were all that it held."""
    if not parts.query:
        return "?" if "?" in url.partition("#")[0] else ""
    kept = [parameter for parameter in parts.query.split("&") if not _is_tracking(parameter)]
    return f"?{'&'.join(kept)}" if kept else ""


def _is_tracking(parameter: str) -> bool:
    name = parameter.partition("=")[0].lower()
    return name in TRACKING or name.startswith(_TRACKING_PREFIX)


def _capital(text: str) -> str:
    return _PERCENT.sub(lambda match: match[0].upper(), text)
