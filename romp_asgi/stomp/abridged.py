"""Frames put shorter: what many frames have in common is read, and told, once.

They are made for whoever takes them so, see `Parser.switch`; to others each frame comes
by itself. What a frame asks for is the same either way.
"""

import re
from typing import Final

from romp_asgi.stomp.frame import Frame, shown
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.spec import BACKSLASH, CR, ID, NUL, Command

#: ACKs of STOMP 1.2 with a number and nothing else; how they begin and end. The group
#: is not possessive: in Python 3.11.2 that takes a part of one more.
PLAIN_ACKS: Final = re.compile(rb"(?:ACK\nid:[0-9]{1,18}\n\n\0)+")
_ACK_START: Final = b"ACK\nid:"
_ACK_END: Final = b"\n\n\0"
_BETWEEN_ACKS: Final = _ACK_END + _ACK_START

#: The most octets that the headers of such an ACK have.
PLAIN_ACK_SIZE: Final = 25

#: What a SEND that asks for a receipt has, in its own place among known headers.
RECEIPT_START: Final = b"\nreceipt:"

#: Bodies of so many octets or fewer, and so many of them, may be a `SendRun`: they all
#: reach a receiver or a queue, with their headers, before anybody looks if it has room.
_MAX_RUN_BODY: Final = 1024
_MAX_RUN: Final = 64

#: To look up a member in its enum takes 0.1 µs each time, in Python 3.11.
_ACK: Final = Command.ACK
_SEND: Final = Command.SEND

_NO_HEADERS: Final = Headers()


class AckRun(Frame):
    """Several ACKs in a row that have a number each and nothing else, as one frame.

    Args:
        tags: the numbers, in order; two at least.
    """

    __slots__ = ("tags",)

    def __init__(self, tags: list[int]) -> None:
        super().__init__(_ACK, _NO_HEADERS)
        self.tags = tags

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AckRun) and self.tags == other.tags

    __hash__ = None  # as of any frame

    def __repr__(self) -> str:
        return f"AckRun({self.tags})"

    def __str__(self) -> str:
        """For a log."""
        return f"ACK [{len(self.tags)} of them]"


class ReceiptSend(Frame):
    """A SEND with headers that came before, but for the receipt that it asks for.

    Each asks for another one: so it is not among the headers.

    Args:
        headers: the others.
        body: the octets of the body.
        receipt: the receipt.
    """

    __slots__ = ("_receipt",)

    def __init__(self, headers: Headers, body: bytes, receipt: str) -> None:
        super().__init__(_SEND, headers, body)
        self._receipt = receipt

    def receipt(self) -> str | None:
        """The receipt that it asks for."""
        return self._receipt

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ReceiptSend)
            and super().__eq__(other)
            and self._receipt == other._receipt
        )

    __hash__ = None  # as of any frame

    def __repr__(self) -> str:
        headers = shown(self.headers)
        return f"ReceiptSend({headers}, {self.body[:40]!r}, {self._receipt!r})"


class SendRun(Frame):
    """SENDs in a row with the same headers and small bodies, as one frame.

    Args:
        headers: of each.
        bodies: theirs, in order; one at least.
    """

    __slots__ = ("bodies",)

    def __init__(self, headers: Headers, bodies: list[bytes]) -> None:
        super().__init__(_SEND, headers)
        self.bodies = bodies

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SendRun)
            and super().__eq__(other)
            and self.bodies == other.bodies
        )

    __hash__ = None  # as of any frame

    def __repr__(self) -> str:
        return f"SendRun({shown(self.headers)}, {len(self.bodies)} bodies)"


def plain_ack(id: str, tag: int) -> Frame:
    """An ACK of STOMP 1.2 with a number and nothing else; text and value of it."""
    headers = Headers({ID: id})
    headers.tag = tag
    return Frame(_ACK, headers)


def append_acks(
    frames: list[Frame], data: bytes, start: int, end: int, *, abridges: bool
) -> None:
    """Append the plain ACKs that are all of ``data[start:end]``, perhaps as one."""
    texts = data[start + len(_ACK_START) : end - len(_ACK_END)].split(_BETWEEN_ACKS)
    tags = list(map(int, texts))
    if abridges and len(tags) > 1:
        frames.append(AckRun(tags))
    else:
        for text, tag in zip(texts, tags, strict=True):
            frames.append(plain_ack(text.decode(), tag))


def append_to_run(frames: list[Frame], headers: Headers, body: bytes) -> None:
    """Append a SEND, to the `SendRun` at the end of the frames if it belongs there."""
    if len(body) > _MAX_RUN_BODY:
        frames.append(Frame(_SEND, headers, body))
        return
    last = frames[-1] if frames else None
    if (
        isinstance(last, SendRun)
        and last.headers is headers
        and len(last.bodies) < _MAX_RUN
    ):
        last.bodies.append(body)
    else:
        frames.append(SendRun(headers, [body]))


def without_receipt(block: bytes) -> tuple[bytes, str] | None:
    """A header block without the line of its receipt, and the receipt.

    Returns:
        None if the value has to be looked at more closely.
    """
    start = block.find(RECEIPT_START)
    if start < 0:
        return None
    value_start = start + len(RECEIPT_START)
    end = block.find(b"\n", value_start)
    if end < 0:
        end = len(block)
    value = block[value_start:end]
    if BACKSLASH in value or CR in value or NUL in value:
        return None
    try:
        return block[:start] + block[end:], value.decode()
    except UnicodeDecodeError:
        return None
