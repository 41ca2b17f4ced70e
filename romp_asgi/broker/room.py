"""Whether a destination can take one more message, and who waits until it can."""

from typing import Final

from romp_asgi.broker.message import Memory
from romp_asgi.broker.pending import Pending, all_of
from romp_asgi.broker.policy import Overflow, Policy
from romp_asgi.errors import DestinationFull

#: How many producers may wait for room, if the destination is not longer than that.
_MAX_WAITING: Final = 1000


class Room:
    """The places of one destination.

    Args:
        memory: the memory that all destinations share.
    """

    __slots__ = ("_awaited", "_memory")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._awaited: Pending | None = None

    def check(self, name: str, policy: Policy, length: int) -> None:
        """Refuse what cannot be stored.

        Args:
            name: of the destination.
            policy: of the destination.
            length: how many messages wait there.

        Raises:
            DestinationFull, MemoryFull: then.
        """
        self._memory.check()
        limit, overflow = policy.max_messages, policy.overflow
        if overflow is Overflow.BLOCK:
            # One message a producer that waits, and there may always be another one.
            limit += max(limit, _MAX_WAITING)
        if overflow is not Overflow.DROP_OLDEST and length >= limit:
            raise DestinationFull(name, policy.max_messages)

    def pending(self, policy: Policy, length: int) -> Pending | None:
        """What a producer has to wait for, if anything, after what it sent came in."""
        memory = self._memory.room()
        if policy.overflow is not Overflow.BLOCK or length < policy.max_messages:
            return memory
        if self._awaited is None:
            self._awaited = Pending()
        return all_of([self._awaited, memory]) if memory else self._awaited

    def freed(self, policy: Policy, length: int) -> None:
        """Let producers go on, not at the first free place but at a good many."""
        limit = policy.max_messages
        if self._awaited is not None and length <= limit - limit // 4 - 1:
            awaited, self._awaited = self._awaited, None
            awaited.resolve()
