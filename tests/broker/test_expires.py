"""Messages that say themselves when they are too old; ``pedantic_expiry``."""

from dataclasses import replace

import pytest

from romp_asgi.broker import Broker, Client, Message, Policy
from romp_asgi.stomp.spec import DEATH_REASON, EXPIRES, ORIGINAL_DESTINATION
from tests.broker.world import (
    COUNTED,
    EPOCH,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    World,
)

BOTH = pytest.mark.parametrize("policy", [QUEUE, COUNTED], ids=["queue", "counted"])


def in_seconds(world: World, seconds: float) -> dict[str, str]:
    return {EXPIRES: str(int((EPOCH + world.now + seconds) * 1000))}


@BOTH
def test_it_expires_when_it_says_wherever_it_stands(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"q": replace(policy, expiry=100_000)})
    sender = world.peer()
    for body, seconds in ("a", 50.0), ("b", 5.0), ("c", 500.0), ("d", 5.0):
        sender.send("q", body, headers=in_seconds(world, seconds))
    sender.send("q", "e")
    world.now += 4.9
    assert world.broker.expire(world.now) == 0
    world.now += 0.2
    assert world.broker.expire(world.now) == 2
    assert world.dropped == [("b", "expired"), ("d", "expired")]
    world.now += 45
    assert world.broker.expire(world.now) == 1
    # The destination's own time goes on.
    world.now += 50
    assert world.broker.expire(world.now) == 2
    assert [body for body, _ in world.dropped] == ["b", "d", "a", "c", "e"]


@BOTH
@pytest.mark.parametrize("value", ["0", "", "soon", "-1", "1.5", "9" * 19, "\u0661"])
def test_what_says_no_time_says_nothing(
    make_world: MakeWorld, policy: Policy, value: str
) -> None:
    world = make_world({"q": policy})
    world.peer().send("q", "a", headers={EXPIRES: value})
    assert world.broker.expire(1e9) == 0
    assert world.drain("q") == ["a"]


@BOTH
def test_a_time_long_past(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"q": policy})
    world.peer().send("q", "a", headers={EXPIRES: "1"})
    world.peer().send("q", "b", headers=in_seconds(world, -world.now))
    assert world.broker.expire(world.now) == 2


def test_what_goes_back_expires_when_it_says(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    sender = world.peer()
    sender.send("q", "a")
    sender.send("q", "b", headers=in_seconds(world, 5))
    sender.send("q", "c", headers=in_seconds(world, 50))
    world.now += 6
    assert world.broker.expire(world.now) == 0
    peer.leave()
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("b", "expired")]
    assert world.drain("q") == ["a", "c"]


def test_what_is_expired_makes_room(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, max_messages=2)})
    sender = world.peer()
    sender.send("q", "a")
    sender.send("q", "b", headers=in_seconds(world, 1))
    world.now += 1
    world.broker.expire(world.now)
    sender.send("q", "c")
    assert world.drain("q") == ["a", "c"]


def test_a_topic_does_not_look_at_it(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    world.peer().send("t", "a", headers={EXPIRES: "1"})
    assert inbox == ["a"]


def test_a_broker_without_a_clock_does_not_look_at_it() -> None:
    broker = Broker({"q": replace(QUEUE, pedantic_expiry=True)})
    message = Message("q", {EXPIRES: "1"}, b"a")
    broker.send(Client(), message, 1e9)
    assert broker.expire(1e9) == 0


# pedantic_expiry


@BOTH
@pytest.mark.parametrize("is_pedantic", [False, True])
def test_only_who_is_pedantic_looks_when_it_delivers(
    make_world: MakeWorld, policy: Policy, is_pedantic: bool
) -> None:
    policy = replace(policy, expiry=1, pedantic_expiry=is_pedantic)
    world = make_world({"q*": policy})
    world.peer().send("q1", "a", "b")
    world.now += 1
    world.peer().send("q1", "c")
    peer = world.peer()
    inboxes = [peer.subscribe("q1", id) for id in "12"]
    if is_pedantic:
        assert inboxes[0] == ["c"]
        peer.leave()
        # It has waited with the others, and is not unused before they are told of.
        assert world.broker.expire(world.now) == 2
        assert world.dropped == [("a", "expired"), ("b", "expired")]
        assert not world.broker.destinations
    else:
        assert inboxes[0] == ["a", "b", "c"]


@BOTH
def test_nothing_that_comes_too_late_is_delivered(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"q": replace(policy, pedantic_expiry=True)})
    peer = world.peer()
    inboxes = [peer.subscribe("q", id) for id in "12"]
    world.peer().send("q", "a", headers=in_seconds(world, -1))
    world.peer().send("q", "b", headers=in_seconds(world, 1))
    world.peer().send("q", "c")
    assert sorted(inboxes[0] + inboxes[1]) in (["b", "c"], ["b", "b", "c", "c"])
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("a", "expired")]


def test_a_head_that_is_too_old_is_offered_to_nobody_more(
    make_world: MakeWorld,
) -> None:
    world = make_world({"c": replace(COUNTED, expiry=1000, pedantic_expiry=True)})
    first = world.peer().subscribe("c")
    sender = world.peer()
    sender.send("c", "a")
    world.now += 0.9
    sender.send("c", "b")
    world.now += 0.1
    second = world.peer().subscribe("c")
    assert (first, second) == (["a", "b"], ["b"])
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("a", "expired")]


def test_what_counted_often_enough_is_not_too_old(make_world: MakeWorld) -> None:
    world = make_world({"c": replace(COUNTED, expiry=1000, pedantic_expiry=True)})
    peer = world.peer()
    peer.subscribe("c", ack=INDIVIDUAL)
    world.peer().subscribe("c")
    world.peer().send("c", "a")
    world.now += 1
    peer.ack(1)
    assert world.broker.expire(world.now) == 0


# To the dead letters


@BOTH
def test_what_expires_goes_to_the_dead_letters(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world(
        {"q": replace(policy, expiry=1000, dead_letter="dead"), "dead": QUEUE}
    )
    world.peer().send("q", "a", headers={"colour": "blue", **in_seconds(world, 0.5)})
    world.peer().send("q", "b")
    world.now += 1
    assert world.broker.expire(world.now) == 2
    assert world.dropped == []
    dead = world.peer().subscribe("dead")
    assert dead == ["a", "b"]
    assert dead.messages[0].headers == {
        "destination": "dead",
        "colour": "blue",
        ORIGINAL_DESTINATION: "q",
        DEATH_REASON: "expired",
    }


def test_why_a_letter_is_dead(make_world: MakeWorld) -> None:
    world = make_world(
        {"q": replace(QUEUE, max_deliveries=2, dead_letter="dead"), "dead": QUEUE}
    )
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a", "b")
    peer.nack(1, requeue=False)
    peer.nack(2, 3)
    dead = world.peer().subscribe("dead").messages
    reasons = [message.headers[DEATH_REASON] for message in dead]
    assert reasons == ["rejected", "delivery_limit"]


def test_what_expires_twice_in_a_row_does_not_go_round(make_world: MakeWorld) -> None:
    world = make_world(
        {
            "q": replace(QUEUE, expiry=1000, dead_letter="r"),
            "r": replace(QUEUE, expiry=1000, dead_letter="q"),
        }
    )
    world.peer().send("q", "a")
    world.now += 1
    assert world.broker.expire(world.now) == 1
    assert world.waiting("r") == 1
    world.now += 1
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("a", "expired")]


def test_what_is_refused_can_be_delayed(make_world: MakeWorld) -> None:
    """Refused, it waits in a queue without consumers, and comes back."""
    world = make_world(
        {
            "work": replace(QUEUE, dead_letter="later"),
            "later": replace(QUEUE, expiry=5000, dead_letter="work"),
        }
    )
    peer = world.peer()
    inbox = peer.subscribe("work", ack=INDIVIDUAL)
    world.peer().send("work", "a")
    for tag in (1, 2, 3):
        peer.nack(tag, requeue=False)
        assert len(inbox) == tag
        world.now += 5
        world.broker.expire(world.now)
    assert inbox == ["a"] * 4
    assert world.dropped == []
