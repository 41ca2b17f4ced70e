"""romp's own kind of destination: each message is delivered a number of times.

There is one list, first in, first out. Its head is offered to every subscription, once
to each, and leaves when ``min_delivery`` deliveries of it have counted; what is behind
it waits for that. A delivery counts when it is handed to a subscription that does not
acknowledge, or when it is acknowledged.
"""

from collections import deque
from typing import ClassVar

from mypy_extensions import mypyc_attr
from typing_extensions import override

from romp_asgi.broker.clock import STOPPED, Clock
from romp_asgi.broker.destination import Destination, Dropped
from romp_asgi.broker.lifetimes import Lifetimes, is_late
from romp_asgi.broker.message import OVERHEAD, Memory, Message
from romp_asgi.broker.pending import Pending
from romp_asgi.broker.policy import Overflow, Policy
from romp_asgi.broker.room import Room
from romp_asgi.broker.subscription import Delivery, Subscription
from romp_asgi.stomp.spec import EXPIRES


class _Entry:
    """A message, held while it is in the list or waits for an acknowledgement.

    Attributes:
        size: octets it takes while it is held.
        count: deliveries that counted.
        refusals: how often it was answered with NACK.
        is_returned: whether somebody had it and did not acknowledge it.
        is_listed: whether it is in the list.
        holders: how many have it and have not acknowledged it.
    """

    __slots__ = (
        "count",
        "holders",
        "is_listed",
        "is_returned",
        "message",
        "refusals",
        "size",
    )

    def __init__(self, message: Message) -> None:
        self.message = message
        self.size = message.size
        self.count = 0
        self.refusals = 0
        self.is_returned = False
        self.is_listed = True
        self.holders = 0


class _Copy(Delivery):
    """A message that one subscription was given and is to acknowledge."""

    __slots__ = ("entry",)

    def __init__(self, entry: _Entry) -> None:
        self.message = entry.message
        # The message itself is counted once, with its entry.
        self.size = OVERHEAD
        self.count = int(entry.is_returned)
        self.tag = 0
        self.subscription = None
        self.entry = entry


@mypyc_attr(allow_interpreted_subclasses=True)
class Counted(Destination):
    """Broadcast, each message ``min_delivery`` times at least.

    What a subscription has had, or did not want, or was refused by its ``wants``, is
    not offered to it again: a number, its ``cursor``, says how far it is.

    Invariant: between two calls the list is empty, or its head has been offered to
    every subscription with credit and not been delivered often enough.
    """

    # It goes on within ``settle``: with whatever credit there is at that moment.
    settles_runs: ClassVar[bool] = False

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
        super().__init__(
            name, policy, memory, dropped, is_dynamic=is_dynamic, clock=clock
        )
        self._entries: deque[_Entry] = deque()
        # Those with credit, in the order in which they got it.
        self._available: dict[Subscription, None] = {}
        self._offered: _Entry | None = None
        self._late: list[Message] = []
        self._room = Room(memory)
        self._lifetimes = Lifetimes(clock)

    @override
    def __len__(self) -> int:
        return len(self._entries)

    @property
    @override
    def is_unused(self) -> bool:
        return super().is_unused and not self._late

    @override
    def can_take(self, count: int) -> bool:
        policy = self.policy
        return (
            policy.overflow is not Overflow.REJECT
            or len(self._entries) + count <= policy.max_messages
        )

    @override
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        entries, policy = self._entries, self.policy
        if not force:
            self._room.check(self.name, policy, len(entries))
        if policy.overflow is Overflow.DROP_OLDEST:
            while len(entries) >= policy.max_messages:
                self._dropped(self._leave().message, "overflow")
        if EXPIRES in message.headers:
            self._lifetimes.note(message)
        entry = _Entry(message)
        self._memory.used += entry.size
        entries.append(entry)
        self.accepted += 1
        self._pump()
        return self._room.pending(policy, len(entries))

    @override
    def attach(self, subscription: Subscription) -> None:
        self.subscriptions[subscription] = None
        self.resume(subscription)

    @override
    def detach(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription]
        self.rest(subscription)

    @override
    def rest(self, subscription: Subscription) -> None:
        if subscription.has_turn:
            subscription.has_turn = False
            del self._available[subscription]

    @override
    def resume(self, subscription: Subscription) -> None:
        self._join(subscription)
        self._pump()

    def _join(self, subscription: Subscription) -> None:
        """A subscription may have credit: then it is offered the head, as all others.

        Before anything leaves: or it would miss what leaves at once.
        """
        if subscription.has_turn or not subscription.has_credit:
            return
        subscription.has_turn = True
        self._available[subscription] = None
        head = self._offered
        if head is None or subscription.cursor >= head.message.number:
            return
        if not self._is_late(head):
            self._offer(subscription, head)

    @override
    def settle(self, deliveries: list[Delivery]) -> Pending | None:
        for delivery in deliveries:
            self._release(delivery).count += 1
        self._answered(deliveries)
        return None

    @override
    def give_back(self, deliveries: list[Delivery]) -> None:
        # It is where it was, for those that have not had it.
        for delivery in deliveries:
            self._release(delivery).is_returned = True

    @override
    def refuse(self, deliveries: list[Delivery], *, requeue: bool) -> list[Delivery]:
        dead = []
        for delivery in deliveries:
            entry = self._release(delivery)
            entry.is_returned = True
            entry.refusals += 1
            is_dead = not requeue or entry.refusals >= self.policy.max_deliveries
            if is_dead and entry.is_listed:
                assert entry is self._entries[0]
                self._leave()
                dead.append(delivery)
        self._answered(deliveries)
        return dead

    def _answered(self, deliveries: list[Delivery]) -> None:
        """A subscription has answered, and has credit again for what comes now."""
        for subscription in {delivery.subscription for delivery in deliveries}:
            assert subscription is not None
            self._join(subscription)
        self._pump()

    @override
    def expire(self, now: float) -> list[Message]:
        late, self._late = self._late, []
        entries = self._entries
        while entries and is_late(entries[0].message, now):
            late.append(self._leave().message)
        if self._lifetimes.is_due(now):
            late += self._sift(now)
        self._pump()
        return late

    @property
    @override
    def octets(self) -> int:
        return sum(entry.size for entry in self._entries)

    @override
    def messages(self) -> list[Message]:
        return [entry.message for entry in self._entries]

    @override
    def purge(self) -> int:
        count = len(self._entries)
        while self._entries:
            self._leave()
        self._pump()
        return count

    def _sift(self, now: float) -> list[Message]:
        """Take out what is too old by its own header, wherever in the list."""
        late = self._lifetimes.look([entry.message for entry in self._entries], now)
        kept: deque[_Entry] = deque()
        for entry in self._entries:
            if entry.message in late:
                # Not the head: so nobody has it.
                self._memory.release(entry.size)
            else:
                kept.append(entry)
        self._entries = kept
        return sorted(late, key=lambda message: message.number)

    def _pump(self) -> None:
        """Offer the head, and the next one as soon as it leaves."""
        entries = self._entries
        while entries:
            head = entries[0]
            if head.count >= self.policy.min_delivery:
                self._leave()
            elif self._is_late(head):
                self._late.append(self._leave().message)
            elif head is self._offered:
                break
            else:
                self._offered = head
                for subscription in list(self._available):
                    self._offer(subscription, head)
        self._room.freed(self.policy, len(entries))

    def _offer(self, subscription: Subscription, entry: _Entry) -> None:
        """Deliver a message to a subscription with credit, if it wants it."""
        message = entry.message
        subscription.cursor = message.number
        wants = subscription.wants
        if wants is not None and not wants(message):
            return
        if not subscription.acknowledges:
            entry.count += 1
            more = subscription.receiver.deliver(message, 0, entry.is_returned)
            subscription.ready = more
        else:
            entry.holders += 1
            self._memory.used += OVERHEAD
            more = subscription.give(_Copy(entry))
        if not more:
            self.rest(subscription)

    def _is_late(self, entry: _Entry) -> bool:
        """Whether it is too late to deliver a message, if that is looked at."""
        is_looked_at = self.policy.pedantic_expiry
        return is_looked_at and is_late(entry.message, self._clock.now())

    def _leave(self) -> _Entry:
        """Take the head out of the list."""
        head = self._entries.popleft()
        self._offered = None
        head.is_listed = False
        if not head.holders:
            self._memory.release(head.size)
        return head

    def _release(self, delivery: Delivery) -> _Entry:
        """A subscription has a message no more; return its entry."""
        assert isinstance(delivery, _Copy)
        entry = delivery.entry
        self._memory.release(delivery.size)
        entry.holders -= 1
        if not entry.holders and not entry.is_listed:
            self._memory.release(entry.size)
        return entry
