"""Comments of a site whose adapter asks (microlens.platforms.base.AskingPlatform).

yt-dlp and its like read all comments of a video in one piece: they are one page, kept once it is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from download_nodes.comments import CommentCollector
from download_nodes.fetch import FetchError
from microlens.conversations import Reply
from microlens.frontier import host_of
from microlens.outcomes import Refusal
from microlens.platforms.base import UnavailableError
from microlens.robot_tags import forbidding_word

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from download_nodes.budget import Budget
    from download_nodes.comments import GetPage, Spool
    from download_nodes.fetch import Fetcher
    from microlens.conversations import Conversations
    from microlens.platforms.base import Answer, AskingPlatform, Platform, Question
    from microlens.records import FrontierItem
    from microlens.runs import Run


@dataclass(frozen=True, slots=True)
class Desk:
    """Answers adapters' questions with what the node has."""

    conversations: Conversations
    fetcher: Fetcher
    budget: Budget
    why_not: Callable[[str], Awaitable[str | None]]
    rest: Callable[[str, FetchError], None]
    calm: Callable[[str], None]

    async def answer(self, question: Question, *, is_paid: bool) -> Reply[FetchError]:
        """Ask when the host is due; FetchError, which ends it all, for an answer that asks not to be collected."""
        host = host_of(question.url)
        try:
            answer, refused = await self._exchange(question, is_paid=is_paid)
        except FetchError as error:
            answer, refused = None, error
        if answer is not None and refused is None:
            self.calm(host)
            _check_tags(answer)
        if refused is not None:
            refused.url = question.url
            if refused.refusal.is_backoff:
                self.rest(host, refused)
        return Reply(answer, refused)

    async def _exchange(self, question: Question, *, is_paid: bool) -> tuple[Answer, FetchError | None]:
        # Before the budget: a host's robots.txt may set its crawl delay.
        reason = await self.why_not(question.url)
        if reason is not None:
            raise FetchError(Refusal(reason, is_final=True))
        take = partial(self.budget.ask, host_of(question.url))
        if not is_paid and not await self.conversations.wait_for_budget(take):
            raise FetchError(Refusal("rate_limited", is_final=False))
        return await self.fetcher.exchange(question)


def _check_tags(answer: Answer) -> None:
    word = forbidding_word([value for name, value in answer.headers if name.lower() == "x-robots-tag"])
    if word is not None:
        raise FetchError(Refusal(f"robots_{word}", is_final=True), status=answer.status)


class AskingCollector(CommentCollector):
    def __init__(self, run: Run, platform: AskingPlatform, get: GetPage, desk: Desk) -> None:
        super().__init__(run, cast("Platform", platform), get)  # it spells names and keys there, and parses nothing
        self._asking = platform
        self._desk = desk

    async def _fill(self, spool: Spool, item: FrontierItem) -> None:
        read = partial(self._asking.ask_comments, item.url, limit=self._run.recipe.comments.max_per_video)
        try:
            comments = await self._desk.conversations.hold(item.url, read, self._desk.answer)
        except UnavailableError as error:
            raise FetchError(error.refusal) from error
        spool.add(self._without_names(comments), [])
