"""What every destination can do.

The interface takes destinations that store elsewhere: what is accepted or settled
later returns a ``Pending``.
"""

from collections.abc import Callable
from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from romp_asgi.broker.clock import STOPPED, Clock
from romp_asgi.broker.message import Memory, Message, Run
from romp_asgi.broker.pending import Pending
from romp_asgi.broker.policy import Policy
from romp_asgi.broker.subscription import Delivery, Subscription

#: The users of all destinations without any: one object, however many there are.
_NO_USERS: Final[dict[str, Subscription]] = {}

#: What becomes of a message that no consumer gets: why, and the message.
Dropped = Callable[[Message, str], None]


@mypyc_attr(allow_interpreted_subclasses=True)
class Destination:
    """A name to which messages are sent.

    Not an ABC, whose subclasses mypyc makes share one cache of isinstance().

    Args:
        name: the name.
        policy: its settings.
        memory: the memory that all destinations share.
        dropped: told of each message that is lost by the policy.
        is_dynamic: whether it was made from a pattern, and goes when it is unused.
        clock: the time, for ``pedantic_expiry`` and ``expires`` headers.

    Attributes:
        label: what statistics call it.
        given: the settings that it was made with; ``policy`` are those of now.
        subscriptions: those that it has, in their order.
        users: the subscriptions by their users, with ``sub_by_user``.
        exists: whether it is still there: what knew it before must not use it then.
        joins: whether it is worth while, for now, to have messages to it as a `Run`.
        accepted: how many messages it has taken.
    """

    #: Whether several acknowledgements of a subscription may be settled together.
    settles_runs: ClassVar[bool] = True

    # There may be very many of them, and what they take in the processor's caches is
    # what makes a message to one of 10,000 slower than to one of ten.
    __slots__ = (
        "_clock",
        "_dropped",
        "_memory",
        "accepted",
        "exists",
        "given",
        "is_dynamic",
        "joins",
        "label",
        "name",
        "policy",
        "subscriptions",
        "users",
    )

    def __init__(
        self,
        name: str,
        policy: Policy,
        memory: Memory,
        dropped: Dropped,
        *,
        is_dynamic: bool = False,
        clock: Clock = STOPPED,
    ) -> None:
        self.name = name
        self.policy = self.given = policy
        self.label = name if is_dynamic else policy.name or name
        self.is_dynamic = is_dynamic
        self.exists = True
        self.joins = False
        self.accepted = 0
        self._memory = memory
        self.subscriptions: dict[Subscription, None] = {}
        self.users = _NO_USERS
        self._dropped = dropped
        self._clock = clock

    def __len__(self) -> int:
        """How many messages wait here."""
        raise NotImplementedError

    @property
    def connections(self) -> int:
        """How many subscriptions it has."""
        return len(self.subscriptions)

    @property
    def is_unused(self) -> bool:
        """Whether nobody would miss it."""
        return not self.subscriptions and not len(self)

    @property
    def waiting(self) -> int:
        """How many messages wait, those for one subscription's credit, too."""
        return len(self)

    @property
    def octets(self) -> int:
        """Octets of what waits, as they count for the memory."""
        raise NotImplementedError

    def messages(self) -> list[Message]:
        """What waits here."""
        raise NotImplementedError

    def purge(self) -> int:
        """Forget what waits; return how many messages that were."""
        raise NotImplementedError

    def can_take(self, count: int) -> bool:
        """Whether so many messages of one transaction can be accepted together."""
        raise NotImplementedError

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
        raise NotImplementedError

    def takes_run(self, count: int) -> bool:
        """Whether `accept_run` can be called now, with so many messages.

        That the policy allows runs has been looked at; ``joins`` may change.
        """
        return False

    def accept_run(self, run: Run) -> Pending | None:
        """Take messages, with their numbers, and give them to whom they are for.

        Returns:
            What the sender has to wait for, if anything.
        """
        raise NotImplementedError

    def attach(self, subscription: Subscription) -> None:
        """A subscription begins: give it what waits for it."""
        raise NotImplementedError

    def detach(self, subscription: Subscription) -> None:
        """A subscription ends: give it nothing more."""
        raise NotImplementedError

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Take back what was not acknowledged, to its place."""
        raise NotImplementedError

    def settle(self, deliveries: list[Delivery]) -> Pending | None:
        """Messages are done with: acknowledged, or sent to the dead letters."""
        raise NotImplementedError

    def refuse(self, deliveries: list[Delivery], *, requeue: bool) -> list[Delivery]:
        """Take back what was answered with NACK.

        Args:
            deliveries: what it was.
            requeue: whether it may be delivered again.

        Returns:
            What is to go to the dead letters; the rest is not done with.
        """
        limit = self.policy.max_deliveries
        again = [d for d in deliveries if requeue and d.count < limit]
        dead = [d for d in deliveries if not requeue or d.count >= limit]
        if dead:
            self.settle(dead)
        if again:
            self.give_back(again)
        return dead

    def resume(self, subscription: Subscription) -> None:
        """A subscription may have credit again."""
        raise NotImplementedError

    def rest(self, subscription: Subscription) -> None:
        """A subscription has lost its credit to what did not come from here."""
        raise NotImplementedError

    def expire(self, now: float) -> list[Message]:
        """Take out what is too old, oldest first."""
        raise NotImplementedError
