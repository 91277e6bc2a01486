"""The index finds every pair within 15 of 256 bits, and no other: by every way of asking, however skewed the hashes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filtering import hash_index
from filtering.hash_index import HashIndex, are_telling, pack_hashes


def telling_hashes(rng, count):
    """Hashes (count, 4) with half of their bits set, as pictures with structure have."""
    ones = np.argsort(rng.random((count, 256)), axis=1) < 128
    return np.packbits(ones, axis=1).view(np.uint64)


def near_copies(rng, hashes, most):
    """The same hashes with up to `most` bits flipped, any bits or all in one place."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    for row in bits:
        count = int(rng.integers(0, most + 1))
        start = int(rng.integers(0, 256 - count + 1))
        places = rng.permutation(256)[:count] if rng.random() < 0.5 else np.arange(start, start + count)
        row[places] ^= 1
    return np.packbits(bits, axis=1).view(np.uint64)


def made_hashes(seed, count, hot_bands):
    """Families of near hashes, some bands with one value in most of them, and a few hashes of flat pictures."""
    rng = np.random.default_rng(seed)
    first = telling_hashes(rng, count)
    hashes = np.concatenate([first, near_copies(rng, first, 20), near_copies(rng, first, 20)])
    view = hashes.view(np.uint16)
    for band in rng.permutation(16)[:hot_bands]:
        view[rng.random(len(view)) < 0.8, band] = rng.integers(0, 2**16)
    hashes[rng.random(len(hashes)) < 0.05] = 0
    return hashes


def distances(left, right):
    return np.bitwise_count(left[:, None] ^ right[None]).sum(axis=-1).astype(int)


def every_pair(left, right, bits):
    """Brute force: {(place, place, distance)} of all telling hashes within `bits`."""
    away = distances(left, right)
    away[~are_telling(left)] = 999
    away[:, ~are_telling(right)] = 999
    rows, columns = np.nonzero(away <= bits)
    return {(row, column, away[row, column]) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)}


def as_set(found):
    rows = list(zip(*(column.tolist() for column in found), strict=True))
    assert len(rows) == len(set(rows))
    return set(rows)


MADE = st.builds(made_hashes, st.integers(0, 10_000), st.integers(1, 60), st.integers(0, 12))


@pytest.fixture(autouse=True)
def _tables_from_the_first_hash(monkeypatch):
    """Small indexes have tables too, and pieces are small enough to be cut."""
    monkeypatch.setattr(hash_index, "_SHORTEST_TAIL", 20)
    monkeypatch.setattr(hash_index, "CANDIDATES_AT_ONCE", 64)
    monkeypatch.setattr(hash_index, "_QUERIES_AT_ONCE", 32)


@settings(deadline=None)
@given(MADE, st.integers(0, 15), st.integers(0, 10_000))
def test_every_entry_near_a_hash_is_found_and_no_other(hashes, bits, seed):
    """Asked with near copies of its entries, the index tells each entry within the distance once."""
    asked = near_copies(np.random.default_rng(seed), hashes[:40], 18)

    assert every_pair(asked, hashes, bits) == as_set(HashIndex(hashes).near(asked, bits))


@settings(max_examples=60, deadline=None)
@given(MADE, st.integers(0, 15), st.integers(0, 8))
def test_a_search_for_enough_leaves_out_only_what_is_beyond(hashes, bits, enough):
    """What has no more is found whole; of the others more than enough is given, and nothing wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hash_index, "FIRST_LOOK", 2)
        found = as_set(HashIndex(hashes).near(hashes, bits, enough=enough))
    wanted = every_pair(hashes, hashes, bits)
    counts, given_counts = (Counter(row[0] for row in rows) for rows in (wanted, found))

    assert found <= wanted
    assert {row for row in wanted if counts[row[0]] <= enough} <= found
    assert all(given_counts[place] > enough for place, count in counts.items() if count > enough)


@settings(deadline=None)
@given(MADE, st.lists(st.integers(0, 180), max_size=5))
def test_hashes_added_bit_by_bit_are_found_as_well(hashes, cuts):
    """However the hashes come, the index answers as if they had come at once."""
    edges = sorted(min(cut, len(hashes)) for cut in cuts)
    index = HashIndex(hashes[: edges[0]] if edges else hashes)
    for start, end in zip(edges, [*edges[1:], len(hashes)], strict=False):
        index.add(hashes[start:end])

    assert len(index) == len(hashes)
    assert every_pair(hashes, hashes, 15) == as_set(index.near(hashes))


def test_fifteen_bits_are_found_and_sixteen_are_not():
    """One bit in each of 15 bands leaves a band equal; a bit in all of 16 is one too many."""
    (original,) = telling_hashes(np.random.default_rng(1), 1)
    copies = np.repeat(original[None], 2, axis=0)
    copies.view(np.uint16)[0, :15] ^= 1
    copies.view(np.uint16)[1] ^= 1
    index = HashIndex(np.concatenate([copies, telling_hashes(np.random.default_rng(2), 100)]))

    assert {(0, 0, 15)} == as_set(index.near(original[None]))


def test_flat_pictures_match_nothing():
    """A hash with too few or too many bits set matches no other, not even its equal."""
    flat = np.zeros((30, 4), np.uint64)
    flat[10:20] = ~flat[10:20]
    flat[20:, 0] = 0xFFFF
    index = HashIndex(flat)

    assert not as_set(index.near(flat))


@pytest.mark.parametrize("bits", [-1, 16, 256])
def test_a_distance_that_the_bands_cannot_answer_for_is_refused(bits):
    """Beyond 15 bits no band need be equal, and an answer would miss pairs."""
    with pytest.raises(ValueError, match=f"within {bits}"):
        HashIndex(np.empty((0, 4), np.uint64)).near(np.empty((0, 4), np.uint64), bits)


def test_hexadecimal_hashes_are_packed_bit_by_bit():
    """Distances of packed hashes are those of the numbers that were written."""
    texts = ["0" * 64, "f" * 64, f"{1 << 255:064x}", f"{0xAAAA:064x}"]
    packed = pack_hashes(texts)

    assert [(int(a, 16) ^ int(b, 16)).bit_count() for a in texts for b in texts] == distances(
        packed, packed
    ).ravel().tolist()
    assert (0, 4) == pack_hashes([]).shape


def test_a_text_that_is_no_hash_is_named():
    """Its length and its beginning stand in the error."""
    with pytest.raises(ValueError, match="64 hexadecimal digits, not 3: 'abc'"):
        pack_hashes(["0" * 64, "abc"])
