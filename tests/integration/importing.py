"""Small foreign datasets, written as others publish them, and imports of them."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from integration.imports.build import Import, import_release
from integration.imports.foreign import Options
from microlens.settings import Settings

START_MS = 1_650_000_000_000
PAIRS = [(1, 3, 2), (1, 1, 1), (1, 2, 3), (2, 2, 5), (2, 3, 6), (2, 1, 7), (3, 3, 1), (3, 1, 2), (3, 2, 9)]
"""(user, item, days): in no order of time."""
ORDERED = {1: [1, 3, 2], 2: [2, 3, 1], 3: [3, 1, 2]}
"""The same, each user's items oldest first."""


def ms(days):
    return START_MS + 86_400_000 * days


def microlens_csv(pairs=PAIRS):
    return "user,item,timestamp\n" + "".join(f"{user},{item},{ms(days)}\n" for user, item, days in pairs)


def microlens_tsv(sequences, end="\r\n"):
    return "".join(f"{user}\t{' '.join(map(str, items))}{end}" for user, items in sequences.items())


def recbole_inter(pairs=PAIRS, *, per_second=1):
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    return head + "".join(
        f"{user}\t{item}\t{(user + item) % 5 + 1}\t{ms(days) // 1000 * per_second}\n" for user, item, days in pairs
    )


def s3rec_txt(sequences):
    return "".join(f"{user} {' '.join(map(str, items))}\n" for user, items in sequences.items())


def folder_of(folder, **files):
    """Write files by name, `__` standing for a point and the first `_` of a name staying: text, bytes or JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8", newline="")
    return folder


def imported(source, release, form="microlens", *, tell=lambda *_: None, **options):
    settings = Settings(threads=2, memory_limit="500MB")
    return import_release(Import(form, Path(source), Path(release), Options(**options)), settings, tell)


def rows(built, table):
    return pq.read_table(built.path / "data" / f"{table}.parquet").to_pylist()


def originals(built, kind):
    """The source's own ids, as it spells them, by public id."""
    return {row[f"{kind}_id"]: row["original_id"] for row in rows(built, f"imported_{kind}_ids")}


def sequences_of(built):
    """Each user's items oldest first, all by the source's own ids."""
    users, items, found = originals(built, "user"), originals(built, "item"), {}
    for row in sorted(rows(built, "interactions"), key=lambda row: (row["user_id"], row["position"])):
        found.setdefault(users[row["user_id"]], []).append(items[row["item_id"]])
    return found
