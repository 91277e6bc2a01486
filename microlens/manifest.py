"""`_manifest.json`: written last and atomically, so its presence means that a folder is finished."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from microlens.errors import CorruptDataError, NotReadyError
from microlens.store import sha256_of
from microlens.whole_files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_NAME = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Output:
    path: str
    """Relative to the manifest's folder, with forward slashes."""
    size_bytes: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    stage: str
    run_id: str
    code_version: str
    recipe_sha256: str
    inputs: dict[str, str]
    """What the stage read: name -> hash. The same inputs and recipe need no second run."""
    outputs: tuple[Output, ...]
    counters: dict[str, Any] = field(default_factory=dict)
    started_at: str = ""
    finished_at: str = ""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_atomically(folder / MANIFEST_NAME, json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: Path, *, next_step: str) -> Manifest:
    """Read a finished folder's manifest; NotReadyError, with the command to run first, if there is none."""
    path = folder / MANIFEST_NAME
    if not path.exists():
        raise NotReadyError(f"{folder} is not finished (no {MANIFEST_NAME})", hint=next_step)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        outputs = tuple(Output(**output) for output in raw.pop("outputs"))
        return Manifest(outputs=outputs, **raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptDataError(
            f"{path} cannot be read: {error}", hint=f"delete the folder, then {next_step}"
        ) from error


def describe_output(folder: Path, path: Path, *, rows: int | None = None, sha256: str | None = None) -> Output:
    """Size and hash of one file; a hash that is known already (a store's name) is not computed again."""
    return Output(
        path=path.relative_to(folder).as_posix(),
        size_bytes=path.stat().st_size,
        sha256=sha256 or sha256_of(path),
        rows=rows,
    )


def verify(folder: Path) -> Manifest:
    """Check every listed file's hash; CorruptDataError names the first that differs."""
    manifest = read_manifest(folder, next_step="run the stage that makes it")
    for output in manifest.outputs:
        verify_output(folder, output)
    return manifest


def verify_output(folder: Path, output: Output, *, hint: str = "fetch or build the folder again") -> Path:
    """The path of one listed file, checked as `verify` does."""
    path = folder / output.path
    found = sha256_of(path) if path.exists() else "nothing"
    if found != output.sha256:
        raise CorruptDataError(
            f"{path} holds {found}; its manifest says {output.sha256}",
            hint=hint,
        )
    return path
