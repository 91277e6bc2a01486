"""`microlens-build platform try`: what a platform file takes from one page."""

import http.server
import json
import threading
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[1] / "fixtures/pages"
CLASSES = str(PAGES / "classes.yaml")
VIDEO = (PAGES / "classes.html").read_bytes()


@pytest.fixture
def site():
    """A site on this machine: `answers` by path, (status, body, headers); keeps what was asked, and by whom."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers["User-Agent"]))
            status, body, headers = self.server.answers.get(self.path, (404, b"", {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Keep standard error clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.answers = [], {"/shipin/1001": (200, VIDEO, {})}
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fields(done):
    return {line["name"]: line for line in json.loads(done.stdout)["fields"]}


def test_a_saved_page_is_shown_field_by_field(cli):
    """Each field stands with its value and the selector that found it; what is optional and missing is a dash."""
    url = "https://site.test/shipin/1001"
    done = cli("platform", "try", CLASSES, str(PAGES / "classes.html"), "--address", url)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}

    assert (0, "") == (done.returncode, done.stderr)
    assert f"video page {url}" == done.stdout.splitlines()[0]
    assert lines["title"].split() == ["title", '"街头滑板少年', '第一集"', "h1.bt"]
    assert "12000" in lines["like_count"]
    assert ["refusal", "-"] == lines["refusal"].split()
    assert "2: [" in lines["related"]


def test_json_is_one_object(cli):
    """--json gives the same facts, and says which fields must be there."""
    done = cli(
        "platform", "try", CLASSES, str(PAGES / "classes.html"), "--json", "--address", "https://site.test/shipin/7"
    )
    found = json.loads(done.stdout)

    assert ("video", "https://site.test/shipin/7", []) == (found["page"], found["url"], found["missing"])
    assert (340_000_000, ".plays") == tuple(fields(done)["view_count"][name] for name in ("value", "source"))
    assert [480, 1080] == [link["height"] for link in fields(done)["video"]["value"]]
    assert ["video_id", "title"] == [name for name, line in fields(done).items() if line["is_mandatory"]]


def test_a_missing_mandatory_field_ends_with_six(cli, tmp_path):
    """All that was found is shown, the rest is named, and the hint says where to mend."""
    page = tmp_path / "page.html"
    page.write_bytes(VIDEO.replace(b'class="bt"', b""))
    done = cli("platform", "try", CLASSES, str(page), "--address", "https://site.test/shipin/7")

    assert 6 == done.returncode
    assert "title          MISSING" in done.stdout
    assert "no title in the video page https://site.test/shipin/7" in done.stderr
    assert "classes.yaml" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "kind", "names"),
    [
        (["--address", "https://s.test/shipin/1/pinglun?p=2"], "comments", {"comments", "user_id", "next_url"}),
        (["--page", "comments"], "comments", {"comments", "user_id", "text", "at"}),
        (["--page", "related"], "related", {"related"}),
        (["--page", "home"], "home", {"links"}),
    ],
)
def test_the_kind_of_page_is_told_by_address_or_option(cli, arguments, kind, names):
    """An address that a template makes tells what the page is; --page says it for a saved one."""
    done = cli("platform", "try", CLASSES, str(PAGES / "classes.html"), "--json", *arguments)

    assert kind == json.loads(done.stdout)["page"]
    assert names <= fields(done).keys()
    assert (6 if kind == "home" else 0) == done.returncode


def test_a_page_is_fetched_after_robots_txt_with_a_contact(cli, site):
    """Two requests, both with who asks and where to complain."""
    done = cli("platform", "try", CLASSES, f"{site.url}/shipin/1001", "--contact", "me@example.org")

    assert 0 == done.returncode, done.stderr
    assert ["/robots.txt", "/shipin/1001"] == [path for path, _ in site.asked]
    assert all(agent.endswith("(+me@example.org)") for _, agent in site.asked)


def test_without_a_contact_nothing_is_asked(cli, site):
    """A site's owner must be able to reach whoever fetches."""
    done = cli("platform", "try", CLASSES, f"{site.url}/shipin/1001")

    assert (2, []) == (done.returncode, site.asked)
    assert "--contact" in done.stderr


@pytest.mark.parametrize(
    ("status", "rules", "code"),
    [
        (200, b"User-agent: *\nDisallow: /shipin/\n", 1),
        (200, b"User-agent: microlens-build\nDisallow: /\n", 1),
        (200, b"User-agent: other\nDisallow: /\n", 0),
        (503, b"", 5),
    ],
)
def test_robots_txt_is_obeyed(cli, site, status, rules, code):
    """What it forbids is not fetched, and where it cannot be had nothing is."""
    site.answers["/robots.txt"] = (status, rules, {})
    done = cli("platform", "try", CLASSES, f"{site.url}/shipin/1001", "--contact", "me@example.org")

    assert code == done.returncode
    assert (code == 0) is ("/shipin/1001" in [path for path, _ in site.asked])


def test_robots_txt_is_asked_again_where_a_redirect_leads(cli, site):
    """A redirect to what is forbidden is not followed."""
    site.answers["/robots.txt"] = (200, b"User-agent: *\nDisallow: /shipin/1001\n", {})
    site.answers["/s/1"] = (302, b"", {"Location": f"{site.url}/shipin/1001"})
    done = cli("platform", "try", CLASSES, f"{site.url}/s/1", "--contact", "me@example.org")

    assert 1 == done.returncode
    assert "robots.txt" in done.stderr
    assert "/shipin/1001" not in [path for path, _ in site.asked]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{file}", "nowhere.html"], 2, "nowhere.html cannot be read"),
        (["nowhere.yaml", "{page}"], 2, "nowhere.yaml cannot be read"),
        (["{page}", "{page}"], 2, "classes.html"),
        (["{file}", "http://127.0.0.1:1/shipin/1", "--contact", "me@example.org"], 5, "cannot be fetched"),
    ],
)
def test_what_cannot_be_read_is_named(cli, arguments, code, words):
    """A missing page, a missing or broken file and a silent site each say so."""
    told = [each.format(file=CLASSES, page=PAGES / "classes.html") for each in arguments]
    done = cli("platform", "try", *told)

    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_that_is_gone_is_an_error(cli, site):
    """Only an answer with status 200 is read."""
    done = cli("platform", "try", CLASSES, f"{site.url}/shipin/404", "--contact", "me@example.org")

    assert 5 == done.returncode
    assert "status 404" in done.stderr


def test_ytdlp_takes_the_place_of_a_file(cli):
    """The word ytdlp asks yt-dlp; an address that only its generic extractor would take is told, and not fetched."""
    done = cli("platform", "try", "ytdlp", "https://example.org/films", "--contact", "owner@example.org")

    assert 2 == done.returncode
    assert "no extractor of its own for 'https://example.org/films'" in done.stderr


def test_questions_of_an_adapter_are_answered_politely(site, monkeypatch):
    """Any status is an answer; robots.txt and addresses inside the network give none; the User-Agent is ours."""
    from microlens.cli import one_page
    from microlens.platforms.base import NoAnswerError, Question

    monkeypatch.setattr(one_page, "_PAUSE_S", 0.0)
    fetcher = one_page.PageFetcher("owner@example.org")
    with pytest.raises(NoAnswerError, match="not public"):
        fetcher.ask(Question(f"{site.url}/shipin/1001"))
    monkeypatch.setattr(one_page, "_check_public", lambda _: None)
    site.answers["/robots.txt"] = (200, b"User-agent: *\nDisallow: /secret\n", {})
    fetcher = one_page.PageFetcher("owner@example.org")

    assert 404 == fetcher.ask(Question(f"{site.url}/nothing", headers=(("User-Agent", "Mozilla/5.0"),))).status
    assert VIDEO == fetcher.ask(Question(f"{site.url}/shipin/1001")).body
    with pytest.raises(NoAnswerError, match=r"robots\.txt"):
        fetcher.ask(Question(f"{site.url}/secret"))
    assert "/secret" not in [path for path, _ in site.asked]
    assert all(agent.startswith("microlens-build/") for _, agent in site.asked)
