"""A run with pages as a crawl would have left them, and the means to download them."""

import asyncio
import hashlib
import uuid
from contextlib import asynccontextmanager
from dataclasses import replace

import pyarrow.parquet as pq
import redis

from download_nodes.backlog import outstanding
from download_nodes.node import Node
from microlens.frontier import Frontier
from microlens.ledger_rows import PageRow, Selected
from microlens.platforms import load_platform
from microlens.recipe import Recipe
from microlens.records import MediaLink
from microlens.runs import open_or_create, open_run
from microlens.settings import Settings

PLATFORM = load_platform("sandbox")
QUICK = {"requests_per_second": 2000, "concurrency": 16, "max_attempts": 2}


def recipe_of(url, name="run", **changes):
    raw = {
        "name": name,
        "platform": "sandbox",
        "instances": [url],
        "contact": "tests@example.org",
        "politeness": QUICK,
        "filters": {"min_video_bytes": 1000},
        "media": {"audio_from_video": False},  # files are counted by those that the site has
        "network": {"allow": ["127.0.0.0/8"]},
        **changes,
    }
    return Recipe.model_validate(raw)


class Desk:
    def __init__(self, folder, site, redis_url, name=None):
        self.folder, self.site, self.redis_url = folder, site, redis_url
        self.name = name or f"run-{uuid.uuid4().hex[:8]}"
        self.settings = Settings(runs_dir=folder / "runs")
        self._open, self._client = [], redis.Redis.from_url(redis_url)
        self.run = None

    def make(self, **changes):
        """Make the run; a second call opens it again with a changed recipe."""
        self.run, _ = open_or_create(recipe_of(self.site.url, self.name, **changes), self.settings)
        self._open.append(self.run)
        return self.run

    def again(self):
        """The same run as another machine opens it."""
        self._open.append(open_run(self.run.folder, self.settings))
        return self._open[-1]

    def add_page(self, video_id, *, is_selected=True, title="A fine title", media=None, **more):
        """A page with the media links that the site has files for."""
        shown = {"cover": f"/media/{video_id}.jpg", "video": f"/media/{video_id}.mp4"} if media is None else media
        links = tuple(MediaLink(kind, path if "://" in path else self.site.url + path) for kind, path in shown.items())
        page = PageRow(video_id, f"{self.site.url}/v/{video_id}", title=title, media=links, **more)
        selections = [Selected(video_id, "seed", None, 0)] if is_selected else []
        self.run.ledger.commit_crawl(pages=[page], selections=selections)

    @property
    def frontier(self):
        return Frontier(self._client, self.run.shared_name, self.run.recipe.politeness)

    def store(self, asset, body=b"the bytes"):
        """Commit an asset whose bytes are in the store."""
        sha256, path = hashlib.sha256(body).hexdigest(), self.run.store.temporary()
        path.write_bytes(body)
        self.run.store.put(path, sha256)
        self.run.ledger.commit_assets([replace(asset, sha256=sha256)])

    def push(self):
        """What `microlens-build work` pushes when it starts."""
        return self.frontier.push(outstanding(self.run, PLATFORM))

    def lose_redis(self):
        self.frontier.clear()

    @asynccontextmanager
    async def node(self, run=None):
        node = Node(run or self.run, self.redis_url)
        try:
            yield node
        finally:
            await node.close()
            node._frontier._redis.close()

    def drain(self, seconds=30.0, first=lambda: None):
        """One node that works until nothing is left; `first` is done once it has started, which may take seconds."""
        self.push()

        async def work():
            async with self.node() as node:
                first()
                return await node.drain(seconds)

        return asyncio.run(work())

    def comments(self):
        """All committed comments with their texts, by the site's own ids where it knows them."""
        raw_ids = [comment["id"] for comments in self.site.comments.values() for comment in comments]
        raw_of = dict(zip(self.run.pseudonyms.comment_keys("sandbox", raw_ids), raw_ids, strict=True))
        return [{**row, "comment_id": raw_of.get(row["comment_id"], row["comment_id"])} for row in self.said()]

    def said(self):
        """All committed comments with their texts."""
        texts = {(row["video_id"], row["comment_id"]): row for row in self.rows("texts")}
        nothing = {"text": None, "gender": None}
        return [{**texts.get((row["video_id"], row["comment_id"]), nothing), **row} for row in self.rows("comments")]

    def rows(self, kind):
        """Those of the parts of a kind that the ledger lists."""
        parts = self.run.ledger.parts(kind)
        return [row for part in parts for row in pq.read_table(self.run.folder / part.path).to_pylist()]

    def reasons(self, work="media"):
        return {row["name"]: row["reason"] for row in self.run.ledger.final_failures(work)}

    def files_that_hold(self, text):
        """Every file of the run, whatever it is for, that holds a text."""
        files = [path for path in self.run.folder.rglob("*") if path.is_file()]
        return [path for path in files if text.encode() in path.read_bytes()]

    def close(self):
        for run in self._open:
            run.ledger.close()
        self._client.close()
