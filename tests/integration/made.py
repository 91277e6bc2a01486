"""Small runs, made without a crawl: what nodes would have committed, from a seed."""

import hashlib
import random
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from integration.engines.duckdb import DuckEngine
from integration.integrated import add_integrated, add_interactions, pair_files
from integration.merge import gather, integrate
from integration.subset import Draw, subset
from microlens.ledger_rows import PageRow, Selected
from microlens.manifest import read_manifest
from microlens.parts import write_part
from microlens.recipe import Recipe
from microlens.records import AssetRecord, Failure, MediaLink
from microlens.runs import open_or_create
from microlens.settings import Settings
from microlens.tables import CRAWLED_COMMENTS, CRAWLED_TEXTS, CRAWLED_VIDEOS

KEY = "0f" * 32
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


@dataclass
class World:
    """Rows as parsers give them; users are raw."""

    videos: dict = field(default_factory=dict)
    comments: list = field(default_factory=list)


def world(seed=1, *, videos=8, users=12, comments=160):
    """Videos and comments with many equal times; some users write often, some once."""
    dice, made = random.Random(seed), World()
    for number in range(videos):
        made.videos[f"v{number}"] = {
            "title": f"Title {number}",
            "tags": dice.sample(["a", "b", "c", "d"], dice.randrange(3)),
            "like_count": dice.randrange(20_000, 30_000),
            "stage": dice.choice(["seed", "related"]),
            "audio": dice.random() < 0.5,
            "language": dice.choice([None, "en"]),
        }
    for number in range(comments):
        made.comments.append(
            {
                "video_id": f"v{dice.randrange(videos)}",
                "comment_id": comment_key(f"c{number:04d}"),
                "user": f"raw-{int(users * dice.random() ** 2)}",
                "text": dice.choice([None, f"text {number}"]),
                "gender": dice.choice([None, "f", "m"]),
                "commented_at_ms": START_MS + dice.randrange(40) * DAY_MS // 4,
            }
        )
    return made


class Made:
    """A run in a folder, and the stages on it."""

    def __init__(self, folder, *, node="node-one", name="small", **recipe):
        self.settings = Settings(runs_dir=folder, pseudonym_key=KEY, node_id=node, threads=2, memory_limit="500MB")
        self._raw = {
            "name": name,
            "platform": "sandbox",
            "instances": ["http://127.0.0.1:1"],
            "contact": "tests@example.org",
            "seed": 5,
        }
        self.run = None
        self.open(**recipe)

    def open(self, **recipe):
        """Open the run again, with a changed recipe or after a crash."""
        self.close()
        self.run, _ = open_or_create(Recipe.model_validate({**self._raw, **recipe}), self.settings)
        self.run.ledger.finish_stage("crawl")
        return self

    def close(self):
        if self.run is not None:
            self.run.ledger.close()

    def fill(self, made, *, parts=1, shuffle=0):
        """Commit a world, its comments in so many parts of whole videos, its rows in any order."""
        dice = random.Random(shuffle)
        names = list(made.videos)
        dice.shuffle(names)
        for some in [names[at::parts] for at in range(parts)]:
            self.add_videos({name: made.videos[name] for name in some})
            rows = [row for row in made.comments if row["video_id"] in some]
            dice.shuffle(rows)
            self.add_comments(some, rows)
        return self.finish_crawl()

    def finish_crawl(self):
        """What the crawl says when it has nothing left to do."""
        self.run.ledger.finish_stage("crawl")
        return self

    def add_videos(self, videos, *, at_ms=START_MS):
        records, pages, selections = [], [], []
        for video_id, told in videos.items():
            media = tuple(MediaLink(kind, f"http://127.0.0.1:1/{video_id}.{kind}") for kind in _kinds(told))
            pages.append(
                PageRow(
                    video_id,
                    f"http://127.0.0.1:1/v/{video_id}",
                    title=told["title"],
                    like_count=told["like_count"],
                    media=media,
                )
            )
            selections.append(Selected(video_id, told["stage"], None, 0))
            records.append(video_row(video_id, crawled_at_ms=at_ms, **told))
        table = pa.Table.from_pylist(records, schema=CRAWLED_VIDEOS)
        part = self.run.keep_part(write_part(self.run.folder, "videos", table))
        self.run.ledger.commit_crawl(pages=pages, selections=selections, part=part)
        for video_id, told in videos.items():
            for kind in _kinds(told):
                self.add_asset(video_id, kind, **told.get("measured", {}).get(kind, {}))

    def add_asset(self, video_id, kind, body=None, **facts):
        body = body or f"{kind} of {video_id}".encode()
        sha256, path = hashlib.sha256(body).hexdigest(), self.run.store.temporary()
        path.write_bytes(body)
        self.run.store.put(path, sha256)
        usual = {
            "cover": {"mime": "image/jpeg", "dominant_share": 0.2},
            "video": {"mime": "video/mp4", "duration_s": 7.5},
            "audio": {"mime": "video/mp4"},
        }[kind]
        size = facts.pop("size_bytes", 200_000)
        self.run.ledger.commit_assets(
            [AssetRecord("sandbox", video_id, kind, sha256, size, **{"is_decodable": True, **usual, **facts})]
        )

    def add_comments(self, video_ids, rows):
        """Commit the complete comments of these videos as one part."""
        commit_comments(self.run, {name: [row for row in rows if row["video_id"] == name] for name in video_ids}, rows)

    def fail(self, name, reason):
        video_id = name.partition("/")[0]
        self.run.ledger.record_failure(Failure("media", name, "sandbox", video_id, "u", reason, None, 1, True))

    def integrate(self, **options):
        return integrate(self.run, self.settings, **options)

    def gather(self):
        return gather(self.run, self.settings)

    def subset(self, **draw):
        return subset(self.run, self.settings, Draw(**{"min_user": 1, "name": "out", **draw}))

    def build(self, **draw):
        self.integrate()
        return self.subset(**draw)

    def table(self, name):
        """An integrated table's rows; interactions and users are read as whoever uses them does."""
        if name in {"interactions", "users"}:
            return integrated_rows(self.run, self.settings, name)
        return pq.read_table(self.run.integrated / f"{name}.parquet").to_pylist()

    def ids(self, release, kind):
        """The private map of a release."""
        rows = pq.read_table(self.run.folder / "private" / "ids" / release / f"{kind}s.parquet").to_pylist()
        return {row["user_key" if kind == "user" else "video_id"]: row[f"{kind}_id"] for row in rows}

    def users(self, made):
        """Raw users by their key."""
        return {self.run.pseudonyms.user_key("sandbox", row["user"]): row["user"] for row in made.comments}


def comment_key(word):
    """A comment's key, in the order of the words."""
    return int.from_bytes(word.encode().ljust(8, b"\0"))


def commit_comments(run, rows_by_video, rows, **how):
    """Commit readings as one part of comments in the order of `rows`, and one of their texts if they have any."""
    key = run.pseudonyms.user_key
    made = [{**row, "user_key": key("sandbox", row["user"])} for row in rows]
    table = pa.Table.from_pylist(made, schema=CRAWLED_COMMENTS)
    part = run.keep_part(write_part(run.folder, "comments", table)) if made else None
    told = [
        {**row, "user_key": row["user_key"] if row.get("gender") else None}
        for row in made
        if row.get("text") is not None or row.get("gender") is not None
    ]
    table = pa.Table.from_pylist(told, schema=CRAWLED_TEXTS)
    texts = run.keep_part(write_part(run.folder, "texts", table, beside=part.part_id)) if told else None
    counts = {video_id: len(own) for video_id, own in rows_by_video.items()}
    assert not run.ledger.commit_comments(part, counts, texts=texts, **how)


def video_row(video_id, *, crawled_at_ms=START_MS, title="t", tags=(), like_count=1, language=None, **more):
    return {
        "platform": "sandbox",
        "video_id": video_id,
        "page_url": more.get("page_url", f"http://127.0.0.1:1/v/{video_id}"),
        "title": title,
        "tags": list(tags),
        "language": language,
        "duration_s": 9.0,
        "like_count": like_count,
        "view_count": more.get("view_count"),
        "media": [],
        "crawled_at_ms": crawled_at_ms,
    }


def integrated_rows(run, settings, name):
    """Rows of a table of many files, or of a view, in the order of users."""
    manifest = read_manifest(run.integrated, next_step="integrate")
    with DuckEngine(settings, run.folder / "tmp") as engine:
        add_integrated(engine, run.integrated, manifest)
        add_interactions(engine, pair_files(run.integrated, manifest))
        order = {"interactions": "user_key, commented_at_ms, comment_id, video_id", "users": "user_key"}[name]
        return engine.query(f"SELECT * FROM {name} ORDER BY {order}").to_pylist()


def release_table(built, name):
    return pq.read_table(built.path / "data" / f"{name}.parquet").to_pylist()


def data_bytes(built):
    return {path.name: path.read_bytes() for path in (built.path / "data").iterdir()}


def earliest(comments, limit):
    """The interactions, by hand: each user's earliest comment on a video; of those the video's newest `limit`."""
    first = {}
    for row in sorted(comments, key=_age):
        first.setdefault((row["user"], row["video_id"]), row)
    kept = {}
    for pair, row in sorted(first.items(), key=lambda each: _age(each[1]), reverse=True):
        if sum(video_id == pair[1] for _, video_id in kept) < limit:
            kept[pair] = row
    return kept


def _age(row):
    return row["commented_at_ms"], row["comment_id"]


def _kinds(told):
    return ["cover", "video", *(["audio"] if told.get("audio") else [])]
