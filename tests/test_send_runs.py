"""SENDs in a row to a topic go out together, to the same end as one by one."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from romp_asgi import session
from romp_asgi.broker import Broker
from romp_asgi.outbox import Outbox
from romp_asgi.websocket_messages import FrameOutbox, MessageOutbox, PackedOutbox
from tests.marks import interpreted_only
from tests.test_session import Client, NoFlusher, World, bodies

TOPIC = "/topic/a"
DESTINATIONS = {
    "/topic/*": {"type": "topic"},
    "/topic/waiting/*": {"type": "topic", "slow_consumer": "block"},
    "/queue/*": {"type": "queue"},
}


def send(body: str, topic: str = TOPIC) -> str:
    return f"SEND\ndestination:{topic}\n\n{body}^@"


def subscribe(client: Client, *headers: str, topic: str = TOPIC) -> None:
    lines = "".join(f"{header}\n" for header in headers)
    client.send(f"SUBSCRIBE\nid:0\ndestination:{topic}\n{lines}\n^@")


def known_to(world: World, topic: str = TOPIC) -> Client:
    """A client whose SENDs to a topic are joined by now."""
    client = world.client()
    client.send(*[send("x", topic)] * 3)
    return client


def is_reading(client: Client) -> bool:
    """Whether a client is read from; it changes behind mypy's back."""
    return client.is_reading


class Counted:
    """How many messages the broker has taken together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[int] = []
        send_run = Broker.send_run

        def counting(broker: Broker, headers: Any, bodies: Any, *more: Any) -> Any:
            self.runs.append(len(bodies))
            return send_run(broker, headers, bodies, *more)

        monkeypatch.setattr(Broker, "send_run", counting)


@interpreted_only
def test_sends_that_come_in_one_read_are_taken_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Counted(monkeypatch)
    world = World(destinations=DESTINATIONS)
    client, readers = known_to(world), [world.client() for _ in range(3)]
    for reader in readers:
        subscribe(reader)
    accepted = world.hub.broker.accepted
    client.send(*[send(str(number)) for number in range(100)])
    assert counted.runs == [64, 36]
    for reader in readers:
        frames = reader.frames()
        assert [frame.body for frame in frames] == [b"%d" % n for n in range(100)]
        numbers = [int(frame.headers["message-id"]) for frame in frames]
        assert numbers == list(range(numbers[0], numbers[0] + 100))
    assert world.hub.broker.accepted == accepted + 100


@interpreted_only
@pytest.mark.parametrize(
    "headers", [("selector:a = '1'",), ("ack:client",), ("ack:client-individual",)]
)
def test_where_somebody_chooses_or_acknowledges_they_go_one_by_one(
    headers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    world = World(destinations=DESTINATIONS)
    client, plain, other = known_to(world), world.client(), world.client()
    subscribe(plain)
    subscribe(other, *headers)
    client.send(*[send(str(number)) for number in range(10)])
    assert counted.runs == []
    expected = [b"%d" % n for n in range(10)]
    assert bodies(plain) == expected
    assert bodies(other) == ([] if "selector" in headers[0] else expected)


def test_a_topic_that_is_gone_is_made_again() -> None:
    world = World(destinations=DESTINATIONS)
    client = known_to(world)
    world.hub.broker.expire(world.now)
    assert TOPIC not in world.hub.broker.destinations
    client.send(*[send(str(number)) for number in range(5)])
    assert world.hub.broker.destinations[TOPIC].accepted == 5


def test_after_one_that_is_refused_none_is_taken() -> None:
    limited = {"type": "topic", "max_message_size": 3}
    world = World(destinations={"/topic/*": limited})
    client, reader = known_to(world), world.client()
    subscribe(reader)
    client.send(send("1"), send("long"), send("2"))
    assert client.error()[0] == "msg flup"
    assert bodies(reader) == [b"1"]


def test_a_producer_that_waits_in_the_middle_goes_on_from_there() -> None:
    topic = "/topic/waiting/a"
    world = World(destinations=DESTINATIONS)
    client, reader = known_to(world, topic), world.client()
    subscribe(reader, "ack:client-individual", "prefetch-count:2", topic=topic)
    client.send(*[send(str(number), topic) for number in range(6)], send("y"))
    assert not is_reading(client)
    received = []
    for _ in range(20):
        for frame in reader.frames():
            received.append(frame.body)
            reader.send(f"ACK\nid:{frame.headers['ack']}\n\n^@")
        world.run()
    assert received == [b"%d" % n for n in range(6)]
    assert is_reading(client)
    assert world.hub.broker.destinations[TOPIC].accepted == 1


def test_a_producer_waits_for_a_subscriber_that_does_not_read() -> None:
    topic = "/topic/waiting/a"
    world = World(destinations=DESTINATIONS)
    client, reader = known_to(world, topic), world.client()
    subscribe(reader, topic=topic)
    reader.outbox.pause()
    count = 0
    while is_reading(client):
        client.send(*[send("x" * 1000, topic)] * 10)
        count += 10
    size = reader.outbox.size
    assert 1 << 20 < size < (1 << 20) + 2 * 64 * 1100
    reader.outbox.resume()
    world.hub.broker.resume(reader.session.client)
    world.run()
    assert is_reading(client)
    assert len(reader.frames()) == count


STEP = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 2), st.lists(st.integers(0, 3))),
    st.tuples(st.just("subscribe"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("unsubscribe"), st.integers(0, 5)),
)
BODIES = ["", "x", "y" * 1024, "z" * 1025]
NAMES = ["/topic/a", "/topic/b", "/queue/a"]


def played(steps: list[Any], **keys: Any) -> list[bytes]:
    """What each reader is written; they have several versions and kinds of outbox."""
    world = World(destinations=DESTINATIONS, close_on_error=False, **keys)
    world.hub.broker.last_number = 0
    sender = world.client()
    for name in NAMES[:2]:
        sender.send(*[send("x", name)] * 3)
    versions = ("1.0", "1.1", "1.2", "1.2", "1.2")
    readers = [*(world.client(version=version) for version in versions), sender]
    written: list[list[bytes]] = [[] for _ in readers]
    kinds = [Outbox, Outbox, FrameOutbox, MessageOutbox, PackedOutbox, Outbox]
    for reader, kind, pieces in zip(readers, kinds, written, strict=True):
        reader.frames()
        reader.outbox = kind(reader, NoFlusher(), 1 << 20, 1 << 24, lambda: None)
        reader.write_frames = pieces.extend  # type: ignore[method-assign,assignment]
    for step in steps:
        match step:
            case ("send", name, numbers):
                sender.send(*[send(BODIES[n], NAMES[name]) for n in numbers])
            case ("subscribe", number, name):
                headers = ("ack:client",) if name > 2 else ()
                subscribe(readers[number], *headers, topic=NAMES[name % 3])
            case ("unsubscribe", number):
                readers[number].send("UNSUBSCRIBE\nid:0\ndestination:/topic/a\n\n^@")
            case _:
                raise AssertionError(step)
    for reader in readers:
        reader.outbox.flush()
    return [b"".join(pieces) for pieces in written]


@settings(deadline=None)
@given(st.lists(STEP, max_size=30))
def test_everybody_gets_the_same_as_one_by_one(steps: list[Any]) -> None:
    assert played(steps) == played(steps, max_known_headers=0)


def test_a_topic_joins_what_it_can_take_together() -> None:
    topic: dict[str, Any] = {"type": "topic"}
    kinds = {
        "/topic/a": topic,
        "/topic/users": {**topic, "sub_by_user": True},
        "/topic/small": {**topic, "max_message_size": 9},
        "/topic/own": {**topic, "filter_self": True},
    }
    destinations = World(destinations=kinds).hub.broker.destinations
    assert [name for name in kinds if destinations[name].joins] == ["/topic/a"]


# Queues


QUEUES = {
    "/queue/a": {"type": "queue", "max_messages": 1000, "expiry": 0},
    "/queue/few": {"type": "queue", "max_messages": 20},
    "/queue/new": {"type": "queue", "max_messages": 20, "overflow": "drop-oldest"},
    "/queue/wait": {"type": "queue", "max_messages": 20, "overflow": "block"},
    "/queue/late": {"type": "queue", "pedantic_expiry": True},
    "/queue/users": {"type": "queue", "sub_by_user": True},
    "/queue/own": {"type": "queue", "filter_self": True},
    "/queue/small": {"type": "queue", "max_message_size": 100},
}


@interpreted_only
def test_what_nobody_has_credit_for_is_stored_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Counted(monkeypatch)
    world = World(destinations=QUEUES)
    client, reader = known_to(world, "/queue/a"), world.client()
    client.send(*[send(str(number), "/queue/a") for number in range(100)])
    assert counted.runs == [64, 36]
    queue, memory = world.hub.broker.destinations["/queue/a"], world.hub.broker.memory
    assert (len(queue), queue.accepted) == (103, 103)
    assert memory.used == queue.octets == sum(each.size for each in queue.messages())
    # There is somebody now: one by one.
    subscribe(reader, topic="/queue/a")
    assert [int(body) for body in bodies(reader)[3:]] == list(range(100))
    assert memory.used == queue.octets == 0
    client.send(*[send(str(number), "/queue/a") for number in range(100)])
    assert [int(body) for body in bodies(reader)] == list(range(100))
    assert counted.runs == [64, 36]
    reader.send("UNSUBSCRIBE\nid:0\n\n^@")
    # And nobody again, which the first one finds out.
    client.send(*[send(str(number), "/queue/a") for number in range(2)])
    client.send(*[send(str(number), "/queue/a") for number in range(64)])
    assert counted.runs == [64, 36, 64]


@interpreted_only
@pytest.mark.parametrize("name", [name for name in QUEUES if name != "/queue/a"])
def test_where_there_is_more_to_look_at_they_are_stored_one_by_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    world = World(destinations=QUEUES)
    client = known_to(world, name)
    client.send(*[send(str(number), name) for number in range(17)])
    assert counted.runs == []
    queue = world.hub.broker.destinations[name]
    assert len(queue) == 20
    # Nor are they joined in vain, where that is for ever.
    assert queue.joins == ("max_messages" in QUEUES[name])


@interpreted_only
def test_near_the_limit_of_memory_they_are_stored_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Counted(monkeypatch)
    world = World(destinations=QUEUES, max_memory=65536)
    client, other = known_to(world, "/queue/a"), world.client()
    while is_reading(client):
        client.send(*[send("x" * 1000, "/queue/a") for _ in range(15)])
    assert counted.runs == [15]
    memory = world.hub.broker.memory
    # The one that waits, and no more.
    assert memory.limit < memory.used <= memory.limit + 2000
    other.send(send("x" * 1000, "/queue/a"))
    assert other.frames() == []
    assert not is_reading(other)


def test_messages_of_a_run_expire_each_at_its_time() -> None:
    world = World(destinations=QUEUES)
    client = world.client()
    clock = world.hub.broker._clock
    ms = round((clock.wall() + 5) * 1000)
    text = f"SEND\ndestination:/queue/a\nexpires:{ms}\n\nx^@"
    client.send(text * 3, text * 60, send("stays", "/queue/a"))
    queue = world.hub.broker.destinations["/queue/a"]
    assert len(queue) == 64
    world.hub.broker.expire(clock.now() + 4)
    assert len(queue) == 64
    world.hub.broker.expire(clock.now() + 6)
    assert [message.body for message in queue.messages()] == [b"stays"]


QUEUE_STEP = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([*QUEUES]), st.integers(1, 30)),
    st.tuples(
        st.just("subscribe"),
        st.integers(0, 2),
        st.sampled_from([*QUEUES]),
        st.sampled_from(["auto", "client", "client-individual"]),
        st.integers(1, 9),
    ),
    st.tuples(st.just("unsubscribe"), st.integers(0, 2), st.sampled_from([*QUEUES])),
    st.tuples(st.just("ack"), st.integers(0, 2), st.integers(1, 30)),
    st.tuples(st.just("nack"), st.integers(0, 2), st.integers(1, 3)),
)


def queued(steps: list[Any], **keys: Any) -> tuple[Any, ...]:
    """What each reader gets and is told, and what is held at the end."""
    world = World(destinations=QUEUES, close_on_error=False, **keys)
    world.hub.broker.last_number = 0
    sender, number = world.client(), 0
    sender.send(*[send("x", name) * 3 for name in QUEUES])
    clients = [sender, world.client(), world.client()]
    got: list[list[tuple[str, bytes]]] = [[] for _ in clients]
    acks: list[list[str]] = [[] for _ in clients]
    for step in steps:
        match step:
            case ("send", name, count):
                texts = [send(str(number + each), name) for each in range(count)]
                number += count
                sender.send(*texts)
            case ("subscribe", client, name, mode, prefetch):
                clients[client].send(
                    f"SUBSCRIBE\nid:{name}\ndestination:{name}\nack:{mode}\n"
                    f"prefetch-count:{prefetch}\n\n^@"
                )
            case ("unsubscribe", client, name):
                clients[client].send(f"UNSUBSCRIBE\nid:{name}\n\n^@")
            case ("ack" | "nack" as command, client, count):
                some, acks[client] = acks[client][:count], acks[client][count:]
                word = command.upper()
                clients[client].send(*[f"{word}\nid:{each}\n\n^@" for each in some])
            case _:
                raise AssertionError(step)
        world.run()
        for client, frames, ids in zip(clients, got, acks, strict=True):
            for frame in client.frames():
                id = frame.headers.get("message-id", frame.headers.get("message", ""))
                frames.append((id, frame.body))
                if "ack" in frame.headers:
                    ids.append(frame.headers["ack"])
    queues = [world.hub.broker.destinations[name] for name in QUEUES]
    held = [(len(queue), queue.accepted, queue.octets) for queue in queues]
    return got, world.hub.broker.memory.used, held


@settings(deadline=None)
@given(st.lists(QUEUE_STEP, max_size=30))
def test_queues_give_the_same_as_one_by_one(steps: list[Any]) -> None:
    assert queued(steps) == queued(steps, max_known_headers=0)


# What is held for many


def held(kind: type[Outbox], ids: list[str], *sends: str) -> list[list[bytes]]:
    """What waits in the outboxes of subscribers with these ids."""
    world = World(destinations=DESTINATIONS)
    client, outboxes = known_to(world), []
    for id in ids:
        reader = world.client()
        reader.frames()
        outbox = kind(reader, NoFlusher(), 1 << 20, 1 << 24, lambda: None)
        reader.outbox = outbox
        reader.send(f"SUBSCRIBE\nid:{id}\ndestination:{TOPIC}\n\n^@")
        outboxes.append(outbox)
    client.send(*sends)
    return [[*outbox._pieces, *getattr(outbox, "_frames", ())] for outbox in outboxes]


def octets_of(outboxes: list[list[bytes]]) -> int:
    """Octets of all pieces, each counted once, but for small ones."""
    pieces = {id(each): len(each) for pieces in outboxes for each in pieces}
    return sum(size for size in pieces.values() if size > 100)


@interpreted_only
@pytest.mark.parametrize("kind", [Outbox, MessageOutbox, PackedOutbox])
def test_many_subscribers_hold_a_large_body_once(kind: type[Outbox]) -> None:
    outboxes = held(kind, [str(n) for n in range(20)], send("x" * 100_000))
    assert all(sum(map(len, pieces)) > 100_000 for pieces in outboxes)
    assert octets_of(outboxes) < 110_000


@interpreted_only
@pytest.mark.parametrize("kind", [Outbox, MessageOutbox, PackedOutbox])
@pytest.mark.parametrize("ids", [["0"] * 20, [str(n) for n in range(20)], ["x" * 300]])
def test_many_subscribers_hold_a_run_once_or_twice(
    kind: type[Outbox], ids: list[str]
) -> None:
    outboxes = held(kind, ids, *[send("x" * 1000)] * 32)
    assert all(sum(map(len, pieces)) > 32_000 for pieces in outboxes)
    assert octets_of(outboxes) < 2 * 32 * 1100 + 32 * 400


@pytest.mark.parametrize("ids", [["0"], ["0", "0"], ["0", "1", "0"]])
def test_a_run_is_packed_into_messages_of_whole_frames(ids: list[str]) -> None:
    world = World(destinations=DESTINATIONS)
    client, readers = known_to(world), []
    for id in ids:
        reader = world.client()
        reader.outbox = PackedOutbox(
            reader, NoFlusher(), 1 << 20, 1 << 24, lambda: None
        )
        written: list[bytes] = []
        reader.write_frames = written.extend  # type: ignore[method-assign,assignment]
        reader.send(f"SUBSCRIBE\nid:{id}\ndestination:{TOPIC}\n\n^@")
        readers.append((reader, written))
    client.send(*[send("x" * 1024)] * 300)
    for reader, written in readers:
        reader.outbox.flush()
        assert sum(message.count(0) for message in written) == 300
        for message in written:
            assert message.startswith(b"MESSAGE\n")
            assert message.endswith(b"\0")
            assert len(message) <= 65536
        assert len(written) < 10


def test_sessions_join_sends_without_filters_and_logs_alone() -> None:
    assert session.Session._takes_abridged(World().client().session)
