"""Messages that are too old: ``expiry``."""

from dataclasses import replace

from tests.broker.world import CLIENT, INDIVIDUAL, QUEUE, MakeWorld

TEN_SECONDS = replace(QUEUE, expiry=10_000)


def test_what_is_too_old_is_dropped_and_told(make_world: MakeWorld) -> None:
    world = make_world({"q": TEN_SECONDS})
    sender = world.peer()
    sender.send("q", "a", "b")
    world.now += 5
    sender.send("q", "c")
    world.now += 4.99
    assert world.broker.expire(world.now) == 0
    world.now += 0.01
    assert world.broker.expire(world.now) == 2
    assert world.dropped == [("a", "expired"), ("b", "expired")]
    assert world.drain("q") == ["c"]


def test_milliseconds_count(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, expiry=1)})
    world.peer().send("q", "a")
    assert world.broker.expire(world.now + 0.0009) == 0
    assert world.broker.expire(world.now + 0.0011) == 1


def test_an_expiry_of_0_is_never(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, expiry=0)})
    world.peer().send("q", "a")
    assert world.broker.expire(1e12) == 0
    assert world.drain("q") == ["a"]


def test_two_minutes_are_the_default() -> None:
    assert type(QUEUE)().expiry == 120_000


def test_each_queue_has_its_own(make_world: MakeWorld) -> None:
    world = make_world({"q": TEN_SECONDS, "r": replace(QUEUE, expiry=5_000)})
    world.peer().send("q", "a")
    world.peer().send("r", "b")
    world.now += 6
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("b", "expired")]
    assert world.drain("q") == ["a"]


def test_what_a_consumer_has_does_not_expire(make_world: MakeWorld) -> None:
    world = make_world({"q": TEN_SECONDS})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT, prefetch=1)
    world.peer().send("q", "a", "b")
    world.now += 60
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("b", "expired")]
    peer.ack(1)
    assert world.used == 0


def test_what_goes_back_is_as_old_as_it_is(make_world: MakeWorld) -> None:
    world = make_world({"q": TEN_SECONDS})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL, prefetch=1)
    sender = world.peer()
    sender.send("q", "a")
    world.now += 6
    sender.send("q", "b")
    peer.leave()
    world.now += 6
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("a", "expired")]
    assert world.drain("q") == ["b"]
