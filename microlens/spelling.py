"""What somebody probably meant who wrote a name that is not known."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def nearest(name: str, known: Collection[str]) -> str:
    """Say which known name was probably meant, and all that there are."""
    written = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), written, n=1, cutoff=0.4)
    meant = f"did you mean {written[close[0]]!r}? " if close else ""
    return f"{meant}choose from: {', '.join(known)}"
