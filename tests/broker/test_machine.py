"""A broker under anything that clients may do, against a simple model of it.

After every step the model follows what the broker has done, delivery by delivery: so
no message of a queue is lost or given to two at once, and the order of each queue is
kept. That nothing waits while somebody has credit, and that the account of the memory
is right, is looked at in ``World.check`` and against the model.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from romp_asgi.broker import (
    BrokerLimits,
    Message,
    Overflow,
    Pending,
    Policy,
    SlowConsumerPolicy,
)
from romp_asgi.broker.message import Run
from romp_asgi.errors import DestinationFull, MemoryFull, PeerError
from romp_asgi.stomp.spec import (
    DEATH_REASON,
    DESTINATION as NAME,
    ORIGINAL_DESTINATION,
    AckMode,
)
from tests.broker.world import AUTO, CLIENT, QUEUE, TOPIC, Peer, World

LIMITS = BrokerLimits(max_memory=6000)

POLICIES = {
    "fifo": replace(QUEUE, max_messages=3, dead_letter="dead", max_deliveries=2),
    "latest": replace(
        QUEUE,
        max_messages=3,
        overflow=Overflow.DROP_OLDEST,
        expiry=10_000,
        dead_letter="dead",
    ),
    "patient": replace(QUEUE, max_messages=4, overflow=Overflow.BLOCK),
    "dead": replace(QUEUE, max_messages=2, max_deliveries=2),
    "topic": replace(
        TOPIC,
        slow_consumer=SlowConsumerPolicy.BLOCK,
        dead_letter="dead",
        max_deliveries=3,
    ),
    "made/*": replace(QUEUE, max_messages=3, dead_letter="nowhere"),
}
QUEUES = ("fifo", "latest", "patient", "dead", "made/1", "made/2")
DESTINATIONS = (*QUEUES, "topic")


def policy_of(destination: str) -> Policy:
    return POLICIES["made/*" if destination.startswith("made/") else destination]


# The model


@dataclass(eq=False)
class Copy:
    """A message in the one place where it is."""

    body: str
    number: int
    size: int
    expires_at: float
    count: int = 0


@dataclass(eq=False)
class Consumer:
    """A subscription. That of a topic is a queue of its own."""

    actor: "Actor"
    destination: str
    ack: AckMode
    prefetch: int
    ready: bool = True
    unacked: dict[int, Copy] = field(default_factory=dict)
    waiting: list[Copy] = field(default_factory=list)

    @property
    def has_credit(self) -> bool:
        if self.ack is AUTO and self.destination == "topic":
            return True
        return self.ready and len(self.unacked) < self.prefetch


@dataclass
class Send:
    destination: str
    body: str


@dataclass
class Answer:
    tag: int
    is_ack: bool
    requeue: bool


@dataclass(eq=False)
class Actor:
    """A client."""

    peer: Peer
    room: int = 8
    last_tag: int = 0
    ids: int = 0
    consumers: dict[str, Consumer] = field(default_factory=dict)
    transactions: dict[str, list[Send | Answer]] = field(default_factory=dict)
    pending: Pending | None = None

    @property
    def is_waiting(self) -> bool:
        return self.pending is not None and not self.pending.done


@dataclass
class Given:
    """A delivery that was made."""

    consumer: Consumer
    body: str
    tag: int
    redelivered: bool
    has_room: bool


@dataclass
class Door:
    """A receiver that writes down what it gets."""

    consumer: Consumer
    given: deque[Given]

    def deliver(self, message: Message, tag: int, redelivered: bool) -> bool:
        actor = self.consumer.actor
        actor.room -= 1
        has_room = actor.room > 0
        body = message.body.decode()
        self.given.append(Given(self.consumer, body, tag, redelivered, has_room))
        return has_room

    # A topic that blocks neither asks nor cuts off.

    def deliver_only(self, message: Message) -> bool:
        return self.deliver(message, 0, redelivered=False)

    def deliver_run(self, run: Run) -> bool:
        has_room = True
        for message in run.messages:
            has_room = self.deliver(message, 0, redelivered=False)
        return has_room

    def overrun(self) -> bool:
        raise AssertionError  # pragma: no cover  # it is an error if it is called

    def cut_off(self, error: PeerError) -> None:
        raise AssertionError  # pragma: no cover  # the same


ACTORS = st.integers(0, 3)
DESTINATION = st.sampled_from(DESTINATIONS)
PREFETCH = st.integers(1, 3)
#: Those that are begun. What belongs to any other is done at once.
TRANSACTION = st.sampled_from(["a", "b"])
RARELY = st.integers(0, 5).map(lambda number: number == 5)


class BrokerMachine(RuleBasedStateMachine):
    """What four clients do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(POLICIES, LIMITS)
        self.actors = [Actor(self.world.peer()) for _ in range(4)]
        self.given: deque[Given] = deque()
        self.queues: dict[str, list[Copy]] = {name: [] for name in QUEUES}
        self.sent = 0
        self.numbers = 0
        self.done: Counter[str] = Counter()

    @initialize(
        consumers=st.lists(
            st.tuples(ACTORS, DESTINATION, st.sampled_from(AckMode), PREFETCH),
            min_size=4,
            max_size=12,
        ),
        sent=st.lists(DESTINATION, max_size=10),
    )
    def start(
        self, consumers: list[tuple[int, str, AckMode, int]], sent: list[str]
    ) -> None:
        for who, destination, ack, prefetch in consumers:
            self.subscribe(who, destination, ack, prefetch)
        for number, destination in enumerate(sent):
            self.send_one(self.actors[number % 4], destination, "none")
        for actor in self.actors:
            self.begin(actor, "a")

    # What clients do

    @rule(
        who=ACTORS,
        destination=DESTINATION,
        transaction=TRANSACTION,
        count=st.integers(1, 5),
    )
    def send(self, who: int, destination: str, transaction: str, count: int) -> None:
        for _ in range(count):
            self.send_one(self.actors[who], destination, transaction)

    @rule(who=ACTORS, destinations=st.lists(DESTINATION, min_size=1, max_size=5))
    def send_about(self, who: int, destinations: list[str]) -> None:
        for destination in destinations:
            self.send_one(self.actors[who], destination, "none")

    def send_one(self, actor: Actor, destination: str, transaction: str) -> None:
        if actor.is_waiting:
            return
        self.sent += 1
        body = str(self.sent)
        if transaction in actor.transactions:
            peer = actor.peer
            try:
                assert peer.send(destination, body, transaction=transaction) is None
            except MemoryFull:
                assert self.world.used > LIMITS.max_memory
            else:
                actor.transactions[transaction].append(Send(destination, body))
            return
        try:
            actor.pending = actor.peer.send(destination, body)
        except DestinationFull:
            assert not self.accept(destination, body)
        except MemoryFull:
            assert self.world.used > LIMITS.max_memory * 1.25
        else:
            assert self.accept(destination, body)
            self.check_pending(actor.pending, [destination])

    @rule(
        who=ACTORS,
        which=st.integers(0, 100),
        is_ack=st.booleans(),
        requeue=st.booleans(),
        transaction=TRANSACTION,
    )
    def answer(
        self, who: int, which: int, is_ack: bool, requeue: bool, transaction: str
    ) -> None:
        actor = self.actors[who]
        if actor.is_waiting or not actor.last_tag:
            return
        # What was not answered, if there is any; or whatever it ever was given.
        tags = list(actor.peer.client.unacked)
        if not which % 5 or not tags:
            tags = list(range(1, actor.last_tag + 1))
        answer = Answer(tags[which % len(tags)], is_ack, requeue)
        within = transaction if transaction in actor.transactions else None
        if is_ack:
            actor.peer.ack(answer.tag, transaction=within)
        else:
            actor.peer.nack(answer.tag, requeue=requeue, transaction=within)
        if within is None:
            self.apply_answer(actor, answer)
        else:
            actor.transactions[within].append(answer)

    @rule(who=ACTORS, which=st.lists(st.integers(0, 100), min_size=2, max_size=6))
    def acknowledge_all(self, who: int, which: list[int]) -> None:
        """ACKs in a row, which the model takes one by one."""
        actor = self.actors[who]
        if not actor.last_tag:
            return
        all_tags = [*actor.peer.client.unacked, *range(1, actor.last_tag + 1)]
        tags = [all_tags[each % len(all_tags)] for each in which]
        assert not self.world.broker.acknowledge_all(actor.peer.client, tags)
        for tag in tags:
            self.apply_answer(actor, Answer(tag, is_ack=True, requeue=True))

    @rule(
        who=ACTORS,
        destination=DESTINATION,
        ack=st.sampled_from(AckMode),
        prefetch=PREFETCH,
    )
    def subscribe(
        self, who: int, destination: str, ack: AckMode, prefetch: int
    ) -> None:
        actor = self.actors[who]
        if actor.is_waiting or len(actor.consumers) > 3:
            return
        actor.ids += 1
        id = str(actor.ids)
        consumer = Consumer(actor, destination, ack, prefetch)
        actor.consumers[id] = consumer
        door = Door(consumer, self.given)
        self.world.broker.subscribe(
            actor.peer.client, id, destination, door, ack, prefetch
        )
        self.follow()

    @rule(who=ACTORS, which=st.integers(0, 5))
    def go(self, who: int, which: int) -> None:
        """UNSUBSCRIBE; or leave, even while it waits, and another one comes instead."""
        actor = self.actors[who]
        if not which:
            actor.peer.leave()
            self.actors[who] = Actor(self.world.peer())
            self.end(actor.consumers.values())
        elif actor.consumers and not actor.is_waiting:
            id = list(actor.consumers)[which % len(actor.consumers)]
            actor.peer.unsubscribe(id)
            self.end([actor.consumers.pop(id)])

    @rule(who=ACTORS, room=st.integers(1, 10))
    def get_room(self, who: int, room: int) -> None:
        actor = self.actors[who]
        actor.room = room
        actor.peer.gets_room()
        for consumer in actor.consumers.values():
            consumer.ready = True
            self.follow()

    @rule(who=ACTORS, transaction=TRANSACTION, aborts=RARELY)
    def transact(self, who: int, transaction: str, aborts: bool) -> None:
        """COMMIT or ABORT, if it is open, and then BEGIN."""
        actor = self.actors[who]
        if actor.is_waiting:
            return
        if aborts and transaction in actor.transactions:
            actor.peer.abort(transaction)
            del actor.transactions[transaction]
        elif transaction in actor.transactions:
            self.commit(actor, transaction)
        if transaction not in actor.transactions and not actor.is_waiting:
            self.begin(actor, transaction)

    def begin(self, actor: Actor, transaction: str) -> None:
        actor.peer.begin(transaction)
        actor.transactions[transaction] = []

    def commit(self, actor: Actor, transaction: str) -> None:
        operations = actor.transactions[transaction]
        destinations = [op.destination for op in operations if isinstance(op, Send)]
        is_possible = all(
            self.has_room_for(name, destinations.count(name)) for name in destinations
        )
        try:
            actor.pending = actor.peer.commit(transaction)
        except DestinationFull:
            # The step ends with a look at everything: nothing has changed.
            assert not is_possible
            return
        assert is_possible
        del actor.transactions[transaction]
        for operation in operations:
            if isinstance(operation, Send):
                assert self.accept(operation.destination, operation.body, force=True)
            else:
                self.apply_answer(actor, operation)
        self.check_pending(actor.pending, destinations)

    # Time

    @rule(seconds=st.integers(1, 6))
    def pass_time(self, seconds: int) -> None:
        self.world.now += seconds
        count = self.world.broker.expire(self.world.now)
        for name, queue in self.queues.items():
            while queue and 0 < queue[0].expires_at <= self.world.now:
                self.bury(name, queue.pop(0), "expired")
                count -= 1
        assert count == 0

    # What has to hold

    @invariant()
    def follows_the_model(self) -> None:
        assert not self.given
        assert not self.world.dropped
        self.world.check()
        held = 0
        destinations = self.world.broker.destinations
        for name, queue in self.queues.items():
            held += sum(copy.size for copy in queue)
            destination = destinations.get(name)
            if destination is None:
                assert not queue
                assert not self.consumers_of(name)
                continue
            assert len(destination) == len(queue)
            assert [copy.number for copy in queue] == sorted(c.number for c in queue)
            assert not (queue and self.has_taker(name))
        for actor in self.actors:
            tags = {tag for c in actor.consumers.values() for tag in c.unacked}
            assert set(actor.peer.client.unacked) == tags
            for consumer in actor.consumers.values():
                copies = [*consumer.unacked.values(), *consumer.waiting]
                held += sum(copy.size for copy in copies)
                assert not (consumer.waiting and consumer.has_credit)
            if actor.is_waiting:
                assert self.is_blocked()
        assert self.world.used == held + self.world.in_transactions

    def teardown(self) -> None:
        """Nothing was lost: what is still there is all that is missing."""
        for who in range(len(self.actors)):
            self.go(who, 0)
        for name, queue in self.queues.items():
            if queue:
                assert self.world.drain(name) == [copy.body for copy in queue]
                self.done.update(copy.body for copy in queue)
        self.world.end()

    # The model's side

    def consumers_of(self, destination: str) -> list[Consumer]:
        return [
            consumer
            for actor in self.actors
            for consumer in actor.consumers.values()
            if consumer.destination == destination
        ]

    def has_taker(self, destination: str) -> bool:
        return any(consumer.has_credit for consumer in self.consumers_of(destination))

    def has_room_for(self, destination: str, count: int) -> bool:
        policy = policy_of(destination)
        return (
            destination == "topic"
            or policy.overflow is not Overflow.REJECT
            or self.has_taker(destination)
            or len(self.queues[destination]) + count <= policy.max_messages
        )

    def is_blocked(self) -> bool:
        """Whether there is anything that a sender may still have to wait for."""
        return (
            self.world.used > LIMITS.max_memory * 0.9
            or len(self.queues["patient"]) > 2
            or any(not c.ready or c.waiting for c in self.consumers_of("topic"))
        )

    def check_pending(self, pending: Pending | None, destinations: list[str]) -> None:
        """A sender waits if it has to."""
        if pending is None and destinations:
            assert self.world.used <= LIMITS.max_memory
            if "patient" in destinations:
                assert len(self.queues["patient"]) < 4
            if "topic" in destinations:
                assert not any(c.waiting for c in self.consumers_of("topic"))

    def accept(
        self,
        destination: str,
        body: str,
        *,
        force: bool = False,
        added: Mapping[str, str] = {},
    ) -> bool:
        """A message has come, or a dead letter; whether it was taken."""
        if not force and not self.has_room_for(destination, 1):
            return False
        policy = policy_of(destination)
        self.numbers += 1
        expires_at = self.world.now + policy.expiry / 1000 if policy.expiry else 0

        def new_copy() -> Copy:
            headers = {NAME: destination, **added} if added else {}
            size = Message("", headers, body.encode()).size
            return Copy(body, self.numbers, size, expires_at)

        if destination == "topic":
            for consumer in self.consumers_of("topic"):
                consumer.waiting.append(new_copy())
        else:
            queue = self.queues[destination]
            if policy.overflow is Overflow.DROP_OLDEST:
                while len(queue) >= policy.max_messages:
                    self.drop(queue.pop(0), "overflow")
            queue.append(new_copy())
        self.follow()
        return True

    def follow(self) -> None:
        """Do in the model what the broker did, as far as it is right to be done."""
        while self.given and self.gives(self.given[0]):
            self.given.popleft()

    def gives(self, given: Given) -> bool:
        consumer = given.consumer
        queue = self.waiting_for(consumer)
        if not queue or queue[0].body != given.body or not consumer.has_credit:
            return False
        copy = queue.pop(0)
        assert given.redelivered == (copy.count > 0)
        copy.count += 1
        consumer.ready = given.has_room
        if consumer.ack is AUTO:
            assert given.tag == 0
            self.done[copy.body] += 1
        else:
            consumer.actor.last_tag += 1
            assert given.tag == consumer.actor.last_tag
            consumer.unacked[given.tag] = copy
        return True

    def waiting_for(self, consumer: Consumer) -> list[Copy]:
        if consumer.destination == "topic":
            return consumer.waiting
        return self.queues[consumer.destination]

    def put_back(self, consumer: Consumer, copies: Iterable[Copy]) -> None:
        waiting = self.waiting_for(consumer)
        waiting += copies
        waiting.sort(key=lambda copy: copy.number)

    def end(self, consumers: Iterable[Consumer]) -> None:
        for consumer in consumers:
            self.put_back(consumer, consumer.unacked.values())
            consumer.unacked.clear()
        self.follow()

    def apply_answer(self, actor: Actor, answer: Answer) -> None:
        for consumer in actor.consumers.values():
            if answer.tag not in consumer.unacked:
                continue
            tags = [answer.tag]
            if consumer.ack is CLIENT:
                tags = [tag for tag in consumer.unacked if tag <= answer.tag]
            copies = [consumer.unacked.pop(tag) for tag in tags]
            if answer.is_ack:
                self.done.update(copy.body for copy in copies)
            else:
                self.refuse(consumer, copies, requeue=answer.requeue)
        self.follow()

    def refuse(self, consumer: Consumer, copies: list[Copy], *, requeue: bool) -> None:
        policy = policy_of(consumer.destination)
        again = [c for c in copies if requeue and c.count < policy.max_deliveries]
        for copy in copies:
            if copy in again:
                continue
            reason = "delivery_limit" if requeue else "rejected"
            self.bury(consumer.destination, copy, reason)
        self.put_back(consumer, again)

    def bury(self, destination: str, copy: Copy, reason: str) -> None:
        name = policy_of(destination).dead_letter
        if name is None:
            self.drop(copy, reason)
        elif name == "nowhere" or not self.accept(
            name,
            copy.body,
            added={ORIGINAL_DESTINATION: destination, DEATH_REASON: reason},
        ):
            self.drop(copy, f"{reason}, and no dead letter")

    def drop(self, copy: Copy, reason: str) -> None:
        body, said = self.world.dropped.pop(0)
        assert body == copy.body
        assert said.startswith(reason)
        self.done[body] += 1


BrokerMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, derandomize=True, deadline=None
)
TestBrokerMachine = BrokerMachine.TestCase
