"""The site's videos: what each is about, how popular it is, and what its page says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sandbox import flaws, text
from sandbox.spellings import Spelling, cut_counts, draw_spellings
from sandbox.topics import TOPICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

FPS = 12
DAY_MS = 86_400_000
POPULAR_SHARE = 0.65
CHINESE_SHARE = 0.5
APPEAL_SKEW = 0.7
"""Zipf exponent of the draw. Mild, so that knowing a user's taste says more than knowing what everybody likes."""

ODD_EVERY = 100
"""One video in so many has more likes than views."""

_LIKES_SKEW = 0.8
_VIDEOS_PER_TOPIC = 10
_FEWEST_TOPICS = 4
_BASE32 = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)


@dataclass(frozen=True)
class Videos:
    """One entry a video, by its index, in every list and array."""

    ids: list[str]
    titles: list[str]
    tags: list[tuple[str, ...]]
    languages: list[str]
    authors: list[str]
    topic: NDArray[np.int64]
    topic_count: int
    appeal: NDArray[np.float64]
    """Weight in every draw of the site: home page, related links, and what users choose; sums to 1."""

    likes: NDArray[np.int64]
    views: NDArray[np.int64]
    """More than the likes, but for the few of `more_likes_than_views`."""

    spelling: list[Spelling]
    """How the page writes the counts; likes and views are what it says."""

    more_likes_than_views: frozenset[int]
    scene_frames: NDArray[np.int64]
    """Of the scenes that it shows; a copy that is cut short leaves some of them out."""

    frame_count: NDArray[np.int64]
    published_ms: NDArray[np.int64]
    flaws: flaws.Flaws

    def category(self, video: int) -> str:
        """Give the word under which the site files a video: its topic's."""
        return TOPICS[int(self.topic[video])].english[0]

    def duration_s(self, video: int) -> float:
        return float(self.frame_count[video]) / FPS


def make_videos(rng: np.random.Generator, count: int, published_before_ms: int) -> Videos:
    """Make `count` videos, all published in the year before `published_before_ms`."""
    appeal = _appeal(rng, count)
    likes = _likes(rng, appeal)
    dealt = flaws.plan_flaws(rng, likes)
    topic_count = min(len(TOPICS), max(_FEWEST_TOPICS, count // _VIDEOS_PER_TOPIC))
    topic = rng.permutation(np.arange(count) % topic_count)[dealt.scenes]
    languages = np.where(rng.random(count) < CHINESE_SHARE, "zh", "en").tolist()
    codes = rng.integers(0, 2**31, count).tolist()
    ids = ["v" + name for name in random_names(rng, count, 10, _BASE32)]
    authors = [f"author{number:05d}" for number in rng.integers(0, max(2, count // 3), count)]
    views = (likes * rng.uniform(8, 40, count)).astype(np.int64) + 1
    scene_frames = rng.integers(2 * FPS, 3 * FPS + 1, count)[dealt.scenes]
    first_frame, end_frame = np.rint(dealt.span * scene_frames[:, None]).astype(np.int64).T
    published_ms = published_before_ms - rng.integers(1, 365 * DAY_MS, count)
    spelling = draw_spellings(rng, count)
    likes, views = (cut_counts(counts, spelling, dealt) for counts in (likes, views))
    odd = _choose_odd(rng, dealt)
    views[odd] = likes[odd] // 3
    return Videos(
        ids=ids,
        titles=_titles(topic, languages, codes, dealt),
        tags=[text.make_tags(TOPICS[t], lang, code) for t, lang, code in zip(topic, languages, codes, strict=True)],
        languages=languages,
        authors=authors,
        topic=topic,
        topic_count=topic_count,
        appeal=appeal,
        likes=likes,
        views=views,
        spelling=spelling,
        more_likes_than_views=frozenset(odd.tolist()),
        scene_frames=scene_frames,
        frame_count=end_frame - first_frame,
        published_ms=published_ms,
        flaws=dealt,
    )


def random_names(rng: np.random.Generator, count: int, length: int, alphabet: NDArray[np.uint8]) -> list[str]:
    """Draw `count` names of `length` characters of the alphabet."""
    letters = alphabet[rng.integers(0, len(alphabet), (count, length))]
    joined = letters.tobytes().decode("ascii")
    return [joined[at : at + length] for at in range(0, count * length, length)]


def _appeal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    weight = np.power(rng.permutation(count) + 1.0, -APPEAL_SKEW)
    return np.asarray(weight / weight.sum(), np.float64)


def _likes(rng: np.random.Generator, appeal: NDArray[np.float64]) -> NDArray[np.int64]:
    """Long-tailed likes that follow appeal loosely; the best of the unpopular have exactly the threshold."""
    count = len(appeal)
    best_first = np.argsort(-(np.log(appeal) + rng.normal(0, 0.25, count)))
    popular = round(POPULAR_SHARE * count)
    rank = np.arange(popular)
    likes = np.empty(count, np.int64)
    tail = (popular / (rank + 0.5)) ** _LIKES_SKEW - 1
    likes[best_first[:popular]] = flaws.POPULAR_LIKES + 1 + (flaws.POPULAR_LIKES * tail).astype(np.int64)
    likes[best_first[popular:]] = np.sort(rng.integers(50, flaws.POPULAR_LIKES - 50, count - popular))[::-1]
    likes[best_first[popular : popular + max(1, count // 100)]] = flaws.POPULAR_LIKES
    return likes


def _choose_odd(rng: np.random.Generator, dealt: flaws.Flaws) -> NDArray[np.int64]:
    """Choose one in a hundred of the sound videos, whose counts contradict each other and are kept all the same."""
    sound = np.flatnonzero([kind == "" for kind in dealt.kind])
    return rng.choice(sound, max(1, len(dealt.kind) // ODD_EVERY), replace=False)


def _titles(topic: NDArray[np.int64], languages: list[str], codes: list[int], dealt: flaws.Flaws) -> list[str]:
    titles = []
    for video, (number, language, code) in enumerate(zip(topic.tolist(), languages, codes, strict=True)):
        title = text.make_title(TOPICS[number], language, code)
        if dealt.kind[video] == flaws.TITLE:
            title = text.SHORT_TITLES[code % len(text.SHORT_TITLES)]
        elif video in dealt.three_characters:
            title = text.THREE_CHARACTER_TITLES[code % len(text.THREE_CHARACTER_TITLES)]
        elif video in dealt.hostile_title:
            word = text.words_of(TOPICS[number], language)[0]
            title = text.HOSTILE_TITLES[code % len(text.HOSTILE_TITLES)].format(word=word)
        titles.append(title)
    return titles
