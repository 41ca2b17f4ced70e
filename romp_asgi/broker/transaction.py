"""What a client does at COMMIT.

Source: STOMP 1.2 § BEGIN, § COMMIT, § ABORT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from romp_asgi.errors import TransactionTooLarge

if TYPE_CHECKING:
    from romp_asgi.broker.destination import Destination
    from romp_asgi.broker.message import Message

#: What an ACK or NACK counts for towards the size of a transaction.
_ACK_SIZE: Final = 128


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
    """

    __slots__ = ("_max_frames", "_max_size", "_size", "operations")

    def __init__(self, max_frames: int, max_size: int) -> None:
        self._max_frames = max_frames
        self._max_size = max_size
        self._size = 0
        self.operations: list[Send | Acknowledge] = []

    def add(self, operation: Send | Acknowledge) -> None:
        """Put an operation off until COMMIT.

        Raises:
            TransactionTooLarge: if there are too many or they hold too much. The
                transaction is as it was.
        """
        size = self._size
        if isinstance(operation, Send):
            size += operation.message.size
        else:
            size += _ACK_SIZE
        if len(self.operations) >= self._max_frames:
            raise TransactionTooLarge("max_transaction_frames", self._max_frames)
        if size > self._max_size:
            raise TransactionTooLarge("max_transaction_size", self._max_size)
        self._size = size
        self.operations.append(operation)
