"""Where a machine keeps what it commits: the ledger says it of every file, for machines need not share a disk.

What is kept at a place that this machine has no part in is there, as far as it can know; only whoever keeps a file can
tell that it is lost. `microlens-build integrate --from` brings files from the others to this one.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.settings import Settings


class Keeping(NamedTuple):
    """One machine's places."""

    parts: str = "here"
    """The run's folder, by a word that was drawn when it was made: machines that share the folder share the word.

    A part that lies in a bucket as well (microlens.parts_bucket) is kept at that bucket's address.
    """
    media: str = "here"
    """The store that MICROLENS_STORE_URL names, by that address, else the run's folder."""


def new_folder_word() -> str:
    return secrets.token_hex(8)


def keeping_of(folder: Path, settings: Settings) -> Keeping:
    """What a run's folder and the settings say."""
    word = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("folder", Keeping().parts)
    return Keeping(word, settings.store_url or word)
