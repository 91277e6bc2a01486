"""Comments of a site whose adapter asks: yt-dlp's extractor of a real site, that site played by a small server."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from download_nodes import courtesy
from download_nodes.backlog import outstanding
from microlens import conversations
from microlens.ledger_rows import PageRow, Selected
from microlens.platforms import load_platform
from tests.mapped import install

FAR = "https://banned.video https://api.infowarsmedia.com"
VIDEO = "5f5d1b2b0f4f4b0019d5d1b2"


class Site:
    """One site's GraphQL server; `replies` are (status, headers) of the answers that come next."""

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
    """Make a run with one video whose comments are due, and work until nothing is left.

    `api`: where its site asks; `rests`: a host that may not be asked for a while.
    """

    def drain(*, api=None, most=100, rests=None):
        install(tmp_path_factory.mktemp("package"), monkeypatch, far=FAR, near=f"{site.url} {api or site.url}")
        url = f"{site.url}/watch?id={VIDEO}"
        comments = {"when": "always", "max_per_video": most}
        desk.make(platform="mapped", instances=[url], comments=comments, network={"allow": ["127.0.0.1/32"]})
        page = PageRow(f"BannedVideo:{VIDEO}", url, title="A fine title")
        desk.run.ledger.commit_crawl(pages=[page], selections=[Selected(page.video_id, "seed", None, 0)])
        desk.frontier.push(outstanding(desk.run, load_platform("mapped")))

        async def work():
            async with desk.node() as node:
                if rests:
                    desk.frontier.backoff(rests, sent_ms=2**50, retry_after_s=2.5)
                return await node.drain(30.0)

        return asyncio.run(work())

    return drain


def test_comments_are_collected_through_the_node(asking, desk, site):
    """Comments and replies are rows without raw ids; robots.txt came first; the User-Agent is the recipe's."""
    done = asking()
    rows = desk.said()

    assert 1 == done["comments"]
    assert {"text 1", "text 2", "text 3"} == {row["text"] for row in rows}
    assert 2 == len({row["user_key"] for row in rows})
    assert {f"BannedVideo:{VIDEO}"} == {row["video_id"] for row in rows}
    assert ["/robots.txt", "GetVideoAndComments", "GetCommentReplies"] == site.asked
    assert {desk.run.recipe.user_agent} == site.agents
    assert [] == desk.files_that_hold("raw-user")


def test_a_re_crawl_reads_the_whole_list(asking, desk, site):
    """What is read in one piece has no newest end to stop at: the new list replaces the old one."""
    asking()
    opened = desk.run.refreshes.begin(2**50)
    desk.run.refreshes.commit(opened.number, desk.run.ledger.pages(), None)
    desk.run.refreshes.finish(opened.number)
    asking()

    lists = desk.run.ledger.comment_lists()
    assert [(0, True, 3), (1, True, 3)] == [(one.refresh, one.is_full, one.comments) for one in lists]
    assert 2 == site.asked.count("GetVideoAndComments")


def test_no_more_than_the_recipe_takes_is_asked_for(asking, desk, site):
    """Two comments stand in the first answer: the replies are not asked for."""
    asking(most=2)

    assert 2 == len(desk.said())
    assert "GetCommentReplies" not in site.asked


def test_a_429_inside_an_extractor_rests_the_host(asking, desk, site):
    """The host rests for as long as it asks, then the same question is put again: nothing is lost, nothing failed."""
    site.replies = [(200, {}), (429, {"Retry-After": "1"})]
    asking()

    assert 3 == len(desk.said())
    assert 2 == site.asked.count("GetCommentReplies")
    assert {} == desk.run.ledger.failure_counts()


def test_a_redirect_s_host_is_the_one_that_refuses(asking, desk, site, capfd):
    """A 429 of a host that a redirect led to rests that host, not the one that was asked."""
    there = site.url.replace("127.0.0.1", "localhost")
    leads = (307, {"Location": f"{there}/graphql"})
    site.replies = [leads, (429, {"Retry-After": "1"}), leads]
    asking()
    said = capfd.readouterr()
    rests = [line for line in (said.out + said.err).splitlines() if "host_rests" in line]

    assert 3 == len(desk.said())
    assert 1 == len(rests)
    assert there in rests[0]
    assert {} == desk.run.ledger.failure_counts()


def test_a_redirect_to_a_resting_host_gives_the_item_back(asking, desk, site, monkeypatch):
    """Its robots.txt and its budget stand before the redirect's target; no try is counted until it may be asked."""
    monkeypatch.setattr(courtesy, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(conversations, "PATIENCE_S", 0.2)
    there = site.url.replace("127.0.0.1", "localhost")
    site.replies = [(307, {"Location": f"{there}/graphql"})] * 2
    asking(rests=there)

    assert 3 == len(desk.said())
    assert 3 == site.asked.count("GetVideoAndComments")
    assert 2 == site.asked.count("/robots.txt")
    assert {} == desk.run.ledger.failure_counts()


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([(404, {})], "gone"),
        ([(403, {})], "private"),
        ([(200, {"X-Robots-Tag": "noai"})], "robots_noai"),
        ([(200, {}), (200, {"X-Robots-Tag": "noai"})], "robots_noai"),
    ],
)
def test_refusals_inside_an_extractor_have_their_reasons(asking, desk, site, replies, reason):
    """A status and a robots tag end with the reason that an ordinary page would have, and name what was asked for."""
    site.replies = replies
    asking()

    assert {f"BannedVideo:{VIDEO}": reason} == desk.reasons("comments")
    assert [] == desk.said()


def test_robots_txt_holds_inside_an_extractor(asking, desk, site):
    """What it forbids is not sent, whatever the extractor wants; the reason is told."""
    site.robots = "User-agent: *\nDisallow: /graphql\n"
    asking()

    assert {f"BannedVideo:{VIDEO}": "robots"} == desk.reasons("comments")
    assert ["/robots.txt"] == site.asked


def test_an_address_inside_the_network_is_not_reached(asking, desk, site):
    """A link of an extractor that leads where the recipe does not allow is not followed."""
    asking(api=site.url.replace("127.0.0.1", "127.0.0.2"))

    assert {f"BannedVideo:{VIDEO}": "forbidden_address"} == desk.reasons("comments")
    assert ["/robots.txt"] == site.asked
