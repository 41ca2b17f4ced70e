"""Subscriptions that do not want every message: selectors, filters, filter_self.

In these tests one wants the messages whose body begins with certain letters. That
nothing is left waiting that somebody wants and could have is seen to in ``World``.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from romp_asgi.broker import BrokerLimits, SlowConsumerPolicy
from romp_asgi.errors import DestinationFull, MemoryFull
from romp_asgi.stomp.spec import AckMode
from tests.broker.world import (
    CLIENT,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    World,
)


def test_a_topic_gives_each_what_it_wants(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    everything = world.peer().subscribe("t")
    some = world.peer().subscribe("t", wants="a")
    acknowledged = world.peer().subscribe("t", ack=INDIVIDUAL, wants="b")
    world.peer().send("t", "a1", "b1", "a2", "c1")
    assert everything == ["a1", "b1", "a2", "c1"]
    assert some == ["a1", "a2"]
    assert acknowledged == ["b1"]


def test_a_topic_disconnects_only_those_that_want_too_much(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    slow = world.peer().subscribe("t", wants="a", room=0)
    slow.is_overrun = True
    world.peer().send("t", "b")
    assert slow.errors == []
    world.peer().send("t", "a")
    assert len(slow.errors) == 1


def test_what_nobody_wants_is_not_told_of_as_dropped(make_world: MakeWorld) -> None:
    policy = replace(TOPIC, slow_consumer=SlowConsumerPolicy.DROP)
    world = make_world({"t": policy})
    slow = world.peer().subscribe("t", wants="a", room=0)
    slow.is_overrun = True
    world.peer().send("t", "a1", "b", "a2")
    assert world.dropped == [("a2", "slow consumer")]


def test_consumers_of_a_queue_take_turns_for_what_they_want(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    a = world.peer().subscribe("q", wants="a")
    b = world.peer().subscribe("q", wants="b")
    both = world.peer().subscribe("q", wants="ab")
    everything = world.peer().subscribe("q")
    world.peer().send("q", "b1", "b2", "b3", "b4", "a1", "a2", "c1")
    # `a` keeps its turn until there is something for it.
    assert b == ["b1", "b4"]
    assert both == ["b2", "a2"]
    assert everything == ["b3", "c1"]
    assert a == ["a1"]


def test_what_nobody_wants_waits_and_holds_nobody_up(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    a = world.peer().subscribe("q", wants="a")
    world.peer().send("q", "b1", "a1", "b2", "a2")
    assert a == ["a1", "a2"]
    assert world.waiting("q") == 2
    late = world.peer().subscribe("q", wants="b")
    assert late == ["b1", "b2"]


def test_a_new_consumer_gets_what_it_wants_in_order(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    world.peer().send("q", "b1", "a1", "b2", "a2", "a3")
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=1, wants="a")
    for tag in (1, 2):
        peer.ack(tag)
    assert inbox == ["a1", "a2", "a3"]
    assert world.drain("q") == ["b1", "b2"]


def test_a_full_queue_is_full_of_what_nobody_wants(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=1)})
    inbox = world.peer().subscribe("q", wants="a")
    peer = world.peer()
    peer.send("q", "b")
    with pytest.raises(DestinationFull):
        peer.send("q", "b")
    peer.send("q", "a")
    peer.begin()
    peer.send("q", "a", transaction="tx")
    # All or nothing is decided by the room alone: who wants it is known too late.
    with pytest.raises(DestinationFull):
        peer.commit()
    assert inbox == ["a"]


@pytest.mark.parametrize("mode", [CLIENT, INDIVIDUAL])
def test_what_comes_back_is_for_who_wants_it(
    make_world: MakeWorld, mode: AckMode
) -> None:
    world = make_world({"q": QUEUE})
    first = world.peer()
    first.subscribe("q", ack=mode)
    world.peer().send("q", "a1", "b1", "a2", "b2")
    other = world.peer()
    a = other.subscribe("q", ack=INDIVIDUAL, prefetch=1, wants="a")
    world.peer().send("q", "c1")
    first.leave()
    assert a == ["a1"]
    other.ack(1)
    assert a == ["a1", "a2"]
    assert a.again == ["a1", "a2"]
    assert world.drain("q") == ["b1", "b2", "c1"]


def test_a_nack_comes_again_in_its_place(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=2, wants="a")
    world.peer().send("q", "a1", "b1", "a2", "a3")
    peer.nack(2)
    assert inbox == ["a1", "a2", "a2"]
    peer.ack(1)
    assert inbox == ["a1", "a2", "a2", "a3"]


def test_what_would_be_held_is_refused_when_memory_is_full(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE}, BrokerLimits(max_memory=1000))
    auto = world.peer().subscribe("q", wants="a")
    world.peer().subscribe("q", ack=CLIENT, wants="b")
    sender = world.peer()
    sender.send("q", "b", "b" * 1000)
    with pytest.raises(MemoryFull):
        sender.send("q", "b")
    with pytest.raises(MemoryFull):
        sender.send("q", "c")
    sender.send("q", "a")
    assert auto == ["a"]


def test_a_destination_may_not_heed_filters(make_world: MakeWorld) -> None:
    world = make_world({"t": replace(TOPIC, filter=False)})
    inbox = world.peer().subscribe("t", wants="a")
    world.peer().send("t", "b")
    assert inbox == ["b"]


def test_much_that_one_does_not_want_costs_it_little(make_world: MakeWorld) -> None:
    # Each message is looked at once for a consumer, not once for each of its ACKs.
    world = make_world({"q": replace(QUEUE, max_messages=40_000)})
    world.peer().send("q", *["b", "a"] * 20_000)
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=1, wants="a")
    peer.ack(*range(1, 20_000))
    assert len(inbox) == 20_000


STEPS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from("abc")),
    st.tuples(st.just("ack"), st.integers(0, 3)),
    st.tuples(st.just("nack"), st.integers(0, 3)),
    st.tuples(st.just("leave"), st.integers(0, 3)),
    st.tuples(st.just("subscribe"), st.sampled_from(["a", "b", "ab", None])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_nothing_is_lost(steps: list[tuple[str, object]]) -> None:
    policy = replace(QUEUE, max_messages=1000, max_deliveries=1000)
    world = World({"q": policy})
    peers = [world.peer()]
    sent, done = 0, list[str]()
    for step, value in steps:
        if step == "send":
            sent += 1
            world.peer().send("q", f"{value}{sent}")
        elif step == "subscribe":
            peer = world.peer()
            wants = value if isinstance(value, str) else None
            peer.subscribe("q", ack=INDIVIDUAL, prefetch=2, wants=wants)
            peers.append(peer)
        else:
            assert isinstance(value, int)
            peer = peers[value % len(peers)]
            unacked = peer.client.unacked
            if step == "leave":
                peer.leave()
            elif unacked:
                tag = min(unacked)
                if step == "ack":
                    done.append(unacked[tag].message.body.decode())
                    peer.ack(tag)
                else:
                    peer.nack(tag)
        world.check()
    for peer in peers:
        peer.leave()
    left = world.drain("q")
    assert [int(body[1:]) for body in left] == sorted(int(body[1:]) for body in left)
    assert sorted(left + done) == sorted(set(left + done))
    assert len(left + done) == sent
    world.end()
