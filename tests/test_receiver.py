"""What a receiver writes, the short way and the long one, is the same message."""

import random

import pytest

from romp_asgi.broker import Message
from romp_asgi.receiver import MessageReceiver
from romp_asgi.stomp import Frame, Limits, Parser
from romp_asgi.stomp.blocks import Blocks
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.versions import STOMP_1_0, STOMP_1_1, STOMP_1_2, Version
from tests.test_session import Client, World

VERSIONS = [STOMP_1_0, STOMP_1_1, STOMP_1_2]

#: What messages have beside a destination and a length.
OTHERS = (
    *("", "a:b\n", " a :b\n", "c:d\\cf\\ng\n"),
    *("persistent:true\n", "a:b\na:c\n", "message-id :7\nack:8\n"),
)

#: More than goes into an outbox with its head.
LARGE = 40_000


class Sender:
    """Makes messages as a session does of what one client sends."""

    def __init__(self) -> None:
        self._parser = Parser(Limits())
        self._parser.switch(STOMP_1_2, Limits(), Blocks())
        self._number = 0

    def message(self, lines: str, body: bytes) -> Message:
        self._parser.receive_data(b"SEND\n%b\n%b\0" % (lines.encode(), body))
        (frame,) = self._parser.frames()
        assert type(frame.headers) is Headers
        self._number += 1
        message = Message(frame.headers["destination"], frame.headers, frame.body)
        message.number = self._number
        return message


class Receiving:
    """A subscription's receiver, and what its client reads."""

    def __init__(self, version: Version, id: str | None = "0") -> None:
        self._client = Client(World())
        self._client.reads(version)
        self.receiver = MessageReceiver(
            self._client.session, self._client.outbox, version, id
        )

    def frames(self) -> list[Frame]:
        return self._client.frames()

    def fill(self) -> None:
        """The transport takes nothing, and the outbox is full."""
        self._client.outbox.pause()
        self._client.outbox.high_water = 0


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_message_for_one_alone_is_the_same_as_one_for_many(version: Version) -> None:
    draw = random.Random(version.name)
    only, many, sender = Receiving(version), Receiving(version), Sender()
    kinds = [
        (f"destination:{name}\n{length}{more}", body)
        for name in ("/queue/a", "/queue/b")
        for body in (b"", b"x", b"y" * 100, b"z" * LARGE)
        for length in ("", f"content-length:{len(body)}\n")
        for more in OTHERS
    ]
    kinds.append(("content-length:004\ndestination:/queue/a\n", b"\n\n\0\n"))
    short_ways = 0
    for lines, body in draw.choices(kinds, k=400):
        for _ in range(draw.choice([1, 2, 3, 5])):
            message = sender.message(lines, body)
            assert many.receiver.deliver(message, 0, False)
            short_ways += is_short_way(only.receiver, message)
            assert only.receiver.deliver_only(message)
    assert short_ways > 100
    assert only.frames() == many.frames()


def test_the_short_way_is_taken_once_headers_came_twice_in_a_row() -> None:
    receiver, sender = Receiving(STOMP_1_2).receiver, Sender()

    def ways(*names: str) -> list[bool]:
        """Whether each of some messages took it."""
        taken = []
        for name in names:
            message = sender.message(f"destination:{name}\ncontent-length:1\n", b"x")
            taken.append(is_short_way(receiver, message))
            receiver.deliver_only(message)
        return taken

    # Once until they are known, and twice more.
    assert ways("/queue/a", "/queue/b") == [False] * 2
    assert ways(*["/queue/a"] * 4) == [False, False, True, True]
    assert ways(*["/queue/b"] * 4) == [False, False, True, True]
    assert not any(ways(*["/queue/a", "/queue/b"] * 4))


def test_a_large_body_is_not_copied_however_often_its_headers_came() -> None:
    receiver, sender = Receiving(STOMP_1_2).receiver, Sender()
    for size in LARGE, 1:
        lines = f"destination:/queue/a\ncontent-length:{size}\n"
        for _ in range(5):
            receiver.deliver_only(sender.message(lines, b"x" * size))
        message = sender.message(lines, b"x" * size)
        assert is_short_way(receiver, message) is (size == 1)


def test_known_headers_may_come_with_another_body() -> None:
    """From a filter that has changed it."""
    it, sender = Receiving(STOMP_1_2), Sender()
    for body in (b"x", b"x", b"x", b"x", b"yy", b"", b"z"):
        message = sender.message("destination:/queue/a\ncontent-length:1\n", b"x")
        message.body = body
        it.receiver.deliver_only(message)
    assert it.receiver._length == 1
    lengths = [(f.headers["content-length"], f.body) for f in it.frames()]
    assert lengths == [*[("1", b"x")] * 4, ("2", b"yy"), ("0", b""), ("1", b"z")]


def test_the_short_way_tells_when_there_is_no_more_room() -> None:
    it, sender = Receiving(STOMP_1_2), Sender()
    lines = "destination:/queue/a\ncontent-length:1\n"
    for _ in range(4):
        assert it.receiver.deliver_only(sender.message(lines, b"x"))
    it.fill()
    message = sender.message(lines, b"x")
    assert is_short_way(it.receiver, message)
    assert not it.receiver.deliver_only(message)


def is_short_way(receiver: MessageReceiver, message: Message) -> bool:
    return receiver._known is message.headers and receiver._length >= 0
