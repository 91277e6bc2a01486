"""Which of millions of perceptual hashes differ in few bits from a given one: all of them, without looking at most.

A hash of 256 bits is cut into 16 bands of 16 bits, and each band has a table from its value to the entries that have
it. Let r be a radius for each band: if the sum of r + 1 over the bands exceeds the distance asked for, every hash
within that distance agrees with the query in some band up to its radius (the general pigeonhole principle: Qin et al.,
GPH: Similarity Search in Hamming Space, ICDE 2018). With r = 0 everywhere that is "some band is equal", for up to 15
bits. Real hashes are skewed: some values of some bands are had by very many. Such a band is left out (r = -1), and one
with small buckets is looked up under the 16 values that differ in one bit as well (r = 1), so that the sum stays 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

BITS = 256
MOST_BITS = 15
"""The longest distance that is found; beyond, no band need be equal."""

WORDS, BANDS, VALUES = 4, 16, 1 << 16
FEWEST_ONES, MOST_ONES = 96, 160
"""A hash has a bit set for each frequency above their median: 128. One far from that tells of a flat picture."""

CANDIDATES_AT_ONCE = 1 << 20
"""Compared in one piece: bounds the memory of a search, whatever it finds."""
FIRST_LOOK = 1 << 10
"""Candidates of a query that are compared before it is asked whether it has found too many; then twice as many, ..."""

_QUERIES_AT_ONCE = 1 << 12
_SHORTEST_TAIL, _TAIL_PART = 1 << 12, 32
_MOST_LEFT_OUT = BANDS // 2
_LONG_RUN = 64
_FLIPS = np.array([0, *(1 << bit for bit in range(16))], np.uint16)
"""What a band's value is changed by to come to the 17 values within one bit of it, its own first."""
_FLIP_BITS = np.bitwise_count(_FLIPS).astype(np.int64)


class Pairs(NamedTuple):
    """Places of two hashes in each row, and the bits in which they differ; in no order."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    bits: NDArray[np.int64]

    def of(self, is_wanted: NDArray[np.bool_]) -> Pairs:
        return Pairs(*(column[is_wanted] for column in self))


_NO_PAIRS = Pairs(*(np.empty(0, np.int64) for _ in Pairs._fields))


def pack_hashes(hashes: Iterable[str]) -> NDArray[np.uint64]:
    """Bring hashes of 64 hexadecimal digits to an array (n, 4); ValueError on any other text."""
    known = list(hashes)
    odd = next((text for text in known if len(text) != BITS // 4), None)
    if odd is not None:
        raise ValueError(f"a perceptual hash has {BITS // 4} hexadecimal digits, not {len(odd)}: {odd[:80]!r}")
    return np.frombuffer(bytes.fromhex("".join(known)), np.uint64).reshape(-1, WORDS)


class PackedHashes(Sequence[str]):
    """Hashes of 64 hexadecimal digits that take 32 bytes each; ValueError on any other text."""

    __slots__ = ("_packed",)

    def __init__(self, hashes: Iterable[str]) -> None:
        self._packed = pack_hashes(hashes).tobytes()

    def __len__(self) -> int:
        return len(self._packed) * 8 // BITS

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        packed, size = self._packed.hex(), BITS // 4
        return [packed[at : at + size] for at in range(0, len(packed), size)][place]


def are_telling(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Tell for each hash (n, 4) whether it is that of a picture with structure; the others match nothing."""
    ones = np.bitwise_count(hashes).sum(axis=1, dtype=np.int64)
    return np.asarray((ones >= FEWEST_ONES) & (ones <= MOST_ONES))


class HashIndex:
    """Hashes by their place, from 0 in the order in which they were given.

    Memory: 40 bytes a hash and 64 for the tables. Added hashes wait in a tail that every search reads through; when
    that has grown to a 32nd of the rest, the tables are made anew.
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self._hashes = np.empty((0, WORDS), np.uint64)
        self._first_words = np.empty(0, np.uint64)
        self._count = 0
        self._tabled = 0
        self._starts = np.zeros((BANDS, VALUES + 1), np.int64)
        self._entries = np.empty(0, np.uint32)
        self.compared = 0
        """Entries that were held against a query so far: what searches have cost."""
        self.add(hashes)

    def __len__(self) -> int:
        return self._count

    def hashes(self, start: int, end: int) -> NDArray[np.uint64]:
        """The hashes (n, 4) from one place up to another, as far as there are any."""
        return self._hashes[start : min(end, self._count)].copy()

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Take more hashes (n, 4); their places follow the last one's."""
        end = self._count + len(hashes)
        if end > len(self._hashes):
            room = end + self._count // _TAIL_PART
            self._hashes = _grown(self._hashes, room)
            self._first_words = _grown(self._first_words, room)
        self._hashes[self._count : end] = hashes
        self._first_words[self._count : end] = hashes[:, 0]
        self._count = end
        if end - self._tabled > max(_SHORTEST_TAIL, self._tabled // _TAIL_PART):
            self._make_tables()

    def near(self, hashes: NDArray[np.uint64], bits: int = MOST_BITS, *, enough: int | None = None) -> Pairs:
        """Find every entry within `bits` of each of the hashes (m, 4): `left` is the hash's place, `right` the entry's.

        A hash's own entry, if it has one, is among them. Of a hash that has more than `enough` some are left out, but
        more than `enough` are given: one that very many are like costs no more than others.
        ValueError for more bits than the bands can answer for.
        """
        found = list(self._near(hashes, bits, enough)) or [_NO_PAIRS]
        return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _near(self, hashes: NDArray[np.uint64], bits: int, enough: int | None) -> Iterator[Pairs]:
        if not 0 <= bits <= MOST_BITS:
            raise ValueError(f"the index finds hashes within 0 to {MOST_BITS} bits, not within {bits}")
        telling = np.flatnonzero(are_telling(hashes))
        for start in range(0, len(telling), _QUERIES_AT_ONCE):
            places = telling[start : start + _QUERIES_AT_ONCE]
            asked = np.ascontiguousarray(hashes[places])
            for found in chain(self._search_tail(asked, bits), self._search_tables(asked, bits, enough)):
                yield found._replace(left=places[found.left])

    def _make_tables(self) -> None:
        hashes = self._hashes[: self._count]
        telling = np.flatnonzero(are_telling(hashes)).astype(np.uint32)
        self._entries = np.empty(BANDS * len(telling), np.uint32)
        for band in range(BANDS):
            values = _bands(hashes)[:, band][telling]
            begin = band * len(telling)
            # Of 16-bit numbers NumPy's stable sort is a radix sort.
            self._entries[begin : begin + len(telling)] = telling[np.argsort(values, kind="stable")]
            self._starts[band, 0] = begin
            self._starts[band, 1:] = begin + np.cumsum(np.bincount(values, minlength=VALUES))
        self._tabled = self._count

    def _search_tail(self, asked: NDArray[np.uint64], bits: int) -> Iterator[Pairs]:
        tail, first_words = self._hashes[self._tabled : self._count], self._first_words[self._tabled : self._count]
        if not len(tail):
            return
        at_once = max(1, CANDIDATES_AT_ONCE // len(tail))
        telling = are_telling(tail)
        for start in range(0, len(asked), at_once):
            rough = np.bitwise_count(first_words ^ asked[start : start + at_once, :1]) <= bits
            self.compared += rough.size
            query, place = np.nonzero(rough & telling)
            away = _distance(tail[place], asked[start + query])
            near = away <= bits
            yield Pairs(start + query[near], self._tabled + place[near], away[near])

    def _search_tables(self, asked: NDArray[np.uint64], bits: int, enough: int | None) -> Iterator[Pairs]:
        buckets, radius = self._choose_buckets(asked)
        count = np.zeros(len(asked), np.int64)
        for look in _looks(buckets, None if enough is None else FIRST_LOOK):
            wanted = look if enough is None else _of_queries(look, count <= enough)
            for piece in _pieces(wanted):
                found = self._compare(asked, piece, bits, radius)
                count += np.bincount(found.left, minlength=len(asked))
                yield found

    def _compare(self, asked: NDArray[np.uint64], piece: _Buckets, bits: int, radius: NDArray[np.int64]) -> Pairs:
        entry = self._entries_of(piece)
        self.compared += len(entry)
        # A quarter of the bits rejects nearly all, and a column of these alone is small and near.
        is_one = piece.query[0] == piece.query[-1]
        own = asked[piece.query[0], 0] if is_one else np.repeat(asked[piece.query, 0], piece.length)
        rough = np.flatnonzero(np.bitwise_count(self._first_words.take(entry) ^ own) <= bits)
        bucket = np.searchsorted(np.cumsum(piece.length), rough, side="right")
        entry, query, band = entry[rough], piece.query[bucket], piece.band[bucket]
        differing = self._hashes.take(entry, axis=0) ^ asked[query]
        away = np.bitwise_count(differing).sum(axis=1, dtype=np.int64)
        # What several bands find counts where the first of them finds it.
        is_first = (np.bitwise_count(_bands(differing)) <= radius[query]).argmax(axis=1) == band
        near = (away <= bits) & is_first
        return Pairs(query[near], entry[near].astype(np.int64), away[near])

    def _entries_of(self, piece: _Buckets) -> NDArray[np.uint32]:
        """The entries of buckets, one after the other; of long ones whole runs are copied."""
        if piece.length.sum() < _LONG_RUN * len(piece.length):
            return self._entries[_spread(piece.first, piece.length)]
        ends = piece.first + piece.length
        runs = zip(piece.first.tolist(), ends.tolist(), strict=True)
        return np.concatenate([self._entries[first:end] for first, end in runs])

    def _choose_buckets(self, asked: NDArray[np.uint64]) -> tuple[_Buckets, NDArray[np.int64]]:
        """Choose a radius for each band of each query (m, 16), the cheapest that miss nothing; list its buckets."""
        values = _bands(asked)[:, :, None] ^ _FLIPS
        band = np.arange(BANDS)[:, None]
        first = self._starts[band, values]
        length = self._starts[band, values.astype(np.int64) + 1] - first
        own, flipped = length[:, :, 0], length[:, :, 1:].sum(axis=2)
        rank = np.argsort(own, axis=1)
        cheap, dear = rank[:, :_MOST_LEFT_OUT], rank[:, : -_MOST_LEFT_OUT - 1 : -1]
        # How many bands to leave out, each made up for by one that is looked up more widely.
        saved = np.cumsum(np.take_along_axis(own, dear, 1) - np.take_along_axis(flipped, cheap, 1), axis=1)
        count = np.where(saved.max(axis=1) > 0, saved.argmax(axis=1) + 1, 0)
        change = (np.arange(_MOST_LEFT_OUT) < count[:, None]).astype(np.int64)
        radius = np.zeros(own.shape, np.int64)
        np.put_along_axis(radius, cheap, change, 1)
        np.put_along_axis(radius, dear, -change, 1)
        query, band, flip = np.nonzero((length > 0) & (radius[:, :, None] >= _FLIP_BITS))
        return _Buckets(first[query, band, flip], length[query, band, flip], query, band), radius


class _Buckets(NamedTuple):
    """Runs of `HashIndex._entries` that are to be held against a query, because it agrees with them in a band."""

    first: NDArray[np.int64]
    length: NDArray[np.int64]
    query: NDArray[np.int64]
    band: NDArray[np.int64]


def _looks(buckets: _Buckets, first: int | None) -> Iterator[_Buckets]:
    """Cut the candidates of every query into looks: the first so many, then the next twice as many, and so on."""
    if first is None or not len(buckets.query):
        yield buckets
        return
    ends = np.cumsum(buckets.length)
    before = ends - buckets.length
    is_new = np.diff(buckets.query, prepend=-1) != 0
    begin = before - np.repeat(before[is_new], np.diff(np.append(np.flatnonzero(is_new), len(before))))
    end = begin + buckets.length
    past, size = 0, first
    while past < end.max():
        low, high = np.maximum(begin, past), np.minimum(end, past + size)
        cut = buckets._replace(first=buckets.first + low - begin, length=np.maximum(0, high - low))
        yield _Buckets(*(column[cut.length > 0] for column in cut))
        past, size = past + size, 2 * size


def _of_queries(buckets: _Buckets, is_wanted: NDArray[np.bool_]) -> _Buckets:
    return _Buckets(*(column[is_wanted[buckets.query]] for column in buckets))


def _pieces(buckets: _Buckets) -> Iterator[_Buckets]:
    """Cut buckets into pieces of at most twice `CANDIDATES_AT_ONCE` entries."""
    if not len(buckets.length):
        return
    parts = -(-buckets.length // CANDIDATES_AT_ONCE)
    row = np.repeat(np.arange(len(parts)), parts)
    past = CANDIDATES_AT_ONCE * _spread(np.zeros(len(parts), np.int64), parts)
    length = np.minimum(CANDIDATES_AT_ONCE, buckets.length[row] - past)
    whole = _Buckets(buckets.first[row] + past, length, buckets.query[row], buckets.band[row])
    number = (np.cumsum(length) - 1) // CANDIDATES_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(row)]
    for start, end in pairwise(edges):
        yield _Buckets(*(column[start:end] for column in whole))


def _grown(values: NDArray[np.uint64], room: int) -> NDArray[np.uint64]:
    grown = np.empty((room, *values.shape[1:]), values.dtype)
    grown[: len(values)] = values
    return grown


def _spread(first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count up from each `first`, `length` numbers each, one after the other."""
    ends = np.cumsum(length)
    return np.arange(length.sum()) + np.repeat(first - ends + length, length)


def _bands(hashes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Cut hashes (n, 4), laid out row by row, into their bands (n, 16)."""
    return hashes.view(np.uint16)


def _distance(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_count(left ^ right).sum(axis=1, dtype=np.int64))
