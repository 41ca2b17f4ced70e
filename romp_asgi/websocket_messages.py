"""STOMP frames ↔ WebSocket messages, many at a time.

Source: RFC 6455 § 5.2 (base framing), § 5.1 (a server does not mask), § 5.6 (text has
to be UTF-8).
"""

from collections.abc import Callable
from typing import ClassVar, Final

from typing_extensions import override
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, if there

from romp_asgi.outbox import EncodedRun, Flusher, Outbox, Writer

_TEXT: Final = 0x81  # FIN, and the opcode
_BINARY: Final = 0x82
_MASKED: Final = 0x80
_LEAST: Final = 6  # octets of a frame with a mask

#: Octets up to which waiting frames are packed into one message.
_MAX_PACKED: Final = 65536

#: Octets above which a part of a message has no more frames put to it.
_MAX_PART: Final = 8192


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

    kind: ClassVar[str] = "frames"
    has_large: ClassVar[bool] = False

    __slots__ = ()

    @override
    def encode_run(self, head: bytes, tails: list[bytes]) -> EncodedRun:
        frames = [head + tail for tail in tails]
        return EncodedRun(frames, sum(map(len, frames)))

    @override
    def share_run(self, run: EncodedRun) -> None:
        """It is shared as it is."""

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
    `FrameOutbox` does, and to add the heads later was two fifths of a broadcast.
    """

    kind: ClassVar[str] = "messages"
    has_large: ClassVar[bool] = False

    __slots__ = ()

    @override
    def encode_run(self, head: bytes, tails: list[bytes]) -> EncodedRun:
        pieces: list[bytes] = []
        length, total = len(head), 0
        for tail in tails:
            size = length + len(tail)
            pieces += (text_head(size), head, tail)
            total += size
        return EncodedRun(pieces, total)

    @override
    def share_run(self, run: EncodedRun) -> None:
        """It is shared as it is."""

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


def _pairs(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(pieces[::2], pieces[1::2], strict=True))


class PackedOutbox(Outbox):
    """The send buffer of a client to whom many frames may go in one message.

    What it flushes are the payloads of messages. A heart-beat is one of its own.
    """

    kind: ClassVar[str] = "packed"
    has_large: ClassVar[bool] = False

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
    def share_run(self, run: EncodedRun) -> None:
        """Put frames together, in parts of what a message may have."""
        parts: list[bytes] = []
        frames: list[bytes] = []
        size = 0
        for head, tail in _pairs(run.pieces):
            if size > _MAX_PART:
                parts.append(b"".join(frames))
                frames, size = [], 0
            frames += (head, tail)
            size += len(head) + len(tail)
        run.pieces = [*parts, b"".join(frames)]

    @override
    def write_run(self, run: EncodedRun) -> bool:
        has_room = True
        if run.is_shared:
            for part in run.pieces:
                has_room = self.write(part)
        else:
            for head, tail in _pairs(run.pieces):
                has_room = self.write(head, tail)
        return has_room

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


def decode_messages(data: bytes, position: int, payloads: list[bytes]) -> int:
    """Take messages of a client as long as they are simple.

    That is, each in one frame, smaller than 64 KiB, and UTF-8 if it says that it is
    text. Nearly all are.

    Args:
        data: what was read.
        position: where the first frame begins.
        payloads: where the payloads of messages go.

    Returns:
        Where a frame begins that is not simple, or not complete.

    Source: RFC 6455 § 5.2, § 5.3.
    """
    size = len(data)
    while size - position >= _LEAST and is_simple(data, position):
        length, start = data[position + 1] & 127, position + 6
        if length == 126:
            length = data[position + 2] << 8 | data[position + 3]
            start = position + 8
        end = start + length
        if end > size:
            break
        payload: bytes = apply_mask(data[start:end], data[start - 4 : start])
        if data[position] == _TEXT and not is_text(payload):
            break
        payloads.append(payload)
        position = end
    return position


def is_simple(data: bytes, position: int) -> bool:
    """Whether a frame is a masked message of less than 64 KiB.

    Args:
        data: what was read; at least two octets of the frame.
        position: where it begins.
    """
    first, second = data[position], data[position + 1]
    return first in (_TEXT, _BINARY) and _MASKED <= second < 255


def frame_size(data: bytes, position: int) -> int:
    """Octets of the frame that begins there; 0 if that is not known yet."""
    size = len(data) - position
    if size < 2:
        return 0
    second = data[position + 1]
    mask, length = 4 if second & _MASKED else 0, second & 127
    head = 2 if length < 126 else 4 if length == 126 else 10
    if size < head:
        return 0
    if head > 2:
        length = int.from_bytes(data[position + 2 : position + head], "big")
    return head + mask + length


def is_text(octets: bytes) -> bool:
    """Whether they are UTF-8."""
    if octets.isascii():
        return True
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
