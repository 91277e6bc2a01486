"""The ledger: every fact once, whole transactions, many writers, and any text a site can show."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.ledger import Ledger
from microlens.ledger_rows import Home, PageRow, Part, Selected
from microlens.platforms.base import VideoLink
from microlens.postgres import PostgresSchema
from microlens.records import AssetRecord, Failure, MediaLink

PAGE = PageRow(
    "v1",
    "http://site.test/v1",
    title="one",
    like_count=5,
    comment_count=7,
    category="Films",
    language="en",
    media=(MediaLink("cover", "http://site.test/c", height=90, size_bytes=7),),
    related=(VideoLink("v2", "http://site.test/v2"), VideoLink("v3", "http://site.test/v3", refusal="sensitive")),
)
HOME = Home("http://site.test", 0, (VideoLink("v1", "http://site.test/v1"),), is_last=False)
ASSET = AssetRecord("sandbox", "v1", "cover", "ab" * 32, 1000, "image/jpeg", width=90, dominant_share=0.5)
FAILURE = Failure("media", "v1/cover", "sandbox", "v1", "http://site.test/c", "timeout", None, 1, is_final=False)


def written(place):
    return place.url.render_as_string(hide_password=False)


def part(name, kind="comments", rows=1):
    return Part(name, kind, f"crawled/{kind}/{name}.parquet", rows, "cd" * 32)


def everything(ledger):
    return (
        ledger.homes(),
        ledger.pages(),
        ledger.selections(),
        ledger.assets(),
        ledger.collected(),
        ledger.parts("videos"),
        ledger.parts("comments"),
        ledger.progress(),
        ledger.is_stage_finished("crawl"),
    )


def commit_everything(ledger):
    ledger.commit_crawl(
        homes=[HOME], pages=[PAGE], selections=[Selected("v1", "seed", None, 0)], part=part("p", "videos")
    )
    ledger.commit_assets([ASSET])
    ledger.commit_comments(part("c"), {"v1": 3})
    ledger.finish_stage("crawl")


# --- once and whole ---


def test_every_commit_is_idempotent(ledger):
    """A second write of the same facts changes nothing, so that a killed process may repeat its work."""
    commit_everything(ledger)
    before = everything(ledger)
    commit_everything(ledger)

    assert before == everything(ledger)


def test_what_was_committed_first_stays(ledger):
    """A page, a home, an asset or a part with a known name and other contents is left out."""
    commit_everything(ledger)
    before = everything(ledger)
    ledger.commit_crawl(
        homes=[replace(HOME, links=(), is_last=True)],
        pages=[replace(PAGE, title="other", related=())],
        part=replace(part("p", "videos"), rows=99),
    )
    ledger.commit_assets([replace(ASSET, sha256="ef" * 32)])

    assert before == everything(ledger)


def test_a_commit_that_fails_leaves_nothing(ledger):
    """Visits and their part are one transaction: if one row cannot be written, none is, and the ledger goes on."""
    with pytest.raises(Exception, match="int"):
        ledger.commit_crawl(homes=[HOME], pages=[PAGE, replace(PAGE, video_id="v9", like_count=2**70)], part=part("p"))

    assert [] == ledger.pages()
    assert [] == ledger.homes()
    commit_everything(ledger)
    assert [PAGE] == ledger.pages()


def test_a_ledger_opens_again(place):
    """What is committed is there for the next process."""
    first = Ledger(place, node_id="a")
    commit_everything(first)
    expected = everything(first)
    first.close()
    second = Ledger(place, node_id="b")
    found = everything(second)
    second.close()

    assert expected == found


def test_an_empty_ledger_is_empty(ledger):
    """A new ledger has no run, no rows and zero in every count."""
    assert ledger.run() is None
    assert {0} == set(ledger.progress().values())
    assert ([], [], [], {}, {}) == (
        ledger.homes(),
        ledger.pages(),
        ledger.selections(),
        ledger.collected(),
        ledger.failure_counts(),
    )


def test_an_empty_commit_is_nothing(ledger):
    """Committing nothing is allowed."""
    ledger.commit_crawl()

    assert set() == ledger.commit_comments(None, {})
    assert {0} == set(ledger.progress().values())


# --- the run ---


def test_a_run_has_one_row(ledger):
    """The run's row is what was written, and a changed recipe replaces the old one."""
    ledger.create_run(run_id="demo", platform="p", recipe="a: 1", recipe_sha256="x", key_fingerprint="f")
    ledger.update_recipe("a: 2", "y")
    row = ledger.run()

    assert ("demo", "p", "a: 2", "y", "f") == tuple(
        row[name] for name in ("run_id", "platform", "recipe", "recipe_sha256", "key_fingerprint")
    )


def test_a_stage_can_be_finished_and_reopened(ledger):
    """A finished stage is finished until it is opened again, however often it is said."""
    for _ in range(2):
        ledger.finish_stage("crawl")
    finished = ledger.is_stage_finished("crawl")
    for _ in range(2):
        ledger.reopen_stage("crawl")

    assert finished
    assert not ledger.is_stage_finished("crawl")
    assert not ledger.is_stage_finished("other")


# --- the crawl ---


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_selection_keeps_the_nearest_depth(shared_ledger, fresh_id, depths):
    """A video found by several ways has the way nearest to a seed, the first of equals."""
    video = fresh_id()
    for order, depth in enumerate(depths):
        stage = "related" if depth else "seed"
        shared_ledger.commit_crawl(selections=[Selected(video, stage, f"from{order}", depth)])
    nearest = min(depths)

    assert [Selected(video, "related" if nearest else "seed", f"from{depths.index(nearest)}", nearest)] == (
        shared_ledger.selections([video])
    )


def test_homes_come_in_the_order_of_their_refreshes(ledger):
    """Refreshes are read in the order in which they were made, instances by name within one."""
    rows = [Home(f"http://{name}.test", refresh, (), refresh == 2) for refresh in (2, 0, 10) for name in "ba"]
    ledger.commit_crawl(homes=rows)

    assert sorted(rows, key=lambda home: (home.refresh, home.instance)) == ledger.homes()


def test_only_pages_that_were_read_belong_to_a_part(ledger):
    """A page that failed has no record, so no part names it."""
    ledger.commit_crawl(pages=[PAGE, PageRow("v9", "u", failure="gone")], part=part("p", "videos"))
    with ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT video_id, part_id FROM page ORDER BY video_id").all()

    assert [("v1", "p"), ("v9", None)] == [tuple(row) for row in rows]


def test_rows_are_read_for_the_videos_named(ledger):
    """More names than one statement takes are all found, and unknown ones are left out."""
    pages = [PageRow(f"v{n:04}", "u") for n in range(1_200)]
    ledger.commit_crawl(pages=pages)
    wanted = [page.video_id for page in pages[::-1]] + ["nobody"]

    assert pages == sorted(ledger.pages(wanted), key=lambda page: page.video_id)
    assert [] == ledger.pages([])


# --- the nodes ---


def test_comments_are_refused_wholly_when_one_video_is_taken(ledger):
    """If another node completed one video, nothing at all is committed and the taken names are given."""
    ledger.commit_comments(part("first"), {"v1": 3, "v2": 0})
    taken = ledger.commit_comments(part("second"), {"v2": 5, "v3": 7, "v1": 3})

    assert {"v1", "v2"} == taken
    assert {"v1": 3, "v2": 0} == ledger.collected()
    assert [part("first")] == ledger.parts("comments")
    assert set() == ledger.commit_comments(part("second"), {"v3": 7})


def test_videos_without_comments_need_no_part(ledger):
    """A video may be complete with nothing to write."""
    assert set() == ledger.commit_comments(None, {"v1": 0})
    assert {"v1": 0} == ledger.collected(["v1", "v2"])


def test_final_failures_are_those_given_up(ledger):
    """Only a failure that no further attempt follows is final, by kind of work, oldest first."""
    ledger.record_failure(FAILURE)
    ledger.record_failure(replace(FAILURE, attempt=2, is_final=True, reason="gone", http_status=404))
    ledger.record_failure(replace(FAILURE, work="comments", name="v1", is_final=True, reason="robots"))

    assert [{"name": "v1/cover", "video_id": "v1", "reason": "gone", "http_status": 404}] == (
        ledger.final_failures("media")
    )
    assert ["robots"] == [row["reason"] for row in ledger.final_failures("comments")]
    assert [] == ledger.final_failures("page")


def test_every_failure_is_counted_by_its_reason(ledger):
    """Failures are only ever added: each attempt counts, final or not."""
    for reason in ("timeout", "gone", "timeout"):
        ledger.record_failure(replace(FAILURE, reason=reason))

    assert {"timeout": 2, "gone": 1} == ledger.failure_counts()
    assert 3 == ledger.progress()["failures"]


def test_progress_counts_rows(ledger):
    """Each number of `status` is the count or the sum that its name says."""
    commit_everything(ledger)
    ledger.commit_crawl(selections=[Selected("v2", "related", "v1", 1)])
    ledger.commit_assets([replace(ASSET, kind="video", size_bytes=2**40)])
    ledger.commit_comments(None, {"v2": 4})
    ledger.record_failure(FAILURE)

    assert {
        "pages": 1,
        "seeds": 1,
        "selected": 2,
        "assets": 2,
        "bytes": 1000 + 2**40,
        "collected": 2,
        "comments": 7,
        "failures": 1,
    } == ledger.progress()


def test_a_part_is_listed_under_its_kind(ledger):
    """Integration asks for one kind of part and gets it in a fixed order."""
    ledger.commit_crawl(part=part("b", "videos"))
    ledger.commit_crawl(part=part("a", "videos"))
    ledger.commit_comments(part("c"), {"v": 1})

    assert [part("a", "videos"), part("b", "videos")] == ledger.parts("videos")


WRITER = """
import sys
from pathlib import Path
from microlens.ledger import Ledger
from microlens.ledger_rows import PageRow, Part, Selected
from microlens.postgres import PostgresSchema
from microlens.records import AssetRecord, Failure

me, where, url = sys.argv[1:]
ledger = Ledger(PostgresSchema.named(where, url) if url else Path(where), node_id=me)
for n in range(50):
    video = f"{me}-{n}"
    part = Part(f"c{video}", "comments", "x", 1, "x")
    if n % 5 == 0:
        ledger.commit_crawl(pages=[PageRow(video, "u")], selections=[Selected(video, "seed", None, 0)])
        ledger.commit_crawl(pages=[PageRow("all", "u")], selections=[Selected("all", "related", me, int(me))])
    elif n % 5 == 1:
        ledger.commit_assets([AssetRecord("p", video, "cover", "x", 1, "image/png")])
    elif n % 5 == 2:
        ledger.record_failure(Failure("media", video, "p", video, "u", "timeout", None, 1, True))
    else:
        assert ledger.commit_comments(part, {video: 1}) == set()
        ledger.commit_comments(Part(f"all{me}-{n}", "shared", "x", 1, "x"), {f"all-{n}": 1})
ledger.close()
"""


def test_several_processes_lose_nothing(place):
    """Four processes with fifty rounds of commits each leave every row of all, and what they share once."""
    where = [place.name, written(place)] if isinstance(place, PostgresSchema) else [str(place), ""]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(n), *where]) for n in range(1, 5)]
    codes = [writer.wait(timeout=120) for writer in writers]
    ledger = Ledger(place, node_id="reader")
    progress, shared, all_selected = ledger.progress(), ledger.parts("shared"), ledger.selections(["all"])
    ledger.close()

    assert [0, 0, 0, 0] == codes
    assert (41, 40, 41, 40, 40) == tuple(progress[k] for k in ("pages", "seeds", "selected", "assets", "failures"))
    assert 4 * 20 + 20 == progress["collected"]
    assert 20 == len(shared)
    assert [Selected("all", "related", "1", 1)] == all_selected


# --- any text ---

count = st.none() | st.integers(0, 2**63 - 1)
links = st.builds(VideoLink, st.text(), st.text(), st.none() | st.text())
media = st.builds(MediaLink, st.sampled_from(["cover", "audio", "video"]), st.text(), count, count)


@given(
    st.builds(
        PageRow,
        st.just(""),
        st.text(),
        st.none() | st.text(),
        st.none() | st.text(),
        count,
        count,
        st.none() | st.text(),
        st.none() | st.text(),
        st.none() | st.text(),
        st.lists(media, max_size=3).map(tuple),
        st.lists(links, max_size=3).map(tuple),
    )
)
def test_a_page_survives_the_ledger(shared_ledger, fresh_id, page):
    """A page is read as it was committed, whatever text the site put into it."""
    page = replace(page, video_id=fresh_id())
    shared_ledger.commit_crawl(pages=[page])

    assert [page] == shared_ledger.pages([page.video_id])


@given(st.text(), st.lists(links, max_size=4).map(tuple), st.booleans())
def test_a_home_survives_the_ledger(shared_ledger, fresh_id, instance, shown, is_last):
    """A refresh of the home page is read with all its links, in their order."""
    home = Home(fresh_id() + instance, 0, shown, is_last)
    shared_ledger.commit_crawl(homes=[home])

    assert home in shared_ledger.homes()


reals = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        AssetRecord,
        platform=st.just("sandbox"),
        video_id=st.just(""),
        kind=st.sampled_from(["cover", "audio", "video"]),
        sha256=st.text(),
        size_bytes=st.integers(0, 2**63 - 1),
        mime=st.text(),
        width=count,
        height=count,
        duration_s=reals,
        fps=reals,
        codecs=st.none() | st.text(),
        origin=st.sampled_from(["fetched", "extracted"]),
        url_key=st.none() | st.binary(min_size=16, max_size=16),
        container=st.none() | st.text(),
        stream_count=count,
        phash=st.none() | st.text(),
        frame_hashes=st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=16).map(tuple),
        dominant_share=reals,
        first_decodes=st.none() | st.booleans(),
        middle_decodes=st.none() | st.booleans(),
        last_decodes=st.none() | st.booleans(),
        is_decodable=st.none() | st.booleans(),
        error=st.none() | st.text(),
    )
)
def test_an_asset_survives_the_ledger(shared_ledger, fresh_id, asset):
    """Every measurement of an asset is read as it was committed."""
    asset = replace(asset, video_id=fresh_id())
    shared_ledger.commit_assets([asset])
    row = shared_ledger.assets([asset.video_id])[0]

    assert asset == AssetRecord("sandbox", **{f.name: row[f.name] for f in fields(asset) if f.name != "platform"})


@given(st.text(min_size=1))
def test_a_name_is_no_statement(shared_ledger, fresh_id, name):
    """A video's id is a value, never SQL: quotes, percent signs and NULs name one row."""
    video = fresh_id() + name + "'; DROP TABLE page; --"
    shared_ledger.commit_crawl(pages=[PageRow(video, "u")])

    assert [video] == [page.video_id for page in shared_ledger.pages([video])]
