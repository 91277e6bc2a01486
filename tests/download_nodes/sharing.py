"""Two node processes that are asked for the same addresses at once; the server's log is the judge."""

from collections import Counter
from contextlib import ExitStack

from download_nodes.supervise import _Doorbell
from microlens.ledger_rows import PageRow, Selected
from microlens.records import MediaLink
from tests.download_nodes.fleet import NodeProcess, wait_until

POLITE = {"requests_per_second": 10_000, "concurrency": 64}
NO_COMMENTS = {"min_video_bytes": 10**9}
SPELLINGS = ("", "?utm_source=feed", "#cover", "?fbclid=1&utm_medium=x#top")
"""Ways to write one address."""


def add_shared_covers(desk, count, cover):
    """So many covers, each of which two videos show, in two spellings."""
    pages = []
    for number in range(count):
        desk.site.files[f"/media/{number}.jpg"] = cover + f"{number:08}".encode()
        for who in (0, 1):
            url = f"{desk.site.url}/media/{number}.jpg{SPELLINGS[(number + who) % len(SPELLINGS)]}"
            name = f"v{number}-{who}"
            pages.append(PageRow(name, f"{desk.site.url}/v/{name}", title="A title", media=(MediaLink("cover", url),)))
    desk.run.ledger.commit_crawl(pages=pages, selections=[Selected(page.video_id, "seed", None, 0) for page in pages])
    desk.push()


def fetch_together(desk, *, within_s):
    """Two nodes, each a process of its own, work until nothing is left."""
    doorbell = _Doorbell(desk.redis_url, desk.run.shared_name)
    with ExitStack() as stack:
        nodes = [NodeProcess(desk.run, desk.redis_url, log=desk.folder / f"node{number}.log") for number in (0, 1)]
        for node in nodes:
            stack.callback(node.end_if_alive)

        def is_done():
            doorbell.ring(len(nodes))
            return desk.frontier.open_count(["media"]) == 0

        wait_until(is_done, within_s, lambda: "\n".join(node.told()[-2000:] for node in nodes))
        assert [0, 0] == [node.end() for node in nodes]


def requests(desk):
    """How often each file was asked for, by the server's log."""
    return Counter(path.partition("?")[0] for path in desk.site.count().elements() if path.startswith("/media/"))


def check_assets(desk, count):
    """AssertionError unless both videos that show an address have its bytes, and nothing has failed."""
    assets = {row["video_id"]: row["sha256"] for row in desk.run.ledger.assets()}

    assert {f"v{number}-{who}" for number in range(count) for who in (0, 1)} == set(assets)
    assert all(assets[f"v{number}-0"] == assets[f"v{number}-1"] for number in range(count))
    assert count == len(set(assets.values()))
    assert {} == desk.run.ledger.failure_counts()
