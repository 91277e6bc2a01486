"""The index of perceptual hashes: build, memory and one query's time, against comparing with every hash, and FAISS.

The hashes are skewed as those of real pictures are: a few kinds of picture are had by very many, one in ten is a near
copy of another, one in fifty is flat. A query's time is that of its thread on the processor: what other programs take
is not in it. FAISS (`IndexBinaryMultiHash`, the same bands) is measured where it can be imported.
"""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import cost_of
from filtering.hash_index import MOST_BITS, WORDS, HashIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_QUERIES, _FEWER_QUERIES = 5_000, 200
_KINDS, _LIKENESS = 2_000, 0.8
_AT_ONCE = 50_000
_BYTES = 32


def run(items: int) -> Iterator[str]:
    yield f"one hash at a time against {items:,}, within {MOST_BITS} of 256 bits"
    for name, job in (("ours", _ours), ("floor", _floor), ("FAISS", _faiss)):
        cost = cost_of(job, items)
        if cost.value is None:
            yield f"  {name:6} cannot be imported here"
            continue
        build_s, memory_mb, times, found = cost.value
        p50, p99, most = (1e3 * float(np.percentile(times, part)) for part in (50, 99, 100))
        yield (
            f"  {name:6} build {build_s:6.1f} s   {memory_mb:7,.0f} MB   p50 {p50:8.3f} ms   p99 {p99:8.3f} ms"
            f"   most {most:8.3f} ms   {found / len(times):.1f} found a query"
        )


def made_hashes(count: int, seed: int = 0) -> NDArray[np.uint64]:
    """Hashes (count, 4) by the rule of the real ones: 256 frequencies, each against their median."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(0, 1, (_KINDS, 256)).astype(np.float32)
    share = 1 / np.arange(1, _KINDS + 1)
    hashes = np.empty((count, _BYTES), np.uint8)
    for start in range(0, count, _AT_ONCE):
        own = hashes[start : start + _AT_ONCE]
        kind = rng.choice(_KINDS, len(own), p=share / share.sum())
        picture = rng.standard_normal((len(own), 256), np.float32)
        picture = _LIKENESS * kinds[kind] + (1 - _LIKENESS**2) ** 0.5 * picture
        own[:] = np.packbits(picture > np.median(picture, axis=1, keepdims=True), axis=1)
        copies = rng.permutation(len(own))[: len(own) // 10]
        own[copies] = own[rng.permutation(len(own))[: len(copies)]]
        own[copies, rng.integers(0, _BYTES, len(copies))] ^= rng.integers(1, 256, len(copies)).astype(np.uint8)
        own[rng.random(len(own)) < 1 / 50] = 0
    return hashes.view(np.uint64)


def _ours(items: int) -> tuple[float, float, list[float], int]:
    hashes = made_hashes(items)
    before_mb, began = _memory_mb(), time.perf_counter()
    index = HashIndex(hashes)
    return (
        time.perf_counter() - began,
        _memory_mb() - before_mb,
        *_timed(hashes, lambda one: len(index.near(one).left)),
    )


def _floor(items: int) -> tuple[float, float, list[float], int]:
    """Compare with all: columns of words, so that nothing is read twice."""
    hashes = made_hashes(items)
    before_mb, began = _memory_mb(), time.perf_counter()
    words = np.ascontiguousarray(hashes.T)

    def search(one: NDArray[np.uint64]) -> int:
        near = np.flatnonzero(np.bitwise_count(words[0] ^ one[0, 0]) <= MOST_BITS)
        for word in range(1, WORDS):
            near = near[np.bitwise_count(words[: word + 1, near] ^ one.T[: word + 1]).sum(axis=0) <= MOST_BITS]
        return len(near)

    return (time.perf_counter() - began, _memory_mb() - before_mb, *_timed(hashes, search, _FEWER_QUERIES))


def _faiss(items: int) -> tuple[float, float, list[float], int] | None:
    try:
        faiss: Any = importlib.import_module("faiss")
    except ImportError:
        return None
    faiss.omp_set_num_threads(1)
    hashes = made_hashes(items)
    before_mb, began = _memory_mb(), time.perf_counter()
    index = faiss.IndexBinaryMultiHash(256, 16, 16)
    index.add(hashes.view(np.uint8))
    build_s, memory_mb = time.perf_counter() - began, _memory_mb() - before_mb

    def search(one: NDArray[np.uint64]) -> int:
        return int(index.range_search(one.view(np.uint8), MOST_BITS + 1)[0][-1])

    return (build_s, memory_mb, *_timed(hashes, search))


def _timed(
    hashes: NDArray[np.uint64], search: Callable[[NDArray[np.uint64]], int], count: int = _QUERIES
) -> tuple[list[float], int]:
    """Ask for hashes that the index has; gives seconds by query, and how many entries were found in all."""
    times, found = [], 0
    telling = hashes[hashes.any(axis=1)]
    for place in np.random.default_rng(1).integers(0, len(telling), count).tolist():
        began = time.thread_time()
        found += search(telling[place : place + 1])
        times.append(time.thread_time() - began)
    return times, found


def _memory_mb() -> float:
    """Memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1024**2
