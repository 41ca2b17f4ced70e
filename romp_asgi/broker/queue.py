"""Queues: each message goes to one consumer, and is kept until one takes it."""

from typing import Final

from mypy_extensions import mypyc_attr
from typing_extensions import override

from romp_asgi.broker.backlog import Backlog
from romp_asgi.broker.clock import STOPPED, Clock
from romp_asgi.broker.destination import Destination, Dropped
from romp_asgi.broker.lifetimes import Lifetimes, take_late
from romp_asgi.broker.message import Memory, Message, Run
from romp_asgi.broker.pending import Pending, all_of
from romp_asgi.broker.policy import Overflow, Policy
from romp_asgi.broker.subscription import Delivery, Receiver, Subscription
from romp_asgi.errors import DestinationFull
from romp_asgi.stomp.spec import EXPIRES

#: The choosy subscriptions of all queues without any: one object, which is in the
#: processor's caches however many queues there are.
_NOBODY: Final[dict[Subscription, None]] = {}

#: More octets than a message of a run counts for, with a body of 1 KiB at most and
#: headers that are remembered, of 512 octets at most.
_MAX_IN_RUN: Final = 4096

#: How many producers may wait for room in a queue, if it is not longer than that.
_MAX_WAITING: Final = 1000


@mypyc_attr(allow_interpreted_subclasses=True)
class Queue(Destination):
    """First in, first out; consumers with credit take turns, strictly.

    One that a message is not for keeps its turn. Where nobody has credit messages that
    come in a row are stored together, which is cheaper; where somebody has they are
    given out one by one.

    Invariant: between two calls nothing waits that anybody with credit wants.
    """

    __slots__ = ("_backlog", "_choosy", "_lifetimes", "_room", "_rotation", "_sole")

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
        self._backlog = Backlog(memory)
        # Of what has an `expires` header, once something had.
        self._lifetimes: Lifetimes | None = None
        # Those with credit, the next one first. A list, because it is much smaller than
        # a deque, and a turn takes only 0.1 µs longer among a thousand.
        self._rotation: list[Subscription] = []
        # The receiver of the only one in turn, to which a message goes without a look
        # at more, if it wants everything and acknowledges nothing; None if that is not
        # so, or not known. Of 10,000 queues what leads there is in no cache: without
        # the list and the subscription a message to one of them takes a twelfth less.
        self._sole: Receiver | None = None
        # Those that do not want everything, with credit or without.
        self._choosy = _NOBODY
        self._room: Pending | None = None

    @override
    def __len__(self) -> int:
        return len(self._backlog)

    @override
    def can_take(self, count: int) -> bool:
        return (
            self.policy.overflow is not Overflow.REJECT
            or (bool(self._rotation) and not self._choosy)
            or len(self._backlog) + count <= self.policy.max_messages
        )

    @override
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        # By the invariant nothing waits if anybody has credit and wants everything.
        sole = self._sole
        if sole is None:
            rotation = self._rotation
            if not rotation:
                self.joins = self.policy.allows_runs
                return self._store(message, force)
            if self._choosy:
                return self._offer(message, force)
            subscription = rotation[0]
            if not subscription.acknowledges:
                # Without a Delivery: nobody will ask for it again.
                more = subscription.receiver.deliver_only(message)
                if not more:
                    subscription.ready = False
            else:
                if not force:
                    self._memory.check()
                more = subscription.give(self._backlog.hold(message))
            if not more:
                del rotation[0]
                subscription.has_turn = False
            elif len(rotation) > 1:
                rotation.append(rotation.pop(0))
            elif not subscription.acknowledges:
                self._sole = subscription.receiver
        elif not sole.deliver_only(message):
            subscription = self._rotation[0]
            subscription.ready = False
            self.rest(subscription)
        self.accepted += 1
        return self._memory.room()

    @override
    def takes_run(self, count: int) -> bool:
        if self._rotation:
            self.joins = False
            return False
        memory, length = self._memory, len(self._backlog)
        return (
            length + count < self.policy.max_messages
            and memory.used + count * _MAX_IN_RUN < memory.limit
        )

    @override
    def accept_run(self, run: Run) -> Pending | None:
        messages = run.messages
        if EXPIRES in messages[0].headers:
            for message in messages:
                self._note(message)
        self._backlog.append_run(run)
        self.accepted += len(messages)
        return None

    def _offer(self, message: Message, force: bool) -> Pending | None:
        """Give a message to the first in turn that wants it."""
        subscription = self._first_for(message)
        if subscription is None:
            return self._store(message, force)
        if subscription.acknowledges and not force:
            self._memory.check()
        self._give(subscription, self._backlog.hold(message))
        self.accepted += 1
        return self._memory.room()

    def _first_for(self, message: Message) -> Subscription | None:
        """The first in turn that wants a message."""
        for subscription in self._rotation:
            wants = subscription.wants
            if wants is None or wants(message):
                return subscription
        return None

    def _give(self, subscription: Subscription, delivery: Delivery) -> None:
        """Give a message to one that has its turn, which is over then."""
        self._rotation.remove(subscription)
        if subscription.give(delivery):
            self._rotation.append(subscription)
        else:
            subscription.has_turn = False
        if not subscription.acknowledges:
            self._backlog.let_go(delivery)

    def _store(self, message: Message, force: bool) -> Pending | None:
        backlog = self._backlog
        limit, is_full = self.policy.max_messages, False
        if not force:
            self._memory.check()
        if len(backlog) >= limit - 1:
            is_full = self._make_room(limit, force)
        if EXPIRES in message.headers:
            self._note(message)
        backlog.append(backlog.hold(message))
        self.accepted += 1
        # What comes to a full queue that blocks is kept, and its producer waits.
        if is_full:
            if self._room is None:
                self._room = Pending()
            memory = self._memory.room()
            return all_of([self._room, memory]) if memory else self._room
        return self._memory.room()

    def _make_room(self, limit: int, force: bool) -> bool:
        """Drop what has to go for one more; return whether its producer has to wait.

        Raises:
            DestinationFull: if it cannot be stored.
        """
        overflow, length = self.policy.overflow, len(self._backlog)
        if overflow is Overflow.DROP_OLDEST:
            self._drop_oldest(limit - 1)
            return False
        is_blocking = overflow is Overflow.BLOCK
        # One message a producer that waits, and there may always be another one.
        most = limit + max(limit, _MAX_WAITING) if is_blocking else limit
        if length >= most and not force:
            raise DestinationFull(self.name, limit)
        return is_blocking

    def _drop_oldest(self, length: int) -> None:
        """Drop until so many are left: several, if consumers gave some back."""
        backlog = self._backlog
        while len(backlog) > length:
            oldest = backlog.pop()
            backlog.let_go(oldest)
            self._dropped(oldest.message, "overflow")

    @override
    def attach(self, subscription: Subscription) -> None:
        self.subscriptions[subscription] = None
        if subscription.wants is not None:
            if self._choosy is _NOBODY:
                self._choosy = {}
            self._choosy[subscription] = None
        self.resume(subscription)

    @override
    def detach(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription]
        self._choosy.pop(subscription, None)
        if not self._choosy:
            self._choosy = _NOBODY
        self.rest(subscription)

    @override
    def rest(self, subscription: Subscription) -> None:
        if subscription.has_turn:
            subscription.has_turn = False
            self._rotation.remove(subscription)
            self._sole = None

    @override
    def give_back(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            # What waits keeps nothing of a client, which may be gone.
            delivery.subscription = None
            if EXPIRES in delivery.message.headers:
                self._note(delivery.message)
        self._backlog.put_back(deliveries)
        if self._choosy:
            self._look_again(deliveries)
        self._pump()

    def _look_again(self, deliveries: list[Delivery]) -> None:
        """Set those that want something of what came back in front of it."""
        for subscription in self._choosy:
            wants = subscription.wants
            for delivery in deliveries:
                message = delivery.message
                if message.number <= subscription.cursor and wants and wants(message):
                    subscription.cursor = message.number - 1

    @override
    def settle(self, deliveries: list[Delivery]) -> Pending | None:
        size = 0
        for delivery in deliveries:
            size += delivery.size
        self._memory.release(size)
        return None

    @override
    def resume(self, subscription: Subscription) -> None:
        if subscription.has_turn or not subscription.has_credit:
            return
        self._sole = None
        if self._choosy:
            subscription.has_turn = True
            self._rotation.append(subscription)
            self._pump_each([subscription])
            return
        # By the invariant it is the only one with credit if anything waits.
        backlog = self._backlog
        while deliveries := backlog.oldest(subscription.credit):
            count, more = subscription.give_all(deliveries)
            backlog.drop(count, is_done=not subscription.acknowledges)
            if not more:
                break
        else:
            subscription.has_turn = True
            self._rotation.append(subscription)
        if self._room is not None:
            self._check_room()

    @override
    def expire(self, now: float) -> list[Message]:
        late = self._take_out_late(now)
        self._check_room()
        return late

    def _note(self, message: Message) -> None:
        """A message waits, or may have to, that has an ``expires`` header."""
        lifetimes = self._lifetimes
        if lifetimes is None:
            lifetimes = self._lifetimes = Lifetimes(self._clock)
        lifetimes.note(message)

    def _take_out_late(self, now: float) -> list[Message]:
        """Take out what is too old, oldest first."""
        lifetimes = self._lifetimes
        if lifetimes is None:
            return take_late(self._backlog, now)
        return lifetimes.take_late(self._backlog, now)

    @property
    @override
    def octets(self) -> int:
        return self._backlog.octets

    @override
    def messages(self) -> list[Message]:
        return self._backlog.messages()

    @override
    def purge(self) -> int:
        count = self._backlog.clear()
        self._check_room()
        return count

    def _pump(self) -> None:
        """Give out what waits while somebody with credit wants it."""
        self._sole = None
        if self._choosy:
            self._pump_each(list(self._rotation))
            return
        rotation, backlog = self._rotation, self._backlog
        while rotation and len(backlog):
            subscription = rotation.pop(0)
            delivery = backlog.pop()
            if subscription.give(delivery):
                rotation.append(subscription)
            else:
                subscription.has_turn = False
            if not subscription.acknowledges:
                backlog.let_go(delivery)
        self._check_room()

    def _pump_each(self, subscriptions: list[Subscription]) -> None:
        """Give some what waits and they want, in turn."""
        while subscriptions:
            still_in_turn = []
            for subscription in subscriptions:
                delivery = self._backlog.pop_wanted(subscription)
                if delivery is not None:
                    self._give(subscription, delivery)
                    if subscription.has_turn:
                        still_in_turn.append(subscription)
            subscriptions = still_in_turn
        self._check_room()

    def _check_room(self) -> None:
        """Let producers go on, not at the first free place but at a good many."""
        limit = self.policy.max_messages
        if self._room is not None and len(self._backlog) <= limit - limit // 4 - 1:
            room, self._room = self._room, None
            room.resolve()
