"""Tokens of an export: valid for one run and one key until they expire, and for nothing else."""

import stat
import threading

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from microlens.errors import CorruptDataError, RecipeError
from microlens.export_tokens import export_key, is_valid, make_token

KEY = bytes(range(32))
NAMES = st.text(min_size=1, max_size=40)
MOMENTS = st.integers(1, 10**12 - 1)


@given(st.binary(min_size=32, max_size=32), NAMES, MOMENTS)
def test_a_token_is_valid_until_it_expires(key, run, expires_s):
    """A token opens its run up to its last second, and not from then on."""
    token = make_token(key, run, expires_s)

    assert is_valid(token, key, run, now_s=expires_s - 1)
    assert not is_valid(token, key, run, now_s=expires_s)


@given(NAMES, NAMES, MOMENTS, st.binary(min_size=32, max_size=32))
def test_a_token_opens_no_other_run_and_no_other_key(run, other, expires_s, key):
    """Another run's token, and one made with another key, are worth nothing."""
    assume(run != other and key != KEY)
    token = make_token(KEY, run, expires_s)

    assert not is_valid(token, KEY, other, now_s=0)
    assert not is_valid(token, key, run, now_s=0)


@given(st.data(), MOMENTS)
def test_a_changed_token_is_worth_nothing(data, expires_s):
    """One character put in, taken out or changed, in whatever alphabet, and the token is void."""
    token = make_token(KEY, "run", expires_s)
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(
        st.one_of(st.just(""), st.characters(), st.sampled_from("\u0663\uff13\u06f40123456789abcdefABCDEF."))
    )
    is_inserted = data.draw(st.booleans())
    changed = token[:at] + put + token[at + (0 if is_inserted else 1) :]
    assume(changed != token)

    assert not is_valid(changed, KEY, "run", now_s=0)


@given(st.text())
def test_any_text_is_refused_without_a_word(text):
    """What is no token is refused like one that is forged: no text raises."""
    assert not is_valid(text, KEY, "run", now_s=0)


@pytest.mark.parametrize("put", ["0", "00", "+", "-", " ", "\n", "1_"])
def test_a_moment_is_spelled_one_way(put):
    """A token has one spelling: its moment has no leading zero, sign or space."""
    kind, expires_s, mac = make_token(KEY, "run", 2_000_000_000).split(".")

    assert is_valid(f"{kind}.{expires_s}.{mac}", KEY, "run", now_s=0)
    assert not is_valid(f"{kind}.{put}{expires_s}.{mac}", KEY, "run", now_s=0)


# --- keys ---


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path):
    """Eight that start at once agree on one key, in a file that only its owner reads."""
    path, keys = tmp_path / "private" / "export.key", []
    threads = [threading.Thread(target=lambda: keys.append(export_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {export_key(path)} == set(keys)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(path.parent.iterdir())


def test_a_given_key_is_used_and_not_kept(tmp_path):
    """A key from the environment takes the place of the file, which is not made."""
    assert KEY == export_key(tmp_path / "private" / "export.key", KEY.hex())
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "abc", "0" * 63, "g" * 64, "0" * 66])
def test_a_broken_key_is_told(tmp_path, text):
    """A given key must be 64 hexadecimal digits, and so must the file's; neither is shown."""
    with pytest.raises(RecipeError, match="MICROLENS_EXPORT_KEY is not 64"):
        export_key(tmp_path / "export.key", text)
    (tmp_path / "export.key").write_text(text)
    with pytest.raises(CorruptDataError, match="does not hold 64"):
        export_key(tmp_path / "export.key")
