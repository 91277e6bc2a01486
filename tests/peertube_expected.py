"""What a perfect crawl of the recorded PeerTube site finds, computed without any adapter of ours.

    python tests/peertube_expected.py ../shared/real-platform/peertube/site

Addresses stand as they were recorded. `replay.py --port PORT` rewrites the absolute ones of every text answer:

    http://localhost:9000  ->  http://127.0.0.1:PORT      the instance that is crawled
    http://localhost:9001  ->  http://127.0.0.2:PORT      the second instance: media of the federated videos

`replayed` does the same to one address. Handles are rewritten by nobody: an account's `host` has no scheme before it,
so `alice@localhost:9000` stays what it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOME = "http://localhost:9000"
HOSTS = {HOME: "127.0.0.1", "http://localhost:9001": "127.0.0.2"}


@dataclass(frozen=True, slots=True)
class File:
    """One recorded file of a video, whichever rendition a crawler chooses."""

    url: str
    kind: str
    """`cover`, `video` or `audio`."""
    height: int
    """Pixels; 0 for sounds."""
    size_bytes: int
    sha256: str

    @property
    def host(self) -> str:
        """The host that the replay serves it on."""
        return HOSTS[_origin(self.url)]


@dataclass(frozen=True, slots=True)
class Comment:
    url: str
    """The same on every instance; identifies the comment."""
    handle: str
    """`name@host` of the author."""
    created_ms: int
    text: str
    is_reply: bool


@dataclass(frozen=True, slots=True)
class Video:
    uuid: str
    title: str
    refusal: str | None
    """`sensitive` and `download_disabled` ones must not be downloaded; sensitive ones not even be asked for."""
    like_count: int
    is_local: bool
    tags: tuple[str, ...]
    category: str | None
    language: str | None
    captions: tuple[str, ...]
    """Languages."""
    files: tuple[File, ...]
    """Empty for sensitive videos."""
    comments: tuple[Comment, ...]
    """Live ones, roots and replies, each once; tombstones are not counted."""
    announced_comments: int
    """What the server says that it has, tombstones left out."""


@dataclass(frozen=True, slots=True)
class Expected:
    videos: dict[str, Video]
    """Every public video by its uuid."""

    @property
    def downloadable(self) -> list[Video]:
        return [video for video in self.videos.values() if video.refusal is None]


def expected(site: Path) -> Expected:
    answers = {
        entry["url"]: (site / "bodies" / entry["body"]).read_bytes()
        for entry in json.loads((site / "index.json").read_text())
        if entry["status"] == 200
    }
    listed = json.loads(answers[f"{HOME}/api/v1/videos?start=0&count=100&sort=-publishedAt&nsfw=both"])
    assert listed["total"] == len(listed["data"])
    return Expected({row["uuid"]: _video(row, answers) for row in listed["data"]})


def replayed(url: str, port: int) -> str:
    """Spell a recorded address as the replay on `port` spells it."""
    return url.replace(_origin(url), f"http://{HOSTS[_origin(url)]}:{port}", 1)


def _video(row: dict[str, Any], answers: dict[str, bytes]) -> Video:
    detail = json.loads(answers.get(f"{HOME}/api/v1/videos/{row['uuid']}", b"{}"))
    refusal = "sensitive" if row["nsfw"] else None if detail["downloadEnabled"] else "download_disabled"
    return Video(
        uuid=row["uuid"],
        title=row["name"],
        refusal=refusal,
        like_count=row["likes"],
        is_local=row["isLocal"],
        tags=tuple(detail.get("tags", ())),
        category=row["category"]["label"] if row["category"]["id"] else None,
        language=row["language"]["id"],
        captions=tuple(_captions(row["uuid"], answers)),
        files=() if row["nsfw"] else tuple(_files(detail, answers)),
        comments=tuple(sorted(_comments(row["uuid"], answers), key=lambda comment: comment.url)),
        announced_comments=row["comments"],
    )


def _files(detail: dict[str, Any], answers: dict[str, bytes]) -> list[File]:
    found = [("cover", each["fileUrl"], each["height"]) for each in detail["thumbnails"]]
    found += [("video" if each["hasVideo"] else "audio", each["fileUrl"], each["height"]) for each in detail["files"]]
    return [
        File(url, kind, height, len(answers[url]), hashlib.sha256(answers[url]).hexdigest())
        for kind, url, height in found
    ]


def _captions(uuid: str, answers: dict[str, bytes]) -> list[str]:
    told = json.loads(answers.get(f"{HOME}/api/v1/videos/{uuid}/captions", b'{"data": []}'))
    return [row["language"]["id"] for row in told["data"]]


def _comments(uuid: str, answers: dict[str, bytes]) -> set[Comment]:
    """Take every recorded page of comments of a video, however it was asked for."""
    mine = re.compile(re.escape(f"{HOME}/api/v1/videos/{uuid}/comment-threads") + r"(/\d+)?(\?.*)?")
    rows = []
    for url, body in answers.items():
        if mine.fullmatch(url):
            answer = json.loads(body)
            rows += answer["data"] if "data" in answer else _nested(answer)
    return {
        Comment(
            url=row["url"],
            handle=f"{row['account']['name']}@{row['account']['host']}",
            created_ms=round(datetime.fromisoformat(row["createdAt"]).timestamp() * 1000),
            text=row["text"],
            is_reply=row["inReplyToCommentId"] is not None,
        )
        for row in rows
        if not row["isDeleted"] and not row["heldForReview"]
    }


def _nested(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node["comment"], *(row for child in node["children"] for row in _nested(child))]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


if __name__ == "__main__":
    for each in expected(Path(sys.argv[1])).videos.values():
        hosts = sorted({file.host for file in each.files if file.kind != "cover"})
        announced = f"{len(each.comments)} of {each.announced_comments} comments"
        print(each.uuid, each.refusal or "-", announced, f"{len(each.files)} files on {hosts}", each.title)  # noqa: T201
