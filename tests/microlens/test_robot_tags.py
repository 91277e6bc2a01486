"""Tags by which a page or a file asks to be left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.robot_tags import forbidding_word, meta_tags


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        ([], None),
        (["all"], None),
        (["noindex"], "noindex"),
        (["NoFollow, NoIndex"], "noindex"),
        (["none"], "none"),
        (["noarchive", "noai, noimageai"], "noai"),
        (["googlebot: noindex"], None),
        (["microlens-build: noai"], "noai"),
        (["*: noindex"], "noindex"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], None),
        (["max-snippet:20, noindex"], "noindex"),
    ],
)
def test_a_tag_forbids_or_does_not(tags, word):
    """noai, noimageai, noindex and none forbid, unless they are meant for another agent."""
    assert word == forbidding_word(tags)


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        (b'<html><head><meta name="robots" content="noindex"></head>', ["noindex"]),
        (b'<META CONTENT="noai" NAME="Robots">', ["noai"]),
        (b'<meta name="description" content="noindex">', []),
        (b'{"meta": "<meta name=robots content=noindex>"}', []),
        (b"", []),
    ],
)
def test_meta_tags_are_read_in_html_alone(body, tags):
    """Only a meta element named robots, or by our own name, in an HTML page is a tag."""
    assert tags == meta_tags(body)


@given(st.binary())
def test_no_bytes_break_the_reader(body):
    """Whatever a site sends, reading its tags gives a list."""
    assert isinstance(meta_tags(b"<" + body), list)


@given(st.lists(st.text()))
def test_no_header_breaks_the_reader(tags):
    """Whatever a header says, the answer is a known word or none."""
    assert forbidding_word(tags) in {None, "noai", "noimageai", "noindex", "none"}
