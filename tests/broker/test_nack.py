"""NACK, and the dead letters.

Source: STOMP 1.2 § NACK.
"""

from dataclasses import replace

import pytest

from romp_asgi.broker import Overflow, Policy
from romp_asgi.stomp.spec import DEATH_REASON, DESTINATION, ORIGINAL_DESTINATION
from tests.broker.world import CLIENT, INDIVIDUAL, QUEUE, TOPIC, MakeWorld, World

#: A queue whose messages are delivered twice at most.
TWICE = replace(QUEUE, max_deliveries=2, dead_letter="dead")


# Back to its place


def test_nack_puts_a_message_back_to_its_place(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=3)
    world.peer().send("q", *"abcde")
    peer.nack(2)
    # It is before "d", which waited, and it is redelivered.
    assert inbox == ["a", "b", "c", "b"]
    assert inbox.again == ["b"]
    assert inbox.tags == [1, 2, 3, 4]
    peer.ack(1, 3, 4)
    assert inbox == ["a", "b", "c", "b", "d", "e"]


def test_nack_of_client_covers_all_before_it(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=4)
    world.peer().send("q", *"abcd")
    peer.nack(3)
    assert inbox == ["a", "b", "c", "d", "a", "b", "c"]
    assert inbox.again == ["a", "b", "c"]
    assert list(peer.client.unacked) == [4, 5, 6, 7]


def test_another_consumer_with_credit_gets_it_first(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL, prefetch=1)
    world.peer().send("q", "a")
    other = world.peer().subscribe("q")
    peer.nack(1)
    assert other == ["a"]
    assert other.again == ["a"]


def test_without_another_consumer_it_comes_back_to_who_refused_it(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=1)
    world.peer().send("q", "a", "b")
    peer.nack(1)
    peer.nack(2)
    assert inbox == ["a", "a", "a"]


def test_nack_without_room_leaves_it_waiting(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL, prefetch=1, room=1)
    world.peer().send("q", "a")
    peer.nack(1)
    assert inbox == ["a"]
    assert world.waiting("q") == 1
    peer.gets_room(inbox)
    assert inbox == ["a", "a"]


# To the dead letters


def test_nack_without_requeue_goes_to_the_dead_letters(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a", "b")
    peer.nack(1, requeue=False)
    assert inbox == ["a", "b"]
    assert world.drain("dead") == ["a"]
    assert world.dropped == []


def test_nack_without_requeue_of_client_covers_all_before_it(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", *"abcd")
    peer.nack(3, requeue=False)
    assert list(peer.client.unacked) == [4]
    assert world.drain("dead") == ["a", "b", "c"]


def test_without_dead_letters_it_is_dropped_and_told(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a", "b")
    peer.nack(1, requeue=False)
    assert world.dropped == [("a", "rejected")]
    assert world.waiting("q") == 0
    assert list(peer.client.unacked) == [2]


def test_the_last_delivery_that_is_refused_goes_to_the_dead_letters(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": TWICE, "dead": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a")
    peer.nack(1)
    assert world.waiting("dead") == 0
    peer.nack(2)
    assert inbox == ["a", "a"]
    assert world.drain("dead") == ["a"]


def test_ten_deliveries_are_the_default(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a")
    peer.nack(*range(1, 10))
    assert inbox == ["a"] * 10
    assert world.dropped == []
    peer.nack(10)
    assert inbox == ["a"] * 10
    assert world.dropped == [("a", "delivery_limit")]


def test_a_delivery_that_was_lost_counts(make_world: MakeWorld) -> None:
    world = make_world({"q": TWICE, "dead": QUEUE})
    world.peer().send("q", "a")
    for _ in range(5):
        # However often clients are lost, that alone never makes a dead letter.
        lost = world.peer()
        lost.subscribe("q", ack=CLIENT)
        lost.leave()
    assert world.waiting("q") == 1
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    peer.nack(1)
    assert world.drain("dead") == ["a"]


def test_of_what_one_nack_covers_each_goes_its_own_way(make_world: MakeWorld) -> None:
    world = make_world({"q": TWICE, "dead": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=2)
    world.peer().send("q", *"abcd")
    peer.nack(1)  # "a" is before "c" again
    assert inbox == ["a", "b", "a"]
    peer.nack(3)  # "b" for the first time, "a" for the second
    assert world.drain("dead") == ["a"]
    assert inbox == ["a", "b", "a", "b", "c"]
    assert inbox.again == ["a", "b"]


def test_a_consumer_of_the_dead_letters_gets_them_at_once(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": QUEUE})
    peer = world.peer()
    peer.subscribe("q", "1", INDIVIDUAL)
    dead = peer.subscribe("dead", "2")
    world.peer().send("q", "a")
    peer.nack(1, requeue=False)
    assert dead == ["a"]
    # As a message of its own there.
    assert dead.again == []
    assert dead.messages[0].number == world.broker.last_number == 2


def test_dead_letters_can_be_a_topic(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": TOPIC})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    first, second = world.peer().subscribe("dead"), world.peer().subscribe("dead")
    world.peer().send("q", "a")
    peer.nack(1, requeue=False)
    assert first == second == ["a"]


def test_dead_letters_are_made_from_a_pattern(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dead/q"), "dead/*": QUEUE})
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a")
    peer.nack(1, requeue=False)
    assert world.drain("dead/q") == ["a"]


def test_a_dead_letter_says_where_it_comes_from(make_world: MakeWorld) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=INDIVIDUAL)
    headers = {"colour": "blue", ORIGINAL_DESTINATION: "elsewhere"}
    world.peer().send("q", "a", headers=headers)
    peer.nack(1, requeue=False)
    [letter] = world.peer().subscribe("dead").messages
    assert letter.destination == "dead"
    assert letter.headers == {
        DESTINATION: "dead",
        "colour": "blue",
        ORIGINAL_DESTINATION: "q",
        DEATH_REASON: "rejected",
    }
    # The message that was sent is as it was.
    assert inbox.messages[0].headers == {DESTINATION: "q", **headers}


def test_a_dead_letter_expires_as_its_new_destination_says(
    make_world: MakeWorld,
) -> None:
    policies = {
        "q": Policy(QUEUE.kind, expiry=5_000, dead_letter="dead"),
        "dead": Policy(QUEUE.kind, expiry=60_000),
    }
    world = make_world(policies)
    peer = world.peer()
    peer.subscribe("q", ack=INDIVIDUAL)
    world.peer().send("q", "a")
    world.now += 4
    peer.nack(1, requeue=False)
    world.now += 59
    assert world.broker.expire(world.now) == 0
    world.now += 1
    assert world.broker.expire(world.now) == 1


# Dead letters of dead letters


def reject(world: World, destination: str) -> None:
    peer = world.peer()
    peer.subscribe(destination, ack=INDIVIDUAL)
    peer.nack(1, requeue=False)
    peer.leave()


def test_dead_letters_have_dead_letters(make_world: MakeWorld) -> None:
    world = make_world(
        {
            "q": replace(QUEUE, dead_letter="dead"),
            "dead": replace(QUEUE, dead_letter="very dead"),
            "very dead": QUEUE,
        }
    )
    world.peer().send("q", "a")
    reject(world, "q")
    reject(world, "dead")
    [letter] = world.peer().subscribe("very dead").messages
    # Where it was last.
    assert letter.headers[ORIGINAL_DESTINATION] == "dead"


def test_a_dead_letter_of_its_own_destination_is_dropped(
    make_world: MakeWorld,
) -> None:
    world = make_world({"dead*": replace(QUEUE, dead_letter="dead1")})
    world.peer().send("dead2", "a")
    reject(world, "dead2")
    assert world.dropped == []
    reject(world, "dead1")
    assert world.dropped == [("a", "rejected")]


def test_two_queues_can_be_each_other_s_dead_letters(make_world: MakeWorld) -> None:
    world = make_world(
        {
            "q": replace(QUEUE, dead_letter="r"),
            "r": replace(QUEUE, dead_letter="q"),
        }
    )
    world.peer().send("q", "a")
    reject(world, "q")
    reject(world, "r")
    assert world.waiting("r") == 0
    assert world.drain("q") == ["a"]


# Dead letters that cannot be kept


def test_a_dead_letter_that_has_no_room_is_dropped_and_told(
    make_world: MakeWorld,
) -> None:
    dead = replace(QUEUE, max_messages=1)
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": dead})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", "a", "b")
    peer.nack(2, requeue=False)
    assert world.drain("dead") == ["a"]
    [(body, reason)] = world.dropped
    assert body == "b"
    assert reason.startswith("rejected, and no dead letter: ")
    assert "dead is full" in reason


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.BLOCK])
def test_who_refuses_does_not_wait_for_room_in_the_dead_letters(
    make_world: MakeWorld, overflow: Overflow
) -> None:
    dead = replace(QUEUE, max_messages=1, overflow=overflow)
    world = make_world({"q": replace(QUEUE, dead_letter="dead"), "dead": dead})
    peer = world.peer()
    peer.subscribe("q", ack=CLIENT)
    world.peer().send("q", "a", "b")
    peer.nack(2, requeue=False)  # which sees that nothing has to be waited for
    blocks = overflow is Overflow.BLOCK
    assert world.drain("dead") == (["a", "b"] if blocks else ["b"])
    assert world.dropped == ([] if blocks else [("a", "overflow")])


def test_a_dead_letter_to_an_unknown_destination_is_dropped_and_told(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": replace(QUEUE, dead_letter="nowhere")})
    world.peer().send("q", "a")
    reject(world, "q")
    [(body, reason)] = world.dropped
    assert body == "a"
    assert "no destination nowhere" in reason


def test_dead_letters_pass_a_write_block(make_world: MakeWorld) -> None:
    world = make_world(
        {
            "q": replace(QUEUE, dead_letter="dead"),
            "dead": replace(QUEUE, write_block=True, max_message_size=0),
        }
    )
    world.peer().send("q", "a")
    reject(world, "q")
    assert world.drain("dead") == ["a"]
