"""What is wrong with this machine, and with no item."""

from __future__ import annotations

from microlens.errors import MicrolensError


class LocalTroubleError(MicrolensError):
    """The machine cannot go on; no item is to blame, and none counts an attempt."""
