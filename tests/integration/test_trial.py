"""A trial of filters: what they would drop, from measurements alone, with nothing changed."""

import pytest

from filtering.verdict import FILTERS
from integration.trial import changed_filters, try_filters
from microlens.errors import NotReadyError, RecipeError
from tests.integration.made import world


def filled(small):
    """Two copies, a short title that has a flat cover as well, a video that is gone, and others that are fine."""
    from microlens.ledger_rows import PageRow

    body = b"the same bytes"
    small.fill(world(2))
    for name, title, likes, share in (
        ("one", "Title one", 9, 0.2),
        ("two", "Title two", 3, 0.7),
        ("bad", "x!", 1, 0.9),
    ):
        measured = {"cover": {"dominant_share": share}, "video": {"body": body}}
        small.add_videos({name: {"title": title, "like_count": likes, "stage": "seed", "measured": measured}})
        small.add_comments([name], [])
    small.run.ledger.commit_crawl(pages=[PageRow("gone", "u", failure="gone")])
    return small


def trial(small, *changes, **options):
    return try_filters(small.run, small.settings, changed_filters(small.run.recipe, changes), **options)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "ledger" not in path.name}


def told(found):
    return {one.reason: (one.filter, one.count, one.applies_to, one.count_now) for one in found.dropped}


def test_a_trial_counts_what_the_verdicts_will(small):
    """The same thresholds give the counts of the tables; a video with two faults counts once, and applies to both."""
    found = trial(filled(small))
    funnel = small.integrate()[0].counters

    assert {
        "gone": ("page", 1, 1, 1),
        "title_too_short": ("title", 1, 1, 1),
        "cover_single_color": ("cover", 0, 1, 0),
        "duplicate_video": ("duplicates", 1, 1, 1),
    } == told(found)
    assert funnel["dropped"] == {one.reason: one.count for one in found.dropped if one.count}
    assert (funnel["found"], funnel["kept"], funnel["kept"]) == (found.found, found.kept, found.kept_now)
    assert sorted(map(FILTERS.index, (one.filter for one in found.dropped))) == [
        FILTERS.index(one.filter) for one in found.dropped
    ]


def test_a_trial_with_other_thresholds_tells_both_counts(small):
    """What would be dropped stands beside what is dropped now."""
    found = trial(filled(small), "filters.max_cover_share=0.5", "filters.min_title_characters=0")

    assert {
        "gone": ("page", 1, 1, 1),
        "title_too_short": ("title", 0, 0, 1),
        "cover_single_color": ("cover", 2, 2, 0),
        "duplicate_video": ("duplicates", 0, 0, 1),
    } == told(found)
    assert (0.5, 0.75) == (found.filters["max_cover_share"], found.filters_now["max_cover_share"])
    assert found.found == found.kept + sum(one.count for one in found.dropped)


def test_samples_carry_what_the_filter_saw(small):
    """Measured value and threshold; a copy with the one that would be kept; the same samples every time."""
    samples = {one.reason: one.samples for one in trial(filled(small)).dropped}
    (short,), (copy,) = samples["title_too_short"], samples["duplicate_video"]

    assert ("bad", "x!", 1, 3) == (short.video_id, short.title, short.measured, short.threshold)
    assert ("two", "one", "Title one") == (copy.video_id, copy.twin.video_id, copy.twin.title)
    assert copy.cover_sha256 != copy.twin.cover_sha256
    few, more = (
        {one.reason: one.samples for one in trial(small, "filters.max_cover_share=0", samples=count).dropped}
        for count in (3, 5)
    )
    assert 3 == len({sample.video_id for sample in few["cover_single_color"]})
    assert few["cover_single_color"] == more["cover_single_color"][:3]
    assert () == trial(small, samples=0).dropped[0].samples


def test_a_trial_changes_nothing_and_reads_no_media(small):
    """No file of the run is another afterwards, and the store may be empty."""
    filled(small).integrate()
    for path in (small.run.folder / "store" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    before = files(small.run.folder)
    trial(small, "filters.min_title_characters=50")

    assert before == files(small.run.folder)
    assert not small.integrate()[1]


def test_a_trial_needs_no_finished_crawl(make):
    """What is known so far is decided on; with nothing crawled there is nothing to try."""
    made = make("fresh")
    with pytest.raises(NotReadyError, match="nothing is crawled"):
        trial(made)
    made.add_videos(world(1).videos)

    assert (8, 8) == (trial(made).found, trial(made).kept)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("filters.min_title_characters", "filters.min_title_characters=5"),
        ("seeds.min_likes=3", "changes no filter"),
        ("filters.min_titel_characters=3", "did you mean 'min_title_characters'"),
        ("filters.max_cover_share=2", "filters.max_cover_share = 2"),
        ("filters.twins=sometimes", "filters.twins = 'sometimes'"),
        ("filters.twins=[", "cannot be read"),
    ],
)
def test_a_change_that_cannot_be_tried_says_why(small, change, words):
    """Key, value and the nearest valid key, as for a recipe."""
    with pytest.raises(RecipeError) as refused:
        changed_filters(small.run.recipe, [change])

    assert words in str(refused.value)
