"""Writing Parquet files that appear whole or not at all."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError
from microlens.ledger_rows import Part
from microlens.store import sha256_of, sync

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def write_part(
    run_folder: Path,
    kind: str,
    table: pa.Table,
    *,
    beside: str | None = None,
    group_rows: int | None = None,
    **layout: Any,
) -> Part:
    """Write a table to crawled/<kind>/<id>.parquet by temporary file and rename.

    `group_rows` are the rows of a row group: who looks for a few sorted rows then reads only the groups that hold them.
    `layout` is what else Arrow's writer is told, `beside` the part that this one tells more of.
    The part counts only once the ledger lists it: one that is left over from a crash is never read.
    """
    part_id = uuid.uuid4().hex
    path = run_folder / "crawled" / kind / f"{part_id}.parquet"
    write_table(path, table, group_rows=group_rows, **layout)
    sync(path)
    sync(path.parent)
    return Part(
        part_id=part_id,
        kind=kind,
        path=path.relative_to(run_folder).as_posix(),
        rows=table.num_rows,
        sha256=sha256_of(path),
        beside=beside,
    )


def faulty_parts(run_folder: Path, parts: Iterable[Part]) -> dict[str, str]:
    """By its path, what each part holds that has not the bytes that the ledger lists."""
    faults = {}
    for part in parts:
        path = run_folder / part.path
        found = sha256_of(path) if path.exists() else "nothing"
        if found != part.sha256:
            faults[part.path] = f"the part {path} holds {found}; the ledger says {part.sha256}"
    return faults


def verify_parts(run_folder: Path, parts: Iterable[Part]) -> None:
    """CorruptDataError names all parts whose bytes are not those that the ledger lists."""
    refuse_parts(faulty_parts(run_folder, parts))


def refuse_parts(faults: Mapping[str, str]) -> None:
    """CorruptDataError for `faulty_parts`, if there are any."""
    if faults:
        raise CorruptDataError(
            "\n".join(faults[path] for path in sorted(faults)),
            hint="restore them from a backup, for the site may no longer show what they held; "
            "what another machine keeps comes again by `microlens-build integrate --from URL`",
        )


def write_table(path: Path, table: pa.Table, *, group_rows: int | None = None, **layout: Any) -> None:
    """Write a table by temporary file and rename; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        pq.write_table(table, temporary, compression="zstd", write_statistics=True, row_group_size=group_rows, **layout)
        temporary.replace(path)
    except OSError:  # the disk is full: it is not to be filled with halves
        temporary.unlink(missing_ok=True)
        raise
