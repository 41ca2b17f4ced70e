"""Topics: each message goes to every subscription, and nothing is stored."""

from dataclasses import replace

from tests.broker.world import CLIENT, INDIVIDUAL, QUEUE, TOPIC, MakeWorld


def test_every_subscription_gets_every_message_in_order(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    inboxes = [world.peer().subscribe("t") for _ in range(3)]
    assert world.peer().send("t", "a", "b", "c") is None
    assert inboxes == [["a", "b", "c"]] * 3
    assert world.broker.destinations["t"].accepted == 3


def test_several_subscriptions_of_one_client_each_get_a_copy(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    inboxes = [
        peer.subscribe("t", "1"),
        peer.subscribe("t", "2"),
        peer.subscribe("t", "3", CLIENT),
        peer.subscribe("t", "4", INDIVIDUAL),
    ]
    peer.send("t", "a", "b")
    assert inboxes == [["a", "b"]] * 4


def test_the_copies_are_one_message(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    first = world.peer().subscribe("t")
    second = world.peer().subscribe("t", ack=CLIENT)
    world.peer().send("t", "a")
    assert first.messages[0] is second.messages[0]


def test_a_sender_gets_its_own_message(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    inbox = peer.subscribe("t")
    peer.send("t", "a")
    assert inbox == ["a"]


def test_nothing_is_stored(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    assert world.peer().send("t", "early") is None
    assert world.waiting("t") == 0
    assert world.used == 0
    inbox = world.peer().subscribe("t")
    assert inbox == []


def test_auto_messages_have_no_tag_and_are_not_redelivered(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    inbox = world.peer().subscribe("t")
    world.peer().send("t", "a", "b")
    assert inbox.tags == [0, 0]
    assert inbox.again == []
    assert world.used == 0


def test_an_unsubscribed_topic_gives_nothing_more(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    gone, kept = peer.subscribe("t", "1"), peer.subscribe("t", "2")
    peer.send("t", "a")
    peer.unsubscribe("1")
    peer.send("t", "b")
    assert gone == ["a"]
    assert kept == ["a", "b"]


def test_topics_do_not_share_messages(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC, "u": TOPIC})
    t, u = world.peer().subscribe("t"), world.peer().subscribe("u")
    world.peer().send("t", "a")
    assert t == ["a"]
    assert u == []


# Subscriptions that acknowledge


def test_a_topic_heeds_prefetch(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=2)
    other = world.peer().subscribe("t")
    world.peer().send("t", "a", "b", "c", "d")
    assert inbox == ["a", "b"]
    assert other == ["a", "b", "c", "d"]
    peer.ack(1)
    assert inbox == ["a", "b", "c"]
    peer.ack(3)
    assert inbox == ["a", "b", "c", "d"]
    assert inbox.again == []


def test_what_comes_while_messages_wait_waits_behind_them(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=INDIVIDUAL, prefetch=10, room=1)
    sender = world.peer()
    sender.send("t", "a", "b")
    assert inbox == ["a"]
    peer.gets_room(inbox, room=1)
    sender.send("t", "c")
    assert inbox == ["a", "b"]
    peer.gets_room(inbox)
    assert inbox == ["a", "b", "c"]


def test_an_acknowledgement_without_room_gives_nothing_more(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=1, room=1)
    world.peer().send("t", "a", "b")
    peer.ack(1)
    assert inbox == ["a"]
    peer.gets_room(inbox)
    assert inbox == ["a", "b"]


def test_each_copy_is_held_until_it_is_acknowledged(make_world: MakeWorld) -> None:
    world = make_world({"t": TOPIC})
    first, second = world.peer(), world.peer()
    first.subscribe("t", ack=CLIENT)
    second.subscribe("t", ack=CLIENT, prefetch=1)
    world.peer().send("t", "a", "b")
    size = world.used // 4
    assert size > 0
    first.ack(2)
    assert world.used == 2 * size
    second.ack(1)
    assert world.used == size
    second.ack(2)
    assert world.used == 0


def test_nack_brings_a_message_again_to_its_subscription_only(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer, other = world.peer(), world.peer()
    inbox = peer.subscribe("t", ack=INDIVIDUAL)
    others = other.subscribe("t", ack=INDIVIDUAL)
    world.peer().send("t", "a", "b")
    peer.nack(1)
    assert inbox == ["a", "b", "a"]
    assert inbox.again == ["a"]
    assert others == ["a", "b"]


def test_nack_on_a_topic_puts_a_message_before_those_that_wait(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=2)
    world.peer().send("t", "a", "b", "c")
    peer.nack(2)
    assert inbox == ["a", "b", "a", "b"]
    assert inbox.again == ["a", "b"]
    peer.ack(4)
    assert inbox == ["a", "b", "a", "b", "c"]


def test_each_subscription_of_a_topic_has_its_own_dead_letters(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": replace(TOPIC, dead_letter="dead"), "dead": QUEUE})
    first, second = world.peer(), world.peer()
    first.subscribe("t", ack=CLIENT)
    second.subscribe("t", ack=CLIENT)
    world.peer().send("t", "a")
    first.nack(1, requeue=False)
    assert world.drain("dead") == ["a"]
    second.nack(1, requeue=False)
    assert world.drain("dead") == ["a"]


def test_what_a_subscription_of_a_topic_leaves_behind_goes_with_it(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    peer.subscribe("t", ack=CLIENT, prefetch=1)
    other = world.peer().subscribe("t")
    world.peer().send("t", "a", "b", "c")
    assert world.used > 0
    peer.leave()
    assert world.used == 0
    assert other == ["a", "b", "c"]
    assert other.again == []


def test_two_subscriptions_of_a_client_that_leaves_both_let_go(
    make_world: MakeWorld,
) -> None:
    world = make_world({"t": TOPIC})
    peer = world.peer()
    first = peer.subscribe("t", "1", CLIENT, prefetch=1)
    second = peer.subscribe("t", "2", INDIVIDUAL, prefetch=2)
    world.peer().send("t", "a", "b", "c")
    peer.leave()
    assert world.used == 0
    assert first == ["a"]
    assert second == ["a", "b"]


def test_a_topic_expires_nothing(make_world: MakeWorld) -> None:
    world = make_world({"t": replace(TOPIC, expiry=1)})
    peer = world.peer()
    inbox = peer.subscribe("t", ack=CLIENT, prefetch=1)
    peer.send("t", "a", "b")
    world.now += 60
    assert world.broker.expire(world.now) == 0
    peer.ack(1)
    assert inbox == ["a", "b"]
