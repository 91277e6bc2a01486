"""What a crawl will take: arithmetic on the recipe."""

from microlens.estimate import estimate
from microlens.recipe import Recipe


def estimated(*, captions=False, **seeds):
    keys = {"name": "r", "platform": "sandbox", "instances": ["http://a.test"], "contact": "a@b.org", "seeds": seeds}
    return estimate(Recipe.model_validate({**keys, "media": {"captions": captions}}))


def test_the_papers_likes_mean_its_interactions():
    """More than 10,000 likes are more than 100 comments, one for a hundred likes; a floor of its own may ask more."""
    assert 100 == estimated().seed_comments
    assert 100 == estimated(min_interactions=50).seed_comments
    assert 250 == estimated(min_interactions=250).seed_comments
    assert 0 == estimated(min_likes=-1).seed_comments


def test_captions_take_one_more_request_a_page():
    """Every page that is read is asked for twice; refreshes of the home page are not."""
    plain, asking = estimated(target=100), estimated(target=100, captions=True)

    assert (200 + 1000 + 10, 2 * (200 + 1000) + 10) == (plain.page_requests, asking.page_requests)


def test_seeds_that_are_talked_about_more_bring_more_comments():
    """A floor above the paper's mean raises the comments expected, up to what is taken of a video."""
    usual = estimated()

    assert usual.comments < estimated(min_interactions=2_000).comments
    assert 4_400_000 * 0.8 * 5_000 == estimated(min_interactions=9_000).comments


def test_a_limit_of_bandwidth_may_take_longer_than_the_requests():
    """Whichever takes longer tells the days: 440,000 videos of 9.26 MB each at 1 MB a second take 47."""
    keys = {"name": "r", "platform": "sandbox", "instances": ["http://a.test"], "contact": "a@b.org"}
    keys |= {"seeds": {"target": 40_000}}
    limits = ({}, {"bytes_per_second": 1e12}, {"bytes_per_second": 1e6, "requests_per_second": 10_000})
    free, loose, tight = (estimate(Recipe.model_validate({**keys, "politeness": polite})) for polite in limits)

    assert free.days == loose.days
    assert 440_000 * 9_260_000 / 1e6 / 86_400 == tight.days
