"""A message on its way through the broker, and the memory that messages take."""

from collections.abc import Mapping
from typing import Final

from romp_asgi.broker.pending import Pending

#: What a held message takes beside its body: its objects, and headers that repeat.
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
        tails: its encoded form by STOMP version, kept by whoever encodes it.
    """

    __slots__ = ("body", "destination", "expires_at", "headers", "number", "tails")

    def __init__(
        self, destination: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        self.destination = destination
        self.headers = headers
        self.body = body
        self.number = 0
        self.expires_at = 0.0
        self.tails: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """Octets it takes while it is held, roughly."""
        return len(self.body) + OVERHEAD

    def __repr__(self) -> str:
        return f"Message({self.number}, {self.destination!r}, {len(self.body)} bytes)"


class Memory:
    """What all destinations hold together, with its ceiling.

    Args:
        limit: octets above which producers wait.

    Attributes:
        used: octets of what is held; whoever holds a message adds its size.
    """

    __slots__ = ("_room", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._room: Pending | None = None

    def release(self, size: int) -> None:
        """Count a message that is held no more."""
        self.used -= size
        if self._room is not None and self.used <= self.limit * 0.9:
            room, self._room = self._room, None
            room.resolve()

    def room(self) -> Pending | None:
        """What a producer has to wait for, if anything."""
        if self.used <= self.limit:
            return None
        if self._room is None:
            self._room = Pending()
        return self._room
