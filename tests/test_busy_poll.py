"""A loop that has written something looks again before it sleeps, where that helps."""

import asyncio
import time
from collections.abc import Callable

import pytest

from romp_asgi import Config, Romp
from romp_asgi.busy_poll import BusyPoll
from romp_asgi.hub import Hub
from romp_asgi.outbox import Flusher

WINDOW = 0.0001


class Loop:
    """What is called later, and the time."""

    def __init__(self) -> None:
        self.now = 1.0
        self.soon: list[Callable[[], None]] = []

    def poll(self) -> BusyPoll:
        return BusyPoll(WINDOW, self.soon.append, lambda: self.now)

    def passes(self) -> bool:
        """A pass of the loop; whether it was without sleep."""
        callbacks = self.soon.copy()
        self.soon.clear()
        for callback in callbacks:
            callback()
        return bool(callbacks)

    def rests(self) -> None:
        """So long that no answer came in time."""
        self.now += 2 * WINDOW
        while self.passes():
            pass


@pytest.fixture
def loop() -> Loop:
    return Loop()


def answered(poll: BusyPoll, loop: Loop, count: int) -> int:
    """Of so many writes, each answered within the window, how many had a poll."""
    polls = 0
    for _ in range(count):
        poll.answered()
        poll.wrote()
        loop.now += WINDOW / 2
        polls += loop.passes()
    return polls


def test_where_answers_come_at_once_it_polls(loop: Loop) -> None:
    poll = loop.poll()
    assert answered(poll, loop, 200) > 200 - 64
    assert answered(poll, loop, 1000) == 1000


def test_where_none_come_it_polls_hardly_ever(loop: Loop) -> None:
    poll = loop.poll()
    polls = 0
    for _ in range(6400):
        poll.wrote()
        polls += bool(loop.soon)
        loop.rests()
    assert polls == 100


def test_what_comes_without_having_been_asked_for_is_no_answer(loop: Loop) -> None:
    """Messages of a producer, one soon after the other, whatever becomes of them."""
    poll = loop.poll()
    polls = 0
    for _ in range(6400):
        poll.wrote()
        loop.now += WINDOW / 2
        polls += loop.passes()
    assert polls < 400


def test_it_ends_where_answers_cease(loop: Loop) -> None:
    poll = loop.poll()
    answered(poll, loop, 1000)
    polls = 0
    for _ in range(1000):
        poll.wrote()
        polls += bool(loop.soon)
        loop.rests()
    assert polls < 16 + 1000 / 64 + 1


def test_it_polls_no_longer_than_its_window(loop: Loop) -> None:
    poll = loop.poll()
    answered(poll, loop, 1000)
    end = loop.now + WINDOW * 1.01
    while loop.passes():
        loop.now += WINDOW / 10
    assert loop.now <= end


def test_it_can_be_turned_off() -> None:
    assert Hub(Config(busy_poll=0)).flusher.busy_poll is None
    assert Hub(Config()).flusher.busy_poll is not None


class CountingFlusher(Flusher):
    """Counts answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[None] = []

    def answered(self) -> None:
        self.answers.append(None)


@pytest.mark.anyio
async def test_an_answer_is_what_comes_from_one_who_was_written_to() -> None:
    romp = Romp(Config(ports=[0]))
    flusher = romp._hub.flusher = CountingFlusher()
    async with romp.lifespan():
        host, port = romp.addresses[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,0\n\n\0")
        await reader.readuntil(b"\0")
        assert len(flusher.answers) == 0
        for number in range(10):
            writer.write(b"SEND\ndestination:/topic/a\nreceipt:%d\n\n\0" % number)
            await reader.readuntil(b"\0")
        assert len(flusher.answers) == 10
        for _ in range(10):
            writer.write(b"SEND\ndestination:/topic/a\n\n\0")
            await asyncio.sleep(0.005)
        assert len(flusher.answers) == 11
        writer.close()


@pytest.mark.anyio
async def test_a_server_that_has_polled_sleeps_when_nothing_comes() -> None:
    romp = Romp(Config(ports=[0], busy_poll=1000))
    async with romp.lifespan():
        host, port = romp.addresses[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,0\n\n\0")
        await reader.readuntil(b"\0")
        for number in range(500):
            writer.write(b"SEND\ndestination:/topic/a\nreceipt:%d\n\n\0" % number)
            receipt = await reader.readuntil(b"\0")
            assert b"receipt-id:%d\n" % number in receipt
        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.25
        writer.close()
