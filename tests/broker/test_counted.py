"""Counted destinations: ``min_delivery`` without a type."""

from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Overflow
from romp_asgi.errors import DestinationFull, MemoryFull
from romp_asgi.stomp.spec import ORIGINAL_DESTINATION
from tests.broker.world import (
    AUTO,
    CLIENT,
    COUNTED,
    INDIVIDUAL,
    QUEUE,
    MakeWorld,
    is_done,
)

ONCE = replace(COUNTED, min_delivery=1)


def test_a_message_waits_for_its_deliveries(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    world.peer().send("c", "a", "b")
    first = world.peer().subscribe("c")
    # It is the head that is offered, and it blocks what is behind it.
    assert first == ["a"]
    assert world.waiting("c") == 2
    second = world.peer().subscribe("c")
    assert (first, second) == (["a", "b"], ["a", "b"])
    assert world.waiting("c") == 0


def test_every_subscription_gets_what_enough_are_there_for(
    make_world: MakeWorld,
) -> None:
    world = make_world({"c": COUNTED})
    inboxes = [world.peer().subscribe("c") for _ in range(5)]
    world.peer().send("c", "a", "b")
    assert inboxes == [["a", "b"]] * 5
    assert world.waiting("c") == 0
    # Who comes later does not.
    assert world.peer().subscribe("c") == []


def test_once_is_a_broadcast_that_waits_for_the_first(make_world: MakeWorld) -> None:
    world = make_world({"c": ONCE})
    sender = world.peer()
    sender.send("c", "a", "b")
    inboxes = [world.peer().subscribe("c") for _ in range(2)]
    assert inboxes == [["a", "b"], []]
    sender.send("c", "c")
    assert inboxes == [["a", "b", "c"], ["c"]]


def test_an_acknowledgement_counts_and_not_a_delivery(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    auto, acknowledging = world.peer(), world.peer()
    got = auto.subscribe("c"), acknowledging.subscribe("c", ack=INDIVIDUAL)
    world.peer().send("c", "a", "b")
    assert got == (["a"], ["a"])
    acknowledging.ack(1)
    assert got == (["a", "b"], ["a", "b"])
    assert world.waiting("c") == 1
    acknowledging.ack(1, 1)  # what is repeated does not count
    assert world.waiting("c") == 1
    acknowledging.ack(2)
    assert world.waiting("c") == 0


def test_a_late_acknowledgement_of_what_has_left_is_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world({"c": COUNTED})
    slow = world.peer()
    inbox = slow.subscribe("c", ack=INDIVIDUAL)
    for _ in range(2):
        world.peer().subscribe("c")
    world.peer().send("c", "a", "b")
    assert world.waiting("c") == 0
    # All have got both; what it has not acknowledged is still held.
    assert inbox == ["a", "b"]
    assert world.used > 0
    slow.ack(2, 1)
    assert world.used == 0


def test_client_acknowledges_all_before_it(make_world: MakeWorld) -> None:
    world = make_world({"c": ONCE})
    peer = world.peer()
    inbox = peer.subscribe("c", ack=CLIENT)
    quick = world.peer().subscribe("c")
    world.peer().send("c", *"abc")
    assert (inbox, quick) == (["a", "b", "c"], ["a", "b", "c"])
    peer.ack(3)
    assert not peer.client.unacked
    assert world.used == 0


def test_a_client_that_goes_leaves_it_to_the_next_new_one(
    make_world: MakeWorld,
) -> None:
    world = make_world({"c": COUNTED})
    there, goes = world.peer(), world.peer()
    first = there.subscribe("c", ack=INDIVIDUAL)
    goes.subscribe("c", ack=INDIVIDUAL)
    world.peer().send("c", "a", "b")
    there.ack(1)
    goes.leave()
    # Not to one that has had it.
    assert first == ["a"]
    comes = world.peer()
    next_one = comes.subscribe("c", ack=INDIVIDUAL)
    assert next_one == ["a"]
    assert next_one.again == ["a"]
    comes.ack(1)
    assert (first, next_one) == (["a", "b"], ["a", "b"])
    assert first.again == []
    assert next_one.again == ["a"]


def test_what_has_left_does_not_come_back(make_world: MakeWorld) -> None:
    world = make_world({"c": ONCE})
    goes = world.peer()
    goes.subscribe("c", ack=INDIVIDUAL)
    world.peer().subscribe("c")
    world.peer().send("c", "a")
    goes.unsubscribe()
    assert world.used == 0
    assert world.peer().subscribe("c") == []


def test_one_client_can_be_several_of_them(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    peer = world.peer()
    inboxes = [peer.subscribe("c", id, INDIVIDUAL) for id in "12"]
    peer.send("c", "a")
    assert inboxes == [["a"], ["a"]]
    peer.ack(1)
    assert world.waiting("c") == 1
    peer.ack(2)
    assert world.waiting("c") == 0


# Credit and room


def test_credit(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    peers = [world.peer() for _ in range(2)]
    inboxes = [p.subscribe("c", ack=INDIVIDUAL, prefetch=1) for p in peers]
    third = world.peer().subscribe("c", ack=CLIENT)
    world.peer().send("c", *"abc")
    assert [*inboxes, third] == [["a"], ["a"], ["a"]]
    peers[0].ack(1)
    peers[1].ack(1)
    assert [*inboxes, third] == [["a", "b"], ["a", "b"], ["a", "b"]]
    peers[0].ack(2)
    peers[1].ack(2)
    assert world.waiting("c") == 1


def test_who_has_no_credit_misses_what_leaves_meanwhile(make_world: MakeWorld) -> None:
    world = make_world({"c": ONCE})
    slow = world.peer()
    inbox = slow.subscribe("c", ack=INDIVIDUAL, prefetch=1)
    quick = world.peer().subscribe("c")
    world.peer().send("c", "a", "b")
    slow.ack(1)
    world.peer().send("c", "c")
    assert quick == ["a", "b", "c"]
    assert inbox == ["a", "c"]


def test_a_message_waits_for_who_has_no_room(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    slow = world.peer()
    inbox = slow.subscribe("c", room=1)
    quick = world.peer().subscribe("c")
    world.peer().send("c", *"abc")
    assert (quick, inbox) == (["a", "b"], ["a"])
    slow.gets_room(inbox, room=2)
    assert (quick, inbox) == (["a", "b", "c"], ["a", "b", "c"])
    assert world.waiting("c") == 0
    slow.gets_room(inbox)


def test_room_gives_nothing_a_second_time(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    peer = world.peer()
    inbox = peer.subscribe("c", room=1)
    peer.send("c", "a")
    peer.gets_room(inbox)
    peer.gets_room(inbox)
    assert inbox == ["a"]


# What it does not want


def test_what_is_filtered_out_does_not_count(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    inboxes = [
        world.peer().subscribe("c", wants=wanted) for wanted in ("ab", "abc", "c")
    ]
    world.peer().send("c", "a", "b", "x", "c")
    assert inboxes == [["a", "b"], ["a", "b"], []]
    # Nobody wants "x", which blocks what is behind it.
    assert world.waiting("c") == 2
    for _ in range(2):
        world.peer().subscribe("c")
    assert inboxes == [["a", "b"], ["a", "b", "c"], ["c"]]
    assert world.waiting("c") == 0


def test_its_own_messages_do_not_count(make_world: MakeWorld) -> None:
    world = make_world({"c": replace(COUNTED, filter_self=True)})
    peers = [world.peer() for _ in range(3)]
    inboxes = [peer.subscribe("c") for peer in peers]
    peers[0].send("c", "a")
    peers[1].send("c", "b")
    assert inboxes == [["b"], ["a"], ["a", "b"]]
    assert world.waiting("c") == 0


# NACK and the dead letters


def test_nack_leaves_it_to_others(make_world: MakeWorld) -> None:
    world = make_world({"c": COUNTED})
    peer = world.peer()
    inbox = peer.subscribe("c", ack=INDIVIDUAL)
    other = world.peer().subscribe("c")
    world.peer().send("c", "a", "b")
    peer.nack(1)
    assert (inbox, other) == (["a"], ["a"])
    third = world.peer().subscribe("c")
    assert third[0] == "a"
    assert third.again == ["a"]
    assert other == ["a", "b"]


def test_nack_without_requeue_ends_it(make_world: MakeWorld) -> None:
    world = make_world({"c": replace(COUNTED, dead_letter="dead"), "dead": QUEUE})
    peer, other = world.peer(), world.peer()
    inbox = peer.subscribe("c", ack=INDIVIDUAL)
    other.subscribe("c", ack=INDIVIDUAL)
    world.peer().send("c", "a", "b")
    peer.nack(1, requeue=False)
    assert inbox == ["a", "b"]
    letters = world.peer().subscribe("dead")
    assert letters == ["a"]
    assert letters.messages[0].headers[ORIGINAL_DESTINATION] == "c"
    # It has left for the other one, too, and goes to the dead letters once.
    other.nack(1, requeue=False)
    assert letters == ["a"]


def test_so_many_refusals_end_it(make_world: MakeWorld) -> None:
    policy = replace(COUNTED, max_deliveries=2, dead_letter="dead")
    world = make_world({"c": policy, "dead": QUEUE})
    peers = [world.peer() for _ in range(3)]
    for peer in peers:
        peer.subscribe("c", ack=INDIVIDUAL)
    world.peer().send("c", "a")
    peers[0].nack(1)
    peers[1].leave()  # to go is no refusal
    assert world.waiting("c") == 1
    peers[2].nack(1)
    assert world.waiting("c") == 0
    assert world.drain("dead") == ["a"]


def test_a_refusal_of_what_has_left_is_nothing(make_world: MakeWorld) -> None:
    world = make_world({"c": replace(ONCE, dead_letter="dead"), "dead": QUEUE})
    peer = world.peer()
    peer.subscribe("c", ack=INDIVIDUAL)
    world.peer().subscribe("c")
    world.peer().send("c", "a")
    peer.nack(1, requeue=False)
    assert world.waiting("dead") == 0
    assert world.dropped == []
    assert world.used == 0


# Expiry


def test_the_head_expires_whoever_has_it(make_world: MakeWorld) -> None:
    world = make_world(
        {"c": replace(COUNTED, expiry=10_000, dead_letter="dead"), "dead": QUEUE}
    )
    peer = world.peer()
    inbox = peer.subscribe("c", ack=INDIVIDUAL)
    sender = world.peer()
    sender.send("c", "a", "b")
    world.now += 5
    sender.send("c", "c")
    world.now += 5
    assert world.broker.expire(world.now) == 2
    assert inbox == ["a", "c"]
    assert world.drain("dead") == ["a", "b"]
    peer.ack(1)
    assert world.waiting("c") == 1


# Overflow


def test_reject(make_world: MakeWorld) -> None:
    world = make_world({"c": replace(COUNTED, max_messages=2)})
    sender = world.peer()
    sender.send("c", "a", "b")
    with pytest.raises(DestinationFull):
        sender.send("c", "c")
    for _ in range(2):
        world.peer().subscribe("c")
    sender.send("c", *"cde")
    assert world.waiting("c") == 0


def test_drop_oldest(make_world: MakeWorld) -> None:
    policy = replace(COUNTED, max_messages=2, overflow=Overflow.DROP_OLDEST)
    world = make_world({"c": policy})
    inbox = world.peer().subscribe("c")
    world.peer().send("c", *"abcd")
    assert world.dropped == [("a", "overflow"), ("b", "overflow")]
    assert inbox == ["a", "b", "c"]
    assert world.drain("c") == ["c", "d"]


def test_block(make_world: MakeWorld) -> None:
    policy = replace(COUNTED, max_messages=2, overflow=Overflow.BLOCK)
    world = make_world({"c": policy})
    sender = world.peer()
    assert sender.send("c", "a") is None
    pending = sender.send("c", "b")
    assert not is_done(pending)
    # One message a producer that waits, but not of any number of them.
    with pytest.raises(DestinationFull):
        sender.send("c", *["x"] * 2000)
    peers = [world.peer() for _ in range(2)]
    for peer in peers:
        peer.subscribe("c")
    assert is_done(pending)


def test_a_commit_needs_room_for_all(make_world: MakeWorld) -> None:
    world = make_world({"c": replace(COUNTED, max_messages=2)})
    sender = world.peer()
    sender.send("c", "a")
    sender.begin()
    sender.send("c", "b", "c", transaction="tx")
    with pytest.raises(DestinationFull):
        sender.commit()
    inboxes = [world.peer().subscribe("c") for _ in range(2)]
    sender.commit()
    assert inboxes == [["a", "b", "c"]] * 2


def test_acknowledgements_in_a_transaction_count_at_its_commit(
    make_world: MakeWorld,
) -> None:
    world = make_world({"c": ONCE})
    peer = world.peer()
    peer.subscribe("c", ack=INDIVIDUAL)
    peer.send("c", "a")
    peer.begin()
    peer.ack(1, transaction="tx")
    assert world.waiting("c") == 1
    peer.commit()
    assert world.waiting("c") == 0


def test_memory(make_world: MakeWorld) -> None:
    world = make_world(
        {"c": replace(COUNTED, max_messages=10_000)}, BrokerLimits(max_memory=4000)
    )
    sender = world.peer()
    with pytest.raises(MemoryFull):
        sender.send("c", *["a"] * 100)
    pending = sender.broker.memory.room()
    peers = [world.peer() for _ in range(2)]
    for peer in peers:
        peer.subscribe("c", ack=AUTO)
    assert is_done(pending)
    assert world.used == 0


def test_a_name_of_a_pattern_goes_when_it_is_unused(make_world: MakeWorld) -> None:
    world = make_world({"c/*": ONCE})
    world.peer().send("c/1", "a")
    world.broker.expire(world.now)
    assert "c/1" in world.broker.destinations
    peer = world.peer()
    assert peer.subscribe("c/1") == ["a"]
    peer.leave()
    assert "c/1" not in world.broker.destinations
