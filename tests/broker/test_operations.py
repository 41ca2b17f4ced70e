"""What an administrator does to destinations."""

from dataclasses import replace

import pytest

from romp_asgi.broker import Kind, Overflow, Policy, State, operations
from romp_asgi.broker.destination import Destination
from romp_asgi.errors import (
    DestinationBlocked,
    DestinationDraining,
    DestinationFull,
    DestinationShutDown,
    MessageTooLarge,
    SubscriptionsFull,
    UnknownDestination,
)
from tests.broker.world import (
    CLIENT,
    COUNTED,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    World,
    is_done,
)

STORING = pytest.mark.parametrize(
    "policy",
    [
        QUEUE,
        COUNTED,
        replace(QUEUE, pedantic_expiry=True),
        replace(QUEUE, sub_by_user=True),
        replace(COUNTED, sub_by_user=True),
    ],
    ids=["queue", "counted", "pedantic", "user queue", "user counted"],
)


def found(world: World, name: str) -> Destination:
    return world.broker.destinations[name]


def change(world: World, name: str, **settings: object) -> None:
    policy = replace(Policy(), **settings)  # type: ignore[arg-type]  # as given
    destination = world.broker.find(name)
    operations.reconfigure(destination, policy, set(settings), world.now)


# purge


@STORING
def test_purge_forgets_what_waits(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    world.peer().send("d", "a", "b", "c")
    destination = found(world, "d")
    assert (destination.waiting, len(destination.messages())) == (3, 3)
    assert destination.octets == world.used > 0
    assert world.broker.find("d").purge() == 3
    assert (destination.waiting, destination.octets, world.used) == (0, 0, 0)
    assert world.dropped == []
    assert world.broker.find("d").purge() == 0
    world.peer().send("d", "d")
    assert world.peer(user="ann").subscribe("d") == ["d"]


@pytest.mark.parametrize("policy", [QUEUE, COUNTED])
def test_purge_leaves_consumers_what_they_have(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": replace(policy, min_delivery=1)})
    world.peer().send("d", "a", "b", "c")
    consumer = world.peer()
    inbox = consumer.subscribe("d", ack=INDIVIDUAL, prefetch=1)
    waiting = world.waiting("d")
    assert world.broker.find("d").purge() == waiting
    world.check()
    consumer.ack(*inbox.tags)
    assert (inbox, world.used) == (["a"], 0)


def test_purge_of_what_waits_for_users(make_world: MakeWorld) -> None:
    world = make_world({"d": replace(QUEUE, sub_by_user=True)})
    ann = world.peer(user="ann")
    inbox = ann.subscribe("d", wants="x", prefetch=1, ack=INDIVIDUAL)
    sender = world.peer()
    sender.send("d", "a", "b", headers={"to": "ann"})  # which she does not want
    sender.send("d", "a", headers={"to": "bob"})
    sender.send("d", "c")
    destination = found(world, "d")
    assert (destination.waiting, len(destination.messages())) == (4, 4)
    assert destination.octets == world.used
    assert world.broker.find("d").purge() == 4
    assert (world.used, inbox) == (0, [])
    assert world.peer(user="bob").subscribe("d") == []


def test_purge_of_what_waits_for_credit_of_a_topic(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    consumer = world.peer()
    inbox = consumer.subscribe("t", ack=CLIENT, prefetch=1)
    world.peer().send("t", "a", "b", "c")
    topic = found(world, "t")
    assert (topic.waiting, len(topic), len(topic.messages())) == (2, 0, 2)
    assert 0 < topic.octets < world.used
    assert world.broker.find("t").purge() == 2
    assert (topic.waiting, topic.octets) == (0, 0)
    consumer.ack(*inbox.tags)
    assert (inbox, world.used) == (["a"], 0)


@pytest.mark.parametrize("policy", [QUEUE, COUNTED])
def test_purge_makes_room_for_who_waits(make_world: MakeWorld, policy: Policy) -> None:
    block = replace(policy, max_messages=2, overflow=Overflow.BLOCK)
    world = make_world({"d": block})
    pending = world.peer().send("d", "a", "b")
    assert not is_done(pending)
    world.broker.find("d").purge()
    assert is_done(pending)


def test_a_name_that_was_only_looked_at_is_forgotten(make_world: MakeWorld) -> None:
    world = make_world({"/queue/**": QUEUE})
    with pytest.raises(UnknownDestination):
        world.broker.find("nowhere")
    assert world.broker.find("/queue/new").purge() == 0
    world.broker.expire(world.now)
    assert world.broker.destinations == {}


# drain


def test_drain_takes_nothing_more_and_gives_out_what_waits(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    sender, application = world.peer(), world.peer(is_local=True)
    sender.send("q", "a", "b")
    sender.begin()
    sender.send("q", "c", transaction="tx")
    operations.drain(world.broker.find("q"))
    for peer in (sender, application):
        with pytest.raises(DestinationDraining, match="q is draining"):
            peer.send("q", "d")
    # What was put off till now comes too late.
    with pytest.raises(DestinationDraining):
        sender.commit()
    assert world.peer().subscribe("q") == ["a", "b"]
    operations.reopen(world.broker.find("q"))
    sender.commit()
    sender.send("q", "d")
    assert found(world, "q").accepted == 4
    assert not found(world, "q").policy.has_send_rules


def test_dead_letters_go_to_what_is_draining(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dlq"), "dlq": QUEUE})
    operations.drain(world.broker.find("dlq"))
    consumer = world.peer()
    consumer.send("q", "a")
    inbox = consumer.subscribe("q", ack=INDIVIDUAL)
    consumer.nack(*inbox.tags, requeue=False)
    assert world.waiting("dlq") == 1


def test_a_name_of_a_pattern_stays_drained_though_nobody_uses_it(
    make_world: MakeWorld,
) -> None:
    world = make_world({"/queue/**": QUEUE})
    operations.drain(world.broker.find("/queue/a"))
    world.broker.expire(world.now)
    with pytest.raises(DestinationDraining):
        world.peer().send("/queue/a", "x")
    operations.reopen(world.broker.find("/queue/a"))
    world.broker.expire(world.now)
    assert world.broker.destinations == {}


# shut_down


@pytest.mark.parametrize("policy", [QUEUE, COUNTED, TOPIC])
def test_shut_down_ends_subscriptions_and_forgets_messages(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": policy})
    consumer, sender = world.peer(), world.peer()
    inbox = consumer.subscribe("d", ack=INDIVIDUAL, prefetch=1)
    sender.send("d", "a", "b")
    count = operations.shut_down(world.broker, world.broker.find("d"))
    assert count == (0 if policy.kind is Kind.TOPIC else 2)
    assert (inbox, world.used, found(world, "d").connections) == (["a"], 0, 0)
    (error,) = inbox.errors
    assert str(error) == (
        "The destination d is shut down: it takes neither messages nor subscriptions "
        "until an administrator opens it again."
    )
    assert consumer.client.subscriptions == {}
    consumer.ack(*inbox.tags)  # it could not know
    with pytest.raises(DestinationShutDown):
        sender.send("d", "c")
    with pytest.raises(DestinationShutDown):
        consumer.subscribe("d")
    with pytest.raises(DestinationShutDown):
        world.broker.check_subscribe(consumer.client, "d")
    operations.reopen(world.broker.find("d"))
    assert found(world, "d").policy.state is State.OPEN
    again = consumer.subscribe("d")
    sender.send("d", "d")
    assert again == ["d"]


# reconfigure


def test_limits_and_blocks_change_for_those_who_come(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer, web = world.peer(), world.peer(is_web=True)
    peer.send("q", "a", "b", "c")
    change(world, "q", max_messages=2)
    assert world.waiting("q") == 3
    with pytest.raises(DestinationFull):
        peer.send("q", "d")
    change(world, "q", max_messages=9, max_message_size=2, web_write_block=True)
    peer.send("q", "d")
    with pytest.raises(MessageTooLarge):
        peer.send("q", "xxx")
    with pytest.raises(DestinationBlocked):
        web.send("q", "d")
    change(world, "q", web_write_block=False, max_connections=1, web_read_block=True)
    web.send("q", "e")
    with pytest.raises(DestinationBlocked):
        web.subscribe("q")
    assert peer.subscribe("q") == ["a", "b", "c", "d", "e"]
    with pytest.raises(SubscriptionsFull):
        world.peer().subscribe("q")
    change(world, "q", read_block=True, write_block=True)
    with pytest.raises(DestinationBlocked):
        peer.send("q", "f")
    assert found(world, "q").given == QUEUE


def test_more_room_lets_those_go_on_who_wait(make_world: MakeWorld) -> None:
    block = replace(QUEUE, max_messages=2, overflow=Overflow.BLOCK)
    world = make_world({"q": block})
    pending = world.peer().send("q", "a", "b")
    change(world, "q", max_messages=10)
    world.broker.expire(world.now)
    assert is_done(pending)


@STORING
def test_a_shorter_expiry_holds_for_what_is_held(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": policy})
    sender, consumer = world.peer(), world.peer(user="ann")
    sender.send("d", "a", "b")
    consumer.subscribe("d", ack=CLIENT, prefetch=1)
    change(world, "d", expiry=5000)
    world.now += 1
    sender.send("d", "c")
    world.now += 3.9
    assert world.broker.expire(world.now) == 0
    consumer.unsubscribe()
    world.now += 0.1
    assert world.broker.expire(world.now) == 2
    world.now += 1
    assert world.broker.expire(world.now) == 1


def test_a_longer_expiry_holds_for_what_comes(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, expiry=1000)})
    world.peer().send("q", "a")
    change(world, "q", expiry=9000)
    world.peer().send("q", "b")
    change(world, "q", expiry=0)
    world.peer().send("q", "c")
    for seconds, count in ((0.9, 0), (0.1, 1), (7.9, 0), (0.1, 1), (1e9, 0)):
        world.now += seconds
        assert world.broker.expire(world.now) == count


def test_a_name_of_a_pattern_keeps_what_was_changed(make_world: MakeWorld) -> None:
    world = make_world({"/queue/**": QUEUE})
    change(world, "/queue/a", max_messages=1)
    world.broker.expire(world.now)
    world.peer().send("/queue/a", "x")
    with pytest.raises(DestinationFull):
        world.peer().send("/queue/a", "x")
    world.peer().send("/queue/b", "x", "x")
    change(world, "/queue/a", max_messages=QUEUE.max_messages)
    world.broker.find("/queue/a").purge()
    world.broker.expire(world.now)
    assert set(world.broker.destinations) == {"/queue/b"}


def test_what_can_be_changed_are_settings() -> None:
    for key in operations.CHANGEABLE:
        assert hasattr(Policy(), key)


# Counts


def test_the_broker_counts_what_all_destinations_took(make_world: MakeWorld) -> None:
    world = make_world({"/queue/**": replace(QUEUE, max_messages=1), "t": TOPIC})
    peer = world.peer()
    peer.send("/queue/a", "x")
    peer.send("t", "x")
    with pytest.raises(DestinationFull):
        peer.send("/queue/a", "y")
    peer.subscribe("/queue/a")
    peer.leave()
    assert set(world.broker.destinations) == {"t"}
    assert world.broker.accepted == 2


def test_no_pattern_has_the_names_of_commands(make_world: MakeWorld) -> None:
    world = make_world({"**": QUEUE})
    with pytest.raises(UnknownDestination):
        world.peer().send("/virt/admin/kill", "x")
    world.peer().send("/virtual", "x")
