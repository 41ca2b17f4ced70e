"""What a topic does with a subscriber that does not keep up: ``slow_consumer``."""

from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Policy, SlowConsumerPolicy
from romp_asgi.errors import SlowConsumer
from tests.broker.world import CLIENT, INDIVIDUAL, TOPIC, MakeWorld, is_done

DISCONNECT = replace(TOPIC, slow_consumer=SlowConsumerPolicy.DISCONNECT)
DROP = replace(TOPIC, slow_consumer=SlowConsumerPolicy.DROP)
BLOCK = replace(TOPIC, slow_consumer=SlowConsumerPolicy.BLOCK)

#: Two messages of these tests, and no third, may wait for credit.
SMALL = BrokerLimits(max_outbox=1200)


def test_disconnect_is_the_default() -> None:
    assert Policy().slow_consumer is SlowConsumerPolicy.DISCONNECT


# Subscriptions that are auto


@pytest.mark.parametrize("policy", [DISCONNECT, DROP])
def test_an_auto_subscription_gets_all_until_it_is_overrun(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"t": policy})
    inbox = world.peer().subscribe("t", room=1)
    assert world.peer().send("t", "a", "b", "c") is None
    assert inbox == ["a", "b", "c"]
    assert inbox.errors == []
    assert world.dropped == []


def test_a_subscriber_that_is_overrun_is_cut_off_once(make_world: MakeWorld) -> None:
    world = make_world({"t": DISCONNECT}, BrokerLimits(max_outbox=4000))
    inbox = world.peer().subscribe("t", room=1)
    other = world.peer().subscribe("t")
    inbox.is_overrun = True
    assert world.peer().send("t", "a", "b", "c") is None
    # What it has of "a" is whole; it gets nothing more.
    assert inbox == ["a"]
    assert other == ["a", "b", "c"]
    [error] = inbox.errors
    assert isinstance(error, SlowConsumer)
    assert (error.destination, error.limit) == ("t", 4000)
    # Its client is told, and ends: that is no loss for the log.
    assert world.dropped == []


def test_only_the_slow_ones_are_cut_off(make_world: MakeWorld) -> None:
    world = make_world({"t": DISCONNECT})
    inboxes = [world.peer().subscribe("t", room=1) for _ in range(4)]
    for slow in inboxes[1:3]:
        slow.is_overrun = True
    world.peer().send("t", "a", "b")
    assert inboxes == [["a", "b"], ["a"], ["a"], ["a", "b"]]
    assert [len(inbox.errors) for inbox in inboxes] == [0, 1, 1, 0]


def test_a_subscriber_that_was_cut_off_can_leave(make_world: MakeWorld) -> None:
    world = make_world({"t": DISCONNECT})
    peer = world.peer()
    inbox = peer.subscribe("t", room=1)
    inbox.is_overrun = True
    world.peer().send("t", "a")
    peer.leave()
    world.peer().send("t", "b")
    assert inbox == ["a"]
    assert len(inbox.errors) == 1


def test_drop_passes_a_subscriber_over_until_it_has_room(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": DROP})
    peer = world.peer()
    inbox = peer.subscribe("t", room=1)
    other = world.peer().subscribe("t")
    inbox.is_overrun = True
    sender = world.peer()
    assert sender.send("t", "a", "b", "c") is None
    assert inbox == ["a"]
    inbox.is_overrun = False
    peer.gets_room(inbox)
    sender.send("t", "d")
    assert inbox == ["a", "d"]
    assert other == ["a", "b", "c", "d"]
    assert inbox.errors == []


def test_drop_goes_on_while_there_is_not_enough_room(make_world: MakeWorld) -> None:
    world = make_world({"t": DROP})
    peer = world.peer()
    inbox = peer.subscribe("t", room=1)
    inbox.is_overrun = True
    sender = world.peer()
    sender.send("t", "a", "b")
    peer.gets_room(inbox)
    sender.send("t", "c")
    assert inbox == ["a"]


def test_a_message_that_is_not_given_to_all_is_told_once(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": DROP})
    for _ in range(3):
        world.peer().subscribe("t", room=1).is_overrun = True
    world.peer().subscribe("t")
    world.peer().send("t", "a")
    assert world.dropped == []
    world.peer().send("t", "b", "c")
    assert world.dropped == [("b", "slow consumer"), ("c", "slow consumer")]


def test_block_lets_the_sender_wait_for_room(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK})
    peer = world.peer()
    inbox = peer.subscribe("t", room=2)
    sender = world.peer()
    assert sender.send("t", "a") is None
    pending = sender.send("t", "b")
    assert not is_done(pending)
    # It is delivered all the same: what waits is the next one.
    assert inbox == ["a", "b"]
    peer.gets_room(inbox)
    assert is_done(pending)
    assert sender.send("t", "c") is None
    assert inbox == ["a", "b", "c"]


def test_block_never_cuts_off(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK})
    inbox = world.peer().subscribe("t", room=1)
    inbox.is_overrun = True
    assert world.peer().send("t", "a", "b") is not None
    assert inbox == ["a", "b"]
    assert inbox.errors == []
    assert world.dropped == []


def test_all_senders_wait_for_the_slowest_subscriber(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK})
    first, second = world.peer(), world.peer()
    slow, slower = first.subscribe("t", room=1), second.subscribe("t", room=1)
    one = world.peer().send("t", "a")
    other = world.peer().send("t", "b")
    first.gets_room(slow)
    assert not is_done(one)
    assert not is_done(other)
    second.gets_room(slower)
    assert is_done(one)
    assert is_done(other)


@pytest.mark.parametrize("ends", ["leave", "unsubscribe"])
def test_nobody_waits_for_a_subscriber_that_has_gone(
    make_world: MakeWorld, ends: str
) -> None:
    world = make_world({"t": BLOCK})
    peer = world.peer()
    peer.subscribe("t", room=1)
    pending = world.peer().send("t", "a")
    getattr(peer, ends)()
    assert is_done(pending)
    assert world.peer().send("t", "b") is None


def test_a_subscriber_that_keeps_up_and_goes_frees_no_sender(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": BLOCK})
    quick = world.peer()
    quick.subscribe("t")
    world.peer().subscribe("t", room=1)
    pending = world.peer().send("t", "a")
    quick.leave()
    assert not is_done(pending)


# Subscriptions that acknowledge


def test_waiting_for_credit_is_not_too_slow(make_world: MakeWorld) -> None:
    world = make_world({"t": DISCONNECT}, SMALL)
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=1)
    world.peer().send("t", "a", "b", "c")
    assert inbox.errors == []
    peer.ack(1)
    peer.ack(2)
    assert inbox == ["a", "b", "c"]


def test_too_much_that_waits_for_credit_cuts_off(make_world: MakeWorld) -> None:
    world = make_world({"t": DISCONNECT}, SMALL)
    inbox = world.peer().subscribe("t", ack=INDIVIDUAL, prefetch=1)
    other = world.peer().subscribe("t")
    world.peer().send("t", "a", "b", "c")
    assert inbox.errors == []
    world.peer().send("t", "d", "e")
    assert [str(error) for error in inbox.errors] == [str(SlowConsumer("t", 1200))]
    assert other == ["a", "b", "c", "d", "e"]


def test_a_full_outbox_cuts_off_who_waits_for_credit(make_world: MakeWorld) -> None:
    world = make_world({"t": DISCONNECT})
    inbox = world.peer().subscribe("t", ack=CLIENT, prefetch=1)
    inbox.is_overrun = True
    world.peer().send("t", "a")
    assert inbox.errors == []
    world.peer().send("t", "b")
    assert len(inbox.errors) == 1


def test_drop_keeps_what_waits_and_leaves_out_what_comes(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": DROP}, SMALL)
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=1)
    sender = world.peer()
    # "a" is given, "b" to "d" wait, and that is one too many.
    sender.send("t", "a", "b", "c", "d", "e", "f")
    assert world.dropped == [("e", "slow consumer"), ("f", "slow consumer")]
    peer.ack(1)
    sender.send("t", "g")
    for tag in 2, 3, 4:
        peer.ack(tag)
    assert inbox == ["a", "b", "c", "d", "g"]
    assert inbox.again == []


def test_a_subscriber_that_is_passed_over_can_leave(make_world: MakeWorld) -> None:
    world = make_world({"t": DROP}, SMALL)
    peer = world.peer()
    peer.subscribe("t", ack=CLIENT, prefetch=1)
    world.peer().send("t", "a", "b", "c", "d", "e")
    peer.leave()
    world.peer().send("t", "f")
    assert world.used == 0
    assert world.dropped == [("e", "slow consumer")]


def test_block_waits_for_an_acknowledgement(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=1)
    sender = world.peer()
    assert sender.send("t", "a") is None
    pending = sender.send("t", "b", "c")
    peer.ack(1)
    assert inbox == ["a", "b"]
    assert not is_done(pending)
    peer.ack(2)
    assert inbox == ["a", "b", "c"]
    assert is_done(pending)


def test_block_waits_for_room_and_credit(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=INDIVIDUAL, prefetch=2, room=1)
    sender = world.peer()
    # There was room for "a"; that there is none for more shows at the next.
    assert sender.send("t", "a") is None
    pending = sender.send("t", "b", "c")
    peer.gets_room(inbox)
    assert inbox == ["a", "b"]
    assert not is_done(pending)
    peer.nack(2)
    assert not is_done(pending)
    peer.ack(1)
    peer.ack(3)
    assert is_done(pending)
    assert inbox == ["a", "b", "b", "c"]


def test_block_waits_until_there_is_room_for_the_next(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=INDIVIDUAL, prefetch=3, room=1)
    pending = world.peer().send("t", "a", "b")
    peer.gets_room(inbox, room=1)
    peer.ack(1, 2)
    assert inbox == ["a", "b"]
    assert not is_done(pending)
    peer.gets_room(inbox)
    assert is_done(pending)


def test_what_was_given_back_is_waited_for_only_with_the_next_message(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": BLOCK})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=1, room=1)
    sender = world.peer()
    sender.send("t", "a")
    peer.nack(1)
    assert inbox == ["a"]
    pending = sender.send("t", "b")
    peer.gets_room(inbox)
    peer.ack(2)
    assert inbox == ["a", "a", "b"]
    assert is_done(pending)


def test_block_waits_for_subscribers_and_for_memory(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK}, BrokerLimits(max_memory=600))
    peer, other = world.peer(), world.peer()
    peer.subscribe("t", ack=CLIENT)
    slow = other.subscribe("t", room=2)
    sender = world.peer()
    assert sender.send("t", "a") is None
    pending = sender.send("t", "b")
    other.gets_room(slow)
    assert not is_done(pending)
    peer.ack(2)
    assert is_done(pending)


def test_block_has_memory_freed_first(make_world: MakeWorld) -> None:
    world = make_world({"t": BLOCK}, BrokerLimits(max_memory=600))
    peer, other = world.peer(), world.peer()
    peer.subscribe("t", ack=CLIENT)
    slow = other.subscribe("t", room=2)
    pending = world.peer().send("t", "a", "b")
    peer.ack(2)
    assert not is_done(pending)
    other.gets_room(slow)
    assert is_done(pending)
