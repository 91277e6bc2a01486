"""docs/adding-a-platform.md does what it says: its files are written to a folder, and used there."""

import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from microlens.cli import app
from microlens.errors import PageChangedError
from microlens.platforms.base import Page, VideoLink
from microlens.platforms.selectors import SelectorsPlatform
from microlens.platforms.site_file import Comments, Home, Links, Related, Site, Video, read_site
from microlens.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs/adding-a-platform.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
CONSOLE = re.findall(r"^```console\n\$ (.*?)\n```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files, in which commands are run and modules found."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_page_has_its_files():
    """Seven files for two sites, and one command with what it prints."""
    names = {"video.html", "comments.json", "site.yaml", "recipe.yaml"}

    assert names | {"latest.json", "video.json", "replies.json", "tiny.py", "test_tiny.py"} == FILES.keys()
    assert 1 == len(CONSOLE)


@pytest.mark.parametrize(("command", "printed"), CONSOLE)
def test_a_command_prints_what_the_page_shows(folder, command, printed):
    """Output in the page is the output of the command above it."""
    done = CliRunner().invoke(app, shlex.split(command)[1:])

    assert printed == done.stdout
    assert 0 == done.exit_code


def test_the_platform_file_reads_the_comments(folder):
    """The page's answer gives one comment, three hours old, and the next address."""
    platform = SelectorsPlatform(read_site(Path("site.yaml")), clock=lambda: 1_800_000_000_000)
    url = platform.comments_url("https://cats.example/watch/17", "17")
    page = platform.parse_comments(Page(url, Path("comments.json").read_bytes()))

    assert "https://cats.example/api/comments?video=17&cursor=" == url
    assert ("5", "u1", "nice", 1_799_989_200_000) == (
        page.comments[0].comment_id,
        page.comments[0].user_id,
        page.comments[0].text,
        page.comments[0].commented_at_ms,
    )
    assert ("https://cats.example/api/comments?video=17&cursor=x9",) == page.next_urls


def test_the_platform_file_reads_the_list(folder):
    """Its home page counts from one and takes links of class `video`."""
    platform = SelectorsPlatform.from_file(Path("site.yaml"))
    url = platform.home_url("https://cats.example", 0)
    home = platform.parse_home(Page(url, b'<a class="video" href="/watch/17">Cat</a>'))

    assert "https://cats.example/latest?page=1" == url
    assert (VideoLink("17", "https://cats.example/watch/17"),) == home.links


def test_the_recipe_loads(folder):
    """The page's recipe takes the page's platform file."""
    assert read_site(Path("site.yaml")) == load_recipe(Path("recipe.yaml")).platform_options


def test_the_python_adapter_passes_its_own_tests(folder):
    """Every test function of the page's `test_tiny.py` passes on the page's bytes."""
    tests = importlib.import_module("test_tiny")
    names = [name for name in vars(tests) if name.startswith("test_")]

    assert len(names) == 4
    for name in names:
        getattr(tests, name)()


@pytest.mark.parametrize("name", ["latest.json", "video.json", "replies.json"])
def test_the_python_adapter_fails_as_it_should(folder, name):
    """Each answer without its fields is a changed page."""
    platform = importlib.import_module("tiny").TinyPlatform()
    read = {"latest": platform.parse_home, "video": platform.parse_video, "replies": platform.parse_comments}

    assert json.loads(FILES[name])
    with pytest.raises(PageChangedError):
        read[name.partition(".")[0]](Page("https://tiny.example/x", b"{}"))


@pytest.mark.parametrize("section", [Site, Home, Links, Video, Related, Comments])
def test_every_key_is_in_the_page(section):
    """The tables of keys leave none out."""
    assert [] == [name for name in section.model_fields if f"`{name}`" not in PAGE]
