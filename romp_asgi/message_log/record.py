"""One message in the log.

```text
MSG <id> <header length> <body length> <RFC 3339 UTC, ms> <user> LF
command and headers, body, NUL, LF
```

Lengths are in octets. What follows the first line is a SEND of STOMP 1.2, with the
headers that receivers get: those that belong to the SEND alone are left out. The user
is escaped as a header's value is, and empty for application code.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from romp_asgi.broker import Message
from romp_asgi.errors import ProtocolError
from romp_asgi.stomp import Limits, Parser
from romp_asgi.stomp.frame import encode_passed_on
from romp_asgi.stomp.spec import (
    CLIENT_COMMANDS,
    DESTINATION,
    RESERVED_HEADERS,
    Command,
)
from romp_asgi.stomp.versions import STOMP_1_2

#: The longest first line, with an escaped user as long as a header can be.
MAX_LINE: Final = 32_768

#: What a record ends with.
END: Final = b"\0\n"

LINE: Final = re.compile(
    rb"MSG (?P<id>\d{1,20}) (?P<headers>\d{1,12}) (?P<body>\d{1,12}) "
    rb"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<user>[^\n]*)\n"
)

# The server that wrote it had limits of its own.
_NO_LIMIT: Final = 1 << 40
_LIMITS: Final = Limits(_NO_LIMIT, _NO_LIMIT, _NO_LIMIT, _NO_LIMIT)


@dataclass(frozen=True, slots=True)
class Record:
    """One message, as it was accepted.

    Attributes:
        offset: where it begins in its file.
        size: octets that it takes there.
        id: the message-id.
        time: when it was accepted.
        user: who sent it; empty for nobody, and for application code.
        headers: as receivers got them, the destination among them.
        body: the octets.
    """

    offset: int
    size: int
    id: int
    time: datetime
    user: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def destination(self) -> str:
        """The ``destination`` header."""
        return self.headers[DESTINATION]


class Encoder:
    """Makes records; it keeps the text of the current second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def encode(self, message: Message, user: str, now: float) -> bytes:
        """The record of a message.

        Args:
            message: with its number.
            user: who sent it.
            now: the time, in seconds since the epoch.
        """
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        body = message.body
        lines = encode_passed_on(message.headers, STOMP_1_2)
        head = b"SEND\n%bcontent-length:%d\n\n" % (lines, len(body))
        line = (
            f"MSG {message.number} {len(head)} {len(body)} "
            f"{self._text}.{int((now - second) * 1000):03d}Z {STOMP_1_2.escape(user)}\n"
        )
        return b"%b%b%b%b" % (line.encode(), head, body, END)


def decode(offset: int, line: re.Match[bytes], rest: bytes) -> Record:
    """The inverse of ``encode``.

    Args:
        offset: where the record begins.
        line: its first line, as `LINE` matches it.
        rest: what follows the first line: as many octets as it says, and `END`.

    Raises:
        ValueError: if it is no record; says why.
    """
    size = int(line["headers"])
    if len(rest) != size + int(line["body"]) + len(END) or not rest.endswith(END):
        raise ValueError("it does not end where its first line says")
    parser = Parser(_LIMITS, commands=CLIENT_COMMANDS)
    parser.switch(STOMP_1_2, _LIMITS)
    parser.receive_data(rest[:-1])
    try:
        frames = parser.frames()
        time = datetime.fromisoformat(line["time"].decode()).astimezone(UTC)
        user = STOMP_1_2.unescape(line["user"].decode())
    except (ProtocolError, ValueError) as exc:
        raise ValueError(f"it cannot be read: {exc}") from exc
    match frames:
        case [frame] if frame.command is Command.SEND and DESTINATION in frame.headers:
            if len(frame.body) == int(line["body"]):
                headers = {
                    name: value
                    for name, value in frame.headers.items()
                    if name not in RESERVED_HEADERS
                }
                id = int(line["id"])
                size = len(line[0]) + len(rest)
                return Record(offset, size, id, time, user, headers, frame.body)
    raise ValueError("it has no SEND of the size that its first line says")
