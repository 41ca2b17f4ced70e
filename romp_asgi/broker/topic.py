"""Topics: each message goes to every subscription, and nothing is stored.

Each subscription that acknowledges has a backlog of its own, because it may be out
of credit when a message comes, and may give one back.
"""

from mypy_extensions import mypyc_attr
from typing_extensions import override

from romp_asgi.broker.backlog import Backlog
from romp_asgi.broker.destination import Destination, Dropped
from romp_asgi.broker.message import Memory, Message, Run
from romp_asgi.broker.pending import Pending, all_of
from romp_asgi.broker.policy import Policy, SlowConsumerPolicy
from romp_asgi.broker.subscription import Delivery, Subscription
from romp_asgi.errors import SlowConsumer


@mypyc_attr(allow_interpreted_subclasses=True)
class Topic(Destination):
    """Broadcast.

    Args:
        max_outbox: octets that may wait for one subscription's credit, above which
            the policy ``slow_consumer`` holds.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        memory: Memory,
        dropped: Dropped,
        *,
        is_dynamic: bool = False,
        max_outbox: int,
    ) -> None:
        super().__init__(name, policy, memory, dropped, is_dynamic=is_dynamic)
        self.joins = policy.allows_runs
        self._max_outbox = max_outbox
        # Those that get everything at once, those that get what they want at once, and
        # those that acknowledge.
        self._plain: list[Subscription] = []
        self._choosy: list[Subscription] = []
        self._acknowledging: list[Subscription] = []
        # Those that are passed over until they have room again, and those for which
        # producers wait.
        self._skipped: set[Subscription] = set()
        self._awaited: set[Subscription] = set()
        self._room: Pending | None = None

    @override
    def __len__(self) -> int:
        return 0

    @override
    def can_take(self, count: int) -> bool:
        return True

    @override
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        if self._acknowledging and not force:
            self._memory.check()
        self.accepted += 1
        slow: list[Subscription] | None = None
        for subscription in self._plain:
            if not subscription.receiver.deliver(message, 0, False):
                if slow is None:
                    slow = []
                slow.append(subscription)
        if self._choosy:
            slow = (slow or []) + self._offer(message)
        if self._acknowledging:
            slow = (slow or []) + self._hand_over(message)
        if self._skipped and self.policy.slow_consumer is SlowConsumerPolicy.DROP:
            self._tell_of_drop(message)
        if slow:
            for subscription in slow:
                self._slow(subscription)
        return self._to_wait_for()

    @override
    def takes_run(self, count: int) -> bool:
        return not (
            self._choosy or self._acknowledging or self._skipped or self._awaited
        )

    @override
    def accept_run(self, run: Run) -> Pending | None:
        self.accepted += len(run.messages)
        slow = [each for each in self._plain if not each.receiver.deliver_run(run)]
        for subscription in slow:
            self._slow(subscription)
        return self._to_wait_for()

    def _to_wait_for(self) -> Pending | None:
        """What a producer has to wait for now."""
        if self._room is not None:
            memory = self._memory.room()
            return all_of([self._room, memory]) if memory else self._room
        return self._memory.room()

    def _offer(self, message: Message) -> list[Subscription]:
        """Give a message to those that want it; return those without room for more."""
        return [
            subscription
            for subscription in self._choosy
            if is_for(subscription, message)
            and not subscription.receiver.deliver(message, 0, False)
        ]

    def _tell_of_drop(self, message: Message) -> None:
        if any(is_for(subscription, message) for subscription in self._skipped):
            self._dropped(message, "slow consumer")

    def _hand_over(self, message: Message) -> list[Subscription]:
        """Give a message to those that acknowledge; return those without credit."""
        slow = []
        for subscription in self._acknowledging:
            if not is_for(subscription, message):
                continue
            backlog = self._backlog_of(subscription)
            delivery = backlog.hold(message)
            # With credit: then nothing waits for it, as with a queue.
            if subscription.has_credit:
                subscription.give(delivery)
            else:
                backlog.append(delivery)
                slow.append(subscription)
        return slow

    def _slow(self, subscription: Subscription) -> None:
        """A subscription had no room for the message, or has none for the next."""
        policy = self.policy.slow_consumer
        if policy is SlowConsumerPolicy.BLOCK:
            self._awaited.add(subscription)
            if self._room is None:
                self._room = Pending()
        elif self._is_overrun(subscription):
            self._list_of(subscription).remove(subscription)
            self._skipped.add(subscription)
            if policy is SlowConsumerPolicy.DISCONNECT:
                error = SlowConsumer(self.name, self._max_outbox)
                subscription.receiver.cut_off(error)

    def _is_overrun(self, subscription: Subscription) -> bool:
        backlog = subscription.backlog
        if backlog is not None and backlog.octets > self._max_outbox:
            return True
        return subscription.receiver.overrun()

    @override
    def attach(self, subscription: Subscription) -> None:
        self.subscriptions[subscription] = None
        if subscription.acknowledges:
            subscription.backlog = Backlog(self._memory)
        self._list_of(subscription).append(subscription)

    @override
    def detach(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription]
        if subscription in self._skipped:
            self._skipped.remove(subscription)
        else:
            self._list_of(subscription).remove(subscription)
        self._no_longer_awaited(subscription)
        backlog, subscription.backlog = subscription.backlog, None
        if backlog is not None:
            backlog.clear()

    @override
    def give_back(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            subscription = delivery.subscription
            assert subscription is not None
            if subscription.backlog is None:
                # It has gone, and with it its copies: a topic stores nothing.
                self._memory.release(delivery.size)
            else:
                # Given again when the subscription is resumed, after its NACK.
                subscription.backlog.put_back([delivery])

    @override
    def settle(self, deliveries: list[Delivery]) -> Pending | None:
        for delivery in deliveries:
            self._memory.release(delivery.size)
        return None

    @override
    def resume(self, subscription: Subscription) -> None:
        if subscription.backlog is not None:
            self._pump(subscription)
        if subscription in self._skipped and not self._is_overrun(subscription):
            self._skipped.remove(subscription)
            self._list_of(subscription).append(subscription)
        if subscription.ready and not subscription.backlog:
            self._no_longer_awaited(subscription)

    @override
    def rest(self, subscription: Subscription) -> None:
        """Nobody is counted upon here for having credit."""

    @override
    def expire(self, now: float) -> list[Message]:
        return []

    @property
    @override
    def waiting(self) -> int:
        return sum(len(backlog) for _, backlog in self._backlogs())

    @property
    @override
    def octets(self) -> int:
        return sum(backlog.octets for _, backlog in self._backlogs())

    @override
    def messages(self) -> list[Message]:
        return [m for _, backlog in self._backlogs() for m in backlog.messages()]

    @override
    def purge(self) -> int:
        count = 0
        for subscription, backlog in self._backlogs():
            count += backlog.clear()
            self.resume(subscription)
        return count

    def _backlogs(self) -> list[tuple[Subscription, Backlog]]:
        """What waits for each subscription that acknowledges."""
        return [(s, s.backlog) for s in self.subscriptions if s.backlog is not None]

    def _pump(self, subscription: Subscription) -> None:
        backlog = self._backlog_of(subscription)
        while len(backlog) and subscription.has_credit:
            subscription.give(backlog.pop())

    def _no_longer_awaited(self, subscription: Subscription) -> None:
        self._awaited.discard(subscription)
        if not self._awaited and self._room is not None:
            room, self._room = self._room, None
            room.resolve()

    def _list_of(self, subscription: Subscription) -> list[Subscription]:
        if subscription.acknowledges:
            return self._acknowledging
        return self._plain if subscription.wants is None else self._choosy

    @staticmethod
    def _backlog_of(subscription: Subscription) -> Backlog:
        assert subscription.backlog is not None
        return subscription.backlog


def is_for(subscription: Subscription, message: Message) -> bool:
    """Whether a subscription is to get a message."""
    wants = subscription.wants
    return wants is None or wants(message)
