"""What a command says at its end where much was given up."""

import pytest

from microlens.cli.failure_note import failure_lines
from microlens.ledger_rows import PageRow
from microlens.recipe import Recipe
from microlens.records import Failure
from microlens.runs import open_or_create
from microlens.settings import Settings


@pytest.fixture
def run(tmp_path):
    """A run of a hundred pages that were read."""
    recipe = {"name": "made", "platform": "sandbox", "instances": ["http://127.0.0.1:9"], "contact": "me@example.org"}
    run, _ = open_or_create(Recipe.model_validate(recipe), Settings(runs_dir=tmp_path))
    run.ledger.commit_crawl(pages=[PageRow(f"v{number}", f"http://127.0.0.1:9/v/{number}") for number in range(100)])
    yield run
    run.ledger.close()


@pytest.fixture
def fail(run):
    """Give up so many more items for a reason; `is_final=False` is a try that failed."""

    def go(reason, count, *, work="page", is_final=True):
        had = sum(run.ledger.failure_counts().values())
        for number in range(had, had + count):
            name = f"{work}{number}"
            run.ledger.record_failure(
                Failure(work, name, "sandbox", name, "http://127.0.0.1:9/a", reason, None, 1, is_final=is_final)
            )

    return go


def test_a_share_above_the_threshold_is_told_with_what_can_be_done(run, fail):
    """The reasons, commonest first; a command for those that may pass, another for those that people must mend."""
    fail("gone", 9)
    fail("timeout", 4)
    fail("dns", 11)
    fail("page_changed", 2)

    retry = "`microlens-build retry made"

    assert [
        "26 of 100 items (26%) were given up: dns 11, gone 9, timeout 4, page_changed 2",
        f"to try what may have passed: {retry} --reason dns --reason timeout`, then the same command",
        f"once the adapter or the bug behind it is mended: {retry} --reason page_changed`, then the same command",
    ] == failure_lines(run, share=0.25)


def test_what_is_for_good_has_no_command(run, fail):
    """Files that are gone stay gone: only how many there are is told."""
    fail("gone", 1, work="media")

    assert ["1 of 1 items (100%) were given up: gone 1"] == failure_lines(run, share=0.2, of_pages=False)


@pytest.mark.parametrize(
    ("reason", "count", "more"),
    [
        ("timeout", 0, {}),
        ("timeout", 20, {}),
        ("timeout", 90, {"is_final": False}),
        ("no_audio", 90, {"work": "media"}),
    ],
    ids=["nothing", "just the threshold", "tries that failed", "videos without sound"],
)
def test_what_is_no_trouble_is_not_told(run, fail, reason, count, more):
    """The threshold itself is none, nor is an item that came in the end, nor one that never had what was asked for."""
    fail(reason, count, **more)

    assert [] == failure_lines(run, share=0.2)


def test_pages_and_files_are_counted_apart_and_together(run, fail):
    """What a command did is what it tells of: `crawl` pages, `work` files and comments, `run` both."""
    fail("timeout", 30)
    fail("truncated", 11, work="media")
    fail("dns", 10, work="comments")
    heads = [failure_lines(run, share=0.2, of_pages=p, of_files=f)[0] for p, f in ((1, 0), (0, 1), (1, 1))]

    assert [
        "30 of 100 items (30%) were given up: timeout 30",
        "21 of 21 items (100%) were given up: truncated 11, dns 10",
        "51 of 121 items (42%) were given up: timeout 30, truncated 11, dns 10",
    ] == heads
