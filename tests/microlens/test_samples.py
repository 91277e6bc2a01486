"""Samples of changed pages: few, once each, and never a reason to stop."""

import pytest

from microlens.errors import PageChangedError
from microlens.platforms.base import Page
from microlens.samples import MOST_OF_A_KIND, Samples


def keep(folder, kind="video", url="http://site.test/v/1", body=b"<p>Ana</p>"):
    """Have a page turn out to be a changed one; gives the error."""
    with pytest.raises(PageChangedError) as changed, Samples(folder).of(kind, Page(url, body)):
        raise PageChangedError("no title", hint="mend the adapter")
    return changed.value


def test_a_changed_page_is_kept_and_the_error_says_where(tmp_path):
    """The hint goes on to be one: what to do, and what with."""
    error = keep(tmp_path / "samples")
    [path] = (tmp_path / "samples").iterdir()

    assert "<p>Xxx</p>" in path.read_text()
    assert error.hint.startswith("mend the adapter; ")
    assert error.hint.endswith(str(path))


def test_a_page_that_can_be_read_leaves_nothing(tmp_path):
    """Without an error there is no folder."""
    with Samples(tmp_path / "samples").of("video", Page("http://site.test/v/1", b"<p>")):
        pass

    assert not (tmp_path / "samples").exists()


def test_a_page_is_kept_once_and_few_of_a_kind(tmp_path):
    """The first twenty of each kind are enough, whichever process or restart comes later."""
    for number in range(MOST_OF_A_KIND + 9):
        keep(tmp_path, url=f"http://site.test/v/{number // 2}")
    for number in range(MOST_OF_A_KIND + 9):
        keep(tmp_path, url=f"http://site.test/v/{number}")
    late = keep(tmp_path, url="http://site.test/v/late")
    other = keep(tmp_path, kind="home")

    assert MOST_OF_A_KIND + 1 == len(list(tmp_path.iterdir()))
    assert "mend the adapter" == late.hint
    assert str(tmp_path) in other.hint


def test_an_answer_beside_a_page_does_not_make_the_page_a_sample(tmp_path):
    """The error that stops a crawl passes by the page whose list could not be read."""
    samples, url = Samples(tmp_path), "http://site.test/v/1"
    with pytest.raises(PageChangedError), samples.of("video", Page(url, b"")), samples.of("related", Page(url, b"")):
        raise PageChangedError("no links", hint="mend the adapter")

    assert ["related"] == [path.name.partition("-")[0] for path in tmp_path.iterdir()]


def test_a_folder_that_cannot_be_written_costs_only_the_sample(tmp_path):
    """The changed page is what counts, not what becomes of its sample."""
    (tmp_path / "samples").write_text("a file where the folder should be")

    assert "mend the adapter" == keep(tmp_path / "samples").hint
