"""The texts and genders of the comments that stand, from parts of their own: only a release reads them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integration.lacking import check_here
from microlens.parts import verify_parts
from microlens.tables import CRAWLED_TEXTS

if TYPE_CHECKING:
    from integration.comments import StandingComments
    from integration.engines import Engine
    from microlens.ledger_rows import Part
    from microlens.runs import Run

_STANDING = pa.schema([("video_id", pa.string()), ("filename", pa.string())])


def add_texts(run: Run, engine: Engine, comments: StandingComments) -> None:
    """Make the standing rows readable as `crawled_texts`; none where the recipe keeps neither texts nor genders.

    NotReadyError if parts lie on other machines alone; CorruptDataError names those that are not what the ledger lists.
    """
    check_here(run, ("texts",))
    parts = _parts(run, comments)
    verify_parts(run.folder, parts.values())
    paths = {name: run.folder / part.path for name, part in sorted(parts.items())}
    mixed = [path for name, path in paths.items() if name in comments.mixed]
    whole = [path for name, path in paths.items() if name not in comments.mixed]
    if not mixed:
        engine.add_files("crawled_texts", whole, CRAWLED_TEXTS)
        return
    names = pa.array([name for name in paths if name in comments.mixed], pa.string())
    some = comments.readings.filter(pc.is_in(comments.readings["path"], names))
    files = [str(paths[name]) for name in some["path"].to_pylist()]
    engine.add_files("texts_of_whole_parts", whole, CRAWLED_TEXTS)
    engine.add_files("texts_of_mixed_parts", mixed, CRAWLED_TEXTS, with_filename=True)
    engine.add_table("standing", pa.table([some["video_id"], pa.array(files, pa.string())], schema=_STANDING))
    columns = ", ".join(f"t.{column}" for column in CRAWLED_TEXTS.names)
    engine.add_view(
        "crawled_texts",
        f"SELECT {columns} FROM texts_of_whole_parts AS t UNION ALL SELECT {columns} FROM texts_of_mixed_parts AS t "
        "SEMI JOIN standing ON standing.video_id = t.video_id AND standing.filename = t.filename",
    )


def texts_hash(run: Run, comments: StandingComments) -> str:
    """Of all the texts that a release may be made of, and which of them stand."""
    parts = sorted(part.sha256 for part in _parts(run, comments).values())
    told = [*parts, *comments.left_out] if parts else []
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _parts(run: Run, comments: StandingComments) -> dict[str, Part]:
    """The parts of texts of which something stands, each by the path of the part that it lies beside."""
    standing = set(comments.readings["path"].unique().to_pylist())
    beside = {part.part_id: part.path for part in run.ledger.parts("comments")}
    return {
        beside[str(part.beside)]: part for part in run.ledger.parts("texts") if beside[str(part.beside)] in standing
    }
