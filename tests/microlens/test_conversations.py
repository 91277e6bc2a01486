"""Adapters that ask, in threads, and the loop that answers them."""

import asyncio
import threading
import time

import pytest

from microlens import conversations
from microlens.conversations import MOST_QUESTIONS, CircleError, ConversationOverError, Conversations, Reply
from microlens.errors import ExtractorBrokenError, RecipeError, RedisUnreachableError
from microlens.outcomes import HostRestsError, Refusal, RefusedError
from microlens.platforms.base import Answer, NoAnswerError, Question, UnavailableError

PAGE = "https://site.example/v/1#here"


class RefusedHereError(RefusedError):
    def __init__(self, reason, *, is_final=True, is_backoff=False):
        super().__init__(reason)
        self.refusal = Refusal(reason, is_final=is_final, is_backoff=is_backoff)


def answer_to(question, status=200):
    return Answer(question.url, status, (), b"")


def hold(read, replies=(), *, threads=2):
    """What a conversation comes to, and (address, is paid) of its questions; replies beyond those given are good."""
    asked, left = [], list(replies)

    async def answer(question, *, is_paid):
        asked.append((question.url, is_paid))
        reply = left.pop(0) if left else Reply(answer_to(question))
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def talk():
        conversations = Conversations(threads)
        try:
            return await conversations.hold(PAGE, read, answer)
        finally:
            await conversations.close()

    return lambda: asyncio.run(talk()), asked


def asking(*urls, last=None):
    """An adapter that asks for some addresses, goes on without an answer, and ends in an error or not."""

    def read(ask):
        found = []
        for url in urls:
            try:
                found.append(ask(Question(url)).status)
            except NoAnswerError:
                found.append(None)
        if last is not None:
            raise last
        return found

    return read


def test_only_the_first_request_to_the_items_own_host_is_paid():
    """The claim took one request from one host's budget; all else is asked for there."""
    other, own = "https://api.example/1", "https://site.example/api"
    talk, asked = hold(asking(other, own, own))

    assert [200, 200, 200] == talk()
    assert [(other, False), (own, True), (own, False)] == asked


@pytest.mark.parametrize(
    ("replies", "error", "told"),
    [
        # robots.txt forbade what the extractor wanted: that is why it failed
        ([Reply(None, RefusedHereError("robots"))], ExtractorBrokenError("x"), "robots"),
        ([Reply(None, RefusedHereError("timeout", is_final=False))], KeyError("x"), "timeout"),
        # a final status explains a failure right after it, and none after a good answer
        ([None, Reply(answer_to(Question("u"), 404), RefusedHereError("gone"))], KeyError("x"), "gone"),
        ([Reply(answer_to(Question("u"), 404), RefusedHereError("gone")), None], ExtractorBrokenError("x"), "x"),
        # the adapter's own words about the site stand
        ([Reply(None, RefusedHereError("robots"))], UnavailableError(Refusal("private", is_final=True)), "private"),
        ([Reply(None, RefusedHereError("robots"))], RecipeError("r"), "r"),
    ],
)
def test_a_failure_is_told_by_what_explains_it(replies, error, told):
    """A refusal that an adapter swallowed is told in the end if it could not do without the answer."""
    given = [reply or Reply(answer_to(Question("u"))) for reply in replies]
    talk, _ = hold(asking(*["https://a.example/"] * len(given), last=error), given)
    with pytest.raises(Exception, match=told):
        talk()


def test_an_answers_own_refusal_is_what_is_told():
    """Where the adapter names the answer, the stage's error for that answer is raised, with all that it knows."""
    gone = RefusedHereError("gone")
    answer = answer_to(Question("u"), 404)

    def read(ask):
        said = ask(Question("https://a.example/"))
        ask(Question("https://a.example/2"))
        raise UnavailableError(Refusal("gone", is_final=True), answer=said)

    with pytest.raises(RefusedHereError) as caught:
        hold(read, [Reply(answer, gone)])[0]()

    assert gone is caught.value


@pytest.mark.parametrize(
    "error", [RedisUnreachableError("r"), RefusedHereError("robots_noai"), ConversationOverError("rests")]
)
def test_what_an_answerer_raises_ends_it_all(error):
    """An adapter that swallows it gets no further answer, and its result is not taken."""
    talk, asked = hold(asking("https://a.example/", "https://a.example/2"), [error])
    with pytest.raises(type(error)):
        talk()

    assert 1 == len(asked)


def test_a_host_that_asks_to_wait_is_asked_again():
    """An adapter could not go on where a 429 stopped it: the question is put again before it learns of it."""
    busy = Reply(answer_to(Question("u"), 429), RefusedHereError("rate_limited", is_final=False, is_backoff=True))
    talk, asked = hold(asking("https://a.example/"), [busy, busy])

    assert [200] == talk()
    assert 3 == len(asked)


def test_it_is_asked_three_times_at_most():
    """Then the adapter gets the answer as it is."""
    busy = Reply(answer_to(Question("u"), 429), RefusedHereError("rate_limited", is_final=False, is_backoff=True))
    talk, asked = hold(asking("https://a.example/"), [busy] * 9)

    assert [429] == talk()
    assert 3 == len(asked)


def test_an_adapter_that_goes_round_in_a_circle_is_stopped():
    """More questions than any page needs are a changed page, not a crawl without end."""
    talk, asked = hold(asking(*["https://a.example/"] * (MOST_QUESTIONS + 5)))
    with pytest.raises(CircleError, match="2000 times"):
        talk()

    assert MOST_QUESTIONS == len(asked)


def test_more_adapters_than_threads_take_turns():
    """Waiting adapters take no thread that their answers need."""

    async def talk():
        conversations = Conversations(threads=2)

        async def answer(question, *, is_paid):
            await asyncio.to_thread(time.sleep, 0.01)
            return Reply(answer_to(question))

        read = asking("https://a.example/", "https://a.example/2")
        try:
            return await asyncio.gather(*(conversations.hold(PAGE, read, answer) for _ in range(40)))
        finally:
            await conversations.close()

    assert [[200, 200]] * 40 == asyncio.run(talk())


def test_a_stop_wakes_whoever_waits():
    """An adapter that waits for an answer is told at once that there is none, and so is every later question."""
    ended = threading.Event()

    def read(ask):
        for _ in range(3):
            with pytest.raises(NoAnswerError):
                ask(Question("https://a.example/"))
        ended.set()

    async def talk():
        conversations = Conversations()

        async def never(question, *, is_paid):
            await asyncio.sleep(3600)

        task = asyncio.create_task(conversations.hold(PAGE, read, never))
        await asyncio.sleep(0.05)
        conversations.stop()
        with pytest.raises(ConversationOverError):
            await task
        await conversations.close()

    asyncio.run(talk())
    assert ended.is_set()


class Pace:
    """A frontier that knows how far apart a host wants its requests."""

    def __init__(self, seconds):
        self._seconds = seconds

    def pace_s(self, host):
        return self._seconds


def wait(*seconds, pace_s=1.0):
    left = list(seconds)

    async def take(host):
        return left.pop(0)

    asyncio.run(Conversations().await_turn(PAGE, take, Pace(pace_s)))
    return left


def test_a_host_that_rests_for_long_is_not_waited_for():
    """The error says which and for how long; one that is due soon is waited for."""
    with pytest.raises(HostRestsError) as caught:
        wait(0.01, 3600.0)

    assert ("https://site.example", 3600.0) == (caught.value.host, caught.value.wait_s)
    assert [] == wait(0.01, 0.0)


def test_a_slow_pace_is_waited_for_whatever_it_is(monkeypatch):
    """An item that was given back for a long crawl delay would never come to its end."""
    monkeypatch.setattr(conversations, "PATIENCE_S", 0.005)

    assert [] == wait(0.01, 0.0, pace_s=0.02)


def test_a_rest_counts_a_try_only_if_the_item_brought_it_about():
    """Else an address that always answers 429 would be asked without end."""
    busy = Reply(answer_to(Question("u"), 429), RefusedHereError("rate_limited", is_final=False, is_backoff=True))
    rests = HostRestsError("https://a.example", 3600.0)
    with pytest.raises(HostRestsError):
        hold(asking("https://a.example/"), [rests])[0]()
    with pytest.raises(RefusedHereError, match="rate_limited"):
        hold(asking("https://a.example/"), [busy, rests])[0]()


@pytest.mark.parametrize(("before", "is_hosts_fault"), [(False, False), (True, True)])
def test_silences_that_one_item_makes_are_its_own(before, is_hosts_fault):
    """An adapter that tries an address again makes no silent host; where the host was silent before, it stays so."""
    first, second = (RefusedHereError("timeout", is_final=False) for _ in range(2))
    first.is_hosts_fault, second.is_hosts_fault = before, True
    talk, _ = hold(asking(*["https://a.example/"] * 2, last=KeyError("x")), [Reply(None, first), Reply(None, second)])
    with pytest.raises(RefusedHereError) as caught:
        talk()

    assert second is caught.value
    assert is_hosts_fault is second.is_hosts_fault
