"""Packages that only some commands need, by the extra that brings them: `pip install 'microlens-build[EXTRA]'`."""

from __future__ import annotations

EXTRAS = {
    "crawl": ("scrapy", "parsel"),
    "node": ("aiohttp", "av", "cv2", "regex", "rq", "uvloop"),
    "build": ("duckdb", "regex"),
    "bench": ("torch",),
}
"""Of the stages of a run: what `doctor` looks for."""
_OF_ONE_COMMAND = {"features": ("av", "safetensors", "torch", "transformers")}
_ASKED_BY = {
    "features": "features",
    "filter": "build",
    "integrate": "build",
    "publish": "build",
    "subset": "build",
}
"""What a command wants where several extras bring the same package."""


def install(module: str | None, command: str) -> str | None:
    """How to get a module that a command misses; None where none of the extras brings it."""
    known = EXTRAS | _OF_ONE_COMMAND
    bringing = [extra for extra, packages in known.items() if module in packages]
    if not bringing:
        return None
    wanted = _ASKED_BY.get(command)
    return f"pip install 'microlens-build[{wanted if wanted in bringing else bringing[0]}]'"
