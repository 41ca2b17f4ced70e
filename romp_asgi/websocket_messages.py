"""STOMP frames → WebSocket messages, many at a time.

Source: RFC 6455 § 5.2 (base framing), § 5.1 (a server does not mask), § 5.6 (text has
to be UTF-8).
"""

from collections.abc import Callable
from typing import Final

from typing_extensions import override

from romp_asgi.outbox import Flusher, Outbox, Writer

_TEXT: Final = 0x81  # FIN, and the opcode
_BINARY: Final = 0x82

#: Octets up to which waiting frames are packed into one message.
_MAX_PACKED: Final = 65536


def _head(opcode: int, size: int) -> bytes:
    """What stands before a payload of so many octets."""
    if size < 126:
        return bytes((opcode, size))
    if size < 65536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big")
    return bytes((opcode, 127)) + size.to_bytes(8, "big")


#: Those of texts of usual lengths.
_TEXT_HEADS: Final = [_head(_TEXT, size) for size in range(1024)]


def text_head(size: int) -> bytes:
    """What stands before a text of so many octets."""
    return _TEXT_HEADS[size] if size < 1024 else _head(_TEXT, size)


class FrameOutbox(Outbox):
    """The send buffer of a client to whom each frame goes in a message of its own.

    What it flushes are the payloads of messages.
    """

    __slots__ = ()

    @override
    def write(self, head: bytes, tail: bytes = b"") -> bool:
        pieces = self._pieces
        if not pieces:
            self._flusher.add(self)
        pieces.append(head + tail)
        self.size = size = self.size + len(head) + len(tail)
        return size <= self.high_water or self._relieve()


class MessageOutbox(Outbox):
    """The same for a server that takes what `encode_messages` does.

    What it flushes are three pieces a frame. To put the two of a frame together, as
    `FrameOutbox` does, would be a third of the cost of a broadcast.
    """

    __slots__ = ()

    @override
    def write(self, head: bytes, tail: bytes = b"") -> bool:
        pieces = self._pieces
        if not pieces:
            self._flusher.add(self)
        size = len(head) + len(tail)
        pieces.append(_TEXT_HEADS[size] if size < 1024 else _head(_TEXT, size))
        pieces.append(head)
        pieces.append(tail)
        self.size = size = self.size + size
        return size <= self.high_water or self._relieve()


class PackedOutbox(Outbox):
    """The send buffer of a client to whom many frames may go in one message.

    What it flushes are the payloads of messages. A heart-beat is one of its own.
    """

    __slots__ = ("_frames", "_frames_size")

    def __init__(
        self,
        writer: Writer,
        flusher: Flusher,
        high_water: int,
        max_size: int,
        on_room: Callable[[], None],
    ) -> None:
        super().__init__(writer, flusher, high_water, max_size, on_room)
        # Those of the next message, in pieces.
        self._frames: list[bytes] = []
        self._frames_size = 0

    @override
    def write(self, head: bytes, tail: bytes = b"") -> bool:
        frames, size = self._frames, len(head) + len(tail)
        if not frames and not self._pieces:
            self._flusher.add(self)
        if frames and (self._frames_size + size > _MAX_PACKED or size == 1):
            self._pack()
            frames = self._frames
        frames.append(head)
        frames.append(tail)
        self._frames_size += size
        if size == 1:
            self._pack()
        self.size = size = self.size + size
        return size <= self.high_water or self._relieve()

    @override
    def flush(self) -> None:
        if not self.is_paused:
            self._pack()
            super().flush()

    @override
    def clear(self) -> None:
        self._frames = []
        self._frames_size = 0
        super().clear()

    def _pack(self) -> None:
        if self._frames:
            self._pieces.append(b"".join(self._frames))
            self._frames = []
            self._frames_size = 0


def encode_messages(pieces: list[bytes]) -> bytes:
    """Messages of a server, one WebSocket frame each.

    Args:
        pieces: three of each message: `text_head`, and two of its payload, each with
            ASCII at its end or empty, as those of STOMP frames are. What is not UTF-8
            becomes a binary message.
    """
    if not (is_text(b"".join(pieces[1::3])) and is_text(b"".join(pieces[2::3]))):
        pieces = pieces.copy()
        for place in range(0, len(pieces), 3):
            one, other = pieces[place + 1], pieces[place + 2]
            if not (is_text(one) and is_text(other)):
                pieces[place] = _head(_BINARY, len(one) + len(other))
    return b"".join(pieces)


def is_text(octets: bytes) -> bool:
    """Whether they are UTF-8."""
    if octets.isascii():
        return True
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
