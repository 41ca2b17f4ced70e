"""What a full queue does with one more message: ``overflow``."""

from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Overflow, Policy
from romp_asgi.errors import DestinationFull
from tests.broker.world import CLIENT, INDIVIDUAL, QUEUE, MakeWorld, is_done

REJECT = replace(QUEUE, max_messages=2, overflow=Overflow.REJECT)
DROP_OLDEST = replace(QUEUE, max_messages=2, overflow=Overflow.DROP_OLDEST)
BLOCK = replace(QUEUE, max_messages=4, overflow=Overflow.BLOCK)


# Reject


def test_reject_is_the_default() -> None:
    assert Policy().overflow is Overflow.REJECT


def test_reject_refuses_what_does_not_fit(make_world: MakeWorld) -> None:
    world = make_world({"q": REJECT})
    sender = world.peer()
    assert sender.send("q", "a", "b") is None
    used = world.used
    with pytest.raises(DestinationFull) as raised:
        sender.send("q", "c")
    assert (raised.value.destination, raised.value.limit) == ("q", 2)
    assert world.used == used
    assert world.broker.destinations["q"].accepted == 2
    assert world.dropped == []
    assert world.drain("q") == ["a", "b"]
    sender.send("q", "d")
    assert world.drain("q") == ["d"]


def test_a_full_queue_takes_what_a_consumer_takes_at_once(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(REJECT, max_messages=1)})
    inbox = world.peer().subscribe("q")
    world.peer().send("q", *"abcd")
    assert inbox == ["a", "b", "c", "d"]


def test_what_consumers_have_does_not_fill_a_queue(make_world: MakeWorld) -> None:
    world = make_world({"q": REJECT})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT, prefetch=3)
    sender = world.peer()
    sender.send("q", *"abcde")
    with pytest.raises(DestinationFull):
        sender.send("q", "f")
    # What comes back is taken, whatever waits, and then there is no room for long.
    peer.leave()
    assert world.waiting("q") == 5
    with pytest.raises(DestinationFull):
        sender.send("q", "f")
    assert world.drain("q") == ["a", "b", "c", "d", "e"]


# Drop-oldest


def test_drop_oldest_makes_room_and_tells(make_world: MakeWorld) -> None:
    world = make_world({"q": DROP_OLDEST})
    assert world.peer().send("q", *"abcd") is None
    assert world.dropped == [("a", "overflow"), ("b", "overflow")]
    assert world.waiting("q") == 2
    assert world.broker.destinations["q"].accepted == 4
    assert world.drain("q") == ["c", "d"]


def test_drop_oldest_drops_what_came_back_before_what_waits(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": DROP_OLDEST})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL, prefetch=1)
    sender = world.peer()
    sender.send("q", "a", "b")
    peer.leave()
    sender.send("q", "c")
    assert world.dropped == [("a", "overflow")]
    assert world.drain("q") == ["b", "c"]


def test_drop_oldest_gets_a_queue_back_to_its_length(make_world: MakeWorld) -> None:
    world = make_world({"q": DROP_OLDEST})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT, prefetch=3)
    sender = world.peer()
    sender.send("q", *"abcde")
    peer.leave()
    assert world.waiting("q") == 5
    sender.send("q", "f")
    assert world.waiting("q") == 2
    assert [body for body, _ in world.dropped] == ["a", "b", "c", "d"]
    assert world.drain("q") == ["e", "f"]


def test_drop_oldest_drops_nothing_that_a_consumer_has(make_world: MakeWorld) -> None:
    world = make_world({"q": DROP_OLDEST})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=2)
    world.peer().send("q", *"abcdef")
    assert inbox == ["a", "b"]
    assert [body for body, _ in world.dropped] == ["c", "d"]
    peer.ack(2)
    assert inbox == ["a", "b", "e", "f"]


# Block


def test_block_lets_the_sender_wait_for_a_good_many_places(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": BLOCK})
    sender = world.peer()
    assert sender.send("q", "a", "b", "c") is None
    pending = sender.send("q", "d")
    assert world.waiting("q") == 4
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=1)
    assert not is_done(pending)  # with three that wait
    peer.ack(1)
    assert is_done(pending)  # with two
    assert inbox == ["a", "b"]
    assert sender.send("q", "e") is None


def test_what_comes_to_a_full_queue_is_kept(make_world: MakeWorld) -> None:
    world = make_world({"q": BLOCK})
    pendings = [world.peer().send("q", body) for body in "abcdef"]
    assert [pending is not None for pending in pendings] == [False] * 3 + [True] * 3
    assert world.dropped == []
    assert world.drain("q") == ["a", "b", "c", "d", "e", "f"]
    assert all(is_done(pending) for pending in pendings[3:])


def test_a_queue_for_one_message_blocks_until_it_is_empty(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(BLOCK, max_messages=1)})
    sender = world.peer()
    pending = sender.send("q", "a")
    world.drain("q")
    assert is_done(pending)
    assert sender.send("q", "b") is not None


def test_block_does_not_hold_up_what_a_consumer_takes_at_once(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(BLOCK, max_messages=1)})
    inbox = world.peer().subscribe("q")
    sender = world.peer()
    assert [sender.send("q", body) for body in "abc"] == [None] * 3
    assert inbox == ["a", "b", "c"]


def test_expiry_makes_room(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(BLOCK, expiry=10_000)})
    pending = world.peer().send("q", *"abcd")
    world.now += 10
    assert world.broker.expire(world.now) == 4
    assert is_done(pending)


def test_expiry_of_too_few_makes_no_room(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(BLOCK, expiry=10_000)})
    sender = world.peer()
    sender.send("q", "a")
    world.now += 5
    pending = sender.send("q", *"bcd")
    world.now += 5
    assert world.broker.expire(world.now) == 1
    assert not is_done(pending)


def test_a_blocked_sender_waits_for_memory_too(make_world: MakeWorld) -> None:
    limits = BrokerLimits(max_memory=3000)
    world = make_world({"q": BLOCK, "r": QUEUE}, limits)
    world.peer().send("r", "x" * 900)
    sender = world.peer()
    pending = sender.send("q", *"abcd")
    world.drain("q")
    # That freed the memory as well.
    assert is_done(pending)
    pending = sender.send("q", *"abcd")
    world.drain("r")
    assert not is_done(pending)
    world.drain("q")
    assert is_done(pending)
