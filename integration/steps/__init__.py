"""The steps: one named SELECT a file, each materialised to one Parquet file.

A step reads its inputs by the names of other steps or tables, and its parameters as :name.
"""

from __future__ import annotations

from importlib import resources


def step_sql(name: str) -> str:
    return resources.files("integration.steps").joinpath(f"{name}.sql").read_text(encoding="utf-8")
