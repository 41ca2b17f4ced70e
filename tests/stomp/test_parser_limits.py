"""Limits hold while reading: at the limit, one more, and before the frame is whole.

Source: STOMP 1.2 § Size Limits.
"""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from romp_asgi.errors import LimitExceeded, ProtocolError
from romp_asgi.stomp import VERSIONS, Command, Frame, Limits, Parser
from tests.marks import interpreted_only
from tests.stomp.wire import NO_LIMITS, feed, octets, parser, wire

HEADERS = Limits(max_headers=3)
HEADER_LEN = Limits(max_header_len=8)
HEADER_SIZE = Limits(max_header_size=16)
BODY = Limits(max_message_size=5)

AT_THE_LIMIT = {
    "max_headers": (HEADERS, "SEND\na:1\nb:2\nc:3\n\n^@"),
    "max_headers, a repeated one": (HEADERS, "SEND\na:1\na:2\na:3\n\n^@"),
    "max_headers, CR LF": (HEADERS, "SEND^M\na:1^M\nb:2^M\nc:3^M\n^M\n^@"),
    "max_header_len": (HEADER_LEN, "SEND\na:345678\nb:345678\n\n^@"),
    "max_header_len, CR LF": (HEADER_LEN, "SEND^M\na:345678^M\nb:345678^M\n^M\n^@"),
    "max_header_len, a longer command": (HEADER_LEN, "UNSUBSCRIBE\nid:1\n\n^@"),
    "max_header_size": (HEADER_SIZE, "SEND\na:345\nb:345\n\n^@"),
    "max_header_size, CR LF": (HEADER_SIZE, "SEND^M\na:3456789^M\n^M\n^@"),
    "max_header_size, CR LF at its end": (HEADER_SIZE, "SEND\na:345\nb:345\n^M\n^@"),
    "max_message_size": (BODY, "SEND\n\n12345^@"),
    "max_message_size, content-length": (
        BODY,
        "SEND\ncontent-length:5\n\n^@^@^@^@^@^@",
    ),
}

ONE_MORE = {
    "max_headers": (HEADERS, "SEND\na:1\nb:2\nc:3\nd:4\n\n^@"),
    "max_headers, a repeated one": (HEADERS, "SEND\na:1\na:2\na:3\na:4\n\n^@"),
    "max_headers, CR LF": (HEADERS, "SEND^M\na:1^M\nb:2^M\nc:3^M\nd:4^M\n^M\n^@"),
    "max_header_len": (HEADER_LEN, "SEND\na:345678\nb:3456789\n\n^@"),
    "max_header_len, the first": (HEADER_LEN, "SEND\na:3456789\nb:345678\n\n^@"),
    "max_header_len, CR LF": (HEADER_LEN, "SEND^M\na:345678^M\nb:3456789^M\n^M\n^@"),
    "max_header_size": (HEADER_SIZE, "SEND\na:345\nb:3456\n\n^@"),
    "max_header_size, CR LF": (HEADER_SIZE, "SEND^M\na:34567890^M\n^M\n^@"),
    "max_message_size": (BODY, "SEND\nreceipt:7\n\n123456^@"),
    "max_message_size, content-length": (
        BODY,
        "SEND\nreceipt:7\ncontent-length:6\n\n^@^@^@^@^@^@^@",
    ),
}


def limit_of(name: str) -> str:
    return name.partition(",")[0]


@pytest.mark.parametrize(
    ("limits", "text"), AT_THE_LIMIT.values(), ids=list(AT_THE_LIMIT)
)
def test_at_the_limit(limits: Limits, text: str) -> None:
    data = wire(text)
    assert len(feed(Parser(limits), data)) == 1
    assert len(feed(Parser(limits), data + data)) == 2
    assert len(feed(Parser(limits), *octets(data + data))) == 2
    for at in range(len(data)):
        assert len(feed(Parser(limits), data[:at], data[at:] + data)) == 2


@pytest.mark.parametrize(
    ("limits", "text", "name"),
    [(*value, limit_of(name)) for name, value in ONE_MORE.items()],
    ids=list(ONE_MORE),
)
def test_one_more(limits: Limits, text: str, name: str) -> None:
    data = wire(text)
    for pieces in ([data], octets(data), [data[:-1], data[-1:]]):
        with pytest.raises(LimitExceeded) as caught:
            feed(Parser(limits), *pieces)
        error = caught.value
        assert (error.name, error.limit) == (name, getattr(limits, name))
        assert error.fatal
        if name == "max_message_size":
            assert error.message == "msg flup"
            assert error.receipt_id == "7", "its headers are known"
        else:
            assert error.message == "hdr flup"


def test_the_sentence_names_the_key_and_the_limit() -> None:
    with pytest.raises(LimitExceeded) as caught:
        feed(Parser(BODY), wire("SEND\n\n123456^@"))
    assert str(caught.value) == (
        "The frame is larger than allowed: max_message_size is 5."
    )


# While reading


@pytest.mark.parametrize(
    ("limits", "text", "name"),
    [
        (HEADERS, "SEND\na:1\nb:2\nc:3\nd", "max_headers"),
        (HEADERS, "SEND\na:1\nb:2\nc:3\n^Md", "max_headers"),
        (HEADER_LEN, "SEND\na:3456789", "max_header_len"),
        (HEADER_LEN, "SEND\na:345678^Mx", "max_header_len"),
        # Two more octets might be an empty line.
        (HEADER_SIZE, "SEND\na:345\nb:345\nc:", "max_header_size"),
        (BODY, "SEND\n\n123456", "max_message_size"),
        (BODY, "SEND\ncontent-length:6\n\n", "max_message_size"),
        (BODY, f"SEND\ncontent-length:{'9' * 18}\n\n", "max_message_size"),
    ],
)
def test_refused_as_soon_as_it_is_known(limits: Limits, text: str, name: str) -> None:
    data = wire(text)
    for before in (0, 1, 10):
        receiver = Parser(limits)
        assert len(feed(receiver, b"SEND\n\n\0" * before + data[:-1])) == before
        receiver.receive_data(data[-1:])
        with pytest.raises(LimitExceeded) as caught:
            receiver.frames()
        assert caught.value.name == name
    with pytest.raises(LimitExceeded):
        feed(Parser(limits), data)


def test_a_line_that_is_complete_is_refused_before_its_frame_is() -> None:
    with pytest.raises(LimitExceeded):
        feed(Parser(HEADER_LEN), wire("SEND\na:3456789\nb:"))


def test_what_was_refused_is_not_held() -> None:
    receiver = Parser(BODY)
    with pytest.raises(LimitExceeded):
        feed(receiver, *octets(b"SEND\n\n123456"))
    receiver.receive_data(b"x" * 1000)
    assert not receiver.has_partial_frame()


def test_an_unfinished_line_is_measured_from_its_own_beginning() -> None:
    """Not from that of the read, which has other frames before it."""
    frame = wire("SEND\na:345678\n\n^@")
    for limits in (HEADER_LEN, HEADER_SIZE, HEADERS):
        receiver = Parser(limits)
        for end in range(len(frame)):
            frames = feed(receiver, frame * 10 + frame[:end], frame[end:])
            assert len(frames) == 11


def test_the_limits_of_login_end_with_it() -> None:
    receiver = Parser(Limits(max_headers=1, max_message_size=1))
    send = wire("SEND\na:1\nb:2\n\n123^@")
    receiver.receive_data(wire("CONNECT\n\n^@") + send)
    assert len(receiver.frames()) == 1
    receiver.switch(VERSIONS["1.2"], Limits(max_headers=2, max_message_size=3))
    assert receiver.frames() == [Frame(Command.SEND, {"a": "1", "b": "2"}, b"123")]


def test_a_body_of_no_octets_is_within_any_limit() -> None:
    assert feed(Parser(Limits(max_message_size=0)), wire("SEND\n\n^@")) == [
        Frame(Command.SEND)
    ]
    with pytest.raises(LimitExceeded):
        feed(Parser(Limits(max_message_size=0)), wire("SEND\n\n1"))


# Slow and large


def counting_parser(*arguments: Any, **keys: Any) -> Any:
    """A parser that counts how often the octets that it holds are looked at."""

    class CountingParser(Parser):
        looks = 0

        def _parse(self, data: bytes, frames: list[Frame]) -> int:
            self.looks += 1
            return super()._parse(data, frames)

    return CountingParser(*arguments, **keys)


@interpreted_only
@pytest.mark.parametrize(
    "head", ["SEND\n\n", "SEND\ncontent-length:{size}\n\n", "ERROR\n\n"]
)
def test_a_large_body_octet_by_octet_is_looked_at_a_few_times_only(head: str) -> None:
    size = 50_000
    head = head.format(size=size)
    receiver = counting_parser(Limits(), commands=parser().commands)
    body = b"x\n" * (size // 2)
    (frame,) = feed(receiver, *octets(wire(head)), *octets(body + b"\0"))
    assert frame.body == body
    assert receiver.looks <= len(head) + 1


@interpreted_only
def test_headers_octet_by_octet_are_looked_at_twice_a_line() -> None:
    """At its first octet, which may be one too many, and at its end."""
    receiver = counting_parser(Limits())
    lines = "".join(f"header-{number}:{'x' * 1000}\n" for number in range(10))
    (frame,) = feed(receiver, *octets(wire(f"SEND\n{lines}\n^@")))
    assert len(frame.headers) == 10
    # At each octet of the command, too, because it may become one that is unknown.
    assert receiver.looks == len("SEND\n") + 2 * 10 + 2


@interpreted_only
def test_nulls_in_a_body_with_content_length_cause_no_looks() -> None:
    size = 50_000
    receiver = counting_parser(Limits())
    head = wire(f"SEND\ncontent-length:{size}\n\n")
    (frame,) = feed(receiver, head, *octets(b"\0" * size + b"\0"))
    assert frame.body == b"\0" * size
    assert receiver.looks == 2


def test_a_large_body_in_pieces_is_not_copied_for_each() -> None:
    """Which would take half a minute."""
    pieces = 10_000
    receiver = Parser(NO_LIMITS)
    feed(receiver, b"SEND\n\n")
    started = time.process_time()
    feed(receiver, *[b"x" * 1000] * pieces)
    assert time.process_time() - started < 5
    (frame,) = feed(receiver, b"\0")
    assert len(frame.body) == 1000 * pieces


def peak_memory(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("head", ["SEND\n\n", "SEND\ncontent-length:{size}\n\n"])
def test_a_large_body_takes_a_few_times_its_size(head: str) -> None:
    size = 1_000_000
    receiver = Parser(Limits())
    piece = b"x" * 1000

    def drip() -> None:
        feed(receiver, wire(head.format(size=size)))
        for _ in range(size // 1000):
            assert feed(receiver, piece) == []
        assert len(feed(receiver, b"\0")) == 1

    assert peak_memory(drip) < 4 * size


@pytest.mark.parametrize(
    "endless",
    [b"x", b"x:y\n", b"SEND", b"\n\nx", b":", b"SEND\n\nx", b"x" * 100],
)
@pytest.mark.parametrize("begin", [b"", b"SEND\n", b"SEND\nx:", b"SEND\n\n"])
def test_what_never_ends_is_refused_within_its_limit(
    begin: bytes, endless: bytes
) -> None:
    limits = Limits(
        max_headers=100,
        max_header_len=1000,
        max_header_size=10_000,
        max_message_size=10_000,
    )
    receiver = Parser(limits)
    pieces = [begin, *[endless] * (10_100 // len(endless))]
    with pytest.raises(ProtocolError):
        feed(receiver, *pieces)
    assert not receiver.has_partial_frame()
