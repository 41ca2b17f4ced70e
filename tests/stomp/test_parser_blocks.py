"""Header blocks that repeat are parsed once."""

from unittest import mock

import pytest

from romp_asgi.errors import FrameError, LimitExceeded
from romp_asgi.stomp import Command, Frame, Limits, Parser, parser as parser_module
from romp_asgi.stomp.versions import STOMP_1_0, STOMP_1_1, STOMP_1_2
from tests.marks import interpreted_only
from tests.stomp.wire import NO_LIMITS, feed, octets, parser, wire

SEND = "SEND\ndestination:/queue/a\n\nbody^@"


def blocks(receiver: Parser) -> list[bytes]:
    """The header blocks that are remembered."""
    return list(receiver._blocks or {})


def test_equal_blocks_share_their_headers() -> None:
    receiver = parser()
    one, two, three = feed(receiver, wire(SEND * 2), wire(SEND))
    assert one == two == three
    assert one.headers is two.headers is three.headers


def test_unequal_blocks_do_not() -> None:
    one, two, three = feed(
        parser(),
        wire(SEND),
        wire("SEND\ndestination:/queue/b\n\nbody^@"),
        wire("MESSAGE\ndestination:/queue/a\n\nbody^@"),
    )
    assert one.headers["destination"] == "/queue/a"
    assert two.headers["destination"] == "/queue/b"
    assert three.command is Command.MESSAGE


def test_a_block_knows_its_content_length() -> None:
    send = "SEND\ncontent-length:3\n\na^@b^@"
    assert (
        feed(parser(), wire(send * 3))
        == [Frame(Command.SEND, {"content-length": "3"}, b"a\0b")] * 3
    )


def test_bodies_are_not_shared() -> None:
    frames = feed(parser(), wire("SEND\n\n1^@SEND\n\n2^@SEND\n\n^@"))
    assert [frame.body for frame in frames] == [b"1", b"2", b""]


def test_a_block_with_cr_lf_is_the_same_frame() -> None:
    """However the lines end, and in whatever order the frames come."""
    texts = [
        "SEND\ndestination:a\n\n\n\n^@",
        "SEND\ndestination:a\n^M\n\n\n^@",
        "SEND^M\ndestination:a^M\n^M\n\n\n^@",
        "SEND^M\ndestination:a^M\n\n\n\n^@",
        "SEND^M\ndestination:a\n^M\n\n\n^@",
    ]
    frame = Frame(Command.SEND, {"destination": "a"}, b"\n\n")
    for first in texts:
        for second in texts:
            frames = feed(parser(), wire(first + second + first))
            assert frames == [frame] * 3


def test_what_is_remembered_is_bounded() -> None:
    receiver = parser()
    for number in range(1000):
        feed(receiver, wire(f"SEND\nid:{number}\n\n^@"))
        assert 0 < len(blocks(receiver)) <= 32
    # It has room again after it was full.
    assert wire("SEND\nid:999") in blocks(receiver)


def test_a_long_block_is_not_remembered() -> None:
    receiver = parser()
    limit = "SEND\nid:" + "x" * (512 - 8)
    feed(receiver, wire(limit + "\n\n^@" + limit + "x\n\n^@"))
    assert blocks(receiver) == [wire(limit)]


def test_nothing_is_made_before_it_is_needed() -> None:
    receiver = parser()
    feed(receiver, b"\n")
    assert receiver._blocks is None


@pytest.mark.parametrize("command", [c for c in Command if c is not Command.SEND])
def test_nothing_but_send_is_remembered(command: Command) -> None:
    """CONNECT comes once, and has a passcode; an ACK is another one each time."""
    receiver = parser()
    text = wire(f"{command}\npasscode:geheim\n\n^@")
    one, two = feed(receiver, text, text)
    assert one == two
    assert one.headers is not two.headers
    assert blocks(receiver) == []


def test_what_was_refused_is_not_remembered() -> None:
    receiver = parser()
    with pytest.raises(FrameError):
        feed(receiver, wire("SEND\ndestination:\\x\n\n^@"))
    assert blocks(receiver) == []


def test_a_version_has_its_own_blocks() -> None:
    """What came before CONNECT was read as STOMP 1.2."""
    send = wire("SEND\ndestination: \\c\n\n^@")
    connect = wire("CONNECT\n\n^@")
    for version, destination in (
        (STOMP_1_2, " :"),
        (STOMP_1_1, " :"),
        (STOMP_1_0, "\\c"),
    ):
        receiver = parser("1.2")
        receiver.receive_data(send + connect + send)
        before, _ = receiver.frames()
        assert before.headers == {"destination": " :"}
        receiver.switch(version, NO_LIMITS)
        (after,) = receiver.frames()
        assert after.headers == {"destination": destination}


def test_a_version_refuses_what_another_took() -> None:
    nack = wire("NACK\nid:1\n\n^@")
    receiver = parser("1.2")
    assert feed(receiver, nack) == [Frame(Command.NACK, {"id": "1"})]
    receiver.switch(STOMP_1_0, NO_LIMITS)
    with pytest.raises(FrameError, match="'NACK' is unknown"):
        feed(receiver, nack)


def test_limits_hold_for_what_was_taken_before_them() -> None:
    receiver = parser("1.2")
    assert len(feed(receiver, wire(SEND))) == 1
    receiver.switch(STOMP_1_2, Limits(max_header_len=5))
    with pytest.raises(LimitExceeded):
        feed(receiver, wire(SEND))


MIXED = wire(
    SEND * 2
    + "SEND^M\ndestination:/queue/a^M\n^M\nbody^@" * 2
    + "SEND\ncontent-length:3\n\n\n\n^@^@" * 2
    + "\n\nSUBSCRIBE\nid:\\c\n\n^@" * 2
    + "SEND\n\n\n\n^@" * 2
    + "CONNECT\n\n^@"
    + SEND * 2
)


@interpreted_only
@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_frames_are_the_same_without_memory(version: str) -> None:
    remembering = feed(parser(version), MIXED)
    with mock.patch.object(parser_module, "_MAX_BLOCK_SIZE", -1):
        receiver = parser(version)
        assert feed(receiver, MIXED) == remembering
        assert blocks(receiver) == []
    assert feed(parser(version), *octets(MIXED)) == remembering
    assert len(remembering) == 13


# ACK, which is read by hand


@pytest.mark.parametrize(
    "id", ["1", "007", "1" * 25, "1" * 26, "1" * 40, "", "1x", "-1", "1\\c2", "\u0661"]
)
def test_an_ack_is_the_same_however_it_is_read(id: str) -> None:
    data = f"ACK\nid:{id}\n\n\0".encode()
    (frame,) = feed(parser("1.2"), data)
    # CR LF is read the long way.
    (other,) = feed(parser("1.2"), data.replace(b"\n", b"\r\n"))
    assert frame == other
    assert frame.headers == {"id": id.replace("\\c", ":")}


def test_an_ack_heeds_limits() -> None:
    receiver = Parser(Limits(max_header_len=5))
    with pytest.raises(LimitExceeded):
        feed(receiver, b"ACK\nid:1234\n\n\0")


def test_an_ack_is_of_1_2_and_of_clients() -> None:
    (frame,) = feed(parser("1.0"), b"ACK\nid: 7\n\n\0ACK\nid:7\n\n\0")[:1]
    assert frame.headers == {"id": "7"}
    with pytest.raises(FrameError):
        feed(Parser(Limits(), commands={"SEND": Command.SEND}), b"ACK\nid:7\n\n\0")


def test_an_ack_may_have_no_body() -> None:
    with pytest.raises(FrameError):
        feed(parser("1.2"), b"ACK\nid:7\n\nbody\0")
