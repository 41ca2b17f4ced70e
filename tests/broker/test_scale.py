"""Many consumers, and many messages: nothing is looked through that can be long.

What would take seconds then takes minutes: so the time limit tells it, and no clock.
"""

from dataclasses import replace

import pytest

from romp_asgi.broker import SlowConsumerPolicy
from romp_asgi.stomp.spec import AckMode
from tests.broker.world import AUTO, CLIENT, INDIVIDUAL, QUEUE, TOPIC, MakeWorld

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
