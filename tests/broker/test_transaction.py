"""Transactions: what a client does at COMMIT, all or nothing.

Source: STOMP 1.2 § BEGIN, § COMMIT, § ABORT.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Overflow, SlowConsumerPolicy
from romp_asgi.errors import (
    DestinationBlocked,
    DestinationFull,
    DuplicateTransaction,
    MessageTooLarge,
    TooManyDestinations,
    TransactionTooLarge,
    UnknownDestination,
    UnknownTransaction,
)
from tests.broker.world import (
    CLIENT,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    Peer,
    is_done,
)


def test_what_is_sent_in_a_transaction_comes_with_its_commit(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC})
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    peer.begin()
    assert peer.send("t", "a", "b", transaction="tx") is None
    assert peer.send("q", "c", transaction="tx") is None
    assert inbox == []
    assert world.waiting("q") == 0
    assert peer.commit() is None
    assert inbox == ["a", "b"]
    assert world.drain("q") == ["c"]
    assert world.broker.destinations["t"].accepted == 2


def test_a_message_gets_its_number_at_commit(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    peer.begin()
    peer.send("t", "a", transaction="tx")
    peer.send("t", "b")
    peer.commit()
    assert inbox == ["b", "a"]
    assert [message.number for message in inbox.messages] == [1, 2]


def test_what_is_sent_expires_counted_from_commit(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, expiry=10_000)})
    peer = world.peer()
    peer.begin()
    peer.send("q", "a", transaction="tx")
    world.now += 60
    peer.commit()
    world.now += 9
    assert world.broker.expire(world.now) == 0
    world.now += 1
    assert world.broker.expire(world.now) == 1


def test_ack_and_nack_in_a_transaction_count_from_its_commit(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=3)
    world.peer().send("q", *"abcd")
    peer.begin()
    peer.ack(1, transaction="tx")
    peer.nack(2, transaction="tx")
    peer.nack(3, requeue=False, transaction="tx")
    assert list(peer.client.unacked) == [1, 2, 3]
    assert inbox == ["a", "b", "c"]
    peer.commit()
    assert inbox == ["a", "b", "c", "d", "b"]
    assert inbox.again == ["b"]
    assert world.dropped == [("c", "rejected")]


def test_operations_are_done_in_their_order(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=1)
    world.peer().send("q", "a")
    peer.begin()
    peer.send("q", "b", transaction="tx")
    peer.ack(1, transaction="tx")
    peer.send("q", "c", transaction="tx")
    peer.commit()
    assert inbox == ["a", "b"]
    peer.ack(2)
    assert inbox == ["a", "b", "c"]


def test_commit_of_nothing_is_nothing(make_world: MakeWorld) -> None:
    world = make_world({})
    peer = world.peer()
    peer.begin()
    assert peer.commit() is None


def test_abort_forgets_everything(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a", "b")
    peer.begin()
    peer.send("q", "c", transaction="tx")
    peer.ack(1, transaction="tx")
    peer.nack(2, requeue=False, transaction="tx")
    peer.abort()
    assert list(peer.client.unacked) == [1, 2]
    assert world.dropped == []
    peer.leave()
    assert world.drain("q") == ["a", "b"]


def test_a_client_can_have_several_at_a_time(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    for transaction in "123":
        peer.begin(transaction)
    for body in "abc":
        for transaction in "123":
            peer.send("t", body + transaction, transaction=transaction)
    peer.commit("2")
    peer.abort("1")
    peer.commit("3")
    assert inbox == ["a2", "b2", "c2", "a3", "b3", "c3"]


def test_transactions_are_a_client_s_own(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    first, second = world.peer(), world.peer()
    first.begin()
    second.begin()
    first.send("t", "a", transaction="tx")
    second.send("t", "b", transaction="tx")
    second.commit()
    assert inbox == ["b"]
    first.abort()
    assert inbox == ["b"]


@pytest.mark.parametrize("end", [Peer.commit, Peer.abort])
def test_an_id_can_be_used_again_after_its_end(
    make_world: MakeWorld, end: Callable[[Peer], None]
) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    peer.begin()
    end(peer)
    peer.begin()
    peer.send("t", "a", transaction="tx")
    peer.commit()
    assert inbox == ["a"]


def test_an_id_twice_is_an_error(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    peer.begin()
    peer.send("t", "a", transaction="tx")
    with pytest.raises(DuplicateTransaction):
        peer.begin()
    peer.commit()
    assert inbox == ["a"]


@pytest.mark.parametrize(
    "use",
    [
        Peer.commit,
        Peer.abort,
        lambda peer: peer.send("q", "b", transaction="tx"),
        lambda peer: peer.ack(1, transaction="tx"),
        lambda peer: peer.nack(1, transaction="tx"),
    ],
    ids=["commit", "abort", "send", "ack", "nack"],
)
def test_an_unknown_one_is_an_error(
    make_world: MakeWorld, use: Callable[[Peer], object]
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT)
    peer.send("q", "a")
    peer.begin("other")
    with pytest.raises(UnknownTransaction) as raised:
        use(peer)
    assert raised.value.transaction == "tx"
    peer.commit("other")
    assert inbox == ["a"]
    assert list(peer.client.unacked) == [1]


def test_what_a_client_that_leaves_has_not_committed_is_aborted(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", "a")
    peer.begin()
    peer.begin("other")
    peer.send("q", "b", transaction="tx")
    peer.ack(1, transaction="other")
    peer.leave()
    assert not peer.client.transactions
    assert world.drain("q") == ["a"]


def test_what_went_back_before_commit_is_not_acknowledged_by_it(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "r": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", "a")
    peer.begin()
    peer.ack(1, transaction="tx")
    peer.send("r", "b", transaction="tx")
    peer.unsubscribe()
    peer.commit()
    assert world.drain("q") == ["a"]
    assert world.drain("r") == ["b"]


# What is refused at once


def test_what_may_not_be_sent_is_refused_before_commit(make_world: MakeWorld) -> None:
    world = make_world(
        {
            "blocked": replace(QUEUE, write_block=True),
            "small": replace(QUEUE, max_message_size=2),
        }
    )
    peer = world.peer()
    peer.begin()
    with pytest.raises(DestinationBlocked):
        peer.send("blocked", "a", transaction="tx")
    with pytest.raises(MessageTooLarge):
        peer.send("small", "abc", transaction="tx")
    with pytest.raises(UnknownDestination):
        peer.send("nowhere", "a", transaction="tx")
    peer.send("small", "ab", transaction="tx")
    peer.commit()
    assert world.drain("small") == ["ab"]


# All or nothing


def test_a_commit_that_does_not_fit_changes_nothing(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=2), "r": QUEUE, "t": TOPIC})
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    peer.subscribe("r", ack=INDIVIDUAL)
    peer.send("r", "x", "y")
    peer.send("q", "a")
    number = world.broker.last_number
    peer.begin()
    peer.send("t", "b", transaction="tx")
    peer.ack(1, transaction="tx")
    peer.nack(2, requeue=False, transaction="tx")
    peer.send("q", "c", "d", transaction="tx")
    used = world.used
    with pytest.raises(DestinationFull) as raised:
        peer.commit()
    assert (raised.value.destination, raised.value.limit) == ("q", 2)
    assert inbox == []
    assert world.dropped == []
    assert list(peer.client.unacked) == [1, 2]
    assert (world.broker.last_number, world.used) == (number, used)
    # It is still open, and may be committed once there is room.
    assert world.drain("q") == ["a"]
    peer.commit()
    assert inbox == ["b"]
    assert world.dropped == [("y", "rejected")]
    assert world.drain("q") == ["c", "d"]


def test_a_commit_that_just_fits_is_done(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=3)})
    peer = world.peer()
    peer.send("q", "a")
    peer.begin()
    peer.send("q", "b", "c", transaction="tx")
    assert peer.commit() is None
    assert world.waiting("q") == 3


def test_a_commit_that_does_not_fit_can_be_aborted(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=1)})
    peer = world.peer()
    peer.begin()
    peer.send("q", "a", "b", transaction="tx")
    with pytest.raises(DestinationFull):
        peer.commit()
    peer.abort()
    with pytest.raises(UnknownTransaction):
        peer.commit()
    assert world.waiting("q") == 0


def test_each_queue_of_a_commit_must_have_room(make_world: MakeWorld) -> None:
    small = replace(QUEUE, max_messages=1)
    world = make_world({"q": small, "r": small})
    peer = world.peer()
    peer.begin()
    peer.send("q", "a", transaction="tx")
    peer.send("r", "b", transaction="tx")
    peer.send("r", "c", transaction="tx")
    with pytest.raises(DestinationFull) as raised:
        peer.commit()
    assert raised.value.destination == "r"
    assert world.waiting("q") == 0


def test_a_commit_goes_through_a_small_queue_to_who_has_credit(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=1)})
    inbox = world.peer().subscribe("q")
    peer = world.peer()
    peer.begin()
    peer.send("q", "a", "b", "c", transaction="tx")
    assert peer.commit() is None
    assert inbox == ["a", "b", "c"]


def test_a_commit_is_whole_even_if_credit_ends_within_it(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=1)})
    consumer = world.peer()
    inbox = consumer.subscribe("q", ack=CLIENT, prefetch=1)
    peer = world.peer()
    peer.begin()
    peer.send("q", "a", "b", "c", transaction="tx")
    peer.commit()
    assert inbox == ["a"]
    assert world.waiting("q") == 2
    with pytest.raises(DestinationFull):
        peer.send("q", "d")


def test_a_destination_that_cannot_be_made_again_fails_the_commit(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q/*": QUEUE, "t": TOPIC}, BrokerLimits(max_destinations=2))
    inbox = world.peer().subscribe("t")
    peer = world.peer()
    peer.begin()
    peer.send("t", "a", transaction="tx")
    peer.send("q/1", "b", transaction="tx")
    # Nothing is in it yet, so it goes, and another one takes its place.
    world.broker.expire(world.now)
    assert "q/1" not in world.broker.destinations
    world.peer().send("q/2", "c")
    with pytest.raises(TooManyDestinations):
        peer.commit()
    assert inbox == []
    assert world.drain("q/2") == ["c"]
    peer.commit()
    assert inbox == ["a"]
    assert world.drain("q/1") == ["b"]


# What a commit waits for


def test_a_commit_waits_for_all_that_its_frames_wait_for(
    make_world: MakeWorld,
) -> None:
    block = replace(QUEUE, max_messages=1, overflow=Overflow.BLOCK)
    slow = replace(TOPIC, slow_consumer=SlowConsumerPolicy.BLOCK)
    world = make_world({"q": block, "r": block, "t": slow})
    consumer = world.peer()
    inbox = consumer.subscribe("t", room=1)
    peer = world.peer()
    peer.begin()
    for destination in "q", "r", "t":
        peer.send(destination, "a", "b", transaction="tx")
    pending = peer.commit()
    assert inbox == ["a", "b"]
    world.drain("q")
    consumer.gets_room(inbox)
    assert not is_done(pending)
    world.drain("r")
    assert is_done(pending)


def test_a_commit_does_not_wait_for_what_is_done_by_then(
    make_world: MakeWorld,
) -> None:
    block = replace(QUEUE, max_messages=1, overflow=Overflow.BLOCK)
    world = make_world({"q": block, "r": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=1)
    peer.send("q", "a")
    peer.begin()
    peer.send("q", "b", transaction="tx")
    peer.ack(1, transaction="tx")
    assert peer.commit() is None
    assert inbox == ["a", "b"]


# Limits


def test_a_client_has_so_many_at_a_time(make_world: MakeWorld) -> None:
    world = make_world({}, BrokerLimits(max_transactions=2))
    peer = world.peer()
    peer.begin("1")
    peer.begin("2")
    with pytest.raises(TransactionTooLarge) as raised:
        peer.begin("3")
    assert (raised.value.name, raised.value.limit) == ("max_transactions", 2)
    world.peer().begin("3")
    peer.commit("1")
    peer.begin("3")


def test_a_transaction_has_so_many_frames(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC}, BrokerLimits(max_transaction_frames=3))
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT)
    peer.send("t", "a")
    peer.begin()
    peer.send("t", "b", transaction="tx")
    peer.ack(1, transaction="tx")
    peer.send("t", "c", transaction="tx")
    with pytest.raises(TransactionTooLarge) as raised:
        peer.send("t", "d", transaction="tx")
    assert (raised.value.name, raised.value.limit) == ("max_transaction_frames", 3)
    with pytest.raises(TransactionTooLarge):
        peer.ack(1, transaction="tx")
    with pytest.raises(TransactionTooLarge):
        peer.nack(1, transaction="tx")
    peer.commit()
    assert inbox == ["a", "b", "c"]


def test_a_transaction_has_so_many_octets(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC}, BrokerLimits(max_transaction_size=2500))
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT)
    peer.send("t", "a")
    peer.begin()
    peer.send("t", "b" * 1000, transaction="tx")
    with pytest.raises(TransactionTooLarge) as raised:
        peer.send("t", "c" * 1000, transaction="tx")
    assert (raised.value.name, raised.value.limit) == ("max_transaction_size", 2500)
    # What was refused takes nothing of it.
    peer.send("t", "d" * 300, transaction="tx")
    peer.ack(1, transaction="tx")
    with pytest.raises(TransactionTooLarge):
        peer.ack(1, transaction="tx")
    peer.commit()
    assert [body[0] for body in inbox] == ["a", "b", "d"]


def test_empty_frames_have_a_size(make_world: MakeWorld) -> None:
    limits = BrokerLimits(max_transaction_size=10_000)
    world = make_world({"t": TOPIC}, limits)
    peer = world.peer()
    peer.begin()
    with pytest.raises(TransactionTooLarge) as raised:
        peer.send("t", *[""] * 1000, transaction="tx")
    assert raised.value.name == "max_transaction_size"
