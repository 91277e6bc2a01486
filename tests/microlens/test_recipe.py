"""A recipe is read, checked, named by its meaning, and written again."""

import random

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from microlens import __version__
from microlens.errors import RecipeError
from microlens.recipe import Recipe, load_recipe, parse_recipe

LEAST = {"name": "demo", "platform": "sandbox", "instances": ["http://site.test"], "contact": "me@example.org"}


def parsed(**changes):
    return parse_recipe(yaml.safe_dump({**LEAST, **changes}))


def refusal(**changes):
    with pytest.raises(RecipeError) as refused:
        parsed(**changes)
    return refused.value.message


def test_defaults_are_the_papers_numbers():
    """A recipe of four keys is the paper's: 400,000 seeds above 10,000 likes, ten related, 3, 0.75, 100 kB and 5."""
    recipe = parsed()

    assert (400_000, 10_000) == (recipe.seeds.target, recipe.seeds.min_likes)
    assert (10, 1) == (recipe.expansion.related_per_page, recipe.expansion.depth)
    assert (3, 0.75, 100_000) == (
        recipe.filters.min_title_characters,
        recipe.filters.max_cover_share,
        recipe.filters.min_video_bytes,
    )
    assert [5] == [release.min_user for release in recipe.releases]
    assert ("after_checks", "scrubbed", False) == (
        recipe.comments.when,
        recipe.comments.text,
        recipe.comments.gender,
    )


@pytest.mark.parametrize(
    ("changes", "wrong", "right"),
    [
        ({"contakt": "x"}, "contakt", "contact"),
        ({"seeds": {"taget": 5}}, "seeds.taget", "target"),
        ({"politeness": {"request_per_second": 1}}, "politeness.request_per_second", "requests_per_second"),
        ({"releases": [{"name": "a"}, {"usrs": 5}]}, "releases.1.usrs", "users"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(changes, wrong, right):
    """A mistyped key is an error that spells its whole path and the key that was meant, lists included."""
    assert f"unknown key '{wrong}': did you mean '{right}'?" in refusal(**changes)


def test_an_unknown_key_that_is_near_to_none_gets_the_list():
    """Where no valid key is similar, all keys of that section are given."""
    assert "unknown key 'expansion.zzz': valid keys here: related_per_page, depth" in refusal(expansion={"zzz": 1})


@pytest.mark.parametrize("key", sorted(LEAST))
def test_a_missing_key_is_named(key):
    """The four keys without a default must be given."""
    text = yaml.safe_dump({name: value for name, value in LEAST.items() if name != key})

    with pytest.raises(RecipeError, match=f"the key '{key}' is missing"):
        parse_recipe(text)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"seeds": {"target": "many"}}, "seeds.target = 'many'"),
        ({"seeds": 5}, "seeds = 5"),
        ({"filters": {"max_cover_share": 1.5}}, "filters.max_cover_share = 1.5"),
        ({"filters": {"max_cover_share": float("nan")}}, "filters.max_cover_share = nan"),
        ({"politeness": {"requests_per_second": 0}}, "politeness.requests_per_second = 0"),
        ({"politeness": {"requests_per_second": float("inf")}}, "politeness.requests_per_second = inf"),
        ({"releases": [{"users": -1}]}, "releases.0.users = -1"),
        ({"comments": {"text": "all"}}, "comments.text = 'all'"),
        ({"name": "../up"}, "name = '../up'"),
        ({"releases": [{"name": ".."}]}, "releases.0.name = '..'"),
        ({"instances": "http://site.test"}, "instances = 'http://site.test'"),
        ({"instances": []}, "instances = []"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(changes, where):
    """A value that cannot be used is repeated beside the path of its key."""
    assert where in refusal(**changes)


def test_every_error_is_told_at_once():
    """Three mistakes give three lines, so that a recipe is mended in one go."""
    message = refusal(seeds={"target": "many", "min_like": 5}, contact="nobody")

    assert 3 == len(message.splitlines()) - 1
    assert all(word in message for word in ("seeds.target", "seeds.min_like", "contact"))


@pytest.mark.parametrize("text", ["a: [", "\x00", "- : - :\n\t- x", "? [a]: b\n? {c}: d: e"])
def test_text_that_is_not_yaml_is_refused(text):
    """A syntax error is a RecipeError that names the source."""
    with pytest.raises(RecipeError, match=r"mine\.yaml is not YAML"):
        parse_recipe(text, source="mine.yaml")


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("- a", "list"), ("hello", "str"), ("3", "int")])
def test_yaml_that_is_no_table_is_refused(text, kind):
    """A recipe is a table of keys, and the message says what was found instead."""
    with pytest.raises(RecipeError, match=f"holds a {kind}, not a table of keys"):
        parse_recipe(text)


def test_a_number_as_key_is_refused():
    """YAML allows any key; a recipe allows its own names."""
    with pytest.raises(RecipeError, match="cannot be used"):
        parse_recipe(yaml.safe_dump({**LEAST, 1: 2}))


def test_a_missing_file_is_named(tmp_path):
    """A path without a file is a RecipeError, not a traceback."""
    with pytest.raises(RecipeError, match=r"nowhere\.yaml cannot be read: No such file"):
        load_recipe(tmp_path / "nowhere.yaml")


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    """A recipe saved in another encoding is a RecipeError that says so."""
    path = tmp_path / "old.yaml"
    path.write_bytes(yaml.safe_dump(LEAST).encode() + "# 中文\n".encode("gbk"))

    with pytest.raises(RecipeError, match=r"old\.yaml cannot be read: it is not UTF-8"):
        load_recipe(path)


def test_a_file_is_read_as_its_text(tmp_path):
    """load_recipe is parse_recipe of what the file holds."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(LEAST), encoding="utf-8")

    assert parsed() == load_recipe(path)


def test_instances_lose_their_last_slash():
    """An address is an origin: scheme, host and port, however it was typed."""
    recipe = parsed(instances=["http://a.test/", "https://b.test:8443"])

    assert ("http://a.test", "https://b.test:8443") == recipe.instances


@pytest.mark.parametrize("instance", ["a.test", "ftp://a.test", "http://", "http:///", "//a.test", ""])
def test_an_instance_without_scheme_or_host_is_refused(instance):
    """Only http and https addresses with a host can be crawled."""
    assert "is not of the form http(s)://host[:port]" in refusal(instances=["http://a.test", instance])


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/bot"])
def test_a_contact_stands_in_the_user_agent(contact):
    """A site's owner finds in each request whom to ask."""
    assert f"microlens-build/{__version__} (+{contact})" == parsed(contact=contact).user_agent


@pytest.mark.parametrize("contact", ["nobody", "a@b", "", "example.org"])
def test_a_contact_that_nobody_can_use_is_refused(contact):
    """A contact is an e-mail address or a web address, of a plausible length."""
    assert "contact" in refusal(contact=contact)


def test_the_hash_is_of_the_meaning():
    """Key order, comments and spelled-out defaults do not change a recipe's hash; a value does."""
    shuffled = dict(random.Random(3).sample(list(LEAST.items()), len(LEAST)))
    same = parse_recipe("# a comment\n" + yaml.safe_dump(shuffled, sort_keys=False) + "seeds: {target: 400000}\n")

    assert parsed().sha256 == same.sha256
    assert parsed().sha256 != parsed(seed=1).sha256


def test_a_recipe_cannot_be_changed_in_place():
    """A recipe is frozen: what a run was begun with stays."""
    with pytest.raises(ValueError, match="frozen"):
        parsed().seed = 5


words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z")
recipes = st.builds(
    Recipe.model_validate,
    st.fixed_dictionaries(
        {
            "name": names,
            "platform": words,
            "instances": st.lists(
                st.sampled_from(["http://a.test", "https://b.test:1", "http://[::1]"]), min_size=1, unique=True
            ),
            "contact": words.map(lambda word: f"{word}@example.org"),
            "seed": st.integers(-(2**63), 2**63),
            "filters": st.fixed_dictionaries({"max_cover_share": st.floats(0, 1)}),
            "politeness": st.fixed_dictionaries({"timeout_s": st.floats(1e-9, 1e9)}),
            "releases": st.lists(
                st.fixed_dictionaries({"name": names, "users": st.none() | st.integers(1)}),
                unique_by=lambda release: release["name"],
            ),
            "network": st.fixed_dictionaries({"allow": st.lists(words)}),
            "benchmark": st.fixed_dictionaries({"models": st.lists(words), "preset": words}),
        }
    ),
)


@example(Recipe.model_validate({**LEAST, "platform": "a\x85\u2028\ufeff\U0001f600 #: 猫"}))
@given(recipes)
def test_a_recipe_survives_yaml(recipe):
    """to_yaml gives text that parses to an equal recipe with an equal hash, whatever stands in it."""
    again = parse_recipe(recipe.to_yaml())

    assert recipe == again
    assert recipe.sha256 == again.sha256


def test_two_releases_of_one_name_are_refused():
    """A second release of the same name would take the place of the first."""
    assert "two releases have the same name" in refusal(releases=[{"name": "a"}, {"name": "a"}])


def test_an_instance_named_twice_is_refused():
    """The same instance twice, with a slash or without, is a mistake in the recipe."""
    assert "an instance is named twice" in refusal(instances=["http://a.test", "http://a.test/"])
    assert "an instance is named twice" in refusal(instances=["http://a.test", "http://A.test:80"])


def test_two_listings_of_one_site_are_two():
    """For yt-dlp an instance is a listing: only the same one twice is a mistake."""
    listed = ["https://video.test/@one", "https://video.test/@two"]
    made = parsed(platform="ytdlp", instances=listed)

    assert tuple(listed) == made.instances
    assert "an instance is named twice" in refusal(platform="ytdlp", instances=[listed[0], f"{listed[0]}/"])
