"""A node's export: objects by hash alone, for who has a token, and nothing else for anybody."""

import hashlib
import http.client
import itertools
import shutil

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from download_nodes import export as export_room
from download_nodes.export import Export
from download_nodes.export_binding import addresses_of, tls_of
from microlens.errors import RecipeError
from microlens.export_store import ExportStore
from microlens.export_tokens import make_token
from microlens.ledger_rows import Part
from microlens.local_store import LocalStore
from microlens.parts import write_part
from microlens.runs import open_or_create
from microlens.settings import Settings
from microlens.store import sha256_of
from microlens.tables import CRAWLED_COMMENTS
from tests.download_nodes.exporting import KEY, LARGE, NOW, Node, serving

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = Node(tmp_path_factory.mktemp("node"))
    yield made
    made.run.ledger.close()


@pytest.fixture(scope="module")
def url(node):
    with serving(node.export.app()) as address:
        yield address


def ask(url, target, *, method="GET", token=None, **headers):
    """Status, headers and body of one request whose target is sent exactly as given."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.putrequest(method, "/", skip_host=True)
        # http.client refuses targets that a hostile client would send.
        connection._buffer[0] = f"{method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")
        given = {"Host": "node", **({"Authorization": f"Bearer {token}"} if token else {}), **headers}
        for name, value in given.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def sha_of(data):
    return hashlib.sha256(data).hexdigest()


# --- what is served ---


def test_an_object_is_served_by_its_hash(node, url):
    """Every object comes whole under its hash, which is its strong ETag, as bytes that no browser takes for a page."""
    for sha256, data in node.objects.items():
        status, headers, body = ask(url, f"/objects/{sha256}", token=node.token)

        assert (200, data) == (status, body)
        assert f'"{sha256}"' == headers["ETag"]
        assert "application/octet-stream" == headers["Content-Type"]
        assert "nosniff" == headers["X-Content-Type-Options"]
        assert "microlens" == headers["Server"]
        assert headers["Last-Modified"] is None


def test_head_tells_the_size_alone(node, url):
    """HEAD gives the headers of GET and no body."""
    status, headers, body = ask(url, f"/objects/{sha_of(LARGE)}", method="HEAD", token=node.token)

    assert (200, str(len(LARGE)), b"") == (status, headers["Content-Length"], body)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=100-", 100, None), ("bytes=-5", -5, None), ("bytes=5-999999999", 5, None)],
)
def test_a_range_is_served(node, url, asked, start, end):
    """A range gives its bytes and where they stand in the whole."""
    status, headers, body = ask(url, f"/objects/{sha_of(LARGE)}", token=node.token, Range=asked)
    first = start % len(LARGE)

    assert (206, LARGE[start:end]) == (status, body)
    assert f"bytes {first}-{first + len(body) - 1}/{len(LARGE)}" == headers["Content-Range"]


def test_a_range_of_nothing_is_refused(node, url):
    """A range behind the end is answered with 416 and the size."""
    status, headers, _ = ask(url, f"/objects/{sha_of(b'one')}", token=node.token, Range="bytes=3-")

    assert (416, "bytes */3") == (status, headers["Content-Range"])


def test_a_range_of_another_version_gives_the_whole(node, url):
    """If-Range with the object's own ETag gives the range; with any other validator, a date too, the whole."""
    sha256 = sha_of(LARGE)
    validators = [f'"{sha256}"', f'W/"{sha256}"', f'"{"0" * 64}"', "Sun, 22 Nov 2037 00:00:00 GMT"]
    asked = [
        ask(url, f"/objects/{sha256}", token=node.token, Range="bytes=0-9", If_Range=validator)[0]
        for validator in validators
    ]

    assert [206, 200, 200, 200] == asked


def test_what_is_known_is_not_sent_again(node, url):
    """If-None-Match with the object's ETag is answered with 304."""
    sha256 = sha_of(LARGE)
    status, headers, body = ask(url, f"/objects/{sha256}", token=node.token, If_None_Match=f'"{sha256}"')

    assert (304, f'"{sha256}"', b"") == (status, headers["ETag"], body)


def test_the_manifest_tells_all_objects(node, url, monkeypatch):
    """The manifest gives every hash and size once, in order, page after page."""
    monkeypatch.setattr(export_room, "PAGE", 2)
    first = orjson.loads(ask(url, "/manifest", token=node.token)[2])
    second = orjson.loads(ask(url, f"/manifest?after={first['next']}", token=node.token)[2])

    assert sorted([sha, len(data)] for sha, data in node.objects.items()) == first["objects"] + second["objects"]
    assert ("node", None) == (second["run"], second["next"])


def test_parts_are_served_as_the_ledger_lists_them(node, url):
    """A finished part is told with its hash and size, and comes whole."""
    told = orjson.loads(ask(url, "/parts", token=node.token)[2])["parts"]
    status, headers, body = ask(url, f"/parts/{node.part.part_id}", token=node.token)

    assert [(node.part.part_id, "comments", 0, node.part.sha256, len(body))] == [tuple(row.values()) for row in told]
    assert (200, node.part.sha256, f'"{node.part.sha256}"') == (status, sha_of(body), headers["ETag"])


def test_parts_are_listed_page_after_page(tmp_path, monkeypatch):
    """Each once and in order, whatever of them lies here; another page reads no more of the ledger than it tells."""
    monkeypatch.setattr(export_room, "PAGE", 2)
    node = Node(tmp_path)
    made = [write_part(node.run.folder, "comments", CRAWLED_COMMENTS.empty_table()) for _ in range(5)]
    for number, part in enumerate(made):
        node.run.ledger.commit_comments(part, {f"w{number}": 0})
    for part in made[:2]:
        (node.run.folder / part.path).unlink()
    pages, after = [], ""
    with serving(node.export.app()) as url:
        while after is not None:
            page = orjson.loads(ask(url, f"/parts{after and f'?after={after}'}", token=node.token)[2])
            pages.append([row["part_id"] for row in page["parts"]])
            after = page["next"]
        gone = {ask(url, f"/parts/{part.part_id}", token=node.token)[0] for part in made[:2]}
        store = ExportStore(url, node.token, LocalStore(tmp_path / "cache"))
        told = dict(store.parts())
        store.close()
    node.run.ledger.close()

    assert sorted([node.part.part_id, *(part.part_id for part in made[2:])]) == [
        each for page in pages for each in page
    ]
    assert 4 == len(pages)
    assert {404} == gone
    assert {part.part_id for part in (node.part, *made[2:])} == set(told)


def test_a_part_is_looked_up_by_itself(tmp_path, monkeypatch):
    """Giving one costs the same however many parts the ledger lists."""
    node = Node(tmp_path)
    monkeypatch.setattr(node.run.ledger, "parts", None)
    with serving(node.export.app()) as url:
        status = ask(url, f"/parts/{node.part.part_id}", token=node.token)[0]
    node.run.ledger.close()

    assert 200 == status


def test_no_part_leads_out_of_its_folder(tmp_path):
    """Rows that another machine wrote with a path elsewhere, and links, give nothing."""
    node = Node(tmp_path)
    (node.run.folder / "crawled" / "comments" / "link.parquet").symlink_to(node.run.folder / "private/pseudonym.key")
    paths = [
        "private/pseudonym.key",
        "crawled/../private/pseudonym.key",
        "/etc/passwd",
        "crawled/comments/link.parquet",
    ]
    for number, path in enumerate(paths):
        part = Part(f"{number:032x}", "comments", path, 0, "0" * 64)
        node.run.ledger.commit_comments(part, {f"w{number}": 0})
    with serving(node.export.app()) as url:
        told = orjson.loads(ask(url, "/parts", token=node.token)[2])["parts"]
        asked = {ask(url, f"/parts/{number:032x}", token=node.token)[0] for number in range(len(paths))}
    node.run.ledger.close()

    assert [node.part.part_id] == [row["part_id"] for row in told]
    assert {404} == asked


# --- what is not ---


@pytest.mark.parametrize("make", ["link", "folder", "linked_folder"])
def test_nothing_but_plain_files_is_served(node, url, make, tmp_path):
    """A link under a right name, to a file or on the way to it, and a folder, are not there."""
    sha256 = sha_of(f"{make}-{next(NUMBERS)}".encode())
    path = node.run.store.path(sha256)
    (tmp_path / sha256).write_bytes(b"secret")
    if make == "linked_folder":
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.symlink_to(tmp_path)
    elif make == "link":
        path.parent.mkdir(parents=True)
        path.symlink_to(tmp_path / sha256)
    else:
        path.mkdir(parents=True)

    assert 404 == ask(url, f"/objects/{sha256}", token=node.token)[0]


HASH = sha_of(LARGE)
HOSTILE = [
    "/", "/objects", "/objects/", f"/objects/{HASH.upper()}", f"/objects/{HASH[:-1]}", f"/objects/{HASH}0",
    f"/objects/{HASH}/", f"//objects/{HASH}", f"/objects//{HASH}", f"/objects/{HASH}?", f"/objects/{HASH}?a=1",
    f"/objects/%{ord(HASH[0]):x}{HASH[1:]}", f"/objects/{HASH}%00", f"/objects/{HASH}%0a", f"/Objects/{HASH}",
    f"/objects/../objects/{HASH}", f"/objects/./{HASH}", f"/objects/..%2fobjects%2f{HASH}", "/objects/../../run.json",
    "/objects/%2e%2e/%2e%2e/run.json", "/../../../etc/passwd", "/objects/" + "٣" * 64, "/objects/" + "\uff13" * 64,
    "/objects/" + "." * 64, "/objects/" + "/" * 64, "/manifest/", "/manifest?after=", "/manifest?after=../..",
    f"/manifest?after={HASH}&x=1", "/parts/", "/parts/..", "/parts/crawled", "/private/export.key", f"/tmp/{HASH}",
    f"/objects/{HASH[:2]}/{HASH[2:4]}/{HASH}",
]  # fmt: skip


@pytest.mark.parametrize("target", HOSTILE)
def test_only_exact_targets_are_answered(node, url, target):
    """Traversals, encodings, other cases and digits, queries and listings are not there."""
    status, _, body = ask(url, target, token=node.token)

    assert status in {400, 404}
    assert LARGE != body
    assert b"pseudonym" not in body


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs")), max_size=100))
def test_no_other_target_gives_anything(node, url, text):
    """Whatever is put behind /objects/ but a stored hash gives nothing."""
    status, _, body = ask(url, "/objects/" + text, token=node.token)

    assert status in {400, 404}
    assert body not in set(node.objects.values()) - {b""}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_can_be_written(node, url, method):
    """Every method but GET and HEAD is refused."""
    assert 405 == ask(url, f"/objects/{HASH}", method=method, token=node.token)[0]
    assert HASH == sha256_of(node.run.store.path(HASH))


def bad_credentials(node):
    run = node.run.shared_name
    return {
        "none": {},
        "expired": {"Authorization": f"Bearer {make_token(KEY, run, NOW)}"},
        "another run's": {"Authorization": f"Bearer {make_token(KEY, 'other', NOW + 60)}"},
        "another key's": {"Authorization": f"Bearer {make_token(b'x' * 32, run, NOW + 60)}"},
        "forged": {"Authorization": f"Bearer {node.token[:-1]}{'0' if node.token[-1] != '0' else '1'}"},
        "basic": {"Authorization": f"Basic {node.token}"},
        "bare": {"Authorization": node.token},
        "empty": {"Authorization": "Bearer "},
        "not ASCII": {"Authorization": "Bearer \xe9\xe9"},
    }


def test_every_bad_token_is_answered_alike(node, url):
    """None, expired, foreign, forged: the same 401 to the byte, whether what is asked for is there or not."""
    answers = set()
    for headers in bad_credentials(node).values():
        for target in (f"/objects/{HASH}", "/objects/" + "0" * 64, "/manifest", "/nowhere"):
            status, told, body = ask(url, target, **headers)
            answers.add((status, body, told["WWW-Authenticate"], told["ETag"]))

    assert {(401, b"unauthorized\n", "Bearer", None)} == answers


def test_a_token_in_the_address_opens_nothing(node, url):
    """Tokens are taken from the header alone: addresses end up in logs."""
    assert 401 == ask(url, f"/objects/{HASH}?token={node.token}")[0]
    assert 401 == ask(url, f"/manifest?access_token={node.token}")[0]


def test_a_run_with_a_bucket_exports_its_parts(tmp_path):
    """Its media are read in the bucket; its parts lie here alone."""
    node = Node(tmp_path)
    node.run.ledger.close()
    shutil.rmtree(node.run.folder / "store")
    settings = Settings(runs_dir=tmp_path / "runs", store_url="s3://bucket")
    run = open_or_create(node.run.recipe, settings)[0]
    with serving(Export(run, KEY, clock=lambda: NOW).app()) as url:
        told = [orjson.loads(ask(url, target, token=node.token)[2]) for target in ("/parts", "/manifest")]
        status = ask(url, f"/parts/{node.part.part_id}", token=node.token)[0]
    run.ledger.close()

    assert ([node.part.part_id], [], 200) == ([row["part_id"] for row in told[0]["parts"]], told[1]["objects"], status)


# --- where it listens ---


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.5.5", "fd00::1", "100.64.0.1"])
def test_private_addresses_need_no_tls(host):
    """Loopback and private networks may be served in the clear."""
    assert [host] == addresses_of(host, has_tls=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "224.0.0.1"])
def test_public_addresses_need_tls(host):
    """An address that can be reached from outside, or that stands for all of them, is refused without TLS."""
    with pytest.raises(RecipeError, match="--tls-cert"):
        addresses_of(host, has_tls=False)
    assert 1 == len(addresses_of(host, has_tls=True))


def test_a_certificate_needs_its_key(tmp_path):
    """Half of what TLS needs, and files that are none, are refused."""
    (tmp_path / "junk.pem").write_text("junk")

    assert tls_of(None, None) is None
    for cert, key in [(tmp_path / "a", None), (None, tmp_path / "a"), (tmp_path / "junk.pem", tmp_path / "junk.pem")]:
        with pytest.raises(RecipeError):
            tls_of(cert, key)
