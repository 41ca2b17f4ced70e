"""Names: which there are, who may use them, and how many there may be."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Kind, Message, Policy
from romp_asgi.broker.patterns import MAX_NAME
from romp_asgi.broker.queue import Queue
from romp_asgi.broker.topic import Topic
from romp_asgi.errors import (
    BrokerError,
    DestinationBlocked,
    DestinationFull,
    DuplicateSubscription,
    MessageTooLarge,
    SubscriptionsFull,
    TooManyDestinations,
    UnknownDestination,
    UnknownSubscription,
)
from tests.broker.world import CLIENT, QUEUE, TOPIC, MakeWorld, Peer

BLOCKS = "write_block", "read_block", "web_write_block", "web_read_block"


# Which there are


def test_a_destination_of_the_config_is_there_from_the_start(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC})
    destinations = world.broker.destinations
    assert list(destinations) == ["q", "t"]
    assert isinstance(destinations["q"], Queue)
    assert isinstance(destinations["t"], Topic)
    assert not destinations["q"].is_dynamic


def test_a_destination_of_the_config_stays_when_it_is_unused(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC})
    peer = world.peer()
    peer.subscribe("q", "1")
    peer.subscribe("t", "2")
    peer.leave()
    world.broker.expire(world.now)
    assert list(world.broker.destinations) == ["q", "t"]


def test_the_default_is_a_topic_as_in_romp() -> None:
    assert Policy().kind is Kind.TOPIC


def test_an_unknown_destination_is_an_error(make_world: MakeWorld) -> None:
    world = make_world({"/queue/*": QUEUE})
    peer = world.peer()
    for name in "nowhere", "", "/queue/", "/queue/a/b", "x/queue/a":
        with pytest.raises(UnknownDestination) as raised:
            peer.send(name, "a")
        assert raised.value.destination == name
        with pytest.raises(UnknownDestination):
            peer.subscribe(name)
    assert not peer.client.subscriptions
    assert not world.broker.destinations


# Those made from patterns


def test_a_name_is_made_on_first_use_as_its_pattern_says(
    make_world: MakeWorld,
) -> None:
    world = make_world({"/queue/**": QUEUE, "/topic/**": TOPIC})
    world.peer().send("/queue/a/b", "a")
    world.peer().subscribe("/topic/c")
    destinations = world.broker.destinations
    assert list(destinations) == ["/queue/a/b", "/topic/c"]
    assert isinstance(destinations["/queue/a/b"], Queue)
    assert isinstance(destinations["/topic/c"], Topic)
    assert all(destination.is_dynamic for destination in destinations.values())


def test_a_pattern_is_no_destination(make_world: MakeWorld) -> None:
    world = make_world({"/queue/*": QUEUE})
    # But a name that looks like one is a name like any other.
    world.peer().send("/queue/*", "a")
    assert world.peer().subscribe("/queue/b") == []
    assert world.drain("/queue/*") == ["a"]


def test_the_first_pattern_that_matches_counts(make_world: MakeWorld) -> None:
    policies = {"/a/b*": replace(QUEUE, max_messages=1), "/a/*": QUEUE, "/**": TOPIC}
    world = make_world(policies)
    sender = world.peer()
    for name in "/a/bc", "/a/c", "/x":
        sender.send(name, "a")
    assert [type(d) for d in world.broker.destinations.values()] == [
        Queue,
        Queue,
        Topic,
    ]
    with pytest.raises(DestinationFull):
        sender.send("/a/bc", "b")


def test_a_table_of_its_own_counts_before_any_pattern(make_world: MakeWorld) -> None:
    world = make_world({"/a/*": QUEUE, "/a/b": TOPIC})
    world.peer().send("/a/b", "a")
    assert not world.broker.destinations["/a/b"].is_dynamic
    assert world.waiting("/a/b") == 0


def test_a_name_goes_when_nobody_would_miss_it(make_world: MakeWorld) -> None:
    world = make_world({"q/*": QUEUE, "t/*": TOPIC})
    peer = world.peer()
    peer.subscribe("q/1", "1", CLIENT)
    peer.subscribe("t/1", "2")
    peer.subscribe("q/1", "3")
    names = world.broker.destinations
    world.broker.expire(world.now)
    assert list(names) == ["q/1", "t/1"]
    peer.unsubscribe("1")
    assert list(names) == ["q/1", "t/1"]
    peer.unsubscribe("2")
    assert list(names) == ["q/1"]
    peer.leave()
    assert list(names) == []


def test_a_name_stays_for_what_waits(make_world: MakeWorld) -> None:
    world = make_world({"q/*": QUEUE})
    peer = world.peer()
    peer.subscribe("q/1", ack=CLIENT)
    world.peer().send("q/1", "a")
    peer.leave()
    world.broker.expire(world.now)
    assert world.waiting("q/1") == 1
    assert world.drain("q/1") == ["a"]
    assert not world.broker.destinations


def test_a_name_to_which_nobody_listens_goes_in_time(make_world: MakeWorld) -> None:
    world = make_world({"q/*": replace(QUEUE, expiry=10_000), "t/*": TOPIC})
    world.peer().send("q/1", "a")
    world.peer().send("t/1", "b")
    world.broker.expire(world.now)
    assert list(world.broker.destinations) == ["q/1"]
    world.now += 10
    world.broker.expire(world.now)
    assert not world.broker.destinations


def test_a_name_that_has_gone_can_come_again(make_world: MakeWorld) -> None:
    world = make_world({"q/*": QUEUE})
    for body in "ab":
        world.peer().send("q/1", body)
        assert world.drain("q/1") == [body]
        assert not world.broker.destinations


def test_there_are_so_many_names(make_world: MakeWorld) -> None:
    world = make_world({"q/*": QUEUE, "q": QUEUE}, BrokerLimits(max_destinations=3))
    peer = world.peer()
    peer.send("q/1", "a")
    peer.subscribe("q/2")
    for use in (
        lambda: peer.send("q/3", "b"),
        lambda: peer.subscribe("q/3", "other"),
    ):
        with pytest.raises(TooManyDestinations) as raised:
            use()
        assert (raised.value.destination, raised.value.limit) == ("q/3", 3)
    # Those that are there can be used, and one that goes makes place.
    peer.send("q/1", "c")
    peer.unsubscribe()
    peer.send("q/3", "d")


def test_a_name_that_is_too_long_matches_no_pattern(make_world: MakeWorld) -> None:
    world = make_world({"**": QUEUE, "*": QUEUE})
    world.peer().send("x" * MAX_NAME, "a")
    with pytest.raises(UnknownDestination):
        world.peer().send("x" * (MAX_NAME + 1), "a")


def test_a_name_in_the_config_may_be_long(make_world: MakeWorld) -> None:
    name = "x" * (MAX_NAME + 1)
    world = make_world({name: QUEUE})
    world.peer().send(name, "a")
    assert world.drain(name) == ["a"]


@pytest.mark.parametrize(
    "use",
    [
        lambda peer: peer.send("blocked/1", "a"),
        lambda peer: peer.subscribe("blocked/1"),
        lambda peer: peer.send("small/1", "ab"),
        lambda peer: peer.send("small/1", "a", transaction="unknown"),
        lambda peer: peer.subscribe("nobody/1"),
    ],
    ids=["write_block", "read_block", "too large", "transaction", "max_connections"],
)
def test_what_is_refused_makes_no_name(
    make_world: MakeWorld, use: Callable[[Peer], object]
) -> None:
    world = make_world(
        {
            "blocked/*": replace(QUEUE, write_block=True, read_block=True),
            "small/*": replace(QUEUE, max_message_size=1),
            "nobody/*": replace(QUEUE, max_connections=0),
        }
    )
    with pytest.raises(BrokerError):
        use(world.peer())
    assert not world.broker.destinations


# Limits of subscriptions


def test_a_destination_has_so_many_subscriptions(make_world: MakeWorld) -> None:
    world = make_world({"t": replace(TOPIC, max_connections=2)})
    peer = world.peer()
    peer.subscribe("t", "1")
    peer.subscribe("t", "2")
    for other in peer, world.peer(), world.peer(is_local=True):
        with pytest.raises(SubscriptionsFull) as raised:
            other.subscribe("t", "3")
        assert (raised.value.name, raised.value.limit) == ("max_connections", 2)
        assert "3" not in other.client.subscriptions
    peer.unsubscribe("1")
    inbox = world.peer().subscribe("t")
    world.peer().send("t", "a")
    assert inbox == ["a"]


def test_a_client_has_so_many_subscriptions(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC}, BrokerLimits(max_subs=2))
    peer = world.peer()
    peer.subscribe("t", "1")
    peer.subscribe("t", "2")
    # Said before anything of the destination is looked at.
    for name in "t", "nowhere":
        with pytest.raises(SubscriptionsFull) as raised:
            peer.subscribe(name, "3")
        assert (raised.value.name, raised.value.limit) == ("max_subs", 2)
    world.peer().subscribe("t", "3")
    peer.unsubscribe("1")
    peer.subscribe("t", "3")


def test_a_subscription_id_twice_is_an_error(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC})
    peer = world.peer()
    inbox = peer.subscribe("t", "1")
    with pytest.raises(DuplicateSubscription) as raised:
        peer.subscribe("q", "1")
    assert raised.value.subscription == "1"
    world.peer().send("t", "a")
    world.peer().send("q", "b")
    assert inbox == ["a"]
    # Of another client, or after its end, it is another one.
    world.peer().subscribe("t", "1")
    peer.unsubscribe("1")
    assert peer.subscribe("q", "1") == ["b"]


@pytest.mark.parametrize("id", ["2", ""])
def test_an_unknown_subscription_is_an_error(make_world: MakeWorld, id: str) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    peer.subscribe("t", "1")
    world.peer().subscribe("t", "2")
    with pytest.raises(UnknownSubscription) as raised:
        peer.unsubscribe(id)
    assert raised.value.subscription == id
    peer.unsubscribe("1")
    with pytest.raises(UnknownSubscription):
        peer.unsubscribe("1")


# The size of a body


def test_a_destination_can_have_its_own_limit_of_a_body(make_world: MakeWorld) -> None:
    world = make_world({"t": replace(TOPIC, max_message_size=3), "u": TOPIC})
    t, u = world.peer().subscribe("t"), world.peer().subscribe("u")
    for peer in world.peer(), world.peer(is_local=True):
        peer.send("t", "abc")
        with pytest.raises(MessageTooLarge) as raised:
            peer.send("t", "abcd")
        assert (raised.value.destination, raised.value.limit) == ("t", 3)
        peer.send("u", "abcd")
    assert t == ["abc"] * 2
    assert u == ["abcd"] * 2


# The four blocks


def block_of(use: Callable[..., object], *arguments: str) -> str | None:
    """The block that forbids something, if any does."""
    try:
        use(*arguments)
    except DestinationBlocked as exc:
        return exc.block
    return None


@pytest.mark.parametrize(
    ("policy", "write", "read", "web_write", "web_read"),
    [
        (replace(QUEUE, write_block=True), "write_block", None, "write_block", None),
        (replace(QUEUE, read_block=True), None, "read_block", None, "read_block"),
        (replace(QUEUE, web_write_block=True), None, None, "web_write_block", None),
        (replace(QUEUE, web_read_block=True), None, None, None, "web_read_block"),
        (
            replace(QUEUE, write_block=True, web_write_block=True, web_read_block=True),
            "write_block",
            None,
            "write_block",
            "web_read_block",
        ),
    ],
    ids=[*BLOCKS, "several"],
)
def test_a_block_is_for_network_clients_or_for_web_clients(
    make_world: MakeWorld,
    policy: Policy,
    write: str | None,
    read: str | None,
    web_write: str | None,
    web_read: str | None,
) -> None:
    world = make_world({"q": policy, "other": QUEUE})
    for peer, expected in (
        (world.peer(), (write, read)),
        (world.peer(is_web=True), (web_write, web_read)),
        # Application code in the process may do everything.
        (world.peer(is_local=True), (None, None)),
    ):
        blocks = block_of(peer.send, "q", "a"), block_of(peer.subscribe, "q", "1")
        assert blocks == expected
        assert ("1" in peer.client.subscriptions) == (expected[1] is None)
        # It is one destination's.
        peer.send("other", "b")
        peer.subscribe("other", "2")


def test_a_block_says_whose_it_is(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, write_block=True)})
    with pytest.raises(DestinationBlocked) as raised:
        world.peer().send("q", "a")
    assert raised.value.destination == "q"


def test_no_block_is_the_default() -> None:
    assert not any(getattr(Policy(), block) for block in BLOCKS)


# Numbers of messages


def test_messages_are_numbered_through_all_destinations(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "t": TOPIC}, first_number=100)
    q, t = world.peer().subscribe("q"), world.peer().subscribe("t")
    for destination in "q", "t", "t", "q":
        world.peer().send(destination, "a")
    assert [message.number for message in q.messages] == [101, 104]
    assert [message.number for message in t.messages] == [102, 103]
    assert world.broker.last_number == 104


def test_a_redelivered_message_keeps_its_number(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", "a")
    peer.nack(1)
    assert inbox.messages[0] is inbox.messages[1]


def test_a_number_that_is_taken_is_no_message_s(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC}, first_number=5)
    inbox = world.peer().subscribe("t")
    sender = world.peer()
    sender.send("t", "a")
    assert world.broker.next_number() == 7
    sender.send("t", "b")
    assert [message.number for message in inbox.messages] == [6, 8]


def test_without_a_first_number_they_count_from_1(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    message = Message("t", {}, b"a")
    assert message.number == 0
    world.broker.send(world.peer().client, message, 0.0)
    assert inbox.messages == [message]
    assert message.number == 1
