"""Failures come one at a time and are easily overlooked: when they are many, it is said aloud."""

from __future__ import annotations

import time
from collections import Counter, deque

from microlens.logs import log

_LOOKED_AT = 200
"""The share is that of so many items, the newest."""
_FEWEST = 40
_AGAIN_AFTER_S = 60.0


class FailureAlarm:
    """Watches the share of items whose attempt failed."""

    def __init__(self, *, share: float) -> None:
        self._share = share
        self._newest: deque[str | None] = deque(maxlen=_LOOKED_AT)
        self._told_at = -_AGAIN_AFTER_S

    def succeeded(self) -> None:
        self._newest.append(None)

    def failed(self, reason: str) -> None:
        """Count a failure; warns, once a minute at most, while the share is above the threshold."""
        self._newest.append(reason)
        share = self.share
        now = time.monotonic()
        if len(self._newest) < _FEWEST or share <= self._share or now - self._told_at < _AGAIN_AFTER_S:
            return
        self._told_at = now
        reasons = Counter(reason for reason in self._newest if reason is not None)
        log.warning(
            "many_failures",
            share=round(share, 2),
            of=len(self._newest),
            reasons=dict(reasons.most_common(5)),
            hint="see `microlens-build status`; mend the cause, then `microlens-build retry --reason …`",
        )

    @property
    def share(self) -> float:
        """Of the newest attempts those that failed, 0 to 1."""
        return sum(reason is not None for reason in self._newest) / max(1, len(self._newest))
