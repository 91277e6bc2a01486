"""Pseudonyms, the key they hang on, and scrubbing of comment texts."""

import hashlib
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlens.errors import CorruptDataError, KeyMismatchError, NotReadyError, RecipeError
from microlens.privacy import Pseudonymiser, create_key, open_key, scrub, scrub_all

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


def test_a_user_key_has_sixteen_bytes_and_stays():
    """One user of one platform has one key of 16 bytes throughout a run."""
    first, again = (Pseudonymiser(KEY).user_key("peertube", "alice") for _ in range(2))

    assert 16 == len(first)
    assert first == again


def test_a_user_key_is_the_hmac_that_the_page_says():
    """A key is HMAC-SHA256 over length-prefixed parts, cut to 128 bits: whoever holds the secret can recompute it."""
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (b"user", b"site", "J\u00f8rn".encode()))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in KEY.ljust(64, b"\0")) + message).digest()
    expected = hashlib.sha256(bytes(b ^ 0x5C for b in KEY.ljust(64, b"\0")) + inner).digest()[:16]

    assert expected == Pseudonymiser(KEY).user_key("site", "J\u00f8rn")


def test_a_user_key_differs_by_platform_user_and_secret():
    """The same name on another site, or under another secret, is another user."""
    keys = {Pseudonymiser(k).user_key(p, u) for k in (KEY, OTHER) for p in ("a", "b") for u in ("x", "y")}

    assert 8 == len(keys)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), unique=True, max_size=20))
def test_parts_are_framed(pairs):
    """Different pairs have different keys: ("a", "bc") is not ("ab", "c")."""
    pseudonyms = Pseudonymiser(KEY)

    assert len(pairs) == len({pseudonyms.user_key(*pair) for pair in pairs})
    assert len(pairs) == len({pseudonyms.order_key(*pair) for pair in pairs})


def test_the_classic_pair_is_framed():
    """("a", "bc") and ("ab", "c") are two users."""
    pseudonyms = Pseudonymiser(KEY)

    assert pseudonyms.user_key("a", "bc") != pseudonyms.user_key("ab", "c")


def test_an_order_key_is_no_user_key():
    """Public order is drawn from another domain, so that an item's place tells nothing of a user's key."""
    pseudonyms = Pseudonymiser(KEY)

    assert pseudonyms.user_key("a", "b") != pseudonyms.order_key("a", "b")
    assert pseudonyms.order_key("a", b"\x01") == pseudonyms.order_key("a", "01")


def test_the_fingerprint_tells_nothing_of_the_key():
    """A fingerprint is no part of the key, of its hash, or of anything a user key is cut from."""
    pseudonyms = Pseudonymiser(KEY)

    assert pseudonyms.fingerprint not in KEY.hex()
    assert not hashlib.sha256(KEY).hexdigest().startswith(pseudonyms.fingerprint)
    assert pseudonyms.fingerprint != Pseudonymiser(OTHER).fingerprint
    assert KEY.hex() not in repr(pseudonyms)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(key):
    """A key has 32 bytes, no more and no less."""
    with pytest.raises(CorruptDataError, match=f"has {len(key)} bytes, not 32"):
        Pseudonymiser(key)


def test_a_new_key_is_for_its_owner_only(tmp_path):
    """The key's file can be read by its owner and by nobody else, and is 64 hexadecimal digits."""
    path = tmp_path / "private" / "pseudonym.key"
    create_key(path)

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert 32 == len(bytes.fromhex(path.read_text()))


def test_two_new_keys_differ(tmp_path):
    """A key is drawn, not derived."""
    assert create_key(tmp_path / "a").fingerprint != create_key(tmp_path / "b").fingerprint


def test_a_key_is_never_overwritten(tmp_path):
    """A second key in the same place is refused and the first one stays: it cannot be made again."""
    path = tmp_path / "key"
    create_key(path)
    before = path.read_text()

    with pytest.raises(FileExistsError):
        create_key(path)
    assert before == path.read_text()


def test_a_given_key_is_kept(tmp_path):
    """A key from the environment is written down as it is."""
    pseudonyms = create_key(tmp_path / "key", KEY.hex())

    assert Pseudonymiser(KEY).fingerprint == pseudonyms.fingerprint
    assert KEY.hex() == (tmp_path / "key").read_text().strip()


def test_the_same_key_opens_again(tmp_path):
    """The run's own key opens it, from the file or from the environment."""
    path = tmp_path / "key"
    made = create_key(path, KEY.hex())

    opened = open_key(path, fingerprint=made.fingerprint)
    given_again = open_key(tmp_path / "absent", fingerprint=made.fingerprint, given=f" {KEY.hex().upper()}\n")

    assert made.user_key("a", "b") == opened.user_key("a", "b") == given_again.user_key("a", "b")


@pytest.mark.parametrize("from_environment", [True, False])
def test_another_key_is_refused(tmp_path, from_environment):
    """Two keys would make two users of one: a process with another key ends with exit code 7, telling neither key."""
    path = tmp_path / "key"
    made = create_key(path, KEY.hex())
    if not from_environment:
        path.write_text(OTHER.hex())

    with pytest.raises(KeyMismatchError, match="two keys would make two users of one") as refused:
        open_key(path, fingerprint=made.fingerprint, given=OTHER.hex() if from_environment else None)
    assert 7 == refused.value.exit_code
    assert KEY.hex() not in str(refused.value)
    assert OTHER.hex() not in str(refused.value)


def test_an_absent_key_is_not_made_anew(tmp_path):
    """A machine without the run's key is told where it was looked for."""
    with pytest.raises(NotReadyError, match="no pseudonym key"):
        open_key(tmp_path / "key", fingerprint="x")


@pytest.mark.parametrize("text", ["no digits", "zz" * 32, "abc"])
def test_a_key_that_is_not_hexadecimal_is_refused(tmp_path, text):
    """A mistyped key is told apart from another key, and is not repeated in the message."""
    with pytest.raises(RecipeError, match="not 64 hexadecimal digits") as refused:
        create_key(tmp_path / "key", text)
    assert text not in str(refused.value)
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jane.doe+x@mail.example.org now", "write to [email] now"),
        ("me\uff20qq.com", "[email]"),
        ("see https://example.org/a?b=c#d now", "see [url] now"),
        ("HTTP://EXAMPLE.ORG", "[url]"),
        ("see www.example.org/x", "see [url]"),
        ("thanks @jane_d!", "thanks [mention]!"),
        ("thanks @jane@example", "thanks [mention]"),
        ("\uff20小明 你好", "[mention] 你好"),
        ("哈哈@小明 你看", "哈哈[mention] 你看"),
        ("回复\uff20小明\uff1a好", "回复[mention]\uff1a好"),
        ("call +49 (170) 123-4567.", "call [phone]."),
        ("call 555 123 4567 ok", "call [phone] ok"),
        ("电话13812345678加我", "电话[phone]加我"),
        (
            "电话\uff1a\uff11\uff13\uff18\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
            "电话\uff1a[phone]",
        ),
        ("tel:+8613812345678", "tel:[phone]"),
    ],
)
def test_what_names_a_person_is_scrubbed(text, expected):
    """E-mail addresses, URLs, mentions and phone numbers go, beside Latin and beside Chinese letters, in any width."""
    assert expected == scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What a lovely video, thank you!",
        "这个视频太好看了\uff0c谢谢分享\u3002",
        "10/10, watched it 123456 times in 2024",
        "第3集 12:34 笑死 2333",
        "version v1234567 and abc_12345678",
        "meet me @ home",
        "it costs 1,000,000",
        "pi is 3.14159",
        "\U0001f600\U0001f44d",
    ],
)
def test_ordinary_text_is_left_alone(text):
    """Sentences, short numbers, times and emoji keep every character."""
    assert text == scrub(text)


hostile = st.lists(
    st.sampled_from(
        [*"@\uff20.+-()[] \n", "a", "x9", "你", "1234567", "12345678901", "http://", "https://", "www.", "b.co"]
    )
    | st.text(max_size=3),
    max_size=14,
).map("".join)


@given(hostile)
def test_scrubbing_twice_is_scrubbing_once(text):
    """A scrubbed text has nothing left to scrub."""
    once = scrub(text)

    assert once == scrub(once)


@given(
    st.text(max_size=5), st.integers(10**9, 10**11), st.text(max_size=5, alphabet=st.characters(min_codepoint=0x3000))
)
def test_a_phone_number_never_stays(before, number, after):
    """A number of 10 or 11 digits between any text that is not Latin or a digit is gone."""
    text = f"{before} 电话{number}\u3002{after}"

    assert str(number) not in scrub(text)


_PIECES = st.sampled_from(
    ["@me", "\uff20you", "a@b.org", "http://x.test/a", "WWW.x.test", "1234567", "\u0661" * 8, "\U0001d7ce" * 8]
)


@given(st.lists(st.lists(st.one_of(st.text(max_size=8), _PIECES), max_size=4).map(" ".join), max_size=6))
def test_many_texts_are_scrubbed_as_each_alone(texts):
    """The look at the whole page misses nothing that a look at each text finds."""
    assert [scrub(text) for text in texts] == scrub_all(texts)


def test_a_comments_key_tells_nothing_without_the_secret():
    """The same id gives the same key with one secret, another with another, and another on another platform."""
    ids = ["https://social.example/users/alice/1", "2"]
    one, other = Pseudonymiser(b"k" * 32), Pseudonymiser(b"l" * 32)
    keys = one.comment_keys("peertube", ids)

    assert keys == one.comment_keys("peertube", ids)
    assert 6 == len({*keys, *one.comment_keys("sandbox", ids), *other.comment_keys("peertube", ids)})
    assert all(-(1 << 63) <= key < 1 << 63 for key in keys)
