"""A message on its way through the broker, and the memory that messages take."""

from collections.abc import Mapping
from typing import Any, Final

from romp_asgi.broker.pending import Pending
from romp_asgi.errors import MemoryFull

#: Octets that the objects of a held message take, beside its headers and its body.
OVERHEAD: Final = 512


class Message:
    """What a SEND brought. Treated as frozen once it is accepted.

    Args:
        destination: the name it was sent to.
        headers: the sender's headers.
        body: the octets.

    Attributes:
        number: its place among all messages of this server; the message-id.
        expires_at: when it is too old to be delivered, in the broker's time; 0 is
            never.
        sender: the client that sent it; only where the destination has
            ``filter_self``.
        tail: its encoded form, kept by whoever encodes it.
        tail_version: the version of STOMP that this is of; empty if there is none yet.
        tails: those of other versions, if there are any. Most have none, and a message
            is made too often for a dictionary.
    """

    __slots__ = (
        "body",
        "destination",
        "expires_at",
        "headers",
        "number",
        "sender",
        "tail",
        "tail_version",
        "tails",
    )

    sender: object

    def __init__(
        self, destination: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        self.destination = destination
        self.headers = headers
        self.body = body
        self.number = 0
        self.expires_at = 0.0
        self.tail = b""
        self.tail_version = ""
        self.tails: dict[str, bytes] | None = None

    @property
    def size(self) -> int:
        """Octets it takes while it is held, roughly."""
        headers = self.headers
        size: int | None = getattr(headers, "size", None)  # of headers that were read
        if size is None:
            size = sum(map(len, headers)) + sum(map(len, headers.values()))
        return len(self.body) + size + OVERHEAD

    def __repr__(self) -> str:
        return f"Message({self.number}, {self.destination!r}, {len(self.body)} bytes)"


class Letter(Message):
    """A message that was sent to the dead letters.

    Attributes:
        reason: why.
    """

    __slots__ = ("reason",)

    def __init__(
        self, destination: str, headers: Mapping[str, str], body: bytes, reason: str
    ) -> None:
        super().__init__(destination, headers, body)
        self.reason = reason


class Run:
    """Messages that one client sent in a row to one destination, with equal headers.

    Args:
        messages: the messages, in order.

    Attributes:
        encoded: what receivers make of them, kept by these, by what it depends on.
    """

    __slots__ = ("encoded", "messages")

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.encoded: dict[tuple[str, str, bytes], Any] = {}


class Memory:
    """What all destinations hold together, with its ceiling.

    A producer that waits has sent the one message that it waits for, and a new one may
    come at any time: so there is a limit to waiting, a quarter above the other.

    Args:
        limit: octets above which producers wait.

    Attributes:
        used: octets of what is held; whoever holds a message adds its size.
    """

    __slots__ = ("_ceiling", "_room", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ceiling = limit + limit // 4
        self.used = 0
        self._room: Pending | None = None

    def release(self, size: int) -> None:
        """Count a message that is held no more."""
        self.used -= size
        if self._room is not None and self.used <= self.limit * 0.9:
            room, self._room = self._room, None
            room.resolve()

    def check(self) -> None:
        """Refuse to hold anything more, if there is far too much.

        Raises:
            MemoryFull: then.
        """
        if self.used > self._ceiling:
            raise MemoryFull(self.limit)

    def room(self) -> Pending | None:
        """What a producer has to wait for, if anything."""
        if self.used <= self.limit:
            return None
        if self._room is None:
            self._room = Pending()
        return self._room
