"""`doctor` tries the store out that the settings name, and says what to do where it cannot be used."""

import json

import obstore
import pytest
from obstore.store import S3Store as Bucket

from microlens import stores
from microlens.errors import RecipeError, StoreUnreachableError
from microlens.stores import check_store
from tests.bucket import KEY, make_bucket, s3_server


@pytest.fixture(scope="module")
def server():
    with s3_server("media") as url:
        yield url


@pytest.fixture
def credentials(monkeypatch):
    """Has this process ask the server that is named."""

    def use(url):
        for name, value in (KEY | {"AWS_ENDPOINT_URL": url}).items():
            monkeypatch.setenv(name, value)

    return use


def keys_in(bucket):
    found = obstore.list(Bucket(bucket, client_options={"allow_http": True}))
    return [meta["path"] for chunk in found for meta in chunk]


def checked(done):
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_doctor_looks_at_the_store(cli, server):
    """Where none is named there is nothing to check; a bucket that takes objects is fine, a missing one is exit 1."""
    told = KEY | {"AWS_ENDPOINT_URL": server, "MICROLENS_STORE_ALLOW_HTTP": "true"}
    without = cli("doctor", "--json")
    names = ("MICROLENS_STORE_URL", "MICROLENS_PARTS_URL")
    fine = cli("doctor", "--json", **dict.fromkeys(names, "s3://media/runs"), **told)
    missing = cli("doctor", **dict.fromkeys(names, "s3://no-such-bucket"), **told)

    assert "store" not in checked(without)
    assert (0, True) == (fine.returncode, checked(fine)["store"]["is_fine"])
    assert "s3://media/runs can be written and read" == checked(fine)["store"]["found"]
    assert 1 == missing.returncode
    assert "FAIL  store          s3://no-such-bucket: there is no such bucket  -> make it, or" in missing.stdout
    assert "FAIL  parts          s3://no-such-bucket: there is no such bucket  -> make it, or" in missing.stdout
    assert "s3://media/runs can be written and read" == checked(fine)["parts"]["found"]


def test_nothing_is_left_in_a_bucket(server, credentials):
    """The object that was made is removed again."""
    credentials(server)
    make_bucket(server, "empty")
    check_store("s3://empty/runs", allow_http=True)

    assert [] == keys_in("empty")


def test_a_bucket_that_may_only_be_listed_is_told(credentials):
    """Making an object is refused, so nodes could store nothing there."""
    with s3_server("media", INITIAL_NO_AUTH_ACTION_COUNT="2") as url:  # the bucket was made; it may be listed once
        credentials(url)
        with pytest.raises(StoreUnreachableError, match="credentials are refused") as refused:
            check_store("s3://media", allow_http=True)
    assert "AWS_ACCESS_KEY_ID" in refused.value.hint


def test_credentials_need_not_delete(credentials):
    """Nodes never do: that the object stays is no fault."""
    with s3_server("media", INITIAL_NO_AUTH_ACTION_COUNT="4") as url:  # made; listed, written, read
        credentials(url)

        assert "s3://media" == check_store("s3://media", allow_http=True)


def test_a_server_that_is_away_is_told_soon(credentials, monkeypatch):
    """In seconds, and not in the two minutes for which a node is patient."""
    assert stores._CHECKED_IN_S <= 10
    monkeypatch.setattr(stores, "_CHECKED_IN_S", 0.2)
    credentials("http://127.0.0.1:9")

    with pytest.raises(StoreUnreachableError, match="s3://media: "):
        check_store("s3://media", allow_http=True)


def test_a_folder_is_tried_out_too(tmp_path):
    """A file is written there and removed; a folder that cannot be is an error with its cause."""
    folder = tmp_path / "a folder"
    check_store(f"file://{str(folder).replace(' ', '%20')}")
    assert [] == [path for path in folder.rglob("*") if path.is_file()]
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnreachableError, match=r"cannot be written to: Not a directory") as refused:
        check_store(f"file://{tmp_path}/file/store")
    assert "MICROLENS_STORE_URL" in refused.value.hint


def test_what_names_no_store_is_told():
    """An address of another form is a slip in the settings."""
    with pytest.raises(RecipeError, match="names no store"):
        check_store("ftp://host/x")
