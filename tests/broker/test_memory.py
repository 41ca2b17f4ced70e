"""What all destinations may hold together: ``max_memory``.

That the account is right after everything a test has done is seen to in ``World``.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Message, Overflow, Policy, SlowConsumerPolicy
from romp_asgi.broker.message import OVERHEAD, Memory
from romp_asgi.broker.transaction import ACK_SIZE
from romp_asgi.errors import DestinationFull, MemoryFull
from romp_asgi.stomp.headers import Headers
from tests.broker.world import (
    CLIENT,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    Peer,
    World,
    is_done,
)

#: A message of the tests takes this.
SIZE = 1000
BODY = "x" * (SIZE - OVERHEAD)


def test_a_message_takes_its_body_and_something() -> None:
    assert Message("q", {}, b"").size == OVERHEAD
    assert Message("q", {}, b"abc").size == OVERHEAD + 3


def test_a_message_takes_its_headers() -> None:
    assert Message("q", {"a": "bc", "de": ""}, b"").size == OVERHEAD + 5
    read = Headers({"a": "bc"})
    read.size = 4
    assert Message("q", read, b"").size == OVERHEAD + 4


def test_a_message_says_little_of_itself() -> None:
    message = Message("q", {"passcode": "secret"}, b"a" * 1000)
    message.number = 7
    assert repr(message) == "Message(7, 'q', 1000 bytes)"


def test_up_to_the_limit_nobody_waits() -> None:
    memory = Memory(1000)
    memory.used = 1000
    assert memory.room() is None
    memory.used += 1
    pending = memory.room()
    assert pending is not None
    assert memory.room() is pending


def test_room_is_a_tenth_of_the_limit() -> None:
    memory = Memory(1000)
    memory.used = 1001
    pending = memory.room()
    memory.release(100)
    assert memory.used == 901
    assert not is_done(pending)
    memory.release(1)
    assert is_done(pending)
    memory.release(0)
    memory.used = 1001
    later = memory.room()
    assert later is not None
    assert later is not pending


def test_who_sends_above_the_limit_waits(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE}, BrokerLimits(max_memory=3 * SIZE))
    sender = world.peer()
    assert sender.send("q", BODY, BODY, BODY) is None
    pending = sender.send("q", BODY)
    # It is kept all the same.
    assert world.used == 4 * SIZE
    consumer = world.peer()
    consumer.subscribe("q", ack=CLIENT, prefetch=1)
    assert not is_done(pending)
    consumer.ack(1)
    assert world.used == 3 * SIZE
    assert not is_done(pending)
    consumer.ack(2)
    assert is_done(pending)
    assert sender.send("q", BODY) is None


@pytest.mark.parametrize("destination", ["q", "t", "idle"])
def test_memory_is_one_for_all_destinations(
    make_world: MakeWorld, destination: str
) -> None:
    policies = {"q": QUEUE, "t": TOPIC, "idle": QUEUE, "other": QUEUE}
    world = make_world(policies, BrokerLimits(max_memory=8 * SIZE))
    world.peer().send("other", *[BODY] * 9)
    world.peer().subscribe("q")
    world.peer().subscribe("t")
    pending = world.peer().send(destination, BODY)
    world.drain("other")
    world.drain("idle")
    assert is_done(pending)


def test_what_is_not_acknowledged_is_in_memory(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC}, BrokerLimits(max_memory=SIZE))
    consumer = world.peer()
    consumer.subscribe("q", "1", CLIENT)
    consumer.subscribe("t", "2", INDIVIDUAL)
    sender = world.peer()
    assert sender.send("q", BODY) is None
    pending = sender.send("t", BODY)
    consumer.leave()
    # Of the topic's nothing is left, but the queue's message waits.
    assert world.used == SIZE
    assert not is_done(pending)
    world.drain("q")
    assert is_done(pending)


# Every way to be done with a message


def acknowledged(world: World, consumer: Peer) -> None:
    consumer.ack(1)


def rejected(world: World, consumer: Peer) -> None:
    consumer.nack(1, requeue=False)


def refused_too_often(world: World, consumer: Peer) -> None:
    consumer.nack(1, 2)


def committed(world: World, consumer: Peer) -> None:
    consumer.begin()
    consumer.ack(1, transaction="tx")
    assert world.used == SIZE + ACK_SIZE
    consumer.commit()


def left_and_taken(world: World, consumer: Peer) -> None:
    consumer.leave()
    world.drain("x")


def left_and_expired(world: World, consumer: Peer) -> None:
    consumer.unsubscribe("1")
    world.now += 3600
    world.broker.expire(world.now)


def left_and_displaced(world: World, consumer: Peer) -> None:
    consumer.unsubscribe("1")
    world.peer().send("x", BODY)
    world.drain("x")


@pytest.mark.parametrize("kind", [QUEUE, TOPIC], ids=["queue", "topic"])
@pytest.mark.parametrize("dead_letter", [None, "dead", "nowhere"])
@pytest.mark.parametrize(
    "done",
    [
        acknowledged,
        rejected,
        refused_too_often,
        committed,
        left_and_taken,
        left_and_expired,
        left_and_displaced,
    ],
)
def test_what_is_done_with_takes_no_memory(
    make_world: MakeWorld,
    kind: Policy,
    dead_letter: str | None,
    done: Callable[[World, Peer], None],
) -> None:
    policy = replace(
        kind,
        expiry=60_000,
        max_messages=1,
        overflow=Overflow.DROP_OLDEST,
        max_deliveries=2,
        dead_letter=dead_letter,
    )
    world = make_world({"x": policy, "dead": QUEUE})
    consumer = world.peer()
    consumer.subscribe("x", "1", INDIVIDUAL)
    world.peer().send("x", BODY)
    assert world.used == SIZE
    done(world, consumer)
    assert bool(world.used) == bool(world.waiting("dead"))
    world.drain("dead")
    assert world.used == 0


@pytest.mark.parametrize("policy", SlowConsumerPolicy)
@pytest.mark.parametrize("end", [Peer.leave, Peer.unsubscribe])
def test_what_waited_for_one_subscription_goes_with_it(
    make_world: MakeWorld, policy: SlowConsumerPolicy, end: Callable[[Peer], None]
) -> None:
    limits = BrokerLimits(max_outbox=4 * SIZE)
    world = make_world({"t": replace(TOPIC, slow_consumer=policy)}, limits)
    peer = world.peer()
    peer.subscribe("t", ack=INDIVIDUAL, prefetch=2)
    world.peer().send("t", *[BODY] * 10)
    peer.nack(1)
    blocks = policy is SlowConsumerPolicy.BLOCK
    assert world.used == (10 if blocks else 7) * SIZE
    end(peer)
    assert world.used == 0


def test_a_message_that_is_refused_takes_no_memory(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=1)})
    peer = world.peer()
    peer.send("q", BODY)
    with pytest.raises(DestinationFull):
        peer.send("q", BODY)
    peer.begin()
    peer.send("q", BODY, transaction="tx")
    with pytest.raises(DestinationFull):
        peer.commit()
    peer.abort()
    assert world.used == SIZE


# Far too much


@pytest.mark.parametrize(
    ("destination", "has_consumer"),
    [("q", False), ("q", True), ("blocks", False), ("blocks", True), ("t", True)],
)
def test_those_that_would_wait_are_refused_at_last(
    make_world: MakeWorld, destination: str, has_consumer: bool
) -> None:
    blocks = replace(QUEUE, overflow=Overflow.BLOCK)
    policies = {"q": QUEUE, "t": TOPIC, "blocks": blocks}
    world = make_world(policies, BrokerLimits(max_memory=4 * SIZE))
    if has_consumer:
        world.peer().subscribe(destination, ack=CLIENT)
    for number in range(6):
        assert (world.peer().send(destination, BODY) is None) == (number < 4)
    with pytest.raises(MemoryFull) as raised:
        world.peer().send(destination, BODY)
    assert raised.value.message == "destination flup"
    assert str(raised.value) == f"The server is full: max_memory is {4 * SIZE} bytes."
    assert world.used == 6 * SIZE


def test_what_is_not_held_is_not_refused(make_world: MakeWorld) -> None:
    policies = {"q": QUEUE, "t": TOPIC, "other": QUEUE}
    world = make_world(policies, BrokerLimits(max_memory=SIZE))
    world.peer().send("other", BODY, BODY)
    queue, topic = world.peer().subscribe("q"), world.peer().subscribe("t")
    world.peer().send("q", "a")
    world.peer().send("t", "b")
    assert (queue, topic) == (["a"], ["b"])


def test_an_open_transaction_takes_memory(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE}, BrokerLimits(max_memory=2 * SIZE))
    peer = world.peer()
    for transaction in "ab":
        peer.begin(transaction)
    peer.send("q", BODY, BODY, BODY, transaction="a")
    assert world.used == 3 * SIZE
    # It does not wait: only a transaction could make room.
    with pytest.raises(MemoryFull):
        peer.send("q", BODY, transaction="b")
    # And can be committed all the same.
    peer.commit("a")
    assert world.used == 3 * SIZE
    peer.abort("b")
    assert world.drain("q") == [BODY] * 3


@pytest.mark.parametrize("end", ["abort", "leave"])
def test_a_transaction_that_ends_takes_none(make_world: MakeWorld, end: str) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.begin()
    peer.send("q", BODY, transaction="tx")
    getattr(peer, end)()
    assert world.used == 0


def test_a_dead_letter_is_not_refused(make_world: MakeWorld) -> None:
    policies = {"q": replace(QUEUE, dead_letter="dead"), "dead": QUEUE}
    world = make_world(policies, BrokerLimits(max_memory=4 * SIZE))
    world.peer().send("q", *[BODY] * 5)
    world.peer().send("q", BODY)
    consumer = world.peer()
    consumer.subscribe("q", ack=INDIVIDUAL)
    consumer.nack(1, 2, requeue=False)
    assert world.waiting("dead") == 2
