"""The messages of a load, made before the clock runs, and the check of what arrives.

All messages of a load have the same size, and each says which one it is: its body is
a number of eight digits, that of its publisher, x's, and an end. The numbers start
again after a `Load.period`, so that a load of any length is one blob sent over and
over.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.errors import BenchError
from bench.wire import websocket_payloads

_DIGITS = 8
_PUBLISHER_DIGITS = 2
_ROUND_DIGITS = 6
_HEAD_OF_BODY = _DIGITS + _PUBLISHER_DIGITS
#: How a body ends before its NUL. A WebSocket load is counted by it, for the header of
#: a frame may hold a NUL too; it cannot hold this. Long, and of octets that are nowhere
#: else, because Python then looks at one octet in nine or so.
BODY_END = b"~}|{@^%&"
_SMALLEST_BODY = _HEAD_OF_BODY + len(BODY_END)
_LONGEST_PERIOD = 4096
_BLOB = 4 * 1024 * 1024  # bytes, about; large bodies get a shorter period
_MESSAGE = re.compile(rb"MESSAGE\n[^\0]*\0")
_OWN_VALUE = re.compile(rb"\nnumber:(\d+)\n")
_OWN_NAME = re.compile(rb"\nid-(\d+):x\n")


@dataclass(frozen=True, slots=True)
class Load:
    """The messages of all publishers: of one size, numbered by each.

    Attributes:
        destinations: As the peer calls them; names of one length. Several publishers
            share them out; if there is only one, all send to that.
        body_size: Octets of a body.
        publishers: How many there are.
        varied: Each message has a header of its own too, that none ever had: its
            round, which is how often the numbers have started again, and its number.
            Without it the headers of all are the same, as those of a client with one
            kind of message are.
        unlike: The same, but they are in the header's name: no two messages have the
            same headers, but for their values.
        receipts: Each asks for a receipt, which is called by round and number.
    """

    destinations: tuple[str, ...]
    body_size: int
    publishers: int = 1
    varied: bool = False
    unlike: bool = False
    receipts: bool = False

    def __post_init__(self) -> None:
        if self.body_size < _SMALLEST_BODY:
            raise BenchError(f"a body has {_SMALLEST_BODY} octets or more")

    @property
    def rotation(self) -> int:
        """How many destinations a publisher sends to in turn."""
        return max(1, len(self.destinations) // self.publishers)

    @property
    def period(self) -> int:
        """How many messages there are before the numbers start again."""
        longest = max(1, min(_LONGEST_PERIOD, _BLOB // self.body_size))
        return self.rotation * max(1, longest // self.rotation)

    @property
    def is_one_stream(self) -> bool:
        """Whether a subscriber gets all messages, in the order of their numbers."""
        return self.publishers == 1 and len(self.destinations) == 1

    def destination(self, publisher: int, index: int) -> str:
        """Where the message number `index` of a publisher goes."""
        place = publisher + self.publishers * (index % self.rotation)
        return self.destinations[place % len(self.destinations)]

    def body(self, index: int, publisher: int = 0) -> bytes:
        """The body of the message number `index` of a publisher, from 0."""
        head = b"%b%0*d" % (self._number(index), _PUBLISHER_DIGITS, publisher)
        return head.ljust(self.body_size - len(BODY_END), b"x") + BODY_END

    def sends(self, publisher: int = 0) -> list[bytes]:
        """A period of SEND frames, all of one size, of the first round."""
        return [
            b"SEND\ndestination:%b\ncontent-length:%d\n%b\n%b\0"
            % (
                self.destination(publisher, index).encode(),
                self.body_size,
                self._own_headers(index),
                self.body(index, publisher),
            )
            for index in range(self.period)
        ]

    def check(self, message: bytes) -> tuple[int, int]:
        """Compare what arrived, without its NUL, with what was sent.

        Returns:
            The publisher, and the number of the message among the period's.

        Raises:
            BenchError: Another command, destination or body.
        """
        head, _, body = message.lstrip(b"\r\n").partition(b"\n\n")
        lines = b"\n%b\n" % head
        if not lines.startswith(b"\nMESSAGE\n"):
            raise BenchError(f"no MESSAGE: {message[:300]!r}")
        digits = body[:_HEAD_OF_BODY]
        if not digits.isdigit():
            raise BenchError(f"another body: {message[:300]!r}")
        index, publisher = int(digits[:_DIGITS]), int(digits[_DIGITS:])
        if body != self.body(index, publisher) or index >= self.period:
            raise BenchError(f"another body: {message[:300]!r}")
        destination = self.destination(publisher, index)
        if b"\ndestination:%b\n" % destination.encode() not in lines:
            raise BenchError(f"no MESSAGE of {destination}: {message[:300]!r}")
        own = (_OWN_NAME if self.unlike else _OWN_VALUE).search(lines)
        has_own = self.varied or self.unlike
        if has_own and not (own and own[1].endswith(self._number(index))):
            raise BenchError(f"not its own header: {message[:300]!r}")
        return publisher, index

    def _number(self, index: int) -> bytes:
        return b"%0*d" % (_DIGITS, index % self.period)

    def name(self, index: int) -> bytes:
        """The round and the number of the message number `index` of a publisher."""
        return round_digits(index // self.period) + self._number(index)

    def _own_headers(self, index: int) -> bytes:
        number = b""
        if self.varied:
            number = b"number:%b\n" % self.name(index)
        elif self.unlike:
            number = b"id-%b:x\n" % self.name(index)
        receipt = b"receipt:%b\n" % self.name(index) if self.receipts else b""
        return number + receipt


def round_digits(round_number: int) -> bytes:
    """How a round is written in front of a number."""
    return b"%0*d" % (_ROUND_DIGITS, round_number % 10**_ROUND_DIGITS)


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

    def check(self, load: Load, *, websocket: bool, packed: bool = False) -> int:
        """Check each message that lies in the piece whole: content and place.

        Args:
            load: What was sent.
            websocket: It came through WebSocket.
            packed: A WebSocket message may hold several STOMP frames.

        Returns:
            How many these were.

        Raises:
            BenchError: A message is not as it was sent, or not where it belongs.
        """
        if packed:
            messages, skipped = self._from_packed()
        elif websocket:
            messages, skipped = self._from_websocket()
        else:
            messages = bytes(self.data).split(b"\0")[:-1]
            skipped = 0 if self.whole else 1
            messages = messages[skipped:]
        _check_order(load, self.before + skipped, messages)
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
            _, found, data = data.partition(BODY_END + b"\0")
            data, skipped = data.removeprefix(b"\n"), 1
            if not found:
                return [], 0
        payloads, _ = websocket_payloads(data)
        stripped = (payload.rstrip(b"\r\n") for payload in payloads)
        messages = [message for message in stripped if message]
        for message in messages:
            if message.find(b"\0") != len(message) - 1:
                raise BenchError(f"not one STOMP frame in a message: {message[:300]!r}")
        return [message[:-1] for message in messages], skipped

    def _from_packed(self) -> tuple[list[bytes], int]:
        """The same, with no regard to WebSocket's messages.

        Raises:
            BenchError: Other frames are among them.
        """
        data, skipped = bytes(self.data), 0
        if not self.whole:
            _, found, data = data.partition(BODY_END + b"\0")
            skipped = 1
            if not found:
                return [], 0
        messages = _MESSAGE.findall(data)
        if len(messages) != data.count(BODY_END + b"\0"):
            raise BenchError(f"not only messages: {data[:300]!r}")
        return [message[:-1] for message in messages], skipped


def _check_order(load: Load, before: int, messages: Sequence[bytes]) -> None:
    """Each is the next of its publisher and destination; of one stream, the very one.

    Raises:
        BenchError: Messages came out of order, twice, or not at all.
    """
    expected: dict[tuple[int, int], int] = {}
    for place, message in enumerate(messages, before):
        publisher, index = load.check(message)
        stream = publisher, index % load.rotation
        if load.is_one_stream:
            expected[stream] = place % load.period
        if index != expected.setdefault(stream, index):
            raise BenchError(f"a message is out of order: {message[:300]!r}")
        expected[stream] = (index + load.rotation) % load.period
