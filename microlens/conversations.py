"""Runs adapters that ask (microlens.platforms.base.AskingPlatform) in threads, while the event loop answers them.

They have threads of their own: in asyncio's, enough adapters that wait would leave none for what they wait for.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent import futures
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from microlens.errors import MicrolensError, PageChangedError
from microlens.frontier import host_of
from microlens.hosts import await_turn
from microlens.outcomes import HostRestsError, RefusedError
from microlens.platforms.base import NoAnswerError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microlens.frontier import Frontier
    from microlens.platforms.base import Answer, Ask, Question

THREADS = 16
MOST_QUESTIONS = 2_000
"""An adapter that asks for more, for one page, goes round in a circle."""

PATIENCE_S = 120.0
"""A host that rests for longer is not waited for; one that merely wants its requests far apart is."""
TRIES = 3
"""Of one question, if its host asks to be left alone for a while: an adapter cannot go on where it was refused."""

_LOOK_S = 0.2
"""How soon a waiting thread learns that there is nothing more to wait for."""


E = TypeVar("E", bound=RefusedError)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply(Generic[E]):
    """What became of a question."""

    answer: Answer | None
    refused: E | None = None
    """Why it is no good answer, or why there is none; whoever made it has told the host's book."""


class Answerer(Protocol[E]):
    """Answers one question. What it raises ends the conversation, whatever the adapter makes of it."""

    async def __call__(self, question: Question, *, is_paid: bool) -> Reply[E]: ...


class ConversationOverError(Exception):
    """The process stops: what was read is dropped, and the item is given back untried."""


class CircleError(PageChangedError):
    """An adapter asks without end."""


class Conversations:
    """The adapters that one process runs; must be made and closed where the event loop runs."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="adapter")
        self._over = threading.Event()

    async def hold(self, url: str, read: Callable[[Ask], T], answer: Answerer[E]) -> T:
        """Run `read` for a claimed item's page; the first request to that page's host was paid when it was claimed.

        Raises whatever `answer` raised; ConversationOverError when the process stops; HostRestsError where a host
        cannot be waited for; UnavailableError as the adapter says; and for an adapter that could not read, the refusal
        that explains it if there was one, else its error.
        """
        loop = asyncio.get_running_loop()
        talk = _Talk(host_of(url), answer, loop, self._over)
        try:
            result = await loop.run_in_executor(self._pool, read, talk.ask)
        except Exception as error:
            raise talk.why(error) from error
        if talk.ended is not None:
            raise talk.ended
        return result

    async def await_turn(self, url: str, take: Callable[[str], Awaitable[float]], frontier: Frontier) -> None:
        """Wait until `take` gives a request to a URL's host; HostRestsError if that would take too long."""
        await await_turn(url, take, frontier.pace_s, patience_s=PATIENCE_S, check=self._check, look_s=_LOOK_S)

    def _check(self, _host: str, _wait_s: float) -> None:
        if self._over.is_set():
            raise ConversationOverError("the process stops")

    def stop(self) -> None:
        """Let every question, asked or to come, go without an answer."""
        self._over.set()

    async def close(self) -> None:
        """Stop, and wait for the threads."""
        self.stop()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


class _Talk(Generic[E]):
    """One adapter's questions; `ask` runs in its thread, all else in the loop's."""

    def __init__(self, paid: str, answer: Answerer[E], loop: asyncio.AbstractEventLoop, over: threading.Event) -> None:
        self._paid: str | None = paid
        self._answer = answer
        self._loop = loop
        self._over = over
        self._count = 0
        self._refused: list[tuple[Answer | None, E]] = []
        self._last: Reply[E] | None = None
        self._backoff: E | None = None
        """The last refusal that asked for a rest."""
        self._own: set[str] = set()
        """Hosts whose silence was laid to this item."""
        self.ended: Exception | None = None
        """What ended the conversation, if it did not come to its own end."""

    def ask(self, question: Question) -> Answer:
        self._count += 1
        if self._count > MOST_QUESTIONS and self.ended is None:
            self.ended = CircleError(
                f"the adapter asked {MOST_QUESTIONS} times for one page, the last time for {question.url}",
                hint="the site has changed, or the adapter goes round in a circle: mend the adapter",
            )
        self._check_open()
        is_paid = self._paid == host_of(question.url)
        if is_paid:
            self._paid = None
        future = asyncio.run_coroutine_threadsafe(self._reply(question, is_paid=is_paid), self._loop)
        while not futures.wait([future], timeout=_LOOK_S).done:
            self._check_open()
        try:
            reply = future.result()
        except Exception as error:  # kept for the loop: an adapter may swallow what it is told
            self.ended = self.ended or self._charged(error)
            raise NoAnswerError(str(error) or type(error).__name__) from error
        self._last = reply
        if reply.refused is not None:
            self._refused.append((reply.answer, reply.refused))
        if reply.answer is None:
            raise NoAnswerError(f"{question.url}: {reply.refused}")
        return reply.answer

    async def _reply(self, question: Question, *, is_paid: bool) -> Reply[E]:
        reply = await self._answer(question, is_paid=is_paid)
        for _ in range(TRIES - 1):
            if reply.refused is None or not reply.refused.refusal.is_backoff:
                break
            self._backoff = reply.refused
            reply = await self._answer(question, is_paid=False)
        if reply.refused is not None and reply.answer is None:
            self._judge(host_of(question.url), reply.refused)
        return reply

    def _judge(self, host: str, refused: E) -> None:
        """Of silences in a row the first is told of the item, the others of the host: not those that one item makes."""
        if refused.is_hosts_fault is False:
            self._own.add(host)
        elif host in self._own:
            refused.is_hosts_fault = False

    def _charged(self, error: Exception) -> Exception:
        """A rest that this item itself brought about counts as a try, or it might be tried without end."""
        return self._backoff if isinstance(error, HostRestsError) and self._backoff else error

    def _check_open(self) -> None:
        if self._over.is_set():
            self.ended = self.ended or ConversationOverError("the process stops")
        if self.ended is not None:
            raise NoAnswerError(str(self.ended))

    def why(self, error: Exception) -> Exception:
        """What an adapter's error comes down to."""
        if self.ended is not None:
            return self.ended
        if isinstance(error, UnavailableError):
            said = [refused for answer, refused in self._refused if answer is not None and answer is error.answer]
            return said[-1] if said else error
        if isinstance(error, NoAnswerError) and self._refused:
            return self._refused[-1][1]
        if isinstance(error, MicrolensError) and not isinstance(error, PageChangedError):
            return error
        # An adapter may go on without an answer, and fail for want of it. A final status explains that only if it came
        # last: adapters ask for much that need not be there.
        if self._last is not None and self._last.refused is not None:
            return self._last.refused
        lacking = [refused for answer, refused in self._refused if answer is None or not refused.refusal.is_final]
        return lacking[-1] if lacking else error
