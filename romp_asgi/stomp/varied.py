"""SENDs of one kind whose headers differ only in some values, an id or a length, say.

Such blocks never come twice, but what is around these values does: it is remembered,
as whole blocks are, and only the values are read. Of a sender one set of names is known
at a time: where kinds with other names take turns, of some no more is known than what
they begin with (`romp_asgi.stomp.beginning`).
"""

from typing import Final

from romp_asgi.errors import FrameError
from romp_asgi.stomp.blocks import MAX_BLOCK_SIZE, Blocks
from romp_asgi.stomp.frame import MAX_DIGITS, encode_headers
from romp_asgi.stomp.headers import Headers, Template
from romp_asgi.stomp.spec import (
    BACKSLASH,
    CONTENT_LENGTH,
    CR,
    DESTINATION,
    NUL,
    RECEIPT,
    RESERVED_HEADERS,
)
from romp_asgi.stomp.versions import Version

#: Headers that say where a SEND goes, or that are not passed on. A kind of SENDs has
#: these in common, but for the length of the body.
_IN_COMMON: Final = (RESERVED_HEADERS | {DESTINATION}) - {CONTENT_LENGTH}

#: So many headers of a kind may have a value of their own, beside that length.
MAX_NAMES: Final = 4

#: A name with one of these is written in another way than it is called.
_ESCAPED: Final = frozenset(":\\\n\r")

_COLON: Final = ord(":")


class Varied:
    """What is known of the SENDs of one sender: which of their values vary.

    Args:
        names: of the headers with these values, in the order of the lines; one at
            least, and ``MAX_NAMES`` beside ``content-length`` at most.
        version: the version that they are read by; one that does not trim.
        max_size: octets that a block may have without a look at the limits.
    """

    __slots__ = ("_markers", "_max_size", "_passed_on", "_version", "names")

    def __init__(self, names: list[str], version: Version, max_size: int) -> None:
        self.names = names
        self._markers = [_marker(name) for name in names]
        self._passed_on = [_marker(name) for name in names if name != CONTENT_LENGTH]
        self._version = version
        self._max_size = min(max_size, MAX_BLOCK_SIZE)

    def headers(self, block: bytes, blocks: Blocks) -> Headers | None:
        """The headers of a block of a kind that is remembered; else None."""
        values: list[bytes] = []
        template = blocks.recall(_split(block, self._markers, values))
        if not isinstance(template, Template):
            return None
        return _made(template, values, len(block))

    def offer(self, block: bytes, headers: Headers, blocks: Blocks) -> bool:
        """Remember the kind of a block, if one of it has come before.

        Args:
            block: the block of a SEND, but for its receipt.
            headers: those that were read from it, and the receipt.
            blocks: where it is remembered.

        Returns:
            Whether it is remembered now.
        """
        rest = _split(block, self._markers, [])
        if not rest or len(block) > self._max_size or not blocks.has_come(rest):
            return False
        lines = f"\n{encode_headers(headers, self._version, RESERVED_HEADERS)}"
        form = _split(lines.encode(), self._passed_on, []).replace(b"%", b"%%")
        template = Template(headers)
        template.pop(RECEIPT, None)
        # As in what `_split` makes of a block, a value was where a LF is too many.
        template.form = form.replace(b"\n\n", b"%b\n").removeprefix(b"\n")
        first, *others, last = (rest + b"\n").split(b"\n\n")
        template.first = first
        template.others = [*[b"\n" + each for each in others], b"\n%b\n" % last]
        template.names = [name for name in self.names if name != CONTENT_LENGTH]
        has_length = CONTENT_LENGTH in self.names
        template.length_at = self.names.index(CONTENT_LENGTH) if has_length else -1
        template.version = self._version
        template.max_size = self._max_size
        template.length = headers.length
        template.target = None
        blocks.remember(rest, template)
        return True


def _marker(name: str) -> bytes:
    """What comes before the value of a header."""
    return f"\n{name}:".encode()


def _split(block: bytes, markers: list[bytes], values: list[bytes]) -> bytes:
    """A block without the values that vary, which are appended to ``values``.

    Args:
        block: the block.
        markers: what comes before each of them.
        values: where they go.

    Returns:
        What is no block itself, because it has a LF too many at each of them; empty
        if a line is not where it should be.
    """
    key, rest = b"", block
    for marker in markers:
        before, found, rest = rest.partition(marker)
        if not found:
            return b""
        value, lf, rest = rest.partition(b"\n")
        values.append(value)
        key += before + found + b"\n"
        rest = lf + rest
    return key + rest


def made_at(
    data: bytes, position: int, template: Template
) -> tuple[Headers | None, int]:
    """The headers of a SEND, if it is of a kind.

    Args:
        data: what was read.
        position: where the SEND begins.
        template: that of the kind.

    Returns:
        The headers, None if it is not of that kind or has to be looked at more closely,
        and where the body begins.
    """
    if not data.startswith(template.first, position):
        return None, 0
    values = []
    start = position + len(template.first)
    for literal in template.others:
        end = data.find(b"\n", start, start + MAX_BLOCK_SIZE)
        # No LF: this is -1, where nothing of it stands.
        if not data.startswith(literal, end):
            return None, 0
        values.append(data[start:end])
        start = end + len(literal)
    return _made(template, values, start - 2 - position), start


def _made(template: Template, values: list[bytes], size: int) -> Headers | None:
    """Headers of a kind, by their values and the octets of their block.

    Returns:
        None if they have to be looked at more closely.
    """
    if size > template.max_size:
        return None
    headers = Headers(template)
    length = template.length
    if template.length_at >= 0:
        digits = values.pop(template.length_at)  # it is not passed on
        if not digits.isdigit() or len(digits) > MAX_DIGITS:
            return None
        headers[CONTENT_LENGTH] = digits.decode()
        length = int(digits)
    try:
        for index, name in enumerate(template.names):
            value = values[index]
            if CR in value or NUL in value:
                return None
            text = value.decode()
            if BACKSLASH in value:
                text = template.version.unescape(text)
            if _COLON in value:
                # The grammar has it escaped, and so it is passed on.
                values[index] = value.replace(b":", b"\\c")
            headers[name] = text
    except (UnicodeDecodeError, FrameError):
        # The error is told where it is read as any other.
        return None
    headers.encoded = template.form % tuple(values)
    headers.encoded_version = template.version.name
    headers.encoded_others = None
    headers.is_known = False
    headers.length = length
    headers.plain = None
    headers.size = 2 * size
    headers.tag = 0
    headers.target = template.target
    headers.template = template
    return headers


def varying(headers: Headers, others: Headers, names: list[str]) -> list[str]:
    """The names of headers that vary among SENDs of a kind.

    Args:
        headers: of one SEND, with all of its lines.
        others: of one before it.
        names: what was known of those before, if anything.

    Returns:
        As `Varied` takes them; none if the two are not of a kind, or too much varies.
    """
    if others.keys() != headers.keys():
        return []
    vary = {name for name, value in headers.items() if others[name] != value}
    if headers.keys() >= set(names):
        # These two may have the same time, say.
        vary.update(names)
    vary -= _IN_COMMON
    if len(vary - {CONTENT_LENGTH}) > MAX_NAMES:
        return []
    if not all(map(_ESCAPED.isdisjoint, vary)):
        return []
    return [name for name in headers if name in vary]
