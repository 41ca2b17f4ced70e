"""A frame, and its way back to octets.

Source: STOMP 1.2 § STOMP Frames.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.spec import (
    BODY_COMMANDS,
    CONTENT_LENGTH,
    LF,
    PASSCODE,
    RECEIPT,
    RESERVED_HEADERS,
    UNESCAPED_COMMANDS,
    Command,
)
from romp_asgi.stomp.versions import PADDING, Version

#: The most digits that are read of a content-length.
MAX_DIGITS: Final = 18

_SHOWN_HEADERS = 20
_SHOWN_OCTETS = 200

#: What a sender's frame may have and a MESSAGE has of another value, if any.
_NOT_PASSED_ON: Final = RESERVED_HEADERS - {CONTENT_LENGTH}

#: How the lines begin that are not passed on.
_STARTS: Final = MappingProxyType({n: f"{n}:".encode() for n in RESERVED_HEADERS})


class Frame:
    """A command, headers and a body. Treated as frozen.

    Args:
        command: the command.
        headers: names and values, unescaped; of a repeated header the first.
        body: the octets of the body.
    """

    __slots__ = ("body", "command", "headers")

    def __init__(
        self, command: Command, headers: Mapping[str, str] = {}, body: bytes = b""
    ) -> None:
        self.command = command
        self.headers = headers
        self.body = body

    def receipt(self) -> str | None:
        """The receipt that it asks for; None for none."""
        return self.headers.get(RECEIPT)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return (
            self.command == other.command
            and self.headers == other.headers
            and self.body == other.body
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and mutable inside

    def __repr__(self) -> str:
        return f"Frame({self.command}, {shown(self.headers)}, {self.body[:40]!r})"

    def __str__(self) -> str:
        """For a log: bounded, without the body and without a passcode."""
        pairs = shown(self.headers).items()
        headers = " ".join(f"{_printable(k)}:{_printable(v)}" for k, v in pairs)
        return f"{self.command} {headers} [{len(self.body)} bytes]"


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for a log: bounded, without a passcode."""
    # The name as it was read: STOMP 1.0 may pad it.
    return {
        name[:_SHOWN_OCTETS]: (
            "…" if name.strip().lower() == PASSCODE else value[:_SHOWN_OCTETS]
        )
        for name, value in list(headers.items())[:_SHOWN_HEADERS]
    }


def _printable(text: str) -> str:
    """A text on one line: a peer's line ends must not begin a line of a log."""
    return repr(text)[1:-1]


def encode_headers(
    headers: Mapping[str, str],
    version: Version,
    omitted: frozenset[str] = frozenset(),
) -> str:
    """Header lines, each with its LF, escaped as the version has it.

    Args:
        headers: names and values.
        version: whose escapes are used.
        omitted: names that are left out.
    """
    if version.trims:
        # Without the blanks around, a name must not be taken for one of the others.
        others = headers.keys() | omitted
        headers = {
            name: value
            for name, value in headers.items()
            if (trimmed := name.strip(PADDING)) == name or trimmed not in others
        }
    lines = [f"{k}:{v}\n" for k, v in headers.items() if k not in omitted]
    text = "".join(lines)
    # Nothing to escape, if there is a colon and a LF a line and neither of the others.
    plain = text.count(":") == text.count("\n") == len(lines)
    if plain and "\\" not in text and "\r" not in text:
        return text
    name, value = version.escape_name, version.escape
    return "".join(
        [f"{name(k)}:{value(v)}\n" for k, v in headers.items() if k not in omitted]
    )


def encode_frame(frame: Frame, version: Version) -> bytes:
    """The octets of a frame, from its command to its NUL.

    A body gets a ``content-length``, whatever the headers say.
    """
    headers = dict(frame.headers)
    headers.pop(CONTENT_LENGTH, None)
    if frame.command in BODY_COMMANDS:
        headers[CONTENT_LENGTH] = str(len(frame.body))
    if frame.command in UNESCAPED_COMMANDS:
        lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
    else:
        lines = encode_headers(headers, version)
    return f"{frame.command}\n{lines}\n".encode() + frame.body + b"\0"


def encode_message_tail(
    number: int, headers: Mapping[str, str], body: bytes, version: Version
) -> bytes:
    """A MESSAGE from its message-id to its NUL: all that its receivers share.

    What comes before it, the command and the headers of one subscription, is put in
    front by whoever delivers it. The sender's headers are passed on octet for octet,
    but for those that are the server's to write.

    Source: STOMP 1.2 § MESSAGE.
    """
    size = len(body)
    if type(headers) is Headers and headers.encoded_version != version.name:
        plain = headers.plain
        if (
            plain is not None
            and headers.length == size
            and not headers.is_known
            and not version.trims
            and headers[CONTENT_LENGTH][0] != "0"  # and that is how it is written
            and plain.count(b":") == len(headers)
            and _NOT_PASSED_ON.isdisjoint(headers)
        ):
            # As it came, its content-length too. Of headers that are encoded but once
            # that takes half of the time.
            return b"message-id:%d\n%b\n\n%b\0" % (number, plain, body)
    lines = encode_passed_on(headers, version)
    return b"message-id:%d\n%bcontent-length:%d\n\n%b\0" % (number, lines, size, body)


def encode_message_start(
    number: int, headers: Mapping[str, str], size: int, version: Version
) -> bytes:
    """The same without the body, of so many octets, and its NUL."""
    lines = encode_passed_on(headers, version)
    return b"message-id:%d\n%bcontent-length:%d\n\n" % (number, lines, size)


def encode_passed_on(headers: Mapping[str, str], version: Version) -> bytes:
    """Those of a sender's header lines that its receivers get, each with its LF.

    Kept, if the headers come again.
    """
    if type(headers) is not Headers:
        return encode_headers(headers, version, RESERVED_HEADERS).encode()
    name = version.name
    if headers.encoded_version == name:
        return headers.encoded
    others = headers.encoded_others
    lines = None if others is None else others.get(name)
    if lines is None:
        # Of what is trimmed there are more names that are not passed on.
        lines = None if version.trims else _as_read(headers)
        if lines is None:
            lines = encode_headers(headers, version, RESERVED_HEADERS).encode()
        if not headers.is_known:
            return lines
        if not headers.encoded_version:
            headers.encoded, headers.encoded_version = lines, name
            headers.plain = None
        else:
            headers.encoded_others = {**(others or {}), name: lines}
    return lines


def _as_read(headers: Headers) -> bytes | None:
    """Header lines as they were read, without those that receivers do not get.

    Returns:
        None if they cannot be passed on like that, whatever the version: most can.
    """
    plain = headers.plain
    # With one colon a line there is nothing to escape, whatever the version.
    if plain is None or plain.count(b":") != len(headers):
        return None
    lines = plain + b"\n"
    for name in RESERVED_HEADERS.intersection(headers):
        start = lines.find(_STARTS[name])
        if start > 0 and lines[start - 1] != LF:  # the end of another name
            return None
        lines = lines[:start] + lines[lines.index(b"\n", start) + 1 :]
    return lines
