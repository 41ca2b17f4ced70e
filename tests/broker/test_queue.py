"""Queues: each message goes to one consumer, and is kept until one takes it."""

from collections import deque

from hypothesis import given, settings, strategies as st

from romp_asgi.broker.queue import Queue
from tests.broker.world import CLIENT, INDIVIDUAL, QUEUE, MakeWorld, World

quick = settings(max_examples=150, derandomize=True, deadline=None)


def test_messages_wait_for_a_consumer_first_in_first_out(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    sender = world.peer()
    assert sender.send("q", "a", "b", "c") is None
    assert world.waiting("q") == 3
    assert world.used > 0
    inbox = world.peer().subscribe("q")
    assert inbox == ["a", "b", "c"]
    assert world.waiting("q") == 0
    assert world.used == 0
    sender.send("q", "d")
    assert inbox == ["a", "b", "c", "d"]
    assert inbox.tags == [0] * 4
    assert inbox.again == []
    assert world.broker.destinations["q"].accepted == 4


def test_a_message_goes_to_one_consumer(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    inboxes = [world.peer().subscribe("q") for _ in range(3)]
    world.peer().send("q", *"abc")
    assert inboxes == [["a"], ["b"], ["c"]]


def test_an_only_consumer_is_known_while_it_is_the_only_one_that_takes_all(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    queue = world.broker.destinations["q"]
    assert isinstance(queue, Queue)
    sender = world.peer()

    def knows_one() -> bool:
        sender.send("q", "x")
        return queue._sole is not None

    one = world.peer()
    inbox = one.subscribe("q")
    assert knows_one()
    other = world.peer()
    others = other.subscribe("q")
    assert not knows_one()
    assert not knows_one()
    other.leave()
    assert knows_one()
    one.leave()
    assert not knows_one()
    assert (inbox, others) == (["x"] * 3, ["x"])
    world.peer().subscribe("q", ack=CLIENT)
    assert not knows_one()
    assert queue.accepted == 6


def test_consumers_take_turns_strictly(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inboxes = [
        world.peer().subscribe("q"),
        peer.subscribe("q", "1", CLIENT),
        peer.subscribe("q", "2", INDIVIDUAL),
    ]
    # One by one, and of what waits.
    world.peer().send("q", *"abcd")
    assert inboxes == [["a", "d"], ["b"], ["c"]]


def test_what_waited_is_shared_out_in_turns(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    holder = world.peer()
    holder.subscribe("q", ack=CLIENT)
    inboxes = [world.peer().subscribe("q", ack=CLIENT) for _ in range(3)]
    world.peer().send("q", *"abcdefgh")
    assert inboxes == [["b", "f"], ["c", "g"], ["d", "h"]]
    # "a" and "e" go to those whose turn it is.
    holder.leave()
    assert inboxes == [["b", "f", "a"], ["c", "g", "e"], ["d", "h"]]


def test_a_consumer_without_room_is_passed_over(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    full = peer.subscribe("q", room=1)
    other = world.peer().subscribe("q")
    world.peer().send("q", *"abcd")
    assert full == ["a"]
    assert other == ["b", "c", "d"]


def test_a_consumer_with_room_again_takes_its_turn_after_the_others(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    first = peer.subscribe("q", room=1)
    second, third = world.peer().subscribe("q"), world.peer().subscribe("q")
    sender = world.peer()
    sender.send("q", "a", "b")
    peer.gets_room(first)
    # The third is the next, then the second, and then the first again.
    sender.send("q", *"cdef")
    assert first == ["a", "e"]
    assert second == ["b", "d"]
    assert third == ["c", "f"]


def test_a_consumer_at_its_prefetch_is_passed_over(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    one, two = world.peer(), world.peer()
    first = one.subscribe("q", ack=CLIENT, prefetch=1)
    second = two.subscribe("q", ack=CLIENT, prefetch=2)
    sender = world.peer()
    sender.send("q", *"abcde")
    assert first == ["a"]
    assert second == ["b", "c"]
    assert world.waiting("q") == 2
    one.ack(1)
    assert first == ["a", "d"]
    two.ack(2)
    assert second == ["b", "c", "e"]
    sender.send("q", "f", "g")
    assert second == ["b", "c", "e", "f"]
    assert world.waiting("q") == 1


def test_the_turn_of_a_newcomer_comes_after_the_others(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    first, second = world.peer().subscribe("q"), world.peer().subscribe("q")
    sender = world.peer()
    sender.send("q", "a")
    newcomer = world.peer().subscribe("q")
    sender.send("q", *"bcdefg")
    assert first == ["a", "c", "f"]
    assert second == ["b", "e"]
    assert newcomer == ["d", "g"]


def test_credit_that_is_regained_twice_is_one_turn(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    first = peer.subscribe("q", ack=INDIVIDUAL, prefetch=2)
    second = world.peer().subscribe("q")
    sender = world.peer()
    sender.send("q", *"abc")
    assert first == ["a", "c"]
    peer.ack(1)
    peer.ack(2)
    peer.gets_room(first)
    sender.send("q", *"defg")
    assert first == ["a", "c", "e", "g"]
    assert second == ["b", "d", "f"]


def test_acknowledgements_without_room_give_no_turn(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=1, room=1)
    world.peer().send("q", "a", "b")
    peer.ack(1)
    assert inbox == ["a"]
    peer.gets_room(inbox)
    assert inbox == ["a", "b"]


def test_room_without_credit_gives_no_turn(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    inbox = peer.subscribe("q", ack=CLIENT, prefetch=1, room=1)
    world.peer().send("q", "a", "b")
    peer.gets_room(inbox)
    assert inbox == ["a"]
    peer.ack(1)
    assert inbox == ["a", "b"]


def test_a_client_with_room_again_has_it_for_all_its_subscriptions(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE, "r": QUEUE})
    peer = world.peer()
    q, r = peer.subscribe("q", "1", room=1), peer.subscribe("r", "2", room=1)
    sender = world.peer()
    sender.send("q", "a", "b")
    sender.send("r", "c", "d")
    peer.gets_room(q, r)
    assert q == ["a", "b"]
    assert r == ["c", "d"]


def test_a_consumer_that_leaves_out_of_turn_changes_nothing_for_the_others(
    make_world: MakeWorld,
) -> None:
    world = make_world({"q": QUEUE})
    peer = world.peer()
    first = peer.subscribe("q", "1")
    gone = peer.subscribe("q", "2", room=1)
    third = peer.subscribe("q", "3")
    sender = world.peer()
    sender.send("q", *"abc")
    # One without a turn, then one with.
    peer.unsubscribe("2")
    sender.send("q", *"de")
    peer.unsubscribe("1")
    sender.send("q", *"fg")
    assert first == ["a", "d"]
    assert gone == ["b"]
    assert third == ["c", "e", "f", "g"]


def test_queues_do_not_share_messages(make_world: MakeWorld) -> None:
    world = make_world({"q": QUEUE, "r": QUEUE})
    world.peer().send("q", "a")
    assert world.peer().subscribe("r") == []
    assert world.drain("q") == ["a"]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=2, max_size=5),
    st.lists(st.integers(0, 20), max_size=40),
)
@quick
def test_turns_are_strict_whatever_credit_comes_and_goes(
    credits: list[tuple[int, bool]], steps: list[int]
) -> None:
    """Against a model: a line of those with credit, whose first one is served.

    Each consumer has some credit, which is prefetch or room; a step gives one of them
    all of it back, or sends a message.
    """
    world = World({"q": QUEUE})
    peers = [world.peer() for _ in credits]
    inboxes = [
        peer.subscribe("q", ack=CLIENT, prefetch=amount)
        if by_prefetch
        else peer.subscribe("q", room=amount)
        for peer, (amount, by_prefetch) in zip(peers, credits, strict=True)
    ]
    line = deque(range(len(credits)))
    left = [amount for amount, _ in credits]
    expected: list[list[str]] = [[] for _ in credits]
    waiting: deque[str] = deque()
    sender = world.peer()

    def serve() -> None:
        while line and waiting:
            turn = line.popleft()
            expected[turn].append(waiting.popleft())
            left[turn] -= 1
            if left[turn]:
                line.append(turn)

    for number, step in enumerate(steps):
        if step < len(peers):
            amount, by_prefetch = credits[step]
            left[step] = amount
            if step not in line:
                line.append(step)
            if by_prefetch:
                peers[step].ack(*peers[step].client.unacked)
            else:
                peers[step].gets_room(inboxes[step], room=amount)
        else:
            waiting.append(str(number))
            sender.send("q", str(number))
        serve()
        assert inboxes == expected
        assert world.waiting("q") == len(waiting)
        world.check()
    world.end()
