"""HTML pages that hold hostile text: every text becomes HTML in `element` alone, which escapes it.

A page has no script, no link and no form, and its policy lets a browser load nothing but pictures that stand in it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import unicodedata

_VOID = frozenset({"img", "meta"})


class Html(str):
    """Text that is HTML already: `element` makes it, and constants of a module that writes a page."""

    __slots__ = ()


def element(tag: str, /, *inside: str, **attributes: str) -> Html:
    """Make one element; what is no `Html` is text, and is escaped. Attributes are spelled `class_`, `http_equiv`."""
    told = "".join(f' {key.strip("_").replace("_", "-")}="{_escaped(value)}"' for key, value in attributes.items())
    body = "".join(part if isinstance(part, Html) else _escaped(part) for part in inside)
    return Html(f"<{tag}{told}>" if tag in _VOID else f"<{tag}{told}>{body}</{tag}>")


def page(title: str, *body: Html, style: str) -> str:
    """Make a whole page; `style` is CSS of ours, the only one that its policy lets a browser take."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width"),
        element("title", title),
        element("style", Html(style)),
    )
    return "<!doctype html>\n" + element("html", head, element("body", *body), lang="en") + "\n"


def _policy(style: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _escaped(text: str) -> str:
    """A text as HTML can have it; control characters and lone surrogates, which it cannot, are shown as such."""
    plain = "".join("\ufffd" if unicodedata.category(letter) in {"Cc", "Cs"} else letter for letter in text)
    return html.escape(plain, quote=True)
