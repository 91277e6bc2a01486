"""Comments of a site whose adapter asks: yt-dlp's extractor of a real site, that site played by a small server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest

from microlens.ledger import PageRow, Selected
from tests.mapped import install

FAR = "https://banned.video"
API = "/api"
VIDEO = "5f5d1b2b0f4f4b0019d5d1b2"


class Site:
    """One site's GraphQL server and its pages' addresses; `replies` are (status, headers, changes) of what comes next."""

    def __init__(self):
        self.asked, self.replies, self.robots = [], [], "User-agent: *\nAllow: /\n"
        self.agents = set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                self._send(200, site.robots.encode())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                site.asked.append(body["operationName"])
                site.agents.add(self.headers["User-Agent"])
                status, headers = site.replies.pop(0) if site.replies else (200, {})
                self._send(status, json.dumps({"data": site.data}).encode(), headers)

            def _send(self, status, body, headers=()):
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.thread = threading.Thread(target=self._server.serve_forever)
        self.thread.start()

    @property
    def data(self):
        def comment(number, replies):
            user = {"_id": f"raw-user-{number % 2}", "username": "A Name"}
            return {
                "_id": f"c{number}",
                "content": f"text {number}",
                "createdAt": f"2024-01-0{number + 1}T00:00:00Z",
                "user": user,
                "voteCount": {},
                "replyCount": replies,
            }

        video = {"title": "A film ", "directUrl": "https://f.example/a.mp4", "tags": []}
        return {
            "getVideo": video,
            "getVideoComments": [comment(1, 1), comment(2, 0)],
            "getCommentReplies": [comment(3, 0)],
        }

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self.thread.join()


@pytest.fixture
def site():
    made = Site()
    yield made
    made.close()


@pytest.fixture
def asking(desk, site, tmp_path_factory, monkeypatch):
    """A run of the mapped platform with one video whose comments are due."""
    install(tmp_path_factory.mktemp("package"), monkeypatch, far="https://api.infowarsmedia.com", near=site.url)
    desk.site = site

    def make(**changes):
        changes = {"platform": "mapped", "comments": {"when": "always"}, **changes}
        desk.make(instances=["https://banned.video/"], **changes)
        page = PageRow(f"BannedVideo:{VIDEO}", f"{FAR}/watch?id={VIDEO}", title="A fine title")
        desk.run.ledger.commit_crawl(pages=[page], selections=[Selected(page.video_id, "seed", None, 0)])
        return desk

    return make


def rows_of(desk):
    return [
        row
        for part in desk.run.ledger.parts("comments")
        for row in pq.read_table(desk.run.folder / part.path).to_pylist()
    ]
