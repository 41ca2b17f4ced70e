"""Octets → frames: the vectors, and what is not a frame."""

import contextlib
import gc
from dataclasses import dataclass

import pytest

from romp_asgi.errors import FrameError, HeaderError, LimitExceeded, ProtocolError
from romp_asgi.stomp import Command, Frame, Limits, Parser, Version
from romp_asgi.stomp.versions import STOMP_1_1, STOMP_1_2, VERSIONS
from tests.stomp.vectors import VECTORS, Vector
from tests.stomp.wire import NO_LIMITS, feed, octets, parser, wire

BEGIN = Frame(Command.BEGIN, {"transaction": "1"})
BEGIN_TEXT = "BEGIN\ntransaction:1\n\n^@"


# What is a frame


@pytest.mark.parametrize("vector", VECTORS)
def test_decode_whole(vector: Vector) -> None:
    assert feed(parser(vector.version), wire(vector.text)) == [vector.frame]


@pytest.mark.parametrize("vector", VECTORS)
def test_decode_octet_by_octet(vector: Vector) -> None:
    pieces = octets(wire(vector.text))
    assert feed(parser(vector.version), *pieces) == [vector.frame]


@pytest.mark.parametrize("vector", VECTORS)
def test_decode_split_at_every_point(vector: Vector) -> None:
    data = wire(vector.text)
    for at in range(1, len(data)):
        frames = feed(parser(vector.version), data[:at], data[at:])
        assert frames == [vector.frame], data[:at]


@pytest.mark.parametrize("vector", VECTORS)
def test_decode_pipelined(vector: Vector) -> None:
    """Several in one read, which ends and the next begins at every point."""
    text, begin = wire(vector.text), wire(BEGIN_TEXT)
    data = text + begin + text + text
    expected = [vector.frame, BEGIN, vector.frame, vector.frame]
    assert feed(parser(vector.version), data) == expected
    for at in range(1, len(data)):
        assert feed(parser(vector.version), data[:at], data[at:]) == expected


def test_frames_stop_after_a_connect() -> None:
    """Because version and limits may change there."""
    receiver = parser()
    receiver.receive_data(wire("CONNECT\n\n^@STOMP\n\n^@" + BEGIN_TEXT * 2))
    assert receiver.frames() == [Frame(Command.CONNECT)]
    assert receiver.frames() == [Frame(Command.STOMP)]
    assert receiver.frames() == [BEGIN, BEGIN]
    assert receiver.frames() == []


def test_what_follows_a_connect_is_read_by_the_rules_that_hold_then() -> None:
    receiver = parser("1.2")
    begin = "BEGIN\ntransaction: \\c\n\n^@"
    receiver.receive_data(wire("CONNECT\n\n^@" + begin))
    assert receiver.frames() == [Frame(Command.CONNECT)]
    receiver.switch(VERSIONS["1.0"], NO_LIMITS)
    assert receiver.frames() == [Frame(Command.BEGIN, {"transaction": "\\c"})]


def test_without_commands_those_of_the_version_are_expected() -> None:
    assert feed(parser("1.1", server=False), wire("NACK\n\n^@")) == [
        Frame(Command.NACK)
    ]
    with pytest.raises(FrameError, match="'NACK' is unknown"):
        feed(parser("1.0", server=False), wire("NACK\n\n^@"))


def test_heart_beats_are_no_frames_and_leave_nothing_behind() -> None:
    receiver = parser()
    for heart_beat in (b"\n", b"\r\n", b"\r", b"\n", b"\n" * 100):
        receiver.receive_data(heart_beat)
        assert receiver.frames() == []
        assert not receiver.has_partial_frame()
    assert feed(receiver, wire(BEGIN_TEXT)) == [BEGIN]


def test_a_partial_frame_is_known() -> None:
    receiver = parser()
    assert not receiver.has_partial_frame()
    assert feed(receiver, b"BEG") == []
    assert receiver.has_partial_frame()
    assert feed(receiver, b"IN\ntransaction:1\n\n\0") == [BEGIN]
    assert not receiver.has_partial_frame()


def test_several_reads_before_the_frames_are_taken() -> None:
    receiver = parser()
    for piece in octets(wire(BEGIN_TEXT + BEGIN_TEXT)):
        receiver.receive_data(piece)
    assert receiver.frames() == [BEGIN, BEGIN]


@pytest.mark.parametrize("text", ["b", "b" * 9, "\n"])
@pytest.mark.parametrize("length", ["", "content-length:{}\n"])
def test_the_body_of_subscribe_is_ignored_in_1_0(text: str, length: str) -> None:
    """STOMP 1.0 § SUBSCRIBE: nobody looks at the frame's body."""
    header = length.format(len(text))
    data = wire(f"SUBSCRIBE\ndestination:a\n{header}\n{text}^@" + BEGIN_TEXT)
    for pieces in ([data], octets(data)):
        subscribe, begin = feed(parser("1.0", Limits(max_message_size=9)), *pieces)
        assert subscribe.command is Command.SUBSCRIBE
        assert subscribe.headers["destination"] == "a"
        assert begin == BEGIN


# What is not a frame


@dataclass(frozen=True)
class Refused:
    """A text that is refused, and how."""

    text: str
    sentence: str
    version: Version = STOMP_1_2
    error: type[ProtocolError] = FrameError
    receipt_id: str | None = None


NO_BLANK_LINE = "The headers of SEND do not end with an empty line before its NUL."

REFUSED = {
    "Value Encoding: undefined escape": Refused(
        r"""
        SEND
        destination:a\tb

        ^@
        """,
        r"A header has the undefined escape '\\t'; STOMP 1.2 defines "
        r"\\, \n, \c, \r.",
    ),
    "Value Encoding: CR has no escape in 1.1": Refused(
        r"""
        SEND
        destination:a\rb

        ^@
        """,
        r"A header has the undefined escape '\\r'; STOMP 1.1 defines \\, \n, \c.",
        STOMP_1_1,
    ),
    "Value Encoding: undefined escape in a name": Refused(
        "SEND\na\\x:b\n\n^@",
        r"A header has the undefined escape '\\x'; STOMP 1.2 defines "
        r"\\, \n, \c, \r.",
    ),
    "Value Encoding: unfinished escape": Refused(
        "SEND\ndestination:a\\\\\\\n\n^@",
        r"A header has the undefined escape '\\'; STOMP 1.2 defines "
        r"\\, \n, \c, \r.",
    ),
    "Value Encoding: an escape ends at the colon": Refused(
        "SEND\ndestination\\:c\n\n^@",
        r"A header has the undefined escape '\\'; STOMP 1.2 defines "
        r"\\, \n, \c, \r.",
    ),
    "Value Encoding: an upper-case escape": Refused(
        "SEND\ndestination:\\N\n\n^@",
        r"A header has the undefined escape '\\N'; STOMP 1.2 defines "
        r"\\, \n, \c, \r.",
    ),
    "Value Encoding: not UTF-8": Refused(
        "SEND\ndestination:\udce4\n\n^@",
        "A header of SEND is not UTF-8: 'destination:\\\\xe4'.",
    ),
    "Value Encoding: not UTF-8, of CONNECT": Refused(
        # Nothing of it is shown: it may be the passcode.
        "CONNECT\npasscode:geheimnisvoll\udce4\n\n^@",
        "A header of CONNECT is not UTF-8.",
    ),
    "Value Encoding: overlong UTF-8": Refused(
        "SEND\ndestination:\udcc0\udc80\n\n^@",
        "A header of SEND is not UTF-8: 'destination:\\\\xc0\\\\x80'.",
    ),
    "Value Encoding: a UTF-16 surrogate": Refused(
        "SEND\na:\udced\udca0\udc80\n\n^@",
        "A header of SEND is not UTF-8: 'a:\\\\xed\\\\xa0\\\\x80'.",
    ),
    "Augmented BNF: header without a colon": Refused(
        "SEND\ndestination\n\n^@",
        "A header line of SEND is not name:value: 'destination'.",
    ),
    "Augmented BNF: header without a colon, of CONNECT": Refused(
        "STOMP\nlogin:me\npasscode geheim\n\n^@",
        "A header line of STOMP is not name:value.",
    ),
    "Augmented BNF: an escaped colon does not divide": Refused(
        "SEND\ndestination\\c/queue/a\n\n^@",
        "A header line of SEND is not name:value: 'destination\\\\c/queue/a'.",
    ),
    "Augmented BNF: empty header name": Refused(
        "SEND\n:/queue/a\n\n^@",
        "A header line of SEND is not name:value: ':/queue/a'.",
    ),
    "Augmented BNF: empty header name after trimming": Refused(
        "SEND\n \t:/queue/a\n\n^@",
        "A header line of SEND is not name:value: ' \\t:/queue/a'.",
        VERSIONS["1.0"],
    ),
    "Augmented BNF: CR as a blank line in 1.1": Refused(
        "SEND\ndestination:a\n^M\n\n^@",
        "A header line of SEND is not name:value: '\\r'.",
        STOMP_1_1,
    ),
    "STOMP Frames: no blank line": Refused(
        "SEND\ndestination:/queue/a\n^@",
        NO_BLANK_LINE,
    ),
    "STOMP Frames: no blank line, no headers": Refused(
        "SEND\n^@",
        NO_BLANK_LINE,
    ),
    "STOMP Frames: no line end": Refused(
        "SEND^@",
        NO_BLANK_LINE,
    ),
    "STOMP Frames: no blank line, of CONNECT": Refused(
        "CONNECT\npasscode:geheim\n^@",
        "The headers of CONNECT do not end with an empty line before its NUL.",
    ),
    "STOMP Frames: the blank line must come before NULL": Refused(
        "SEND\ndestination:a^@b\n\n^@",
        NO_BLANK_LINE,
    ),
    "Client Frames: unknown command": Refused(
        "PUBLISH\ndestination:/queue/a\n\n^@",
        "The command 'PUBLISH' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "Client Frames: the beginning of a command": Refused(
        "SEN\n\n^@",
        "The command 'SEN' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    **{
        f"Client Frames: {name} is shown": Refused(
            command + "\n\n^@",
            f"The command {shown!r} is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
            "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
        )
        for name, command, shown in [
            ("a command of 40 octets", "X" * 40, "X" * 40),
            ("the beginning of a longer command", "X" * 41, "X" * 40 + "…"),
        ]
    },
    "Client Frames: a server's command": Refused(
        "MESSAGE\n\n^@",
        "The command 'MESSAGE' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "Client Frames: NACK in 1.0": Refused(
        "NACK\nmessage-id:1\n\n^@",
        "The command 'NACK' is unknown; STOMP 1.0 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
        VERSIONS["1.0"],
    ),
    "STOMP Frames: commands are case sensitive": Refused(
        "Send\n\n^@",
        "The command 'Send' is unknown; STOMP 1.1 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
        STOMP_1_1,
    ),
    "STOMP Frames: CR LF in 1.1": Refused(
        "SEND^M\n^M\n^@",
        "The command 'SEND\\r' is unknown; STOMP 1.1 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
        STOMP_1_1,
    ),
    "STOMP Frames: two CRs before the LF": Refused(
        "SEND^M^M\n\n^@",
        "The command 'SEND\\r\\r' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "Value Encoding: a padded command": Refused(
        "SEND \n\n^@",
        "The command 'SEND ' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "STOMP Frames: a NULL too many": Refused(
        "^@",
        "The command '' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "STOMP Frames: a command that is not UTF-8": Refused(
        "SEND\udcff\n\n^@",
        "The command 'SEND\\\\xff' is unknown; STOMP 1.2 has SEND, SUBSCRIBE, "
        "UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "STOMP Frames: TLS": Refused(
        "\x16\x03\x01\x02^@\x01\n\n^@",
        "The command '\\x16\\x03\\x01\\x02' is unknown; STOMP 1.2 has SEND, "
        "SUBSCRIBE, UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, "
        "CONNECT, STOMP.",
    ),
    "STOMP Frames: HTTP": Refused(
        "GET /a/long/path/that/is/not/shown/to/its/end HTTP/1.1^M\nHost:a^M\n^M\n",
        "The command 'GET /a/long/path/that/is/not/shown/to/it…' is unknown; "
        "STOMP 1.2 has SEND, SUBSCRIBE, UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, "
        "ABORT, DISCONNECT, CONNECT, STOMP.",
    ),
    "Body: of a frame that may not have one": Refused(
        "SUBSCRIBE\nid:0\nreceipt:7\n\nbody^@",
        "SUBSCRIBE may not have a body.",
        receipt_id="7",
    ),
    "Body: an EOL is one": Refused(
        "DISCONNECT\n\n\n^@",
        "DISCONNECT may not have a body.",
        STOMP_1_1,
    ),
    "Body: announced by a frame that may not have one": Refused(
        "ACK\nid:0\ncontent-length:1\n\n^@^@",
        "ACK may not have a body.",
    ),
    "Header content-length: more octets before the NULL": Refused(
        "SEND\nreceipt:7\ncontent-length:3\n\nbody^@",
        "The body of SEND does not end with a NUL after the 3 octets of its "
        "content-length.",
        receipt_id="7",
    ),
    "Header content-length: 0, yet octets before the NULL": Refused(
        "SEND\ncontent-length:0\n\nbody^@",
        "The body of SEND does not end with a NUL after the 0 octets of its "
        "content-length.",
    ),
    "Header content-length: fewer octets before the NULL": Refused(
        "SEND\ncontent-length:5\n\nbody^@SEND\n\n^@",
        "The body of SEND does not end with a NUL after the 5 octets of its "
        "content-length.",
    ),
    **{
        f"Header content-length: {name}": Refused(
            f"SEND\ncontent-length:{value}\nreceipt:7\n\nbody^@",
            "The header content-length of SEND must be a number of octets, "
            f"not {value[:40]!r}.",
            error=HeaderError,
            receipt_id="7",
        )
        for name, value in {
            "no number": "four",
            "empty": "",
            "a sign": "+4",
            "negative": "-4",
            "a blank before": " 4",
            "a blank after": "4 ",
            "a fraction": "4.0",
            "hexadecimal": "0x4",
            "an underscore": "1_0",
            "superscript": "\u2074",
            "full-width": "\uff14",
            "Arabic-Indic": "\u0664",
            "two numbers": "4,4",
            "huge": "9" * 5000,
            "many zeros": "0" * 18 + "4",
        }.items()
    },
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=list(REFUSED))
class TestRefused:
    def test_whole(self, refused: Refused) -> None:
        receiver = parser(refused.version, server=False)
        receiver.receive_data(wire(refused.text))
        with pytest.raises(refused.error) as caught:
            receiver.frames()
        assert type(caught.value) is refused.error
        assert str(caught.value) == refused.sentence
        assert caught.value.receipt_id == refused.receipt_id
        assert caught.value.message == "syntax"
        assert caught.value.fatal, "where the next frame begins is not known"

    def test_octet_by_octet(self, refused: Refused) -> None:
        with pytest.raises(refused.error):
            feed(parser(refused.version, server=False), *octets(wire(refused.text)))

    def test_frames_before_it_come_first(self, refused: Refused) -> None:
        receiver = parser(refused.version, server=False)
        receiver.receive_data(wire(BEGIN_TEXT * 2) + wire(refused.text))
        assert receiver.frames() == [BEGIN, BEGIN]
        with pytest.raises(refused.error):
            receiver.frames()

    def test_nothing_is_read_after_it(self, refused: Refused) -> None:
        receiver = parser(refused.version, server=False)
        receiver.receive_data(wire(refused.text))
        with pytest.raises(refused.error):
            receiver.frames()
        receiver.receive_data(wire(BEGIN_TEXT))
        assert not receiver.has_partial_frame(), "octets are not collected"
        assert receiver.frames() == []


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1.2", "P"),
        ("1.2", "SENT"),
        ("1.2", "SEND "),
        ("1.2", "SEND^MX"),
        ("1.1", "SEND^M"),
        ("1.0", "SEND A"),
        ("1.0", " \tX"),
        ("1.2", "\udcff"),
        ("1.2", "G"),
        ("1.2", "\x16"),
    ],
)
def test_an_unknown_command_is_known_before_its_line_is_complete(
    version: str, text: str
) -> None:
    data = wire(text)
    assert feed(parser(version, server=False), data[:-1] or b"\n") == []
    with pytest.raises(FrameError, match=" is unknown; "):
        feed(parser(version, server=False), data)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_beginning_of_a_command_is_waited_for(version: str) -> None:
    for command in VERSIONS[version].commands:
        for end in range(1, len(command) + 1):
            receiver = parser(version, server=False)
            assert feed(receiver, command[:end].encode()) == []
            assert receiver.has_partial_frame()


@pytest.mark.parametrize(
    "text", ["ACK\n\nx", "ACK\ncontent-length:1\n\n", "ACK\nreceipt:7\n\n^J"]
)
def test_a_body_that_may_not_be_is_refused_before_it_is_complete(text: str) -> None:
    for pieces in ([wire(text)], octets(wire(text))):
        with pytest.raises(FrameError, match="ACK may not have a body"):
            feed(parser(), *pieces)


@pytest.mark.parametrize("is_taken", [True, False])
def test_an_error_leaves_no_garbage(is_taken: bool) -> None:
    """A reference cycle would keep what was read, and the session, for a while."""
    data = wire("SEND\n\nbody^@SEND\n:\n\n^@")
    gc.collect()
    gc.disable()
    try:
        receiver = parser()
        receiver.receive_data(data)
        assert receiver.frames()
        if is_taken:
            with contextlib.suppress(FrameError):
                receiver.frames()
        del receiver
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_limit_error_also_comes_after_the_frames_before_it() -> None:
    receiver = Parser(Limits(max_message_size=3))
    receiver.receive_data(wire("SEND\n\n123^@SEND\n\n1234^@"))
    assert receiver.frames() == [Frame(Command.SEND, {}, b"123")]
    with pytest.raises(LimitExceeded):
        receiver.frames()
