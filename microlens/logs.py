"""One event a fact, on standard error: plain lines for people, JSON where MICROLENS_LOG=json.

log.warning("worker_died", returncode=1)
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class _Log:
    """structlog's logger, imported once there is something to say: with what it imports, a fifth of a node's start."""

    def __getattr__(self, level: str) -> Any:
        import structlog  # noqa: PLC0415

        if not structlog.is_configured():
            _configure()
        return getattr(structlog.get_logger(), level)


log = cast("FilteringBoundLogger", _Log())


def _configure() -> None:
    import structlog  # noqa: PLC0415

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if os.environ.get("MICROLENS_LOG") == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is now: a caller may have changed it
    )
