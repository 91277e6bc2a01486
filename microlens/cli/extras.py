"""Packages that only some commands need, by the extra that brings them: `pip install 'microlens-build[EXTRA]'`."""

from __future__ import annotations

EXTRAS = {
    "crawl": ("scrapy", "parsel"),
    "node": ("aiohttp", "av", "cv2", "regex", "rq", "uvloop"),
    "build": ("duckdb", "regex"),
    "bench": ("torch",),
}
"""Of the stages of a run: what `doctor` looks for."""
_OF_FEATURES = {"features": ("av", "transformers", "safetensors")}


def install(module: str | None) -> str | None:
    """How to get a module that is not there; None where none of the extras brings it."""
    package = (module or "").partition(".")[0]
    extra = next((extra for extra, brought in (EXTRAS | _OF_FEATURES).items() if package in brought), None)
    return None if extra is None else f"pip install 'microlens-build[{extra}]'"
