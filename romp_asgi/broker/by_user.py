"""Destinations with ``sub_by_user``: one subscription for each user.

A message with a header ``to`` is for the user of that name. It goes past all others,
to that user's subscription alone: of a topic if there is one; of the other kinds it
waits until there is one.
"""

from typing_extensions import override

from romp_asgi.broker.backlog import Backlog
from romp_asgi.broker.clock import STOPPED, Clock
from romp_asgi.broker.counted import Counted
from romp_asgi.broker.destination import Destination, Dropped
from romp_asgi.broker.lifetimes import Lifetimes
from romp_asgi.broker.message import Memory, Message
from romp_asgi.broker.pedantic import PedanticQueue
from romp_asgi.broker.pending import Pending, all_of
from romp_asgi.broker.policy import Policy
from romp_asgi.broker.queue import Queue
from romp_asgi.broker.subscription import Delivery, Subscription
from romp_asgi.broker.topic import Topic, is_for
from romp_asgi.errors import DestinationFull
from romp_asgi.stomp.spec import EXPIRES, TO


class _Box(Backlog):
    """What waits for one user."""

    __slots__ = ("_lifetimes",)

    def __init__(self, memory: Memory, clock: Clock) -> None:
        super().__init__(memory)
        self._lifetimes = Lifetimes(clock)

    def add(self, delivery: Delivery) -> None:
        """Add one that may have been here before."""
        self.put_back([delivery])
        if EXPIRES in delivery.message.headers:
            self._lifetimes.note(delivery.message)

    def take_late(self, now: float) -> list[Message]:
        """Take out what is too old."""
        return self._lifetimes.take_late(self, now)


class ByUser(Destination):
    """What knows the subscription of each user.

    Application code in the process is no user: it may subscribe as often as it likes,
    and gets what is for everybody.
    """

    @override
    def attach(self, subscription: Subscription) -> None:
        if not subscription.client.is_local:
            if not self.users:
                # Those of a destination without any are not its own.
                self.users = {}
            self.users[subscription.client.user] = subscription
        super().attach(subscription)

    @override
    def detach(self, subscription: Subscription) -> None:
        super().detach(subscription)
        user = subscription.client.user
        # The next one of that user may be here already.
        if self.users.get(user) is subscription:
            del self.users[user]


class UserTopic(ByUser, Topic):
    """A topic with a subscription for each user."""

    @override
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        user = message.headers.get(TO)
        if user is None:
            return super().accept(message, force=force)
        subscription = self.users.get(user)
        if subscription is None or not is_for(subscription, message):
            pass
        elif subscription in self._skipped:
            self._dropped(message, "slow consumer")
        elif not self._give(subscription, message, force=force):
            self._slow(subscription)
        self.accepted += 1
        memory = self._memory.room()
        if self._room is not None:
            return all_of([self._room, memory]) if memory else self._room
        return memory

    def _give(
        self, subscription: Subscription, message: Message, *, force: bool
    ) -> bool:
        """Deliver to one subscription; return whether it is not slow."""
        if not subscription.acknowledges:
            return subscription.receiver.deliver(message, 0, False)
        if not force:
            self._memory.check()
        backlog = self._backlog_of(subscription)
        delivery = backlog.hold(message)
        if subscription.has_credit:
            subscription.give(delivery)
            return True
        backlog.append(delivery)
        return False


class Mailboxes(ByUser):
    """What keeps messages for users, beside what it keeps for everybody.

    Those for users are given out as long as there is credit, before the others. At
    most ``max_messages`` of them wait, whoever they are for; one more is refused.
    """

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
        # What waits for its user, and what the user's subscription does not want; only
        # those in which there is anything.
        self._boxes: dict[str, _Box] = {}
        self._unwanted: dict[str, _Box] = {}
        self._in_boxes = 0
        self._late_in_boxes: list[Message] = []

    @override
    def __len__(self) -> int:
        return super().__len__() + self._in_boxes

    @property
    @override
    def is_unused(self) -> bool:
        return super().is_unused and not self._late_in_boxes

    @override
    def can_take(self, count: int) -> bool:
        # Whoever they are for.
        limit = self.policy.max_messages
        return super().can_take(count) and self._in_boxes + count <= limit

    @override
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        user = message.headers.get(TO)
        if user is None:
            return super().accept(message, force=force)
        subscription = self.users.get(user)
        has_taker = subscription is not None and subscription.has_credit
        if not force:
            self._memory.check()
            limit = self.policy.max_messages
            if not has_taker and self._in_boxes >= limit:
                raise DestinationFull(self.name, limit)
        box = self._box(self._boxes, user)
        box.add(box.hold(message))
        self._in_boxes += 1
        self.accepted += 1
        self._empty(user)
        return self._memory.room()

    @override
    def detach(self, subscription: Subscription) -> None:
        super().detach(subscription)
        user = subscription.client.user
        unwanted = self._unwanted.pop(user, None)
        if unwanted is not None:
            # The next one may want it, and may be here already.
            box = self._box(self._boxes, user)
            while len(unwanted):
                box.add(unwanted.pop())
            self._empty(user)

    @override
    def resume(self, subscription: Subscription) -> None:
        if not subscription.client.is_local:
            self._empty(subscription.client.user)
        super().resume(subscription)

    @override
    def settle(self, deliveries: list[Delivery]) -> Pending | None:
        mine, others = _sorted(deliveries)
        for delivery in mine:
            self._memory.release(delivery.size)
        return super().settle(others)

    @override
    def give_back(self, deliveries: list[Delivery]) -> None:
        mine, others = _sorted(deliveries)
        for delivery in mine:
            delivery.subscription = None
            self._box(self._boxes, delivery.message.headers[TO]).add(delivery)
            self._in_boxes += 1
        for user in {delivery.message.headers[TO] for delivery in mine}:
            self._empty(user)
        super().give_back(others)

    @override
    def refuse(self, deliveries: list[Delivery], *, requeue: bool) -> list[Delivery]:
        mine, others = _sorted(deliveries)
        dead = Destination.refuse(self, mine, requeue=requeue)
        return dead + super().refuse(others, requeue=requeue)

    @override
    def expire(self, now: float) -> list[Message]:
        late, self._late_in_boxes = self._late_in_boxes, []
        for boxes in (self._boxes, self._unwanted):
            for user in list(boxes):
                late += self._take_late(boxes, user, now)
        return late + super().expire(now)

    @property
    @override
    def octets(self) -> int:
        return super().octets + sum(box.octets for box in self._all_boxes())

    @override
    def messages(self) -> list[Message]:
        return super().messages() + [m for b in self._all_boxes() for m in b.messages()]

    @override
    def purge(self) -> int:
        for box in self._all_boxes():
            box.clear()
        self._boxes.clear()
        self._unwanted.clear()
        count, self._in_boxes = self._in_boxes, 0
        return count + super().purge()

    def _all_boxes(self) -> list[_Box]:
        return [*self._boxes.values(), *self._unwanted.values()]

    def _box(self, boxes: dict[str, _Box], user: str) -> _Box:
        box = boxes.get(user)
        if box is None:
            box = boxes[user] = _Box(self._memory, self._clock)
        return box

    def _empty(self, user: str) -> None:
        """Give a user what waits, as long as there is credit."""
        subscription, box = self.users.get(user), self._boxes.get(user)
        if subscription is None or box is None:
            return
        if self.policy.pedantic_expiry:
            now = self._clock.now()
            self._late_in_boxes += self._take_late(self._boxes, user, now)
        while len(box) and subscription.has_credit:
            delivery = box.pop()
            if not is_for(subscription, delivery.message):
                self._box(self._unwanted, user).add(delivery)
                continue
            self._in_boxes -= 1
            subscription.give(delivery)
            if not subscription.acknowledges:
                box.let_go(delivery)
        if not len(box):
            self._boxes.pop(user, None)
        if not subscription.has_credit:
            self.rest(subscription)

    def _take_late(
        self, boxes: dict[str, _Box], user: str, now: float
    ) -> list[Message]:
        late = boxes[user].take_late(now)
        self._in_boxes -= len(late)
        if not len(boxes[user]):
            del boxes[user]
        return late


class UserQueue(Mailboxes, Queue):
    """A queue with a subscription for each user."""


class PedanticUserQueue(Mailboxes, PedanticQueue):
    """The same, with ``pedantic_expiry``."""


class UserCounted(Mailboxes, Counted):
    """A counted destination with a subscription for each user."""


def _sorted(
    deliveries: list[Delivery],
) -> tuple[list[Delivery], list[Delivery]]:
    """Those that are for a user, and the others."""
    mine = [d for d in deliveries if TO in d.message.headers]
    others = [d for d in deliveries if TO not in d.message.headers]
    return mine, others
