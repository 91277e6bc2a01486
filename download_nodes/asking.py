"""Comments of a site whose adapter asks (microlens.platforms.base.AskingPlatform).

yt-dlp and its like read all comments of a video in one piece: they are one page, kept once it is whole.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from download_nodes.comments import CommentCollector
from download_nodes.fetch import FetchError
from microlens.clock import now_ms
from microlens.conversations import Reply
from microlens.outcomes import Refusal
from microlens.platforms.base import UnavailableError
from microlens.robot_tags import forbidding_word

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from download_nodes.budget import Budget
    from download_nodes.comments import GetPage
    from download_nodes.fetch import Fetcher
    from download_nodes.spool import Spool
    from microlens.conversations import Conversations
    from microlens.frontier import Frontier
    from microlens.platforms.base import Answer, AskingPlatform, Platform, Question
    from microlens.records import FrontierItem
    from microlens.runs import Run


@dataclass(frozen=True, slots=True)
class Desk:
    """Answers adapters' questions with what the node has."""

    conversations: Conversations
    fetcher: Fetcher
    budget: Budget
    frontier: Frontier
    tell_hosts: Callable[[FetchError], None]
    answered: Callable[[str], Awaitable[None]]

    async def answer(self, question: Question, *, is_paid: bool) -> Reply[FetchError]:
        """Ask when the host is due.

        FetchError, which ends it all, for an answer that asks not to be collected; HostRestsError for a host that
        cannot be waited for.
        """
        # Before the budget: a host's robots.txt may set its crawl delay.
        try:
            await self.fetcher.check(question.url)
        except FetchError as forbidden:
            forbidden.url = question.url
            return Reply(None, forbidden)
        if not is_paid:
            await self._await_turn(question.url)
        answer, refused = await self.fetcher.exchange(question, self._await_turn)
        if refused is not None:
            await asyncio.to_thread(self.tell_hosts, refused)
        elif answer is not None:
            await self.answered(answer.url)
            _check_tags(answer)
        return Reply(answer, refused)

    async def _await_turn(self, url: str) -> None:
        await self.conversations.await_turn(url, self.budget.ask, self.frontier)


def _check_tags(answer: Answer) -> None:
    word = forbidding_word([value for name, value in answer.headers if name.lower() == "x-robots-tag"])
    if word is not None:
        raise _error(Refusal(f"robots_{word}", is_final=True), answer.url, status=answer.status)


def _error(refusal: Refusal, url: str, *, status: int | None = None, sent_ms: int = 0) -> FetchError:
    error = FetchError(refusal, status=status)
    error.url, error.sent_ms = url, sent_ms
    return error


class AskingCollector(CommentCollector):
    def __init__(self, run: Run, platform: AskingPlatform, get: GetPage, desk: Desk) -> None:
        super().__init__(run, cast("Platform", platform), get)  # it spells names and keys there, and parses nothing
        self._asking = platform
        self._desk = desk

    async def _fill(self, spool: Spool, item: FrontierItem) -> None:
        began_ms = now_ms()
        read = partial(self._asking.ask_comments, item.url, limit=self._run.recipe.comments.max_per_video)
        try:
            comments = await self._desk.conversations.hold(item.url, read, self._desk.answer)
        except UnavailableError as error:
            raise _error(error.refusal, item.url, sent_ms=began_ms) from error
        spool.add(self._without_names(comments), [])
