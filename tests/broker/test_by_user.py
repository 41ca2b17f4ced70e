"""One subscription for each user: ``sub_by_user``."""

from dataclasses import replace

import pytest

from romp_asgi.broker import BrokerLimits, Overflow, Policy, SlowConsumerPolicy
from romp_asgi.errors import (
    DestinationFull,
    HeaderError,
    MemoryFull,
    NameRequired,
    Replaced,
    SubscriptionsFull,
)
from tests.broker.world import (
    AUTO,
    CLIENT,
    COUNTED,
    EPOCH,
    INDIVIDUAL,
    QUEUE,
    TOPIC,
    MakeWorld,
    Peer,
    World,
    is_done,
)

USER_TOPIC = replace(TOPIC, sub_by_user=True)
USER_QUEUE = replace(QUEUE, sub_by_user=True)
USER_COUNTED = replace(COUNTED, sub_by_user=True)

ALL = pytest.mark.parametrize(
    "policy",
    [
        USER_TOPIC,
        USER_QUEUE,
        USER_COUNTED,
        replace(USER_QUEUE, pedantic_expiry=True),
        replace(USER_COUNTED, pedantic_expiry=True),
    ],
    ids=["topic", "queue", "counted", "pedantic queue", "pedantic counted"],
)
STORING = pytest.mark.parametrize(
    "policy", [USER_QUEUE, USER_COUNTED], ids=["queue", "counted"]
)


def send_to(peer: Peer, user: str, *bodies: str, **headers: str) -> None:
    peer.send("d", *bodies, headers={"to": user, **headers})


def full(world: World) -> None:
    with pytest.raises(DestinationFull):
        send_to(world.peer(), "ann", "x")


@ALL
@pytest.mark.parametrize("ack", [AUTO, CLIENT, INDIVIDUAL])
def test_a_message_for_a_user_goes_to_nobody_else(
    make_world: MakeWorld, policy: Policy, ack: object
) -> None:
    world = make_world({"d": policy})
    ann = world.peer(user="ann").subscribe("d", ack=ack)  # type: ignore[arg-type]
    bob = world.peer(user="bob").subscribe("d", ack=ack)  # type: ignore[arg-type]
    code = world.peer(is_local=True).subscribe("d")
    send_to(world.peer(), "ann", "a", "b")
    send_to(world.peer(user="ann"), "bob", "c")
    assert (ann, bob, code) == (["a", "b"], ["c"], [])


@ALL
def test_what_is_for_everybody_is_as_without_users(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": policy})
    ann = world.peer(user="ann").subscribe("d")
    bob = world.peer(user="bob").subscribe("d")
    world.peer().send("d", "a", "b")
    if policy.kind is QUEUE.kind:
        assert (ann, bob) == (["a"], ["b"])
    else:
        assert (ann, bob) == (["a", "b"], ["a", "b"])


def test_a_topic_keeps_nothing_for_a_user_who_is_not_there(
    make_world: MakeWorld,
) -> None:
    world = make_world({"d": USER_TOPIC})
    send_to(world.peer(), "ann", "a")
    assert world.peer(user="ann").subscribe("d") == []


@STORING
def test_the_others_keep_it(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    sender = world.peer()
    send_to(sender, "ann", "a", "b")
    assert world.waiting("d") == 2
    # It blocks nobody.
    bob = world.peer(user="bob").subscribe("d")
    send_to(sender, "bob", "c")
    assert bob == ["c"]
    assert world.peer(user="ann").subscribe("d") == ["a", "b"]
    assert world.waiting("d") == 0


@STORING
def test_credit_and_acknowledgement(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    peer = world.peer(user="ann")
    ann = peer.subscribe("d", ack=INDIVIDUAL, prefetch=1)
    sender = world.peer()
    send_to(sender, "ann", "a", "b")
    sender.send("d", "x")
    assert ann == ["a"]
    peer.ack(1)
    assert ann == ["a", "b"]
    peer.nack(2)
    assert ann == ["a", "b", "b"]
    assert ann.again == ["b"]
    peer.ack(3)
    assert ann == ["a", "b", "b", "x"]
    peer.ack(4)


@STORING
def test_client_mode_covers_both_kinds(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    peer = world.peer(user="ann")
    ann = peer.subscribe("d", ack=CLIENT)
    sender = world.peer()
    sender.send("d", "x")
    send_to(sender, "ann", "a")
    assert ann == ["x", "a"]
    peer.ack(2)
    assert not peer.client.unacked


@STORING
def test_a_user_who_comes_again_gets_what_was_not_acknowledged(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": policy})
    peer = world.peer(user="ann")
    peer.subscribe("d", ack=INDIVIDUAL)
    send_to(world.peer(), "ann", "a", "b", "c")
    peer.ack(2)
    peer.leave()
    again = world.peer(user="ann").subscribe("d")
    assert again == ["a", "c"]
    assert again.again == ["a", "c"]


@STORING
def test_room(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    peer = world.peer(user="ann")
    ann = peer.subscribe("d", room=1)
    send_to(world.peer(), "ann", "a", "b")
    assert ann == ["a"]
    peer.gets_room(ann)
    assert ann == ["a", "b"]


@STORING
def test_dead_letters(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": replace(policy, dead_letter="dead"), "dead": QUEUE})
    peer = world.peer(user="ann")
    peer.subscribe("d", ack=INDIVIDUAL)
    send_to(world.peer(), "ann", "a")
    peer.nack(1, requeue=False)
    assert world.drain("dead") == ["a"]


@STORING
@pytest.mark.parametrize("overflow", Overflow)
def test_so_many_wait_for_all_users_together(
    make_world: MakeWorld, policy: Policy, overflow: Overflow
) -> None:
    world = make_world({"d": replace(policy, max_messages=2, overflow=overflow)})
    sender = world.peer()
    send_to(sender, "ann", "a")
    send_to(sender, "bob", "b")
    full(world)
    # Whoever is there gets more.
    cid = world.peer(user="cid").subscribe("d")
    send_to(sender, "cid", *"xyz")
    assert cid == ["x", "y", "z"]
    sender.begin()
    send_to(sender, "cid", "c")
    sender.send("d", "c", headers={"to": "cid"}, transaction="tx")
    with pytest.raises(DestinationFull):
        sender.commit()
    sender.abort()


@STORING
def test_a_transaction(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    sender = world.peer()
    sender.begin()
    sender.send("d", "a", "b", headers={"to": "ann"}, transaction="tx")
    sender.commit()
    assert world.peer(user="ann").subscribe("d") == ["a", "b"]


@STORING
def test_memory(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world(
        {"d": replace(policy, max_messages=1000)}, BrokerLimits(max_memory=4000)
    )
    with pytest.raises(MemoryFull):
        send_to(world.peer(), "ann", *["a"] * 100)


@STORING
def test_expiry(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": replace(policy, expiry=10_000)})
    sender = world.peer()
    at = int((EPOCH + world.now + 3) * 1000)
    send_to(sender, "ann", "a", "b")
    send_to(sender, "ann", "c", expires=str(at))
    send_to(sender, "bob", "d")
    world.now += 3
    assert world.broker.expire(world.now) == 1
    world.now += 7
    assert world.broker.expire(world.now) == 3
    assert [body for body, _ in world.dropped] == ["c", "a", "b", "d"]
    assert world.waiting("d") == 0


@STORING
def test_pedantic_expiry(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d*": replace(policy, expiry=10_000, pedantic_expiry=True)})
    world.peer().send("d1", "a", headers={"to": "ann"})
    world.now += 10
    peer = world.peer(user="ann")
    assert peer.subscribe("d1") == []
    peer.leave()
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("a", "expired")]
    assert not world.broker.destinations


def test_what_was_given_back_has_its_own_time(make_world: MakeWorld) -> None:
    world = make_world({"d": USER_QUEUE})
    peer = world.peer(user="ann")
    peer.subscribe("d", ack=INDIVIDUAL)
    at = int((EPOCH + world.now + 3) * 1000)
    send_to(world.peer(), "ann", "a", expires=str(at))
    peer.leave()
    world.now += 3
    assert world.broker.expire(world.now) == 1


# What a user does not want


@ALL
def test_a_user_gets_what_is_wanted(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    old = world.peer(user="ann")
    ann = old.subscribe("d", wants="ac")
    sender = world.peer()
    send_to(sender, "ann", *"abcd")
    assert ann == ["a", "c"]
    # What is kept is kept for a subscription that wants it.
    new = world.peer(user="ann").subscribe("d", wants="bx")
    assert new == ([] if policy.kind is TOPIC.kind else ["b"])
    old.leave()
    send_to(sender, "ann", "x")
    assert new[-1] == "x"


@STORING
def test_what_nobody_wants_expires(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    world.peer(user="ann").subscribe("d", wants="x")
    at = int((EPOCH + world.now + 3) * 1000)
    send_to(world.peer(), "ann", "a", expires=str(at))
    send_to(world.peer(), "ann", "b")
    world.now += 3
    assert world.broker.expire(world.now) == 1
    assert world.dropped == [("a", "expired")]


@ALL
def test_a_user_does_not_get_what_the_same_connection_sent(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": replace(policy, filter_self=True)})
    peer = world.peer(user="ann")
    ann = peer.subscribe("d")
    send_to(peer, "ann", "a")
    send_to(world.peer(user="ann"), "ann", "b")
    assert ann == ["b"]


# A slow user of a topic


@pytest.mark.parametrize("ack", [AUTO, CLIENT])
def test_a_topic_waits_for_a_slow_user(make_world: MakeWorld, ack: object) -> None:
    policy = replace(USER_TOPIC, slow_consumer=SlowConsumerPolicy.BLOCK)
    world = make_world({"d": policy})
    peer = world.peer(user="ann")
    ann = peer.subscribe("d", ack=ack, room=1, prefetch=1)  # type: ignore[arg-type]
    sender = world.peer()
    first = sender.send("d", "a", headers={"to": "ann"})
    if ack is AUTO:
        assert not is_done(first)
    second = sender.send("d", "b", headers={"to": "ann"})
    assert not is_done(second)
    peer.gets_room(ann)
    if ack is CLIENT:
        peer.ack(1)
    assert ann == ["a", "b"]
    assert is_done(second)


def test_a_topic_drops_what_a_slow_user_does_not_take(make_world: MakeWorld) -> None:
    policy = replace(USER_TOPIC, slow_consumer=SlowConsumerPolicy.DROP)
    world = make_world({"d": policy})
    ann = world.peer(user="ann").subscribe("d", room=1)
    ann.is_overrun = True
    send_to(world.peer(), "ann", "a", "b")
    assert ann == ["a"]
    assert world.dropped == [("b", "slow consumer")]


def test_a_topic_waits_for_memory_too(make_world: MakeWorld) -> None:
    policy = replace(USER_TOPIC, slow_consumer=SlowConsumerPolicy.BLOCK)
    world = make_world({"d": policy, "q": QUEUE}, BrokerLimits(max_memory=600))
    peer = world.peer(user="ann")
    ann = peer.subscribe("d", room=1)
    sender = world.peer()
    sender.send("q", "x", "y")
    pending = sender.send("d", "a", headers={"to": "ann"})
    peer.gets_room(ann)
    assert not is_done(pending)
    world.drain("q")
    assert is_done(pending)


# Who a user is


@ALL
def test_a_newer_subscription_takes_the_place_of_the_older(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d": policy})
    old, new = world.peer(user="ann"), world.peer(user="ann")
    first = old.subscribe("d", ack=INDIVIDUAL)
    sender = world.peer()
    send_to(sender, "ann", "a")
    second = new.subscribe("d", "7")
    send_to(sender, "ann", "b")
    assert first == ["a"]
    assert [str(error) for error in first.errors] == [str(Replaced("d"))]
    assert not old.client.subscriptions
    # What the older one has not acknowledged comes again, but of a topic.
    assert second == (["b"] if policy.kind is TOPIC.kind else ["a", "b"])
    assert world.broker.destinations["d"].connections == 1
    # The older connection goes: that changes nothing.
    old.leave()
    send_to(sender, "ann", "c")
    assert second[-1] == "c"


def test_it_may_although_no_more_connections_are_possible(
    make_world: MakeWorld,
) -> None:
    world = make_world({"d*": replace(USER_QUEUE, max_connections=1)})
    world.peer(user="ann").subscribe("d1")
    with pytest.raises(SubscriptionsFull):
        world.peer(user="bob").subscribe("d1")
    new = world.peer(user="ann").subscribe("d1")
    world.peer().send("d1", "a")
    assert new == ["a"]


@ALL
def test_one_connection_subscribes_once(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    peer = world.peer(user="ann")
    inbox = peer.subscribe("d")
    with pytest.raises(SubscriptionsFull, match="sub_by_user"):
        peer.subscribe("d", "2")
    assert inbox.errors == []
    peer.unsubscribe()
    peer.subscribe("d", "2")


@ALL
def test_who_has_no_name_cannot_subscribe(
    make_world: MakeWorld, policy: Policy
) -> None:
    world = make_world({"d*": policy})
    with pytest.raises(NameRequired, match="login"):
        world.peer().subscribe("d1")
    assert not world.broker.destinations


@ALL
def test_nobody_has_an_empty_name(make_world: MakeWorld, policy: Policy) -> None:
    world = make_world({"d": policy})
    with pytest.raises(HeaderError):
        send_to(world.peer(), "", "a")


def test_code_may_subscribe_as_often_as_it_likes(make_world: MakeWorld) -> None:
    world = make_world({"d": USER_TOPIC})
    peer = world.peer(is_local=True)
    inboxes = [peer.subscribe("d", id) for id in "12"]
    world.peer().send("d", "a")
    assert inboxes == [["a"], ["a"]]


def test_elsewhere_the_header_is_one_like_others(make_world: MakeWorld) -> None:
    world = make_world({"d": TOPIC, "e": USER_TOPIC})
    bob = world.peer(user="bob").subscribe("d")
    send_to(world.peer(), "ann", "a")
    assert bob == ["a"]
    assert world.broker.is_by_user("e")
    assert not world.broker.is_by_user("d")
