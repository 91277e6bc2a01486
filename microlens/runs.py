"""A run: one dataset build, in one folder.

runs/<run_id>/
run.json            which recipe, when made, where its ledger is
recipe.yaml         the recipe as it is used
ledger.sqlite       what is committed, unless that stands in PostgreSQL
private/            the pseudonym key and the id maps; never part of a release
store/              content-addressed media (with a store elsewhere: what is on its way, and what was fetched)
samples/            shapes of answers that could not be read (microlens.samples)
spool/              comment pages of videos that are not complete yet
crawled/            parts: videos, comments
integrated/         consistent tables
releases/<name>/    what is published
results/<name>/     leaderboards
"""

from __future__ import annotations

import difflib
import json
import os
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from microlens.clock import now_ms
from microlens.errors import NotReadyError, RecipeError
from microlens.fresh_links import FreshLinks
from microlens.keeping import new_folder_word
from microlens.ledger import Ledger
from microlens.ledger_places import ledger_to_join, open_ledger, place_of_new_ledger, told_of_ledger
from microlens.locks import exclusive, one_at_a_time
from microlens.parts_bucket import PartsBucket
from microlens.platforms import load_platform
from microlens.platforms.base import is_asking
from microlens.privacy import Pseudonymiser, create_key, open_key
from microlens.recipe import Recipe, parse_recipe
from microlens.refreshes import Refreshes
from microlens.stores import open_bucket, open_store
from microlens.whole_files import write_atomically

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from microlens.bucket import Bucket
    from microlens.ledger_rows import Part
    from microlens.settings import Settings
    from microlens.store import WritableStore

_CRAWL_SECTIONS = ("platform", "platform_options", "instances", "seed", "seeds", "expansion", "comments", "media")
"""A change of one of these makes another dataset; all else can change while a run goes on."""


@dataclass(frozen=True, slots=True)
class Run:
    """An open run: its folder, recipe, ledger, store and pseudonyms."""

    run_id: str
    folder: Path
    recipe: Recipe
    ledger: Ledger
    store: WritableStore
    pseudonyms: Pseudonymiser
    created_at_ms: int
    bucket: Bucket | None = None
    """Where MICROLENS_PARTS_URL has this machine keep its parts, besides the folder."""

    @property
    def shared_name(self) -> str:
        """Names the run in a Redis that others use as well, and that may remember an earlier run of the same name."""
        return f"{self.run_id}-{self.pseudonyms.fingerprint}-{self.created_at_ms}"

    @property
    def parts_bucket(self) -> PartsBucket | None:
        return PartsBucket(self.bucket, self.shared_name) if self.bucket is not None else None

    def keep_part(self, part: Part) -> Part:
        """Have a part that was written here in the bucket for parts, if there is one, before the ledger lists it.

        StoreUnreachableError if that cannot take it: then the part is not to be listed.
        """
        bucket = self.parts_bucket
        return bucket.keep(part, self.folder / part.path) if bucket is not None else part

    @property
    def refreshes(self) -> Refreshes:
        return Refreshes(self.ledger)

    @property
    def fresh_links(self) -> FreshLinks:
        return FreshLinks(self.ledger, self.recipe.platform)

    def lock_tables(self) -> AbstractContextManager[None]:
        """Only one process at a time writes integrated tables and releases; NotReadyError for a second."""
        taken = NotReadyError(
            f"another process integrates or publishes the run {self.run_id!r}",
            hint="wait until it ends, then try again",
        )
        return exclusive(self.folder / "tables.lock", taken)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def integrated(self) -> Path:
        return self.folder / "integrated"

    def release_folder(self, name: str) -> Path:
        return self.folder / "releases" / name

    def private_ids(self, name: str) -> Path:
        """Where the maps of a release's ids stay."""
        return self.folder / "private" / "ids" / name

    def results_folder(self, name: str) -> Path:
        return self.folder / "results" / name


def open_or_create(recipe: Recipe, settings: Settings) -> tuple[Run, bool]:
    """Open the run that a recipe names, or make it; says whether it was made.

    A changed recipe is taken over unless the change would make another dataset of what is already crawled.
    """
    folder = settings.runs_dir / recipe.name
    if (folder / "run.json").exists():
        run = open_run(folder, settings)
        return _take_over(run, recipe), False
    platform = load_platform(recipe.platform, recipe.platform_options)  # one that is not there makes no run
    if is_asking(platform):
        platform.check_instances(recipe.instances)
    folder.mkdir(parents=True, exist_ok=True)
    # Collectors of one run may be started at the same moment: one of them makes it.
    with one_at_a_time(folder / "run.lock"):
        if not (folder / "run.json").exists() and not _join(folder, recipe.name, settings):
            return _create(folder, recipe, settings), True
    return _take_over(open_run(folder, settings), recipe), False


def join_run(run_id: str, settings: Settings) -> bool:
    """Take part in a run that another machine has made, in a folder of our own; False if there is none to be joined.

    Its ledger must be in the database that the settings name, and its pseudonym key among them.
    """
    folder = settings.runs_dir / run_id
    if ledger_to_join(run_id, settings) is None:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / "run.lock"):
        return (folder / "run.json").exists() or _join(folder, run_id, settings)


def open_run(folder: Path, settings: Settings) -> Run:
    """Open an existing run; KeyMismatchError if this process holds another pseudonym key."""
    if not (folder / "run.json").exists():
        known = [path.name for path in list_runs(settings.runs_dir)]
        near = difflib.get_close_matches(folder.name, known, n=1)
        raise NotReadyError(
            f"there is no run in {folder}" + (f"; did you mean {near[0]!r}?" if near else ""),
            hint="start one with `microlens-build run RECIPE`, or name one of: " + (", ".join(known) or "(none yet)"),
        )
    ledger = open_ledger(folder, settings)
    row = ledger.run()
    if row is None:
        raise NotReadyError(
            f"the run in {folder} was never finished being made", hint=f"delete {folder} and start again"
        )
    pseudonyms = open_key(_key_path(folder), fingerprint=row["key_fingerprint"], given=_given_key(settings))
    recipe = parse_recipe(row["recipe"], source=ledger.database.place)
    allow_http, parts_url = settings.store_allow_http, settings.parts_url
    store = open_store(folder / "store", settings.store_url, allow_http=allow_http)
    bucket = open_bucket(parts_url, allow_http=allow_http) if parts_url is not None else None
    return Run(row["run_id"], folder, recipe, ledger, store, pseudonyms, row["created_at_ms"], bucket)


def find_run(name: str | None, settings: Settings) -> Run:
    """Open the run called `name` (or at that path); the one used last if no name is given."""
    if name is not None:
        path = Path(name)
        if not is_made(name, settings):
            join_run(path.name, settings)
        return open_run(path if (path / "run.json").exists() else settings.runs_dir / path.name, settings)
    runs = list_runs(settings.runs_dir)
    if not runs:
        raise NotReadyError(
            f"there is no run in {settings.runs_dir.resolve()}",
            hint="start one with `microlens-build run RECIPE`, or `microlens-build demo`",
        )
    return open_run(runs[-1], settings)


def is_made(name: str | None, settings: Settings) -> bool:
    """Whether `find_run` would find one."""
    if name is None:
        return bool(list_runs(settings.runs_dir))
    path = Path(name)
    return any((folder / "run.json").exists() for folder in (path, settings.runs_dir / path.name))


def list_runs(runs_dir: Path) -> list[Path]:
    """Folders of all runs, the one used last at the end."""
    return [path.parent for path in sorted(runs_dir.glob("*/run.json"), key=lambda path: path.stat().st_mtime_ns)]


def mark_used(run: Run) -> None:
    os.utime(run.folder / "run.json")


def _create(folder: Path, recipe: Recipe, settings: Settings) -> Run:
    key_path = _key_path(folder)
    given = _given_key(settings)
    # A key without a run.json is left over from a crash while the run was being made: nothing was pseudonymised yet.
    at = place_of_new_ledger(folder, recipe.name, settings, left_over_key=key_path)
    key_path.unlink(missing_ok=True)
    pseudonyms = create_key(key_path, given)
    ledger = Ledger(at, node_id=settings.node_id)
    ledger.create_run(
        run_id=recipe.name,
        platform=recipe.platform,
        recipe=recipe.to_yaml(),
        recipe_sha256=recipe.sha256,
        key_fingerprint=pseudonyms.fingerprint,
    )
    ledger.close()
    told = {"run_id": recipe.name, "created_at_ms": now_ms(), "folder": new_folder_word(), **told_of_ledger(at)}
    write_atomically(folder / "recipe.yaml", recipe.to_yaml())
    write_atomically(folder / "run.json", json.dumps(told) + "\n")
    return open_run(folder, settings)


def _join(folder: Path, run_id: str, settings: Settings) -> bool:
    if _key_path(folder).exists():
        return False  # it was being made here, and will be made anew
    at = ledger_to_join(run_id, settings)
    if at is None:
        return False
    with closing(Ledger(at, node_id=settings.node_id)) as ledger:
        row = ledger.run()
    assert row is not None, "a ledger that can be joined tells of its run"
    told = {"run_id": run_id, "created_at_ms": row["created_at_ms"], "folder": new_folder_word()}
    write_atomically(folder / "recipe.yaml", row["recipe"])
    write_atomically(folder / "run.json", json.dumps(told | told_of_ledger(at)) + "\n")
    return True


def _take_over(run: Run, recipe: Recipe) -> Run:
    changed = [name for name in _CRAWL_SECTIONS if getattr(recipe, name) != getattr(run.recipe, name)]
    if changed:
        raise RecipeError(
            f"the recipe {recipe.name!r} was changed in {', '.join(changed)} since its run began; "
            "that would make another dataset of what is already collected",
            hint=f"give the changed recipe another `name`, or delete {run.folder} to begin again",
        )
    if recipe != run.recipe:
        run.ledger.update_recipe(recipe.to_yaml(), recipe.sha256)
        write_atomically(run.folder / "recipe.yaml", recipe.to_yaml())
    return replace(run, recipe=recipe)


def _key_path(folder: Path) -> Path:
    return folder / "private" / "pseudonym.key"


def _given_key(settings: Settings) -> str | None:
    return settings.pseudonym_key.get_secret_value() if settings.pseudonym_key else None
