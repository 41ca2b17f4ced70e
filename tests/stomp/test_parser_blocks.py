"""Header blocks that repeat are parsed once."""

import itertools

import pytest

from romp_asgi.errors import FrameError, LimitExceeded, ProtocolError
from romp_asgi.stomp import VERSIONS, BlockCache, Command, Frame, Limits, Parser
from romp_asgi.stomp.abridged import AckRun, ReceiptSend, SendRun
from romp_asgi.stomp.blocks import BLANK, Blocks
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.versions import STOMP_1_0, STOMP_1_1, STOMP_1_2, Version
from tests.stomp.wire import ALL_COMMANDS, NO_LIMITS, feed, octets, parser, wire

SEND = "SEND\ndestination:/queue/a\n\nbody^@"


def blocks(receiver: Parser) -> list[bytes]:
    """The header blocks that are remembered, and not only what they have in common."""
    known = {} if receiver._blocks is None else receiver._blocks.known
    keys = [key for key, headers in known.items() if type(headers) is Headers]
    assert all(key.endswith(BLANK) for key in keys)
    return [key.removesuffix(BLANK) for key in keys]


def test_equal_blocks_share_their_headers_from_the_second_on() -> None:
    receiver = parser()
    one, two, three, four = feed(receiver, wire(SEND * 2), wire(SEND * 2))
    assert one == two == three == four
    assert one.headers is not two.headers
    assert two.headers is three.headers is four.headers


def test_connections_with_the_same_rules_remember_together() -> None:
    cache, limits = BlockCache(), Limits()
    headers = []
    for version in (STOMP_1_2, STOMP_1_2, STOMP_1_1):
        for limit in (limits, Limits(max_headers=3), limits):
            receiver = Parser(limits)
            receiver.switch(version, limit, cache.of(version, limit))
            headers += [frame.headers for frame in feed(receiver, wire(SEND * 2))]
    assert all(each == headers[0] for each in headers)
    of_1_2, few, of_1_1 = headers[1], headers[3], headers[-1]
    assert [each is of_1_2 for each in headers] == [
        *(False, True, False, False, True, True),
        *(True, True, False, False, True, True),
        *[False] * 6,
    ]
    assert headers[8] is headers[9] is few
    assert headers[-2] is of_1_1 is headers[-5]


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


def many(count: int) -> list[bytes]:
    return [f"SEND\nid:{number}\n\n\0".encode() for number in range(count)]


def test_blocks_that_come_once_are_not_remembered() -> None:
    """But for few, because what came before is told from part of a hash."""
    receiver = parser()
    frames = many(100_000)
    assert len(feed(receiver, b"".join(frames))) == len(frames)
    assert len(blocks(receiver)) < 100


def test_a_block_that_is_read_twice_because_its_body_is_late_has_come_once() -> None:
    receiver = parser()
    for number in range(100):
        head = f"SEND\nid:{number}\ncontent-length:4\n\n"
        feed(receiver, wire(head), wire("bo"), wire("dy^@"))
    assert blocks(receiver) == []


def test_blocks_in_turn_are_all_remembered() -> None:
    receiver = parser()
    octets = b"".join(many(14_000))
    # Of some the note is written over before they come again.
    for _ in range(7):
        feed(receiver, octets)
    before, after = feed(receiver, octets), feed(receiver, octets)
    same = [a.headers is b.headers for a, b in zip(before, after, strict=True)]
    assert same.count(False) < 100


def test_a_block_with_cr_lf_is_remembered_once() -> None:
    receiver = parser()
    text = wire("SEND^M\ndestination:/queue/a^M\n^M\nbody^@")
    frames = feed(receiver, text * 3)
    assert receiver._blocks is not None
    size = receiver._blocks._size
    frames += feed(receiver, text * 3, text)
    assert len(frames) == 7
    assert all(frame.headers is frames[1].headers for frame in frames[1:])
    assert receiver._blocks._size == size


def test_lines_are_kept_as_they_were_only_if_they_are_short_and_are_counted() -> None:
    for size, factor in (512, 2), (513, 1):
        block = "SEND\na:" + "x" * (size - 7)
        (frame,) = feed(parser(), wire(block + "\n\n^@"))
        assert isinstance(frame.headers, Headers)
        assert (frame.headers.plain is None) == (factor == 1)
        assert frame.headers.size == factor * size


def test_what_is_remembered_is_bounded() -> None:
    receiver = parser()
    frames = many(60_000)
    octets = b"".join(frames)
    for _ in range(3):
        feed(receiver, octets)
    assert 0 < len(blocks(receiver)) < 17_000
    # The last ones have room after it was full.
    feed(receiver, frames[-1] * 2)
    assert frames[-1][:-3] in blocks(receiver)


def test_what_is_pushed_out_is_not_kept_by_what_came_before_it() -> None:
    remembered = Blocks(1 << 20)
    receiver = parser(blocks=remembered)
    for _ in range(9):
        feed(receiver, b"".join(many(300)))
    linked = [each for each in remembered.known.values() if each.follower is not None]
    assert len(linked) > 250
    fillers = itertools.count()
    while not remembered.generation:
        feed(receiver, b"SEND\nfiller:%d\n\n\0" % next(fillers) * 2)
    # Those that are pushed out next lead to nothing any more.
    assert all(headers.follower is None for headers in linked)


def test_in_whatever_order_they_come_known_blocks_are_told_apart() -> None:
    sends = [f"SEND\na:{number}\n\n{number}^@" for number in (1, 11, 2)]
    sends += ["SEND^M\na:1\n\n^@", "SEND^M\na:1\n^M\n^@", "SEND\na:1\nb:\n\n^@"]
    receiver = parser()
    feed(receiver, *(wire(send) for send in sends * 3))
    for one, two, three in itertools.product(sends, repeat=3):
        texts = [one, two, three, two, "\n", one, three]
        expected = feed(Parser(NO_LIMITS), *map(wire, texts))
        assert feed(receiver, wire("".join(texts))) == expected
        assert feed(receiver, *octets(wire("".join(texts)))) == expected


@pytest.mark.parametrize("period", [1, 2, 7, 8, 9, 16, 64])
@pytest.mark.parametrize("first", range(0, 64, 5))
def test_one_that_comes_now_and_then_among_many_new_ones_is_remembered(
    period: int, first: int
) -> None:
    receiver = parser()
    new = [b"SEND\nid-%d:\n\n\0" % n for n in range(1000 + first + 200 * period)]
    feed(receiver, b"".join(new[: 1000 + first]))
    for start in range(1000 + first, len(new), period):
        feed(receiver, b"".join(new[start : start + period - 1]) + wire(SEND))
    one, two = feed(receiver, wire(SEND)), feed(receiver, wire(SEND))
    assert one[0].headers is two[0].headers


def test_a_message_does_not_keep_what_its_sender_sent_much_later() -> None:
    """Though what the sender sends now and then is pushed out before the next."""
    remembered = Blocks(1 << 16)
    busy, sender = parser(blocks=remembered), parser(blocks=remembered)
    fillers = itertools.count()
    held: list[Headers] = []
    for turn in range(9):
        generation = remembered.generation
        while remembered.generation == generation:
            feed(busy, b"SEND\nfiller:%d\n\n\0" % next(fillers) * 2)
        send = b"SEND\nturn:%d\n\n\0" % turn
        feed(busy, send * 3)
        (frame,) = feed(sender, send)
        assert isinstance(frame.headers, Headers)
        assert frame.headers.is_known
        held.append(frame.headers)
    assert [headers.follower for headers in held] == [None] * 9


def test_a_block_that_ends_with_lf_and_cr_lf_is_remembered_once() -> None:
    receiver = parser()
    frames = feed(receiver, wire("SEND\ndestination:a\n^M\nbody^@" * 9))
    assert len({id(frame.headers) for frame in frames}) == 2


def test_a_long_block_is_not_remembered() -> None:
    receiver = parser()
    limit = "SEND\nid:" + "x" * (512 - 8)
    feed(receiver, wire((limit + "\n\n^@" + limit + "x\n\n^@") * 2))
    assert blocks(receiver) == [wire(limit)]


@pytest.mark.parametrize("command", [c for c in Command if c is not Command.SEND])
def test_nothing_but_send_is_remembered(command: Command) -> None:
    """CONNECT comes once, and has a passcode; an ACK is another one each time."""
    receiver = parser()
    text = wire(f"{command}\npasscode:geheim\n\n^@")
    one, two, three = feed(receiver, text, text, text)
    assert one == two == three
    assert one.headers is not two.headers is not three.headers
    assert blocks(receiver) == []


def test_what_was_refused_is_not_remembered() -> None:
    receiver = parser()
    for _ in range(2):
        receiver = parser(blocks=receiver._blocks)
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


@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_frames_are_the_same_without_memory(version: str) -> None:
    remembering = feed(parser(version), MIXED)
    receiver = Parser(NO_LIMITS, VERSIONS[version], ALL_COMMANDS)
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


ACKS = (
    b"ACK\nid:1\n\n\0ACK\nid:07\n\n\0ACK\nid:3\n\n\0" + wire(SEND) + b"ACK\nid:4\n\n\0"
    b"ACK\nid:5\nreceipt:6\n\n\0\nACK\nid:7\n\n\0ACK\nid:8\n\n\0ACK\nid:9\n\n"
)


def abridging(version: Version = STOMP_1_2, limits: Limits = NO_LIMITS) -> Parser:
    """A parser that puts frames shorter."""
    receiver = parser(version.name)
    receiver.switch(version, limits, receiver._blocks, abridges=True)
    return receiver


def test_acks_in_a_row_are_one_frame_if_that_is_asked_for() -> None:
    frames = feed(abridging(), ACKS)
    commands = [frame.command for frame in frames]
    assert commands == [Command.ACK, Command.SEND, *[Command.ACK] * 3]
    runs = [frame for frame in frames if isinstance(frame, AckRun)]
    assert runs == [AckRun([1, 7, 3]), AckRun([7, 8])]
    assert str(runs[0]) == "ACK [3 of them]"
    assert repr(runs[0]) == "AckRun([1, 7, 3])"
    assert runs[0] != AckRun([1, 7])
    # Alone it is as ever.
    assert frames[2] == Frame(Command.ACK, {"id": "4"})
    singly = feed(parser("1.2"), ACKS)
    assert [frame.headers.get("id") for frame in singly][:3] == ["1", "07", "3"]


def test_joined_acks_are_the_same_in_any_pieces() -> None:
    def tags(frames: list[Frame]) -> list[int]:
        found: list[int] = []
        for frame in frames:
            if isinstance(frame, AckRun):
                found += frame.tags
            elif frame.command is Command.ACK:
                found.append(int(frame.headers["id"]))
        return found

    for size in range(1, len(ACKS)):
        pieces = [ACKS[at : at + size] for at in range(0, len(ACKS), size)]
        assert tags(feed(abridging(), *pieces)) == [1, 7, 3, 4, 5, 7, 8]


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


# A SEND with a receipt, which is another one each time


def asking(receipt: str, *headers: str, body: str = "body") -> bytes:
    """A SEND with this receipt between its other headers."""
    lines = "".join(f"{header}\n" for header in headers)
    return wire(f"SEND\ndestination:/queue/a\nreceipt:{receipt}\n{lines}\n{body}^@")


def whole(frame: Frame) -> Frame:
    """The frame as it is without being put shorter."""
    if not isinstance(frame, ReceiptSend):
        return frame
    headers = {**frame.headers, "receipt": frame.receipt() or ""}
    return Frame(frame.command, headers, frame.body)


def test_of_sends_with_receipts_the_other_headers_are_remembered() -> None:
    receiver = abridging()
    frames = feed(receiver, b"".join(asking(str(n), "a:b") for n in range(5)))
    assert [type(frame) for frame in frames] == [Frame] * 2 + [ReceiptSend] * 3
    assert [frame.receipt() for frame in frames] == ["0", "1", "2", "3", "4"]
    assert frames[3].headers == {"destination": "/queue/a", "a": "b"}
    assert frames[3].headers is frames[4].headers
    assert blocks(receiver) == [b"SEND\ndestination:/queue/a\na:b"]
    assert frames[3] == ReceiptSend(Headers(frames[3].headers), b"body", "3")
    assert frames[3] != frames[4]
    assert repr(frames[4]).endswith("'4')")
    # Without one it is the same block.
    (frame,) = feed(receiver, wire("SEND\ndestination:/queue/a\na:b\n\nbody^@"))
    assert frame.headers is frames[4].headers
    assert frame.receipt() is None


def test_what_is_too_long_with_its_receipt_is_not_remembered_each_time() -> None:
    receiver = abridging()
    known = receiver._blocks
    assert known is not None
    header = "a:" + "x" * 470
    feed(receiver, *(asking(f"{n:036}", header) for n in range(20)))
    assert blocks(receiver) == []
    feed(receiver, *(asking(f"{n:04}", header) for n in range(20)))
    (block,) = blocks(receiver)
    key = block + BLANK
    headers, size = known.known[key], known._size
    feed(receiver, *(asking(f"{n:036}", header) for n in range(20)))
    assert known.known[key] is headers
    assert known._size == size


def test_what_is_known_and_over_a_limit_with_its_receipt_is_not_remembered_again() -> (
    None
):
    """Its lines are not too long, but all of them are more than one may have."""
    receiver = abridging(limits=Limits(max_header_len=30))
    known = receiver._blocks
    assert known is not None
    feed(receiver, *(asking(str(n), "a:b") for n in range(5)))
    (block,) = blocks(receiver)
    assert len(block) <= 30 + len("SEND\na:b\n")
    headers, size = known.known[block + BLANK], known._size
    frames = feed(receiver, *(asking(str(n), "a:b") for n in range(5)))
    assert [frame.receipt() for frame in frames] == ["0", "1", "2", "3", "4"]
    assert known.known[block + BLANK] is headers
    assert known._size == size


RECEIPTS = [
    *("1", "", "x:y", "a b", "\\\\c", "\u00e9", "\t", "receipt:1"),
    "content-length:9",
]
ASKING = b"".join(
    asking(receipt, *headers, body=body)
    for headers, body in (
        ((), "body"),
        (("content-length:4",), "body"),
        (("receipt:another",), ""),
        (("receipt-id:1", "a:receipt:2"), "\n\n"),
        ((" receipt:1",), "x"),
        (("a:\\\\",), "x"),
    )
    for receipt in (*RECEIPTS, *RECEIPTS)
)
CR_LF = asking("1", "a:b").replace(b"\n", b"\r\n") + asking("2", "a:b", "c:^M")


@pytest.mark.parametrize("version", [STOMP_1_0, STOMP_1_1, STOMP_1_2])
def test_whatever_was_put_shorter_says_the_same(version: Version) -> None:
    data = ASKING * 2 + (CR_LF * 3 if version is STOMP_1_2 else b"") + ASKING
    expected = feed(parser(version.name), data)
    assert len(expected) >= 3 * 6 * 2 * len(RECEIPTS)
    for pieces in ([data], octets(data)):
        frames = feed(abridging(version), *pieces)
        assert [whole(frame) for frame in frames] == expected
        count = sum(isinstance(frame, ReceiptSend) for frame in frames)
        assert bool(count) == (version is not STOMP_1_0)


@pytest.mark.parametrize(
    ("limits", "fits", "does_not"),
    [
        (Limits(max_headers=2), asking("1"), asking("1", "a:b")),
        (Limits(max_header_len=40), asking("1"), asking("1" * 33)),
        (Limits(max_header_size=40), asking("1"), asking("1" * 33)),
        (Limits(max_message_size=3), asking("1", body="x"), asking("1")),
    ],
)
def test_limits_hold_for_what_is_put_shorter(
    limits: Limits, fits: bytes, does_not: bytes
) -> None:
    receiver = abridging(limits=limits)
    assert len(feed(receiver, fits * 4)) == 4
    for block in b"SEND\ndestination:/queue/a", b"SEND\ndestination:/queue/a\na:b":
        headers = Headers(feed(parser("1.2"), block + BLANK + b"\0")[0].headers)
        headers.length = -1
        assert receiver._blocks is not None
        receiver._blocks.remember(block + BLANK, headers)
    with pytest.raises(LimitExceeded):
        feed(receiver, does_not)


@pytest.mark.parametrize(
    "wrong",
    [
        asking("7", "content-length:4", body="bod"),
        asking("7", "content-length:4", body="x" * 5),
        asking("7", body="x" * 1000),
        asking("7", body="x" * 1000).removesuffix(b"\0"),
    ],
)
def test_an_error_names_the_receipt_that_was_taken_out(wrong: bytes) -> None:
    receiver = abridging(limits=Limits(max_message_size=100))
    good = asking("1", "content-length:4") * 3 + asking("1") * 3
    assert isinstance(feed(receiver, good)[-1], ReceiptSend)
    with pytest.raises(ProtocolError) as caught:
        feed(receiver, wrong, asking("8"))
    assert caught.value.receipt_id == "7"


@pytest.mark.parametrize("value", [b"\xff", b"\\x"])
def test_a_receipt_that_is_no_text_is_refused(value: bytes) -> None:
    receiver = abridging()
    feed(receiver, asking("1") * 3)
    with pytest.raises(FrameError):
        feed(receiver, asking("?").replace(b"?", value))


def test_a_nul_is_not_in_a_receipt() -> None:
    receiver = abridging()
    feed(receiver, asking("1") * 3)
    with pytest.raises(FrameError, match="do not end with an empty line"):
        feed(receiver, asking("1\0"))


# Large bodies, which are put together by themselves


def large(size: int, *headers: str) -> bytes:
    """A SEND with a body of so many octets, which has NULs in it."""
    lines = "".join(f"{header}\n" for header in headers)
    body = (b"0123456789\0" * (size // 11 + 1))[:size]
    return f"SEND\ndestination:/queue/a\n{lines}content-length:{size}\n\n".encode() + (
        body + b"\0"
    )


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


LARGE = (
    wire(SEND)
    + large(65536)
    + large(65537)
    + b"\n\n"
    + large(200_000, "receipt:1")
    + large(100_000) * 3
    + wire(SEND)
    + large(70_000, "receipt:2")
    + large(70_000, "receipt:3")
    + large(70_000, "receipt:4")
    + large(300_000, "a:b")
)


@pytest.mark.parametrize("version", [STOMP_1_0, STOMP_1_2])
@pytest.mark.parametrize("size", [1000, 4097, 65536, 70_100, 256_000, len(LARGE)])
def test_large_bodies_are_the_same_in_any_pieces(size: int, version: Version) -> None:
    expected = [
        Frame(Command.SEND, frame.headers, frame.body)
        for part in LARGE.split(b"SEND\n")[1:]
        for frame in feed(parser(version.name), b"SEND\n" + part)
    ]
    assert [len(frame.body) for frame in expected][1:4] == [65536, 65537, 200_000]
    for receiver in parser(version.name), abridging(version):
        pieces = cut(LARGE, size)
        frames = feed(receiver, *pieces)
        assert [whole(frame) for frame in frames] == expected
        assert all(isinstance(frame.body, bytes) for frame in frames)
        assert not receiver.has_partial_frame()


def test_pieces_of_large_bodies_may_wait_to_be_looked_at() -> None:
    receiver = parser("1.2")
    frames = feed(receiver, LARGE[:150_000])
    assert receiver.has_partial_frame()
    for piece in cut(LARGE[150_000:], 10_000):
        receiver.receive_data(piece)
    while more := receiver.frames():
        frames += more
    assert frames == feed(parser("1.2"), LARGE)


@pytest.mark.parametrize("size", [1000, 70_000])
def test_a_large_body_without_its_nul_is_refused_with_its_receipt(size: int) -> None:
    receiver = abridging()
    good = large(70_000, "receipt:1")
    assert len(feed(receiver, *cut(good * 3, size))) == 3
    wrong = large(70_000, "receipt:7").removesuffix(b"\0") + b"x" + wire(SEND)
    with pytest.raises(FrameError, match="does not end with a NUL") as caught:
        feed(receiver, *cut(wrong, size))
    assert caught.value.receipt_id == "7"
    assert not receiver.has_partial_frame()


def test_a_large_body_that_will_be_too_large_is_refused_before_it_comes() -> None:
    receiver = abridging(limits=Limits(max_message_size=100_000))
    with pytest.raises(LimitExceeded):
        feed(receiver, large(100_001)[:200])


# SENDs in a row with the same headers


class Joining:
    """What takes SENDs in a row as one."""

    joins = True


def joining(data: bytes) -> Parser:
    """A parser that has read some SENDs, and may join those with their headers."""
    receiver = abridging()
    for frame in feed(receiver, data):
        assert isinstance(frame.headers, Headers)
        frame.headers.target = Joining()
    return receiver


def unjoined(frames: list[Frame]) -> list[Frame]:
    """The frames, one by one."""
    return [
        each
        for frame in frames
        for each in (
            [Frame(Command.SEND, frame.headers, body) for body in frame.bodies]
            if isinstance(frame, SendRun)
            else [frame]
        )
    ]


def test_sends_in_a_row_are_one_frame_if_their_headers_say_so() -> None:
    receiver = joining(wire(SEND * 3))
    frames = feed(receiver, wire(SEND * 3 + "SEND\na:b\n\n^@" + SEND * 2))
    assert [type(frame) for frame in frames] == [SendRun, Frame, SendRun]
    first, _, last = frames
    assert first == SendRun(Headers(first.headers), [b"body"] * 3)
    assert first != last
    assert repr(last).endswith("2 bodies)")
    # Others that read the same blocks have them one by one.
    plain = Parser(NO_LIMITS, STOMP_1_2, ALL_COMMANDS, receiver._blocks)
    assert [type(frame) for frame in feed(plain, wire(SEND * 3))] == [Frame] * 3


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_sends_that_were_joined_are_the_same_in_any_pieces(size: int) -> None:
    bodies = [b"%d" % n + b"x" * (n % 1300) for n in range(300)]
    data = b"".join(
        b"SEND\ndestination:/queue/a\ncontent-length:%d\n\n%b\0" % (len(body), body)
        + (wire(SEND) if len(body) % 5 == 0 else b"")
        for body in bodies
    )
    data += wire(SEND * 200 + "SUBSCRIBE\nid:1\n\n^@" + SEND * 10)
    expected = feed(parser("1.2"), data)
    receiver = joining(data + data)
    frames = feed(receiver, *cut(data, size))
    assert unjoined(frames) == expected
    runs = [frame for frame in frames if isinstance(frame, SendRun)]
    assert runs
    assert max(len(run.bodies) for run in runs) <= 64
    assert max(len(body) for run in runs for body in run.bodies) <= 1024
