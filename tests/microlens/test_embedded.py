"""The embedded Redis: there for a block, and no longer."""

import contextlib
import os
from pathlib import Path

import pytest
import redis

from microlens.embedded import check_redis, redis_server, running_server
from microlens.errors import RedisUnreachableError

REFUSING = "redis://127.0.0.1:1"


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def server_of(url):
    with redis.Redis.from_url(url) as client:
        return client.info("server")["process_id"]


def test_a_server_lives_for_the_block(tmp_path):
    """Inside the block a Redis answers; after it neither its process nor its folder is left."""
    with redis_server(None, lock=tmp_path / "redis.lock") as url:
        check_redis(url)
        pid, folder = server_of(url), Path(url.removeprefix("unix://").partition("?")[0]).parent
        inside = is_alive(pid), folder.exists()

    assert (True, True) == inside
    assert (False, False) == (is_alive(pid), folder.exists())
    with pytest.raises(RedisUnreachableError):
        check_redis(url)


def test_a_block_that_fails_leaves_no_server():
    """An error inside the block ends the server as well."""
    pids = []
    with contextlib.suppress(KeyError), redis_server(None) as url:
        pids.append(server_of(url))
        raise KeyError

    assert [False] == [is_alive(pid) for pid in pids]


def test_nothing_is_reachable_over_the_network(redis_url):
    """The embedded server listens on a socket in a private folder, on no port, and writes nothing to disk."""
    with redis.Redis.from_url(redis_url) as client:
        config = {name: client.config_get(name)[name] for name in ("port", "save", "appendonly")}
    folder = Path(redis_url.removeprefix("unix://").partition("?")[0]).parent

    assert {"port": "0", "save": "", "appendonly": "no"} == config
    assert 0 == folder.stat().st_mode & 0o077
    assert os.getuid() == folder.stat().st_uid


def test_a_second_holder_of_the_lock_is_refused(tmp_path):
    """Two servers would be two budgets for one host: the second process is told to wait or to share one."""
    lock = tmp_path / "redis.lock"
    with redis_server(None, lock=lock):
        with (
            pytest.raises(RedisUnreachableError, match="another process works on the run") as refused,
            redis_server(None, lock=lock),
        ):
            pass
        assert "MICROLENS_REDIS_URL" in refused.value.hint

    with redis_server(None, lock=lock) as url:
        check_redis(url)


def test_a_server_is_found_from_elsewhere_while_it_runs(tmp_path):
    """By whoever knows the lock; not before, not after, and not by what somebody who was killed has left behind."""
    lock = tmp_path / "redis.lock"
    before = running_server(lock)
    with redis_server(None, lock=lock) as url:
        found = running_server(lock)
    gone = running_server(lock), (tmp_path / "redis.url").exists()
    (tmp_path / "redis.url").write_text(url)

    assert (None, url, (None, False)) == (before, found, gone)
    assert None is running_server(lock)
    with redis_server(None, lock=lock) as newer:
        assert newer == running_server(lock) != url


@pytest.mark.parametrize("word", ["", "nonsense", "http://127.0.0.1:1", REFUSING])
def test_a_word_that_leads_nowhere_is_no_server(tmp_path, word):
    """A file that was cut off, or is another's, is as good as none."""
    (tmp_path / "redis.url").write_text(word)

    assert None is running_server(tmp_path / "redis.lock")


def test_a_given_server_is_used_and_left_alone(redis_url, tmp_path):
    """A URL that answers is given back as it is; it is not stopped, and needs no lock."""
    with redis_server(redis_url, lock=tmp_path / "redis.lock") as url:
        assert redis_url == url

    check_redis(redis_url)
    assert [] == list(tmp_path.iterdir())


def test_a_given_server_that_refuses_is_named():
    """A URL that refuses is an error with exit code 5 before anything else is done."""
    with (
        pytest.raises(RedisUnreachableError, match=r"Redis at redis://127\.0\.0\.1:1 refuses") as refused,
        redis_server(REFUSING),
    ):
        pass
    assert 5 == refused.value.exit_code
    assert "MICROLENS_REDIS_URL" in refused.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
        ("redis://me:hunter2@127.0.0.1:1", "redis://127.0.0.1:1"),
        ("redis://:hun@ter2@127.0.0.1:1", "redis://127.0.0.1:1"),
        ("redis://127.0.0.1:1?password=hunter2", "redis://127.0.0.1:1"),
        ("me:hunter2@127.0.0.1:1", "127.0.0.1:1"),
        ("unix:///nowhere/redis.sock?password=hunter2", "unix:///nowhere/redis.sock"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    """A URL in a message has no user, no password and no options."""
    with pytest.raises(RedisUnreachableError) as refused:
        check_redis(url)
    assert f"Redis at {shown} refuses" in refused.value.message
    assert "hunter2" not in str(refused.value)


def test_a_url_that_is_none_is_refused():
    """A URL without a scheme that Redis knows is an error of ours, not a traceback."""
    with pytest.raises(RedisUnreachableError):
        check_redis("http://127.0.0.1:1")


def test_servers_do_not_share_anything(redis_url):
    """Two embedded servers are two servers."""
    with redis_server(None) as other:
        with redis.Redis.from_url(other) as client:
            client.set("x", "1")
        with redis.Redis.from_url(redis_url) as client:
            found = client.get("x")

    assert found is None
    assert other != redis_url
