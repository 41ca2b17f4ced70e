"""Wire texts and the frames they are: one list, to decode and to encode.

The name of a vector begins with the spec's heading.
"""

from dataclasses import dataclass
from typing import Final

import pytest
from _pytest.mark import ParameterSet

from romp_asgi.stomp import Command, Frame

ALL: Final = ("1.0", "1.1", "1.2")
NEWER: Final = ("1.1", "1.2")


@dataclass(frozen=True)
class Vector:
    """A text, its frame, and how that frame is written, if not as the text."""

    version: str
    text: str
    frame: Frame
    encoded: str


def vectors(
    name: str,
    versions: tuple[str, ...],
    text: str,
    frame: Frame,
    encoded: str | None = None,
) -> list[ParameterSet]:
    encoded = text if encoded is None else encoded
    return [
        pytest.param(Vector(version, text, frame, encoded), id=f"{version} {name}")
        for version in versions
    ]


STOMP_FRAMES = [
    *vectors(
        "STOMP Frames: command, headers, body",
        ALL,
        """
        SEND
        destination:/queue/a
        content-type:text/plain

        hello queue a^@
        """,
        Frame(
            Command.SEND,
            {"destination": "/queue/a", "content-type": "text/plain"},
            b"hello queue a",
        ),
        """
        SEND
        destination:/queue/a
        content-type:text/plain
        content-length:13

        hello queue a^@
        """,
    ),
    *vectors(
        "STOMP Frames: neither headers nor body",
        ALL,
        "DISCONNECT\n\n^@",
        Frame(Command.DISCONNECT),
    ),
    *vectors(
        "STOMP Frames: EOLs after NULL",
        ALL,
        "DISCONNECT\n\n^@\n\n\n",
        Frame(Command.DISCONNECT),
        "DISCONNECT\n\n^@",
    ),
    *vectors(
        "Heart-beating: EOLs before a frame",
        ALL,
        "^J^JDISCONNECT\n\n^@",
        Frame(Command.DISCONNECT),
        "DISCONNECT\n\n^@",
    ),
    *vectors(
        "STOMP Frames: CR LF",
        ("1.0", "1.2"),
        """
        SEND^M
        destination:/queue/a^M
        content-length:2^M
        ^M
        a^M^@^M
        ^M
        """,
        Frame(
            Command.SEND,
            {"destination": "/queue/a", "content-length": "2"},
            b"a\r",
        ),
        "SEND\ndestination:/queue/a\ncontent-length:2\n\na^M^@",
    ),
    *vectors(
        "STOMP Frames: CR LF without headers",
        ("1.0", "1.2"),
        "DISCONNECT^M\n^M\n^@",
        Frame(Command.DISCONNECT),
        "DISCONNECT\n\n^@",
    ),
    *vectors(
        "STOMP Frames: LF in the headers, CR LF as the blank line",
        ("1.0", "1.2"),
        "BEGIN\ntransaction:tx1\n^M\n^@",
        Frame(Command.BEGIN, {"transaction": "tx1"}),
        "BEGIN\ntransaction:tx1\n\n^@",
    ),
    *vectors(
        "STOMP Frames: CR LF in the headers, LF as the blank line",
        ("1.0", "1.2"),
        "BEGIN^M\ntransaction:tx1^M\n\n^@",
        Frame(Command.BEGIN, {"transaction": "tx1"}),
        "BEGIN\ntransaction:tx1\n\n^@",
    ),
    *vectors(
        "STOMP Frames: the first blank line ends the headers",
        ("1.0", "1.2"),
        "SEND\ndestination:a\n^M\n^M\n\nb^@",
        Frame(Command.SEND, {"destination": "a"}, b"\r\n\nb"),
        "SEND\ndestination:a\ncontent-length:4\n\n^M\n\nb^@",
    ),
    *vectors(
        "STOMP Frames: a CR is an octet like others",
        ("1.1",),
        "SEND\ndestination:/queue/a^M\n\n^M\n^@",
        Frame(Command.SEND, {"destination": "/queue/a\r"}, b"\r\n"),
        "SEND\ndestination:/queue/a^M\ncontent-length:2\n\n^M\n^@",
    ),
    *vectors(
        "CONNECT or STOMP Frame: CR LF before a version is agreed on",
        ALL,
        "CONNECT^M\naccept-version:1.1^M\n^M\n^@",
        Frame(Command.CONNECT, {"accept-version": "1.1"}),
        "CONNECT\naccept-version:1.1\n\n^@",
    ),
]

VALUE_ENCODING = [
    *vectors(
        "Value Encoding: LF, colon and backslash",
        NEWER,
        r"""
        SEND
        destination:a\nb\cc\\d
        content-length:0

        ^@
        """,
        Frame(Command.SEND, {"destination": "a\nb:c\\d", "content-length": "0"}),
    ),
    *vectors(
        "Value Encoding: CR",
        ("1.2",),
        r"""
        SEND
        destination:a\rb\r
        content-length:0

        ^@
        """,
        Frame(Command.SEND, {"destination": "a\rb\r", "content-length": "0"}),
    ),
    *vectors(
        "Value Encoding: an escaped CR is not of the EOL",
        ("1.2",),
        "SUBSCRIBE^M\nid:a\\r^M\n^M\n^@",
        Frame(Command.SUBSCRIBE, {"id": "a\r"}),
        "SUBSCRIBE\nid:a\\r\n\n^@",
    ),
    *vectors(
        "Value Encoding: header names",
        NEWER,
        r"""
        SUBSCRIBE
        a\cb\n\\:1

        ^@
        """,
        Frame(Command.SUBSCRIBE, {"a:b\n\\": "1"}),
    ),
    *vectors(
        "Value Encoding: in one pass",
        NEWER,
        r"""
        SUBSCRIBE
        id:\\n\\\\c\\\n

        ^@
        """,
        Frame(Command.SUBSCRIBE, {"id": "\\n\\\\c\\\n"}),
    ),
    *vectors(
        "Value Encoding: a colon that was not escaped",
        NEWER,
        "SEND\ndestination:a:b\\c\ncontent-length:0\n\n^@",
        Frame(Command.SEND, {"destination": "a:b:", "content-length": "0"}),
        "SEND\ndestination:a\\cb\\c\ncontent-length:0\n\n^@",
    ),
    *(
        vector
        for command in (Command.CONNECT, Command.STOMP, Command.CONNECTED)
        for vector in vectors(
            f"Value Encoding: not in {command}",
            ALL,
            f"{command}\n" + r"passcode:a\n\b:c\t\\" + "\n\n^@",
            Frame(command, {"passcode": r"a\n\b:c\t\\"}),
        )
    ),
    *vectors(
        "Augmented BNF: no escapes, colons in values",
        ("1.0",),
        r"""
        SUBSCRIBE
        \na:C:\temp\new\c\\:

        ^@
        """,
        Frame(Command.SUBSCRIBE, {r"\na": "C:\\temp\\new\\c\\\\:"}),
    ),
    *vectors(
        "Value Encoding: UTF-8",
        ALL,
        """
        SEND
        größe:7 µm ☃
        content-length:3

        ☃^@
        """,
        Frame(Command.SEND, {"größe": "7 µm ☃", "content-length": "3"}, "☃".encode()),
    ),
    *vectors(
        "Value Encoding: never trim",
        NEWER,
        "SUBSCRIBE\n id : 0 \t\n\n^@",
        Frame(Command.SUBSCRIBE, {" id ": " 0 \t"}),
    ),
    *vectors(
        "SUBSCRIBE: padded as in the examples",
        ("1.0",),
        " SUBSCRIBE\t\nid : 0 \t\n\tdestination:  /queue/a b ^M\n\n^@",
        Frame(Command.SUBSCRIBE, {"id": "0", "destination": "/queue/a b"}),
        "SUBSCRIBE\nid:0\ndestination:/queue/a b\n\n^@",
    ),
    *vectors(
        "SUBSCRIBE: padding is blanks and tabs",
        ("1.0",),
        "SUBSCRIBE\nid:\u00a00\u3000\n\n^@",
        Frame(Command.SUBSCRIBE, {"id": "\u00a00\u3000"}),
    ),
    *vectors(
        "Augmented BNF: an empty value",
        ALL,
        "SUBSCRIBE\nid:\n\n^@",
        Frame(Command.SUBSCRIBE, {"id": ""}),
    ),
    *vectors(
        "Repeated Header Entries: the first is the value",
        ALL,
        "MESSAGE\nfoo:World\nbar:1\nfoo:Hello\ncontent-length:0\n\n^@",
        Frame(Command.MESSAGE, {"foo": "World", "bar": "1", "content-length": "0"}),
        "MESSAGE\nfoo:World\nbar:1\ncontent-length:0\n\n^@",
    ),
    *vectors(
        "Repeated Header Entries: of content-length, too",
        ALL,
        "SEND\ncontent-length:1\ncontent-length:x\n\n^@^@",
        Frame(Command.SEND, {"content-length": "1"}, b"\0"),
        "SEND\ncontent-length:1\n\n^@^@",
    ),
]

BODY = [
    *vectors(
        "Body: EOLs",
        ALL,
        "ERROR\n\n\n\n^@",
        Frame(Command.ERROR, {}, b"\n\n"),
        "ERROR\ncontent-length:2\n\n\n\n^@",
    ),
    *vectors(
        "Body: octets that are not UTF-8",
        ALL,
        "SEND\ncontent-length:2\n\n\udcff\udc80^@",
        Frame(Command.SEND, {"content-length": "2"}, b"\xff\x80"),
    ),
    *vectors(
        "Header content-length: NULLs in the body",
        ALL,
        "MESSAGE\ncontent-length:7\n\n^@a^@^@b\n^@^@",
        Frame(Command.MESSAGE, {"content-length": "7"}, b"\0a\0\0b\n\0"),
    ),
    *vectors(
        "Header content-length: a frame in the body",
        ALL,
        "SEND\ncontent-length:19\n\nSEND\nid:a\n\n^@ERROR\n\n^@",
        Frame(Command.SEND, {"content-length": "19"}, b"SEND\nid:a\n\n\0ERROR\n\n"),
    ),
    *vectors(
        "Header content-length: octets, not characters",
        ALL,
        "SEND\ncontent-length:7\n\nGrüße^@",
        Frame(Command.SEND, {"content-length": "7"}, "Grüße".encode()),
    ),
    *vectors(
        "Header content-length: leading zeros",
        ALL,
        "SEND\ncontent-length:0003\n\na^@b^@",
        Frame(Command.SEND, {"content-length": "0003"}, b"a\0b"),
        "SEND\ncontent-length:3\n\na^@b^@",
    ),
    *vectors(
        "Header content-length: in all frames",
        ALL,
        "BEGIN\ntransaction:1\ncontent-length:0\n\n^@",
        Frame(Command.BEGIN, {"transaction": "1", "content-length": "0"}),
        "BEGIN\ntransaction:1\n\n^@",
    ),
]

CLIENT_FRAMES = [
    *vectors(
        "Connecting",
        ("1.1", "1.2"),
        """
        CONNECT
        accept-version:1.2
        host:stomp.github.org

        ^@
        """,
        Frame(Command.CONNECT, {"accept-version": "1.2", "host": "stomp.github.org"}),
    ),
    *vectors(
        "CONNECT",
        ("1.0",),
        """
        CONNECT
        login: <username>
        passcode:<passcode>

        ^@
        """,
        Frame(Command.CONNECT, {"login": "<username>", "passcode": "<passcode>"}),
        """
        CONNECT
        login:<username>
        passcode:<passcode>

        ^@
        """,
    ),
    *vectors(
        "CONNECT or STOMP Frame",
        NEWER,
        """
        STOMP
        accept-version:1.1,1.2
        host:
        heart-beat:0,0

        ^@
        """,
        Frame(
            Command.STOMP,
            {"accept-version": "1.1,1.2", "host": "", "heart-beat": "0,0"},
        ),
    ),
    *vectors(
        "SUBSCRIBE",
        NEWER,
        """
        SUBSCRIBE
        id:0
        destination:/queue/foo
        ack:client

        ^@
        """,
        Frame(
            Command.SUBSCRIBE,
            {"id": "0", "destination": "/queue/foo", "ack": "client"},
        ),
    ),
    *vectors(
        "SUBSCRIBE",
        ("1.0",),
        """
        SUBSCRIBE
        destination: /queue/foo
        ack: client

        ^@
        """,
        Frame(Command.SUBSCRIBE, {"destination": "/queue/foo", "ack": "client"}),
        """
        SUBSCRIBE
        destination:/queue/foo
        ack:client

        ^@
        """,
    ),
    *vectors(
        "UNSUBSCRIBE",
        NEWER,
        "UNSUBSCRIBE\nid:0\n\n^@",
        Frame(Command.UNSUBSCRIBE, {"id": "0"}),
    ),
    *vectors(
        "ACK",
        ("1.2",),
        "ACK\nid:12345\ntransaction:tx1\n\n^@",
        Frame(Command.ACK, {"id": "12345", "transaction": "tx1"}),
    ),
    *vectors(
        "ACK",
        ("1.1",),
        """
        ACK
        subscription:0
        message-id:007
        transaction:tx1

        ^@
        """,
        Frame(
            Command.ACK,
            {"subscription": "0", "message-id": "007", "transaction": "tx1"},
        ),
    ),
    *vectors(
        "NACK",
        ("1.2",),
        "NACK\nid:12345\n\n^@",
        Frame(Command.NACK, {"id": "12345"}),
    ),
    *vectors(
        "BEGIN",
        ALL,
        "BEGIN\ntransaction:tx1\n\n^@",
        Frame(Command.BEGIN, {"transaction": "tx1"}),
    ),
    *vectors(
        "COMMIT",
        ALL,
        "COMMIT\ntransaction:tx1\n\n^@",
        Frame(Command.COMMIT, {"transaction": "tx1"}),
    ),
    *vectors(
        "ABORT",
        ALL,
        "ABORT\ntransaction:tx1\n\n^@",
        Frame(Command.ABORT, {"transaction": "tx1"}),
    ),
    *vectors(
        "DISCONNECT",
        ALL,
        # The example in the spec lacks the blank line that its grammar asks for.
        "DISCONNECT\nreceipt:77\n\n^@",
        Frame(Command.DISCONNECT, {"receipt": "77"}),
    ),
]

SERVER_FRAMES = [
    *vectors(
        "CONNECTED Frame",
        ALL,
        "CONNECTED\nversion:1.1\nserver:Apache/1.3.9\n\n^@",
        Frame(Command.CONNECTED, {"version": "1.1", "server": "Apache/1.3.9"}),
    ),
    *vectors(
        "MESSAGE",
        ALL,
        """
        MESSAGE
        subscription:0
        message-id:007
        destination:/queue/a
        content-type:text/plain
        content-length:13

        hello queue a^@
        """,
        Frame(
            Command.MESSAGE,
            {
                "subscription": "0",
                "message-id": "007",
                "destination": "/queue/a",
                "content-type": "text/plain",
                "content-length": "13",
            },
            b"hello queue a",
        ),
    ),
    *vectors(
        "RECEIPT",
        ALL,
        "RECEIPT\nreceipt-id:message-12345\n\n^@",
        Frame(Command.RECEIPT, {"receipt-id": "message-12345"}),
    ),
    *vectors(
        "ERROR",
        ALL,
        """
        ERROR
        receipt-id:message-12345
        content-type:text/plain
        message:malformed frame received
        content-length:170

        The message:
        -----
        MESSAGE
        destined:/queue/a
        receipt:message-12345

        Hello queue a!
        -----
        Did not contain a destination header, which is REQUIRED
        for message propagation.
        ^@
        """,
        Frame(
            Command.ERROR,
            {
                "receipt-id": "message-12345",
                "content-type": "text/plain",
                "message": "malformed frame received",
                "content-length": "170",
            },
            b"The message:\n-----\nMESSAGE\ndestined:/queue/a\nreceipt:message-12345\n"
            b"\nHello queue a!\n-----\nDid not contain a destination header, which is "
            b"REQUIRED\nfor message propagation.\n",
        ),
    ),
]

VECTORS: Final = [
    *STOMP_FRAMES,
    *VALUE_ENCODING,
    *BODY,
    *CLIENT_FRAMES,
    *SERVER_FRAMES,
]
