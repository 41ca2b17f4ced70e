"""A broker, its clients and a time that tests move by hand."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from romp_asgi.broker import (
    Broker,
    BrokerLimits,
    Client,
    Clock,
    Delivery,
    Kind,
    Message,
    Pending,
    Policy,
)
from romp_asgi.broker.backlog import Backlog
from romp_asgi.broker.by_user import ByUser, Mailboxes
from romp_asgi.broker.counted import Counted, _Copy, _Entry
from romp_asgi.broker.message import Run
from romp_asgi.broker.queue import Queue
from romp_asgi.broker.topic import Topic
from romp_asgi.broker.transaction import ACK_SIZE, Send
from romp_asgi.errors import PeerError
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.spec import DESTINATION, AckMode

AUTO: Final = AckMode.AUTO
CLIENT: Final = AckMode.CLIENT
INDIVIDUAL: Final = AckMode.CLIENT_INDIVIDUAL

TOPIC: Final = Policy(kind=Kind.TOPIC)
QUEUE: Final = Policy(kind=Kind.QUEUE, expiry=0)
COUNTED: Final = Policy(kind=Kind.COUNTED, expiry=0, min_delivery=2)

#: The wall clock's time when the broker's is 0.
EPOCH: Final = 1_700_000_000.0


def is_done(pending: Pending | None) -> bool:
    """Whether what has to be waited for, for there is something, is done."""
    assert pending is not None
    return pending.done


class Inbox(list[str]):
    """Where a subscription's messages go: a list of their bodies, and more.

    Attributes:
        tags: by which they are acknowledged.
        again: the bodies of those that were redelivered.
        messages: the messages themselves.
        room: how many more there is room for; None is no end of them.
        is_overrun: whether a topic must not wait longer.
        errors: why the client was cut off.
    """

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.tags: list[int] = []
        self.again: list[str] = []
        self.messages: list[Message] = []
        self.room = room
        self.is_overrun = False
        self.errors: list[PeerError] = []

    def deliver(self, message: Message, tag: int, redelivered: bool) -> bool:
        body = message.body.decode()
        self.append(body)
        self.tags.append(tag)
        self.messages.append(message)
        if redelivered:
            self.again.append(body)
        if self.room is None:
            return True
        self.room -= 1
        return self.room > 0

    def deliver_only(self, message: Message) -> bool:
        return self.deliver(message, 0, redelivered=False)

    def deliver_run(self, run: Run) -> bool:
        has_room = True
        for message in run.messages:
            has_room = self.deliver(message, 0, redelivered=False)
        return has_room

    def overrun(self) -> bool:
        return self.is_overrun

    def cut_off(self, error: PeerError) -> None:
        self.errors.append(error)


def wants_of(letters: str) -> Callable[[Message], bool]:
    return lambda message: message.body.decode()[0] in letters


class Peer:
    """A client of the broker, as a test drives it."""

    def __init__(self, world: "World", client: Client) -> None:
        self.world = world
        self.client = client
        self.broker = world.broker

    def send(
        self,
        destination: str,
        *bodies: str,
        transaction: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Pending | None:
        """Send messages; return what the last of them has to wait for."""
        pending = None
        for body in bodies:
            lines = Headers({DESTINATION: destination, **(headers or {})})
            lines.size = 0  # so that a test can count what it sends
            message = Message(destination, lines, body.encode())
            pending = self.broker.send(
                self.client, message, self.world.now, transaction
            )
        return pending

    def subscribe(
        self,
        destination: str,
        id: str = "1",
        ack: AckMode = AUTO,
        prefetch: int | None = None,
        room: int | None = None,
        wants: str | Callable[[Message], bool] | None = None,
    ) -> Inbox:
        """Subscribe; with ``wants`` for those whose body begins with one of these."""
        inbox = Inbox(room)
        if isinstance(wants, str):
            wants = wants_of(wants)
        self.broker.subscribe(self.client, id, destination, inbox, ack, prefetch, wants)
        return inbox

    def unsubscribe(self, id: str = "1") -> None:
        self.broker.unsubscribe(self.client, id)

    def ack(self, *tags: int, transaction: str | None = None) -> None:
        for tag in tags:
            assert not self.broker.acknowledge(
                self.client, tag, self.world.now, transaction=transaction
            )

    def nack(
        self, *tags: int, requeue: bool = True, transaction: str | None = None
    ) -> None:
        for tag in tags:
            assert not self.broker.acknowledge(
                self.client,
                tag,
                self.world.now,
                is_ack=False,
                requeue=requeue,
                transaction=transaction,
            )

    def begin(self, transaction: str = "tx") -> None:
        self.broker.begin(self.client, transaction)

    def commit(self, transaction: str = "tx") -> Pending | None:
        return self.broker.commit(self.client, transaction, self.world.now)

    def abort(self, transaction: str = "tx") -> None:
        self.broker.abort(self.client, transaction)

    def gets_room(self, *inboxes: Inbox, room: int | None = None) -> None:
        """There is room again in inboxes, and the broker is told."""
        for inbox in inboxes:
            inbox.room = room
        self.broker.resume(self.client)

    def leave(self) -> None:
        self.broker.leave(self.client)


class World:
    """A broker and its clients.

    Args:
        destinations: as for the broker.
        limits: as for the broker.

    Attributes:
        now: the time.
        dropped: body and reason of the messages that were lost by a policy.
    """

    def __init__(
        self,
        destinations: Mapping[str, Policy],
        limits: BrokerLimits | None = None,
        first_number: int = 0,
    ) -> None:
        self.now = 1000.0
        self.dropped: list[tuple[str, str]] = []
        self.broker = Broker(
            destinations,
            limits,
            dropped=lambda message, reason: self.dropped.append(
                (message.body.decode(), reason)
            ),
            first_number=first_number,
            clock=Clock(lambda: self.now, lambda: EPOCH + self.now),
        )
        self._peers: list[Peer] = []

    def peer(
        self, *, is_web: bool = False, is_local: bool = False, user: str = ""
    ) -> Peer:
        peer = Peer(self, Client(is_web=is_web, is_local=is_local))
        peer.client.user = user
        self._peers.append(peer)
        return peer

    @property
    def used(self) -> int:
        """The octets that the broker counts as held."""
        return self.broker.memory.used

    def waiting(self, destination: str) -> int:
        return len(self.broker.destinations[destination])

    @property
    def in_transactions(self) -> int:
        """Octets that open transactions hold."""
        opened = [t for peer in self._peers for t in peer.client.transactions.values()]
        operations = [operation for t in opened for operation in t.operations]
        return sum(
            o.message.size if isinstance(o, Send) else ACK_SIZE for o in operations
        )

    def drain(self, destination: str) -> list[str]:
        """Take all that waits, as someone, or several, who come and go."""
        policy = self.broker.destinations[destination].policy
        count = policy.min_delivery if policy.kind is Kind.COUNTED else 1
        peer = self.peer(is_local=True)
        inboxes = [peer.subscribe(destination, str(id)) for id in range(count)]
        peer.leave()
        return list(inboxes[0])

    def check(self) -> None:
        """What holds between any two calls, whatever was done before."""
        held: list[Delivery | _Entry] = []
        for peer in self._peers:
            client = peer.client
            subscriptions = client.subscriptions.values()
            unacked = {tag: d for s in subscriptions for tag, d in s.unacked.items()}
            assert unacked == client.unacked
            assert all(d.tag == tag for tag, d in unacked.items())
            held += unacked.values()
            for subscription in subscriptions:
                destination = subscription.destination
                assert destination is self.broker.destinations[destination.name]
                if isinstance(destination, Queue):
                    # Nothing waits that anybody with credit wants.
                    wants = subscription.wants or (lambda message: True)
                    if subscription.has_credit:
                        waiting = destination._backlog.messages()
                        assert not any(wants(message) for message in waiting)
                if not isinstance(destination, Topic):
                    assert subscription.has_turn == subscription.has_credit
                if isinstance(destination, Counted) and subscription.has_credit:
                    # It has been offered the head.
                    head = destination._offered
                    assert head is None or subscription.cursor >= head.message.number
                if isinstance(destination, Mailboxes) and subscription.has_credit:
                    assert client.is_local or client.user not in destination._boxes
                if subscription.backlog is not None:
                    held += self._check_backlog(subscription.backlog)
                # It may share this with all that acknowledge nothing.
                assert subscription.acknowledges or not subscription.unacked
        for destination in self.broker.destinations.values():
            backlogs: list[Backlog] = []
            length = 0
            if isinstance(destination, Queue):
                backlogs.append(destination._backlog)
                if destination._sole is not None:
                    [only] = destination._rotation
                    assert only.receiver is destination._sole
                    assert only.wants is None
                    assert not only.acknowledges
            # Others share theirs.
            assert isinstance(destination, ByUser) or not destination.users
            if isinstance(destination, Mailboxes):
                backlogs += destination._boxes.values()
                backlogs += destination._unwanted.values()
                assert all(map(len, destination._unwanted.values()))
                assert all(map(len, destination._boxes.values()))
                assert destination._unwanted.keys() <= destination.users.keys()
            if isinstance(destination, Counted):
                entries = destination._entries
                length += len(entries)
                numbers = [entry.message.number for entry in entries]
                assert numbers == sorted(set(numbers))
                assert all(entry.is_listed for entry in entries)
                # Only the head was given to anyone, and not often enough.
                assert not any(e.holders or e.count for e in list(entries)[1:])
                if entries:
                    assert entries[0].count < destination.policy.min_delivery
                    assert destination._offered in (None, entries[0])
                else:
                    assert destination._offered is None
                held += entries
            for backlog in backlogs:
                stored = self._check_backlog(backlog)
                length += len(stored)
                # A message that waits keeps nobody that had it.
                assert [d.subscription for d in stored] == [None] * len(stored)
                held += stored
            assert length == len(destination)
            copies = [
                delivery
                for peer in self._peers
                for delivery in peer.client.unacked.values()
                if isinstance(delivery, _Copy)
                and delivery.subscription is not None
                and delivery.subscription.destination is destination
            ]
            holders = Counter(copy.entry for copy in copies)
            assert all(entry.holders == count for entry, count in holders.items())
            # What has left is held as long as somebody has it.
            held += [entry for entry in holders if not entry.is_listed]
            assert destination.connections == sum(
                subscription.destination is destination
                for peer in self._peers
                for subscription in peer.client.subscriptions.values()
            )
        assert self.used == sum(d.size for d in held) + self.in_transactions

    @staticmethod
    def _check_backlog(backlog: Backlog) -> list[Delivery]:
        waiting = backlog._deliveries[backlog._first :]
        numbers = [delivery.message.number for delivery in waiting]
        assert numbers == sorted(set(numbers))
        assert len(waiting) == len(backlog)
        assert backlog.octets == sum(delivery.size for delivery in waiting)
        return waiting

    def end(self) -> None:
        """Everybody goes, and what waits is taken: then nothing is left."""
        self.check()
        for peer in self._peers:
            peer.leave()
            assert not peer.client.unacked
            assert not peer.client.transactions
        self.check()
        for name, destination in list(self.broker.destinations.items()):
            if isinstance(destination, Mailboxes):
                for user in list(destination._boxes):
                    peer = self.peer(user=user)
                    peer.subscribe(name)
                    peer.leave()
            self.drain(name)
            assert not destination.users
            if isinstance(destination, Topic):
                assert not destination._plain
                assert not destination._choosy
                assert not destination._acknowledging
                assert not destination._skipped
                assert not destination._awaited
                assert destination._room is None
        self.broker.expire(self.now)
        assert self.used == 0
        assert all(
            not destination.is_dynamic and destination.is_unused
            for destination in self.broker.destinations.values()
        )


class MakeWorld:
    """Makes worlds, and sees to it that nothing is left of them."""

    def __init__(self) -> None:
        self._worlds: list[World] = []

    def __call__(
        self,
        destinations: Mapping[str, Policy],
        limits: BrokerLimits | None = None,
        first_number: int = 0,
    ) -> World:
        world = World(destinations, limits, first_number)
        self._worlds.append(world)
        return world

    def end(self) -> None:
        for world in self._worlds:
            world.end()
