"""Many consumers, and many messages: nothing is looked through that can be long.

What would take seconds then takes minutes: so the time limit tells it, and no clock.
"""

from dataclasses import replace

import pytest

from romp_asgi.broker import Message, SlowConsumerPolicy
from romp_asgi.stomp.spec import AckMode
from tests.broker.world import (
    AUTO,
    CLIENT,
    COUNTED,
    EPOCH,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
)

pytestmark = pytest.mark.timeout(10)

CONSUMERS = 10_000
MESSAGES = 50_000

LONG = replace(QUEUE, max_messages=MESSAGES, expiry=10_000)


def test_many_consumers_of_a_queue_take_turns(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peers = [world.peer() for _ in range(CONSUMERS)]
    inboxes = [
        peer.subscribe("q", ack=INDIVIDUAL, prefetch=1, room=2) for peer in peers
    ]
    sender = world.peer()
    for _ in range(CONSUMERS):
        sender.send("q", "a")
    assert all(len(inbox) == 1 for inbox in inboxes)
    for peer in reversed(peers):
        peer.ack(1)
    for _ in range(CONSUMERS):
        sender.send("q", "b")
    assert all(len(inbox) == 2 for inbox in inboxes)
    for peer, inbox in zip(peers, inboxes, strict=True):
        peer.gets_room(inbox)


def test_many_slow_subscribers_of_a_topic(make_world: MakeWorld) -> None:
    world = make_world({"t": replace(TOPIC, slow_consumer=SlowConsumerPolicy.DROP)})
    peers = [world.peer() for _ in range(CONSUMERS)]
    inboxes = [
        peer.subscribe("t", ack=ack, room=1)
        for peer, ack in zip(peers, [AUTO, CLIENT] * CONSUMERS, strict=False)
    ]
    for inbox in inboxes:
        inbox.is_overrun = True
    sender = world.peer()
    sender.send("t", *"abc")
    for inbox in inboxes:
        inbox.is_overrun = False
    for peer, inbox in zip(peers, inboxes, strict=True):
        peer.gets_room(inbox)
    sender.send("t", "d")
    assert all(inbox[-1] == "d" for inbox in inboxes)


def test_many_messages_wait_and_expire(make_world: MakeWorld) -> None:
    world = make_world({"q": LONG})
    world.peer().send("q", *["a"] * MESSAGES)
    assert world.broker.expire(world.now) == 0
    world.now += 10
    assert world.broker.expire(world.now) == MESSAGES


def test_many_messages_go_back(make_world: MakeWorld) -> None:
    world = make_world({"q": LONG})
    world.peer().send("q", *map(str, range(MESSAGES)))
    for _ in range(2):
        peer = world.peer()
        for id in "12":
            peer.subscribe("q", id, CLIENT, prefetch=MESSAGES)
        peer.leave()
    assert world.waiting("q") == MESSAGES
    assert world.drain("q") == [str(number) for number in range(MESSAGES)]


@pytest.mark.parametrize("mode", [CLIENT, INDIVIDUAL])
def test_each_of_many_messages_is_acknowledged(
    make_world: MakeWorld, mode: AckMode
) -> None:
    world = make_world({"q": LONG})
    peer = world.peer()
    peer.subscribe("q", ack=mode, prefetch=MESSAGES)
    world.peer().send("q", *["a"] * MESSAGES)
    peer.ack(*range(1, MESSAGES + 1))
    assert world.used == 0


def test_a_long_list_is_counted_by_many(make_world: MakeWorld) -> None:
    policy = replace(COUNTED, max_messages=MESSAGES, min_delivery=3, expiry=10_000)
    world = make_world({"c": policy})
    sender = world.peer()
    sender.send("c", *["a"] * MESSAGES)
    # A thousand that are out of credit cost nothing, whatever comes and goes.
    slow = [world.peer() for _ in range(1000)]
    for peer in slow:
        peer.subscribe("c", ack=INDIVIDUAL, prefetch=1)
    quick = [world.peer().subscribe("c") for _ in range(3)]
    assert [len(inbox) for inbox in quick] == [MESSAGES] * 3
    for peer in reversed(slow):
        peer.ack(1)
    sender.send("c", *["b"] * 100)
    assert all(list(peer.client.unacked) == [2] for peer in slow)


def test_many_that_want_nothing_see_each_message_once(make_world: MakeWorld) -> None:
    policy = replace(COUNTED, max_messages=10_000, expiry=10_000)
    world = make_world({"c": policy})
    seen = []

    def wants_nothing(message: Message) -> bool:
        seen.append(message)
        return False

    world.peer().send("c", *["a"] * 10_000)
    for _ in range(1000):
        world.peer().subscribe("c", wants=wants_nothing)
    # Only the head is looked at; and when all of them expire, none of the others.
    world.now += 10
    assert world.broker.expire(world.now) == 10_000
    assert len(seen) == 1000


def test_many_messages_say_themselves_when_they_expire(make_world: MakeWorld) -> None:
    world = make_world({"q": LONG})
    sender = world.peer()
    for number in range(MESSAGES):
        # In no order: the latest first.
        at = int((EPOCH + world.now + 9 - number * 8 / MESSAGES) * 1000)
        sender.send("q", "a", headers={"expires": str(at)})
    for _ in range(100):
        world.now += 0.1
        world.broker.expire(world.now)
    assert world.waiting("q") == 0


def test_many_users_have_a_message_each(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(LONG, sub_by_user=True, max_messages=CONSUMERS)})
    sender = world.peer()
    for number in range(CONSUMERS):
        sender.send("q", "a", headers={"to": str(number)})
    inboxes = [
        world.peer(user=str(number)).subscribe("q", ack=INDIVIDUAL, prefetch=2)
        for number in range(CONSUMERS)
    ]
    for number in range(CONSUMERS):
        sender.send("q", "b", headers={"to": str(number)})
    assert inboxes == [["a", "b"]] * CONSUMERS
