"""The lines of one header block → a command and headers.

Source: STOMP 1.2 § Augmented BNF, § Value Encoding, § Repeated Header Entries.
"""

from collections.abc import Mapping

from romp_asgi.errors import FrameError, LimitExceeded
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.spec import (
    BACKSLASH,
    CONNECT_COMMANDS,
    CR,
    UNESCAPED_COMMANDS,
    Command,
)
from romp_asgi.stomp.versions import PADDING, Version


def read_command(
    line: bytes,
    version: Version,
    commands: Mapping[str, Command],
    *,
    is_complete: bool = True,
) -> Command | None:
    """The command of a line, or None while it may still become one.

    Args:
        line: its octets, without the LF.
        version: whose rules hold.
        commands: those that are expected, by their names.
        is_complete: whether all of the line is there.

    Raises:
        FrameError: if it is none that is expected.
    """
    text = line.decode("utf-8", "replace")
    if _strips_cr(text, version):
        text = text.removesuffix("\r")
    if version.trims:
        text = text.strip(PADDING)
    command = commands.get(text)
    if command is None and (
        is_complete or not any(name.startswith(text) for name in commands)
    ):
        raise FrameError(
            f"The command {_excerpt(line)} is unknown; STOMP {version.name} "
            f"has {', '.join(commands)}."
        )
    return command


def check_lines(lines: list[bytes], limits: Limits) -> None:
    """Whether header lines are not too many, and none is too long.

    Raises:
        LimitExceeded: if not.
    """
    if len(lines) > limits.max_headers:
        raise LimitExceeded("max_headers", limits.max_headers)
    if any(len(line.removesuffix(b"\r")) > limits.max_header_len for line in lines):
        raise LimitExceeded("max_header_len", limits.max_header_len)


def add_plain(headers: Headers, lines: bytes) -> bool:
    """Add header lines in which there is nothing to look out for.

    Args:
        headers: what they are added to.
        lines: one at least, with a LF between two.

    Returns:
        Whether they are such lines; if not, the headers are of no use any more.
    """
    if BACKSLASH in lines or CR in lines:
        return False
    count = len(headers)
    try:
        texts = lines.decode().split("\n")
        for text in texts:
            name, value = text.split(":", 1)
            headers[name] = value
    except ValueError:
        return False
    return len(headers) == count + len(texts) and "" not in headers


def read_headers(command: Command, lines: list[bytes], version: Version) -> Headers:
    """Headers, whatever there is in their lines.

    Args:
        command: whose they are.
        lines: the lines, without their LFs.
        version: whose rules hold.

    Raises:
        FrameError: if one is no header.
    """
    escaped = bool(version.unescapes) and command not in UNESCAPED_COMMANDS
    strips_cr = _strips_cr(command, version)
    headers = Headers()
    for line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise FrameError(
                f"A header of {command} is not UTF-8{_shown(command, line)}."
            ) from None
        if strips_cr:
            text = text.removesuffix("\r")
        # The grammar bars a colon in the value, yet clients send it: the first one
        # divides.
        name, colon, value = text.partition(":")
        if escaped and "\\" in text:
            name, value = version.unescape(name), version.unescape(value)
        if version.trims:
            name, value = name.strip(PADDING), value.strip(PADDING)
        if not colon or not name:
            raise FrameError(
                f"A header line of {command} is not name:value{_shown(command, line)}."
            )
        # "only the first header entry SHOULD be used as the value"
        headers.setdefault(name, value)
    return headers


def _strips_cr(command: str, version: Version) -> bool:
    """Whether lines may end with CR LF: they may before a version is known, too."""
    return version.carriage_return or command.startswith(("CONNECT", "STOMP"))


def _shown(command: Command, line: bytes) -> str:
    """A header line for an error's sentence; none that may have the passcode."""
    return "" if command in CONNECT_COMMANDS else f": {_excerpt(line)}"


def _excerpt(octets: bytes) -> str:
    """Octets of a peer for an error's sentence, short and printable."""
    text = octets[:40].decode("utf-8", "backslashreplace")
    return repr(text + "…" if len(octets) > 40 else text)
