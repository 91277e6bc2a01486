"""Titles, tags and comments: Chinese or English, made of a topic's words, some of them hostile or private."""

# ruff: noqa: RUF001 (full-width punctuation is how Chinese is written)
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.topics import Topic

HOSTILE_TITLES = (
    'The "<b>best</b>" {word} & more </script><script>alert(1)</script>',
    "<img src=x onerror=alert('{word}')> \"quoted\" {word}",
    "{word} =SUM(A1:A9) ${{7*7}} '; DROP TABLE items; --",
)
THREE_CHARACTER_TITLES = ("🐱 喵星人 !!", "日出了……", "✨ wow ✨", "~ a1b ~")
"""Exactly three letters or digits: the shortest titles that a right pipeline keeps."""

SHORT_TITLES = (
    "🔥🔥🔥",
    "！！！？？",
    "…… ~ ……",
    "   ",
    "😂😂 哈 😂😂",
    "🎉 ok !!!",
    "「哈哈」",
    "✨ a ✨",
    "❤️❤️❤️",
    "#!?#",
)
"""None, one or two letters or digits, the rest noise."""

_TITLE_SHAPES = {
    "en": (
        "{a} and {b} in one minute",
        "My {a} {b} this week",
        "How to {a}: {b} edition",
        "{a}, {b}, {c}!",
        "You will not believe this {a} 😮 {b}",
        "Day {n} of {a} {b}",
    ),
    "zh": (
        "{a}和{b}的一天",
        "今天的{a}太{b}了吧",
        "第{n}天：{a}{b}日常",
        "{a}教程，学会{b}",
        "谁懂啊😭这个{a}{b}",
        "{a}，{b}，{c}！",
    ),
}
_COMMENTS = (
    "太好看了",
    "哈哈哈哈笑死我了",
    "这个{a}绝了",
    "求教程！想学{a}",
    "第一次看到这样的{a}",
    "已收藏，明天试试",
    "love this {a}",
    "wow, best {a} ever",
    "where is part 2?",
    "so relaxing 😌",
    "my {a} never looks like this",
    "who else is here in the middle of the night",
    '<b>first!</b> "{a}" & co',
)
_PRIVATE = (
    "write to me: {a}.fan@example.com",
    "加我微信或发邮件 fan{n}@example.org",
    "@friend_{n} look at this {a}",
    "more at https://example.com/{a}?u={n} !",
    "联系电话 138-0013-{n:04d}",
    "call me +1 (202) 555-0{n:03d}",
)
_PRIVATE_EVERY = 23


def words_of(topic: Topic, language: str) -> tuple[str, ...]:
    return topic.chinese if language == "zh" else topic.english


def make_title(topic: Topic, language: str, code: int) -> str:
    """Build a title of three of the topic's words and one or two hashtags, chosen by `code`."""
    words = words_of(topic, language)
    shapes = _TITLE_SHAPES[language]
    start = code % len(words)
    a, b, c = (words[(start + step) % len(words)] for step in (0, 1 + code // 7 % 2, 3 + code // 53 % 3))
    title = shapes[(code // 11) % len(shapes)].format(a=a, b=b, c=c, n=code % 365 + 1)
    return " ".join([title, *(f"#{tag}" for tag in make_tags(topic, language, code)[: 1 + code % 2])])


def make_tags(topic: Topic, language: str, code: int) -> tuple[str, ...]:
    """Give the topic's own word first, then two more of its words."""
    words = words_of(topic, language)
    return tuple(dict.fromkeys((words[0], words[code % len(words)], words[(code // 5) % len(words)])))


def make_comment(topic: Topic, code: int) -> str:
    """Write one comment; about one in twenty-three holds an address, a mention, a link or a phone number."""
    words = topic.chinese if code % 2 else topic.english
    shapes = _COMMENTS if code % _PRIVATE_EVERY else _PRIVATE
    return shapes[(code // 29) % len(shapes)].format(a=words[(code // 3) % len(words)], n=code % 100)
