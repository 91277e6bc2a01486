"""Nodes that keep their parts in a bucket: what the ledger takes is there, what it does not take is not."""

import shutil

import obstore
import pytest

from download_nodes.comment_parts import CommentParts
from download_nodes.spool import Comments, Spool
from microlens.comment_lists import that_stand
from microlens.database import LedgerFullError
from microlens.errors import CorruptDataError, StoreUnreachableError
from microlens.parts_bucket import PartsBucket
from tests.bucket import KEY, s3_server
from tests.crawler.site import comment


@pytest.fixture(scope="module")
def server():
    with s3_server("parts") as url:
        yield url


@pytest.fixture
def bucket(server, monkeypatch):
    told = {**KEY, "AWS_ENDPOINT_URL": server, "MICROLENS_STORE_ALLOW_HTTP": "true"}
    for name, value in (told | {"MICROLENS_PARTS_URL": "s3://parts/nodes"}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def kept(bucket, desk):
    """A run with one video whose comments a node has collected."""
    desk.make(comments={"when": "always", "text": "scrubbed"})
    desk.add_page("v", media={})
    desk.site.comments["v"] = [comment(number, f"user-{number % 4}") for number in range(20, 8, -1)]
    desk.drain()
    return desk


def keys_in(desk):
    listed = obstore.list(desk.run.bucket.opened, prefix=f"parts/{desk.run.shared_name}")
    return {meta["path"].rpartition("/")[2] for chunk in listed for meta in chunk}


def parts_of(desk):
    return [part for kind in ("comments", "texts") for part in desk.run.ledger.parts(kind)]


def spool_of(desk, video_id):
    """One comment with its text, complete."""
    spool = Spool.open(desk.run.spool, video_id)
    spool.add(Comments([1], [bytes(16)], ["a text"], [None], [1_700_000_000_000]), [], 1)
    return spool


def read_again(desk):
    """A refresh of all comments; gives the rows of what stands then."""
    opened = desk.run.refreshes.begin(2**50)
    (page,) = desk.run.ledger.pages(["v"])
    desk.run.refreshes.commit(opened.number, [page], None)
    desk.run.refreshes.finish(opened.number)
    desk.drain()
    return [(one.is_full, one.comments) for one in that_stand(desk.run.ledger.comment_lists())]


def test_what_a_node_commits_is_in_the_bucket(kept):
    """Comments and texts, each under its id; the node has its own copies still, for a refresh."""
    assert {"comments", "texts"} == {part.kind for part in parts_of(kept)}
    assert {"s3://parts/nodes"} == {part.kept_at for part in parts_of(kept)}
    assert {f"{part.part_id}.parquet" for part in parts_of(kept)} == keys_in(kept)
    assert [(True, 12), (False, 0)] == read_again(kept)


def test_comments_that_others_hold_are_read_whole(kept):
    """A machine without the part cannot build upon it: the whole list is read, and replaces the old one."""
    shutil.rmtree(kept.run.folder / "crawled")

    assert [(True, 12)] == read_again(kept)
    assert {f"{part.part_id}.parquet" for part in parts_of(kept)} == keys_in(kept)


def test_what_the_ledger_does_not_take_leaves_the_bucket(kept, monkeypatch):
    """Another node was quicker, or its disk is full: neither file nor object is left of the part."""
    before, written, commit = keys_in(kept), [], kept.run.ledger.commit_comments

    def watched(part, *told, texts, **how):
        written.append(keys_in(kept) - before)
        if len(written) > 1:
            raise LedgerFullError("it is full")
        return commit(part, *told, texts=texts, **how)

    monkeypatch.setattr(kept.run.ledger, "commit_comments", watched)
    CommentParts(kept.run).commit({"v": spool_of(kept, "v")})
    with pytest.raises(LedgerFullError):
        CommentParts(kept.run).commit({"w": spool_of(kept, "w")})

    assert [2, 2] == [len(keys) for keys in written]
    assert before == keys_in(kept)
    assert {part.path for part in parts_of(kept)} == files_in(kept)


def test_texts_that_cannot_be_kept_take_their_comments_with_them(kept, monkeypatch):
    """Where the second part of two is refused, the first leaves the bucket as well, and no file is left of either."""
    before, keep = keys_in(kept), PartsBucket.keep

    def intruded(bucket, part, path):
        if part.kind == "texts":
            obstore.put(kept.run.bucket.opened, f"parts/{kept.run.shared_name}/{part.part_id}.parquet", b"a stranger's")
        return keep(bucket, part, path)

    monkeypatch.setattr(PartsBucket, "keep", intruded)
    with pytest.raises(CorruptDataError, match="holds something else"):
        CommentParts(kept.run).commit({"w": spool_of(kept, "w")})

    assert 1 == len(keys_in(kept) - before)
    assert {part.path for part in parts_of(kept)} == files_in(kept)


def test_a_bucket_that_takes_nothing_ends_the_node(kept):
    """Nothing is listed and no file is left; the comments stay in their spool for whoever goes on."""
    before = files_in(kept)
    kept.settings = kept.settings.model_copy(update={"parts_url": "s3://no-such-bucket"})
    kept.make(comments={"when": "always", "text": "scrubbed"})
    kept.add_page("w", media={})
    kept.site.comments["w"] = [comment(number, "user-1") for number in (3, 2, 1)]
    with pytest.raises(StoreUnreachableError, match="there is no such bucket"):
        kept.drain()

    assert before == files_in(kept)
    assert {"v": 12} == kept.run.ledger.collected()
    assert 1 == len(list(kept.run.spool.iterdir()))


def files_in(desk):
    return {path.relative_to(desk.run.folder).as_posix() for path in desk.run.folder.glob("crawled/*/*")}
