"""The command line as its users call it, against real sites on this machine."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from microlens.runs import open_run
from microlens.settings import Settings

KEY = "0123456789abcdef" * 4


@dataclass
class Cli:
    """Runs `microlens-build` in a folder of its own, with a pseudonym key that the test knows."""

    folder: Path
    key: str = KEY

    @property
    def environment(self):
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("MICROLENS_")},
            "MICROLENS_RUNS_DIR": str(self.folder / "runs"),
            "MICROLENS_PSEUDONYM_KEY": self.key,
        }

    def start(self, *arguments, **options):
        command = [sys.executable, "-m", "microlens.cli", *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **options)

    def __call__(self, *arguments, expect=0):
        """Run to the end; gives standard output and standard error."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=280)
        assert expect == process.returncode, err
        return out, err

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json")[0])

    def recipe(self, url, **changes):
        """Write a recipe for a sandbox; gives its path."""
        recipe = {
            "name": "site",
            "platform": "sandbox",
            "instances": [url],
            "contact": "tests@example.org",
            "seed": 11,
            "seeds": {"target": 40, "max_stale_refreshes": 4},
            "politeness": {"requests_per_second": 2000, "concurrency": 32},
            "network": {"allow": ["127.0.0.0/8"]},
            "releases": [{"name": "all"}],
            "benchmark": {"models": []},  # to import torch takes as long as a crawl of this size
            **changes,
        }
        path = self.folder / f"{recipe['name']}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    def open(self, name="site"):
        return open_run(self.folder / "runs" / name, Settings(pseudonym_key=self.key))


@dataclass
class ClusterCli(Cli):
    """A command line that is told of a Redis, and perhaps of a database."""

    redis_url: str = ""
    database_url: str | None = None
    opened: list = field(default_factory=list)

    @property
    def environment(self):
        told = {"MICROLENS_REDIS_URL": self.redis_url, "MICROLENS_DATABASE_URL": self.database_url}
        return super().environment | {name: url for name, url in told.items() if url}

    def open(self, name="site"):
        settings = Settings(pseudonym_key=self.key, database_url=self.database_url)
        self.opened.append(open_run(self.folder / "runs" / name, settings))
        return self.opened[-1]

    def close(self):
        for run in self.opened:
            run.ledger.close()


@dataclass
class Published:
    """A release read back in the platform's own ids, as only the holder of the key can."""

    verdicts: dict
    kept: set
    interactions: set
    users: set


def read_back(run, release, raw_user_ids):
    """Undo the pseudonyms with the run's key and private maps."""
    raw_of = {run.pseudonyms.user_key(run.recipe.platform, raw): raw for raw in raw_user_ids}
    private = run.folder / "private" / "ids" / release
    users = {row["user_id"]: raw_of[row["user_key"]] for row in pq.read_table(private / "users.parquet").to_pylist()}
    items = {row["item_id"]: row["video_id"] for row in pq.read_table(private / "items.parquet").to_pylist()}
    data = run.release_folder(release) / "data"
    pairs = pq.read_table(data / "interactions.parquet").to_pylist()
    verdicts = pq.read_table(run.integrated / "verdicts.parquet").to_pylist()
    return Published(
        verdicts={row["video_id"]: row["reason"] for row in verdicts},
        kept={items[row["item_id"]] for row in pq.read_table(data / "items.parquet").to_pylist()},
        interactions={(users[row["user_id"]], items[row["item_id"]], row["timestamp_ms"]) for row in pairs},
        users={users[row["user_id"]] for row in pq.read_table(data / "users.parquet").to_pylist()},
    )
