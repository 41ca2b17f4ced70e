"""Counted destinations under anything that clients may do, against a simple model.

The model looks at every consumer for every message, again and again. What a consumer
is given depends on nothing but its own credit and the list: so after each step each
of them must have got the same, in the same order.
"""

from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from romp_asgi.broker import Message, Overflow, Policy
from romp_asgi.errors import DestinationFull
from romp_asgi.stomp.spec import AckMode
from tests.broker.world import AUTO, CLIENT, COUNTED, QUEUE, Inbox, Peer, World

POLICIES = {
    "twice": replace(COUNTED, max_messages=4, max_deliveries=2, dead_letter="dead"),
    "once": replace(
        COUNTED,
        min_delivery=1,
        max_messages=3,
        overflow=Overflow.DROP_OLDEST,
        expiry=5000,
        filter_self=True,
    ),
    "dead": replace(QUEUE, max_messages=100_000),
}
COUNTED_ONES = ("twice", "once")


@dataclass(eq=False)
class Sent:
    """A message in the model."""

    body: str
    sender: Peer
    expires_at: float
    count: int = 0
    refusals: int = 0
    is_returned: bool = False
    offered: set["Consumer"] = field(default_factory=set)


@dataclass(eq=False)
class Consumer:
    """A client with one subscription."""

    peer: Peer
    destination: str
    ack: AckMode
    prefetch: int
    inbox: Inbox
    wanted: str
    room: int
    unacked: dict[int, Sent] = field(default_factory=dict)
    got: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    ready: bool = True
    last_tag: int = 0

    def offer(self, sent: Sent) -> None:
        sent.offered.add(self)
        is_own = POLICIES[self.destination].filter_self and sent.sender is self.peer
        if is_own or sent.body[-1] not in self.wanted:
            return
        self.got.append(sent.body)
        if sent.is_returned:
            self.again.append(sent.body)
        self.room -= 1
        self.ready = self.room > 0
        if self.ack is AUTO:
            sent.count += 1
        else:
            self.last_tag += 1
            self.unacked[self.last_tag] = sent

    @property
    def has_credit(self) -> bool:
        return self.ready and len(self.unacked) < self.prefetch


def wants(wanted: str, message: Message) -> bool:
    return message.body.decode()[-1] in wanted


WHO = st.integers(0, 5)
DESTINATION = st.sampled_from(COUNTED_ONES)


class CountedMachine(RuleBasedStateMachine):
    """What up to six clients do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(POLICIES)
        self.lists: dict[str, list[Sent]] = {name: [] for name in COUNTED_ONES}
        self.consumers: list[Consumer] = []
        self.dead: list[str] = []
        self.lost: list[tuple[str, str]] = []
        self.sent = 0

    @rule(who=WHO, destination=DESTINATION, count=st.integers(1, 3))
    def send(self, who: int, destination: str, count: int) -> None:
        for _ in range(count):
            self.send_one(who, destination)

    def send_one(self, who: int, destination: str) -> None:
        peer = self.world.peer()
        if self.consumers:
            peer = self.consumers[who % len(self.consumers)].peer
        self.sent += 1
        body, policy, waiting = str(self.sent), POLICIES[destination], self.lists
        if len(waiting[destination]) >= policy.max_messages:
            if policy.overflow is Overflow.REJECT:
                with pytest.raises(DestinationFull):
                    peer.send(destination, body)
                return
            self.lost.append((waiting[destination].pop(0).body, "overflow"))
        peer.send(destination, body)
        seconds = policy.expiry / 1000
        expires_at = self.world.now + seconds if seconds else float("inf")
        waiting[destination].append(Sent(body, peer, expires_at))
        self.pump(destination)

    @rule(
        destination=DESTINATION,
        ack=st.sampled_from(AckMode),
        prefetch=st.integers(1, 3),
        room=st.integers(1, 9),
        wanted=st.sampled_from(["0123456789"] * 3 + ["02468"]),
    )
    def subscribe(
        self, destination: str, ack: AckMode, prefetch: int, room: int, wanted: str
    ) -> None:
        if len(self.consumers) > 5:
            return
        peer = self.world.peer()
        inbox = peer.subscribe(
            destination, "1", ack, prefetch, room, partial(wants, wanted)
        )
        consumer = Consumer(peer, destination, ack, prefetch, inbox, wanted, room)
        self.consumers.append(consumer)
        self.pump(destination)

    @rule(who=WHO, leaves=st.booleans())
    def go(self, who: int, leaves: bool) -> None:
        if not self.consumers:
            return
        consumer = self.consumers.pop(who % len(self.consumers))
        if leaves:
            consumer.peer.leave()
        else:
            consumer.peer.unsubscribe()
        for sent in consumer.unacked.values():
            sent.is_returned = True

    @rule(
        who=WHO,
        which=st.integers(0, 9),
        is_ack=st.booleans(),
        requeue=st.booleans(),
    )
    def answer(self, who: int, which: int, is_ack: bool, requeue: bool) -> None:
        consumers = [c for c in self.consumers if c.unacked]
        if not consumers:
            return
        consumer = consumers[who % len(consumers)]
        tags = list(consumer.unacked)
        tag = tags[which % len(tags)]
        covered = [t for t in tags if t <= tag] if consumer.ack is CLIENT else [tag]
        if is_ack:
            consumer.peer.ack(tag)
        else:
            consumer.peer.nack(tag, requeue=requeue)
        waiting = self.lists[consumer.destination]
        policy = POLICIES[consumer.destination]
        for sent in [consumer.unacked.pop(each) for each in covered]:
            if is_ack:
                sent.count += 1
                continue
            sent.is_returned = True
            sent.refusals += 1
            is_dead = not requeue or sent.refusals >= policy.max_deliveries
            if is_dead and sent in waiting:
                waiting.remove(sent)
                self.bury(policy, sent, "delivery_limit" if requeue else "rejected")
        self.pump(consumer.destination)

    @rule(who=WHO, room=st.integers(1, 9))
    def get_room(self, who: int, room: int) -> None:
        if not self.consumers:
            return
        consumer = self.consumers[who % len(self.consumers)]
        consumer.room, consumer.ready = room, True
        consumer.peer.gets_room(consumer.inbox, room=room)
        self.pump(consumer.destination)

    @rule(seconds=st.integers(1, 3))
    def pass_time(self, seconds: int) -> None:
        self.world.now += seconds
        count = self.world.broker.expire(self.world.now)
        for destination, waiting in self.lists.items():
            while waiting and waiting[0].expires_at <= self.world.now:
                self.bury(POLICIES[destination], waiting.pop(0), "expired")
                count -= 1
            self.pump(destination)
        assert count == 0

    @invariant()
    def follows_the_model(self) -> None:
        self.world.check()
        assert self.world.dropped == self.lost
        assert self.world.waiting("dead") == len(self.dead)
        for name, waiting in self.lists.items():
            assert self.world.waiting(name) == len(waiting)
        for consumer in self.consumers:
            assert consumer.inbox == consumer.got
            assert consumer.inbox.again == consumer.again
            assert list(consumer.peer.client.unacked) == list(consumer.unacked)

    def teardown(self) -> None:
        assert self.world.drain("dead") == self.dead
        for consumer in self.consumers:
            consumer.peer.leave()
        for name, waiting in self.lists.items():
            assert self.world.drain(name) == [sent.body for sent in waiting]
        self.world.end()

    # The model's side

    def pump(self, destination: str) -> None:
        waiting = self.lists[destination]
        while waiting:
            for consumer in self.consumers:
                is_here = consumer.destination == destination
                had_it = consumer in waiting[0].offered
                if is_here and consumer.has_credit and not had_it:
                    consumer.offer(waiting[0])
            if waiting[0].count < POLICIES[destination].min_delivery:
                return
            waiting.pop(0)

    def bury(self, policy: Policy, sent: Sent, reason: str) -> None:
        if policy.dead_letter is None:
            self.lost.append((sent.body, reason))
        else:
            self.dead.append(sent.body)


CountedMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, derandomize=True, deadline=None
)
TestCountedMachine = CountedMachine.TestCase
