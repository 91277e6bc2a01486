"""Machines that others pull from: exports, folders, and sources that behave as a test has them."""

from dataclasses import replace
from functools import partial

from download_nodes.export import Export
from integration.sources import open_source
from microlens.local_store import LocalStore
from microlens.settings import Settings
from tests.integration.made import KEY

EXPORT_KEY = "e0" * 32
SETTINGS = {"pseudonym_key": KEY, "export_key": EXPORT_KEY}


def exporting(made, folder):
    """The export of one of the folders."""
    return Export(replace(made.run, folder=folder, store=LocalStore(folder / "store")), bytes.fromhex(EXPORT_KEY))


def sources(made, *urls, **settings):
    told = Settings(**SETTINGS | settings)
    return {str(url): partial(open_source, str(url), made.run, told) for url in urls}


def files_of(folder):
    """Bytes of all parts and media of a folder, by path."""
    found = [*(folder / "crawled").rglob("*.parquet"), *(folder / "store" / "objects").rglob("*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.is_file()}


def an_object(folder):
    return min(path for path in (folder / "store/objects").rglob("*") if path.is_file())


class Disguised:
    """A source that behaves as another one, but for what it is told to do."""

    def __init__(self, open_real, **own):
        self._real = open_real()
        self.__dict__.update(own)

    def __getattr__(self, name):
        return getattr(self._real, name)
