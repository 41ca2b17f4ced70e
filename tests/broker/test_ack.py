"""What a subscription is given, acknowledges, and leaves behind.

Source: STOMP 1.2 § SUBSCRIBE ack Header, § ACK.
"""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits
from romp_asgi.broker.subscription import Delivery
from romp_asgi.errors import UnknownAck
from romp_asgi.stomp.spec import AckMode
from tests.broker.world import (
    AUTO,
    CLIENT,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    Peer,
)

ACKNOWLEDGING = pytest.mark.parametrize("mode", [CLIENT, INDIVIDUAL])


# Modes


def test_auto_counts_as_taken_when_it_is_given(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    world.peer().send("q", "a")
    inbox = peer.subscribe("q")
    world.peer().send("q", "b")
    peer.leave()
    assert inbox == ["a", "b"]
    assert inbox.tags == [0, 0]
    assert world.waiting("q") == 0
    assert world.used == 0


@ACKNOWLEDGING
def test_what_is_not_acknowledged_is_held(make_world: MakeWorld, mode: AckMode) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=mode)
    world.peer().send("q", "a")
    assert inbox.tags == [1]
    assert world.used > 0
    peer.ack(1)
    assert world.used == 0
    peer.leave()
    assert world.waiting("q") == 0


def test_client_acknowledges_all_before_it(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", *"abcde")
    peer.ack(1)
    peer.ack(4)
    assert list(peer.client.unacked) == [5]
    peer.leave()
    assert world.drain("q") == ["e"]


def test_client_acknowledges_within_its_subscription(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE, "r": QUEUE})
    peer = world.peer()
    peer.subscribe("q", "1", CLIENT)
    peer.subscribe("r", "2", CLIENT)
    peer.subscribe("r", "3", INDIVIDUAL)
    sender = world.peer()
    for q, r in "ab", "cd", "ef", "gh":
        sender.send("q", q)
        sender.send("r", r)
    # Tags: q 1 3 5 7, r 2 6 and 4 8.
    peer.ack(5)
    assert list(peer.client.unacked) == [2, 4, 6, 7, 8]
    peer.ack(6)
    assert list(peer.client.unacked) == [4, 7, 8]
    peer.leave()
    assert world.drain("q") == ["g"]
    assert world.drain("r") == ["d", "h"]


def test_client_individual_acknowledges_only_that_one(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", *"abcd")
    peer.ack(3)
    peer.ack(1)
    assert list(peer.client.unacked) == [2, 4]
    peer.leave()
    assert world.drain("q") == ["b", "d"]


def test_tags_count_through_all_subscriptions_of_a_client(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC})
    peer, other = world.peer(), world.peer()
    q = peer.subscribe("q", "1", CLIENT)
    t = peer.subscribe("t", "2", INDIVIDUAL)
    auto = peer.subscribe("t", "3", AUTO)
    others = other.subscribe("t", ack=CLIENT)
    sender = world.peer()
    sender.send("q", "a")
    sender.send("t", "b")
    sender.send("q", "c")
    assert (q.tags, t.tags, auto.tags) == ([1, 3], [2], [0])
    assert others.tags == [1]


def test_a_destination_with_auto_ack_has_only_auto_subscriptions(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(QUEUE, auto_ack=True)})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=1)
    world.peer().send("q", "a", "b")
    assert inbox == ["a", "b"]
    assert inbox.tags == [0, 0]
    with pytest.raises(UnknownAck):
        peer.ack(1)


# Prefetch


@ACKNOWLEDGING
def test_no_more_than_prefetch_wait_for_an_acknowledgement(
    make_world: MakeWorld, mode: AckMode
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    world.peer().send("q", *"abcde")
    inbox = peer.subscribe("q", ack=mode, prefetch=2)
    assert inbox == ["a", "b"]
    peer.ack(2)
    assert inbox == (["a", "b", "c", "d"] if mode is CLIENT else ["a", "b", "c"])


@ACKNOWLEDGING
def test_without_prefetch_it_is_that_of_the_config(
    make_world: MakeWorld, mode: AckMode
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC}, BrokerLimits(prefetch_count=2))
    peer = world.peer()
    q, t = peer.subscribe("q", "1", mode), peer.subscribe("t", "2", mode)
    world.peer().send("q", *"abc")
    world.peer().send("t", *"abc")
    assert q == ["a", "b"]
    assert t == ["a", "b"]


def test_prefetch_is_not_for_auto(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    inbox = world.peer().subscribe("q", ack=AUTO, prefetch=1)
    world.peer().send("q", *"abc")
    assert inbox == ["a", "b", "c"]


def test_prefetch_is_each_subscription_s_own(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE, "r": QUEUE})
    peer = world.peer()
    q = peer.subscribe("q", "1", CLIENT, prefetch=1)
    r = peer.subscribe("r", "2", CLIENT, prefetch=2)
    world.peer().send("q", *"abc")
    world.peer().send("r", *"abc")
    assert q == ["a"]
    assert r == ["a", "b"]


# Late, repeated and unknown


@ACKNOWLEDGING
def test_a_repeated_acknowledgement_is_ignored(
    make_world: MakeWorld, mode: AckMode
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=mode)
    world.peer().send("q", "a", "b")
    peer.ack(1)
    used = world.used
    peer.ack(1)
    peer.nack(1)
    peer.nack(1, requeue=False)
    assert world.used == used
    assert inbox == ["a", "b"]
    assert world.dropped == []


def test_an_acknowledgement_that_another_one_covered_is_ignored(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", *"abc")
    peer.ack(3)
    peer.ack(1, 2)
    assert world.used == 0


def test_an_acknowledgement_after_unsubscribe_is_ignored(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC})
    peer = world.peer()
    peer.subscribe("q", "1", CLIENT)
    peer.subscribe("t", "2", CLIENT)
    world.peer().send("q", "a")
    world.peer().send("t", "b")
    peer.unsubscribe("1")
    peer.unsubscribe("2")
    peer.ack(1, 2)
    peer.nack(1, 2)
    assert world.drain("q") == ["a"]


def test_an_old_tag_does_not_acknowledge_the_redelivery(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a")
    peer.nack(1)
    assert inbox.tags == [1, 2]
    peer.ack(1)
    assert world.used > 0
    peer.ack(2)
    assert world.used == 0


@pytest.mark.parametrize("tag", [-1, 0, 3, 1 << 62])
def test_a_tag_that_was_never_given_is_an_error(
    make_world: MakeWorld, tag: int
) -> None:
    world = make_world({"q": QUEUE})
    peer, other = world.peer(), world.peer()
    peer.subscribe("q", "1", INDIVIDUAL, prefetch=2)
    world.peer().send("q", "a", "b")
    # What another client was given does not count, nor does auto.
    other.subscribe("q", ack=CLIENT)
    peer.subscribe("q", "2", AUTO)
    world.peer().send("q", *"cdefg")
    peer.begin()
    for transaction in None, "tx":
        with pytest.raises(UnknownAck) as raised:
            peer.ack(tag, transaction=transaction)
        assert raised.value.ack_id == str(tag)
        with pytest.raises(UnknownAck):
            peer.nack(tag, transaction=transaction)
    peer.commit()
    assert list(peer.client.unacked) == [1, 2]


def test_a_client_without_deliveries_can_acknowledge_nothing(
    make_world: MakeWorld,
) -> None:
    world = make_world({})
    with pytest.raises(UnknownAck):
        world.peer().ack(1)


# What goes back


def unsubscribe_all(peer: Peer) -> None:
    for id in list(peer.client.subscriptions):
        peer.unsubscribe(id)


ENDS = pytest.mark.parametrize("end", [Peer.leave, unsubscribe_all])


@ENDS
@ACKNOWLEDGING
def test_what_was_not_acknowledged_goes_back_before_what_waits(
    make_world: MakeWorld, end: Callable[[Peer], None], mode: AckMode
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=mode, prefetch=3)
    world.peer().send("q", *"abcde")
    peer.ack(1)
    end(peer)
    assert world.waiting("q") == 4
    inbox = world.peer().subscribe("q")
    assert inbox == ["b", "c", "d", "e"]
    assert inbox.again == ["b", "c", "d"]


@ENDS
def test_what_goes_back_goes_to_who_has_credit(
    make_world: MakeWorld, end: Callable[[Peer], None]
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", *"abc")
    other = world.peer().subscribe("q", ack=CLIENT)
    end(peer)
    assert other == ["a", "b", "c"]
    assert other.again == ["a", "b", "c"]
    assert other.tags == [1, 2, 3]


def test_what_several_subscriptions_of_a_client_had_goes_back_in_order(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "r": QUEUE})
    peer = world.peer()
    for id, queue in ("1", "q"), ("2", "r"), ("3", "q"), ("4", "r"):
        peer.subscribe(queue, id, CLIENT)
    sender = world.peer()
    sender.send("q", *"abcdef")
    sender.send("r", *"abcd")
    q, r = world.peer().subscribe("q"), world.peer().subscribe("r")
    peer.leave()
    assert q == ["a", "b", "c", "d", "e", "f"]
    assert r == ["a", "b", "c", "d"]


def test_what_a_client_leaves_behind_does_not_go_to_itself(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inboxes = [peer.subscribe("q", id, CLIENT) for id in "123"]
    world.peer().send("q", *"abc")
    peer.leave()
    assert inboxes == [["a"], ["b"], ["c"]]
    assert world.drain("q") == ["a", "b", "c"]


def test_what_an_unsubscribed_one_had_may_go_to_another_of_the_same_client(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", "1", CLIENT)
    other = peer.subscribe("q", "2", CLIENT)
    world.peer().send("q", "a", "b")
    peer.unsubscribe("1")
    assert other == ["b", "a"]
    assert other.again == ["a"]
    assert other.tags == [2, 3]


def test_a_message_keeps_its_place_however_often_it_goes_back(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    sender = world.peer()
    sender.send("q", "a", "b")
    for late in "cde":
        peer = world.peer()
        peer.subscribe("q", ack=CLIENT)
        sender.send("q", late)
        peer.leave()
    assert world.drain("q") == ["a", "b", "c", "d", "e"]


def test_leaving_again_or_with_nothing_is_nothing(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.leave()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", "a")
    peer.leave()
    peer.leave()
    assert world.drain("q") == ["a"]


def test_a_client_without_subscriptions_may_get_room(make_world: MakeWorld) -> None:
    world = make_world({})
    world.peer().gets_room()


@ACKNOWLEDGING
def test_of_what_was_taken_from_a_subscription_nothing_is_left(
    make_world: MakeWorld, mode: AckMode
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=mode)
    world.peer().send("q", "a", "b")
    [subscription] = peer.client.subscriptions.values()
    deliveries = subscription.take_all()
    assert [delivery.tag for delivery in deliveries] == [1, 2]
    assert subscription.take_all() == []
    subscription.give(deliveries[0])
    taken: list[Delivery] = []
    subscription.take(3, taken)
    assert taken == [deliveries[0]]
    assert not peer.client.unacked
    subscription.destination.settle(deliveries)


@ENDS
def test_a_message_that_waits_keeps_nothing_of_the_client_that_had_it(
    make_world: MakeWorld, end: Callable[[Peer], None]
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = weakref.ref(peer.subscribe("q", ack=CLIENT))
    world.peer().send("q", "a")
    end(peer)
    gc.collect()
    assert inbox() is None
