"""What a client does at COMMIT.

Source: STOMP 1.2 § BEGIN, § COMMIT, § ABORT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from romp_asgi.errors import MemoryFull, TransactionTooLarge

if TYPE_CHECKING:
    from romp_asgi.broker.destination import Destination
    from romp_asgi.broker.message import Memory, Message

#: What an ACK or NACK counts for towards the size of a transaction.
ACK_SIZE: Final = 128


@dataclass(frozen=True, slots=True)
class Send:
    """A SEND to come."""

    destination: Destination
    message: Message


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """An ACK to come, or a NACK."""

    tag: int
    is_ack: bool
    requeue: bool


class Transaction:
    """The operations of one transaction, in order.

    Args:
        max_frames: how many there may be.
        max_size: how many octets they may hold.
        memory: where what they hold is counted.
    """

    __slots__ = ("_max_frames", "_max_size", "_memory", "_size", "operations")

    def __init__(self, max_frames: int, max_size: int, memory: Memory) -> None:
        self._max_frames = max_frames
        self._max_size = max_size
        self._memory = memory
        self._size = 0
        self.operations: list[Send | Acknowledge] = []

    def add(self, operation: Send | Acknowledge) -> None:
        """Put an operation off until COMMIT.

        Raises:
            TransactionTooLarge: if there are too many or they hold too much. The
                transaction is as it was.
            MemoryFull: if the server holds all it may already. A SEND that waited
                could wait for the room that its own transaction takes.
        """
        memory = self._memory
        added = ACK_SIZE
        if isinstance(operation, Send):
            added = operation.message.size
            if memory.room() is not None:
                raise MemoryFull(memory.limit)
        size = self._size + added
        if len(self.operations) >= self._max_frames:
            raise TransactionTooLarge("max_transaction_frames", self._max_frames)
        if size > self._max_size:
            raise TransactionTooLarge("max_transaction_size", self._max_size)
        memory.used += added
        self._size = size
        self.operations.append(operation)

    def close(self) -> None:
        """It is committed or aborted: it holds nothing any more."""
        self._memory.release(self._size)
        self._size = 0
