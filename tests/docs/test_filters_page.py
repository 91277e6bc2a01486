"""The page on filters is true."""

import re
from pathlib import Path

import pytest

from filtering.title import meaningful_length
from filtering.verdict import FILTERS
from microlens.recipe import Filters

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text()
TITLES = re.findall(r"^\| `([^|]+)` \| [^|]* \| (\d+)(?:; (\d+))? \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("title", "counted", "meaningless"), TITLES)
def test_titles_are_as_long_as_the_page_says(title, counted, meaningless):
    """The second number is that of hashtags that are meaningless."""
    assert int(counted) == meaningful_length(title)
    assert int(meaningless or counted) == meaningful_length(title, hashtags="meaningless")


def test_the_page_names_every_filter_and_key():
    """What a recipe can say of filters, and what a verdict can."""
    assert 7 <= len(TITLES)
    assert [] == [name for name in FILTERS if not re.search(rf"\b{name}\b", PAGE)]
    assert [] == [name for name in Filters.model_fields if name not in PAGE]
