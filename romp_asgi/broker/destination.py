"""What every destination can do.

The interface takes destinations that store elsewhere: what is accepted or settled
later returns a ``Pending``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from romp_asgi.broker.message import Memory, Message
from romp_asgi.broker.pending import Pending
from romp_asgi.broker.policy import Policy
from romp_asgi.broker.subscription import Delivery, Subscription

#: What becomes of a message that no consumer gets: why, and the message.
Dropped = Callable[[Message, str], None]


class Destination(ABC):
    """A name to which messages are sent.

    Args:
        name: the name.
        policy: its settings.
        memory: the memory that all destinations share.
        dropped: told of each message that is lost by the policy.
        is_dynamic: whether it was made from a pattern, and goes when it is unused.

    Attributes:
        accepted: how many messages it has taken.
        connections: how many subscriptions it has.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        memory: Memory,
        dropped: Dropped,
        *,
        is_dynamic: bool = False,
    ) -> None:
        self.name = name
        self.policy = policy
        self.is_dynamic = is_dynamic
        self.accepted = 0
        self.connections = 0
        self._memory = memory
        self._dropped = dropped

    @abstractmethod
    def __len__(self) -> int:
        """How many messages wait here."""

    @property
    def is_unused(self) -> bool:
        """Whether nobody would miss it."""
        return not self.connections and not len(self)

    @abstractmethod
    def can_take(self, count: int) -> bool:
        """Whether so many messages of one transaction can be accepted together."""

    @abstractmethod
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        """Take a message and give it to whom it is for.

        Args:
            message: the message, with its number.
            force: take it even if there is no room; ``can_take`` has been asked.

        Returns:
            What the sender has to wait for, if anything.

        Raises:
            DestinationFull: if there is no room. Nothing was changed.
        """

    @abstractmethod
    def attach(self, subscription: Subscription) -> None:
        """A subscription begins: give it what waits for it."""

    @abstractmethod
    def detach(self, subscription: Subscription) -> None:
        """A subscription ends: give it nothing more."""

    @abstractmethod
    def give_back(self, deliveries: list[Delivery]) -> None:
        """Take back what was not acknowledged, to its place."""

    @abstractmethod
    def settle(self, deliveries: list[Delivery]) -> Pending | None:
        """Messages are done with: acknowledged, or sent to the dead letters."""

    @abstractmethod
    def resume(self, subscription: Subscription) -> None:
        """A subscription may have credit again."""

    @abstractmethod
    def expire(self, now: float) -> int:
        """Drop what is too old; return how many."""
