"""Pages of a site whose adapter asks (microlens.platforms.base.AskingPlatform), answered by Scrapy's downloader."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from scrapy import Request

from crawler.answers import RefusedAnswerError, check_answer, check_tags, refused_by
from crawler.middlewares.budget import AWAIT_TURN
from microlens.conversations import ConversationOverError, Conversations, Reply
from microlens.frontier import host_of
from microlens.outcomes import HostRestsError
from microlens.platforms.base import Answer, UnavailableError, VideoLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.http import Response

    from crawler.courtesy import Courtesy
    from microlens.frontier import Frontier
    from microlens.platforms.base import Ask, AskingPlatform, HomePage, ParsedVideo, Question
    from microlens.records import FrontierItem

T = TypeVar("T")

_FRAMING = frozenset({"content-encoding", "content-length", "set-cookie", "transfer-encoding"})
"""Headers of an answer that say nothing once its body is read, or that are not for keeping."""


@dataclass(slots=True)
class _Step:
    """The request that was sent last, of a question and the redirects that it led to."""

    url: str
    sent_ms: int


class AskedPages:
    """Runs the adapter in threads; every request of it goes the way of the spider's own."""

    def __init__(self, courtesy: Courtesy, platform: AskingPlatform, frontier: Frontier) -> None:
        self._courtesy = courtesy
        self._platform = platform
        self._frontier = frontier
        self.conversations = Conversations()

    async def home(self, item: FrontierItem) -> HomePage:
        return await self._read(item, partial(self._platform.ask_home, item.url))

    async def video(self, item: FrontierItem) -> ParsedVideo:
        return await self._read(item, partial(self._platform.ask_video, VideoLink(item.payload["video_id"], item.url)))

    async def _read(self, item: FrontierItem, read: Callable[[Ask], T]) -> T:
        try:
            return await self.conversations.hold(item.url, read, partial(self._answer, item))
        except UnavailableError as error:
            raise RefusedAnswerError(error.refusal, status=None) from error

    async def _answer(self, item: FrontierItem, question: Question, *, is_paid: bool) -> Reply[RefusedAnswerError]:
        """Ask when the host is due.

        RefusedAnswerError, which ends it all, for an answer to a video's page that asks not to be collected;
        HostRestsError for a host that cannot be waited for.
        """
        host = host_of(question.url)
        # Before the budget: a host's robots.txt may set its crawl delay.
        if not await asyncio.to_thread(self._courtesy.hosts.robots.is_known, host):
            await self._courtesy.learn_robots(host)
        if not is_paid:
            await self._await_turn(question.url)
        step, answer = _Step(question.url, self._courtesy.hosts.now_ms()), None
        try:
            response = await self._download(question, step)
            answer = _answer_of(response)
            check_answer(response)
        except RefusedAnswerError as refused:
            refused.url = step.url
            await self._courtesy.tell(refused, url=item.url, sent_ms=step.sent_ms)
            return Reply(answer, refused)
        await self._courtesy.answered(response.url)
        if item.payload["page"] == "video":
            _check_tags(response)
        return Reply(answer)

    async def _await_turn(self, url: str) -> None:
        await self.conversations.await_turn(url, self._courtesy.take, self._frontier)

    async def _download(self, question: Question, step: _Step) -> Response:
        async def await_turn(url: str) -> None:
            await self._await_turn(url)
            step.url, step.sent_ms = url, self._courtesy.hosts.now_ms()

        request = Request(
            question.url,
            method=question.method,
            headers=dict(question.headers),
            body=question.body or b"",
            dont_filter=True,
            meta={AWAIT_TURN: await_turn},
        )
        try:
            return await self._courtesy.download(request)
        except (ConversationOverError, HostRestsError):
            raise
        except Exception as error:
            raise refused_by(error) from error


def _check_tags(response: Response) -> None:
    try:
        check_tags(response)
    except RefusedAnswerError as refused:
        refused.url = response.url
        raise


def _answer_of(response: Response) -> Answer:
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in response.headers.items()
        if name.decode("latin-1").lower() not in _FRAMING
        for value in values
    )
    return Answer(response.url, response.status, headers, response.body)
