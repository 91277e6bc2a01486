"""Users with their counts, bucket by bucket: a bucket is counted again only if what decides its counts has changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from integration.integrated import add_interactions
from integration.sampling_order import start_of
from integration.steps import step_sql
from microlens.manifest import Output, describe_output
from microlens.store import sha256_of
from microlens.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from integration.engines import Engine
    from integration.pair_state import PairFile

_MADE = "_made.json"


def count_users(
    engine: Engine,
    folder: Path,
    files: Iterable[PairFile],
    *,
    items: Iterable[str],
    seed: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> tuple[list[Output], int]:
    """Write users/<bucket>.parquet in `folder`; gives what was written, and how many interactions the users have.

    The engine has the tables `items` (of these ids), `twins` and `floors`.
    """
    place = folder / "users"
    place.mkdir(parents=True, exist_ok=True)
    known = _read_made(place)
    told = [engine.query(f"SELECT * FROM {name} ORDER BY video_id").to_pylist() for name in ("twins", "floors")]
    rules = _digest(seed, sorted(items), told, *map(step_sql, ("users", "item_pairs", "interactions")))
    made: dict[str, dict[str, Any]] = {}
    for number, file in enumerate(files):
        path = place / f"{number:03d}.parquet"
        made_of = _digest(rules, file.sha256)
        one = known.get(path.name)
        if one is None or one["made_of"] != made_of or not _stands(path, one["output"]):
            on_step(f"users {number + 1}")
            add_interactions(engine, [folder / "pairs" / file.path])
            rows = engine.run("users", path, {"start": start_of(seed)})
            counted = pc.sum(pq.read_table(path, columns=["interaction_count"])["interaction_count"]).as_py() or 0
            output = describe_output(folder, path, rows=rows)
            one = {"made_of": made_of, "interactions": counted, "output": asdict(output)}
        made[path.name] = one
        write_atomically(place / _MADE, json.dumps({**known, **made}, indent=1) + "\n")
    for path in place.iterdir():
        if path.name not in {*made, _MADE}:
            path.unlink()
    write_atomically(place / _MADE, json.dumps(made, indent=1) + "\n")
    return [Output(**one["output"]) for one in made.values()], sum(one["interactions"] for one in made.values())


def _read_made(place: Path) -> dict[str, dict[str, Any]]:
    """What a list that can be read says; without it everything is counted again."""
    try:
        known = json.loads((place / _MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _stands(path: Path, output: dict[str, Any]) -> bool:
    return path.exists() and sha256_of(path) == output["sha256"]


def _digest(*told: object) -> str:
    return hashlib.sha256(json.dumps(told, default=bytes.hex).encode()).hexdigest()
