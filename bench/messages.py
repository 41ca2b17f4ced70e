"""The messages of a load, made before the clock runs, and the check of what arrives.

All messages of a load have the same size, and each says which one it is: its body is
a number of eight digits, then x's. The numbers start again after a `Load.period`, so
that a load of any length is one blob sent over and over.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from bench.errors import BenchError
from bench.wire import websocket_payloads

_DIGITS = 8
_SMALLEST_BODY = _DIGITS + 1  # one x at the least: a WebSocket load is counted by x NUL
_LONGEST_PERIOD = 4096
_BLOB = 4 * 1024 * 1024  # bytes, about; large bodies get a shorter period


@dataclass(frozen=True, slots=True)
class Load:
    """The messages of one publisher: one destination, one size, numbered.

    Attributes:
        destination: As the peer calls it.
        body_size: Octets of a body.
        varied: Each message has a header of its own too, the number again; without it
            the headers of all are the same, as those of a client with one kind of
            message are.
    """

    destination: str
    body_size: int
    varied: bool = False

    def __post_init__(self) -> None:
        if self.body_size < _SMALLEST_BODY:
            raise BenchError(f"a body has {_SMALLEST_BODY} octets or more")

    @property
    def period(self) -> int:
        """How many messages there are before the numbers start again."""
        return max(1, min(_LONGEST_PERIOD, _BLOB // self.body_size))

    def body(self, index: int) -> bytes:
        """The body of the message number `index`, from 0."""
        return self._number(index).ljust(self.body_size, b"x")

    def sends(self) -> bytes:
        """A period of SEND frames, all of one size."""
        head = (
            f"SEND\ndestination:{self.destination}\ncontent-length:{self.body_size}\n"
        )
        return b"".join(
            b"%b%b\n%b\0" % (head.encode(), self._own_header(index), self.body(index))
            for index in range(self.period)
        )

    def check(self, index: int, message: bytes) -> None:
        """Compare what arrived, without its NUL, with what was sent as number `index`.

        Raises:
            BenchError: Another command, destination, body or place in the order.
        """
        head, _, body = message.lstrip(b"\r\n").partition(b"\n\n")
        destination = (
            rb"\ndestination:" + re.escape(self.destination).encode() + rb"(\n|$)"
        )
        if not head.startswith(b"MESSAGE\n") or not re.search(destination, head):
            raise BenchError(f"no MESSAGE of {self.destination}: {message[:300]!r}")
        if body != self.body(index) or self._own_header(index) not in head + b"\n":
            raise BenchError(f"message {index} is wrong or out of order: {message!r}")

    def _number(self, index: int) -> bytes:
        return b"%0*d" % (_DIGITS, index % self.period)

    def _own_header(self, index: int) -> bytes:
        return b"number:%b\n" % self._number(index) if self.varied else b""


class Sample(NamedTuple):
    """A piece of what a subscriber received, kept to be checked after the run.

    Attributes:
        before: How many frames ended before this piece.
        data: The octets; it grows to its size.
        whole: The piece starts with a frame, not within one.
    """

    before: int
    data: bytearray
    whole: bool

    def check(self, load: Load, *, websocket: bool) -> int:
        """Check each message that lies in the piece whole: content and place.

        Returns:
            How many these were.
        """
        if websocket:
            messages, skipped = self._from_websocket()
        else:
            messages = bytes(self.data).split(b"\0")[:-1]
            skipped = 0 if self.whole else 1
            messages = messages[skipped:]
        for place, message in enumerate(messages):
            load.check(self.before + skipped + place, message)
        return len(messages)

    def _from_websocket(self) -> tuple[list[bytes], int]:
        """The messages, each without its NUL, and how many were cut off at the start.

        Raises:
            BenchError: A message with more than one STOMP frame, or none, in it.
        """
        data, skipped = bytes(self.data), 0
        if not self.whole:
            # One STOMP frame a message: a WebSocket frame starts where one of them
            # ended (and some brokers end theirs with a line feed).
            _, found, data = data.partition(b"x\0")
            data, skipped = data.removeprefix(b"\n"), 1
            if not found:
                return [], 0
        payloads, _ = websocket_payloads(data)
        messages = [payload.rstrip(b"\r\n") for payload in payloads]
        for message in messages:
            if message.find(b"\0") != len(message) - 1:
                raise BenchError(f"not one STOMP frame in a message: {message[:300]!r}")
        return [message[:-1] for message in messages], skipped
