"""STOMP as the spec writes it: ``^@`` for NUL, and so ``^M`` for CR, ``^J`` for LF."""

from collections.abc import Iterable
from textwrap import dedent
from types import MappingProxyType
from typing import Final

from romp_asgi.errors import ProtocolError
from romp_asgi.stomp import VERSIONS, Command, Frame, Limits, Parser, Version
from romp_asgi.stomp.blocks import Blocks
from romp_asgi.stomp.frame import encode_passed_on

ALL_COMMANDS: Final = MappingProxyType({c.value: c for c in Command})

#: For tests that are not about limits.
NO_LIMITS: Final = Limits(
    max_headers=10**9,
    max_header_len=10**9,
    max_header_size=10**9,
    max_message_size=10**9,
)


def wire(text: str) -> bytes:
    """The octets of a text.

    A text that begins with a line end is a block, whose indentation and last line
    end do not count. An octet that is not UTF-8 is written as in ``surrogateescape``.
    """
    if text.startswith("\n"):
        text = dedent(text).removeprefix("\n").removesuffix("\n")
    for caret, character in (("^@", "\0"), ("^M", "\r"), ("^J", "\n")):
        text = text.replace(caret, character)
    return text.encode("utf-8", "surrogateescape")


def octets(data: bytes) -> list[bytes]:
    """One octet at a time."""
    return [data[i : i + 1] for i in range(len(data))]


def parser(
    version: str | Version = "1.2",
    limits: Limits = NO_LIMITS,
    *,
    server: bool = True,
    blocks: Blocks | None = None,
) -> Parser:
    """A parser that expects every command, or (``server=False``) the version's."""
    if isinstance(version, str):
        version = VERSIONS[version]
    commands = ALL_COMMANDS if server else None
    return Parser(limits, version, commands, blocks or Blocks())


def feed(receiver: Parser, *pieces: bytes) -> list[Frame]:
    """Each piece is one read, after which all frames are taken out."""
    return list(feed_each(receiver, pieces))


def feed_each(receiver: Parser, pieces: Iterable[bytes]) -> Iterable[Frame]:
    """The same, but frame by frame, for those before an error."""
    for piece in pieces:
        receiver.receive_data(piece)
        while frames := receiver.frames():
            yield from frames


def check(frames: list[Frame], texts: Iterable[str]) -> None:
    """They are those that a parser makes which remembers nothing."""
    check_equal(frames, feed(Parser(NO_LIMITS), *map(wire, texts)))


def check_equal(frames: list[Frame], expected: list[Frame]) -> None:
    """In the order of their headers, too, and to whoever receives them."""
    assert frames == expected
    for one, other in zip(frames, expected, strict=True):
        assert list(one.headers.items()) == list(other.headers.items())
        for version in VERSIONS.values():
            assert encode_passed_on(one.headers, version) == encode_passed_on(
                dict(other.headers), version
            )


def outcome(receiver: Parser, *pieces: bytes) -> tuple[list[Frame], object]:
    """The frames, and what was wrong then."""
    frames: list[Frame] = []
    try:
        frames.extend(feed_each(receiver, pieces))
    except ProtocolError as exc:
        return frames, (type(exc), exc.message, exc.detail)
    return frames, None
