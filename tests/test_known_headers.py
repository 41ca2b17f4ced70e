"""SENDs whose headers came before take a shorter way, to the same end."""

import dataclasses
from collections.abc import Callable

import pytest

from romp_asgi.errors import DestinationBlocked
from romp_asgi.stomp.headers import Headers
from tests.test_session import Client, World, bodies

QUEUE = {"type": "queue"}


def send(name: str, body: str = "x", *headers: str) -> str:
    lines = "".join(f"{header}\n" for header in headers)
    return f"SEND\ndestination:{name}\n{lines}\n{body}^@"


def subscribe(client: Client, name: str) -> None:
    client.ask(f"SUBSCRIBE\nid:{name}\ndestination:{name}\nreceipt:s\n\n^@")


def known_to(world: World, name: str) -> Client:
    """A client whose SENDs there are known by now; what they sent is gone."""
    client, reader = world.client(), world.client()
    subscribe(reader, name)
    for number in range(3):
        client.send(send(name, str(number)))
    assert bodies(reader) == [b"0", b"1", b"2"]
    reader.send("DISCONNECT\n\n^@")
    reader.session.connection_lost()
    return client


def test_messages_stay_in_order_from_the_first_to_those_that_are_known() -> None:
    world = World()
    one, two, reader = world.client(), world.client(), world.client()
    subscribe(reader, "/queue/a")
    subscribe(reader, "/topic/a")
    for number in range(6):
        sender = (one, two)[number % 2]
        sender.send(send("/queue/a", f"q{number}"), send("/topic/a", f"t{number}"))
    expected = [f"{kind}{number}".encode() for number in range(6) for kind in "qt"]
    assert bodies(reader) == expected


def test_a_destination_that_is_gone_is_made_again() -> None:
    world = World(destinations={"/queue/*": QUEUE})
    client = known_to(world, "/queue/new")
    before = world.hub.broker.accepted
    world.hub.broker.expire(world.now)
    assert "/queue/new" not in world.hub.broker.destinations
    client.send(send("/queue/new", "again"), send("/queue/new", "and again"))
    assert len(world.hub.broker.destinations["/queue/new"]) == 2
    assert world.hub.broker.accepted == before + 2


def test_a_known_receipt_is_sent_each_time() -> None:
    client = World().client()
    client.send(send("/topic/a", "x", "receipt:1") * 4)
    assert [frame.headers["receipt-id"] for frame in client.frames()] == ["1"] * 4


def test_each_send_gets_its_own_receipt_after_its_message() -> None:
    world = World()
    client, reader = world.client(), world.client()
    subscribe(reader, "/queue/a")
    for number in range(6):
        receipt = f"receipt:message-{number}:x"
        client.send(send("/queue/a", str(number), receipt, "a:b"))
        assert client.frame().headers["receipt-id"] == f"message-{number}:x"
    frames = reader.frames()
    assert [frame.body for frame in frames] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert all(frame.headers["a"] == "b" for frame in frames)
    assert not any("receipt" in frame.headers for frame in frames)


def test_a_known_send_that_is_refused_names_its_receipt() -> None:
    world = World(destinations={"/queue/a": {**QUEUE, "max_messages": 5}})
    client = world.client()
    for number in range(5):
        client.ask(send("/queue/a", "x", f"receipt:{number}"))
    client.send(send("/queue/a", "x", "receipt:5"))
    assert client.error() == ("destination flup", "5")


def test_a_known_send_that_waits_has_its_receipt_when_it_has_been_taken() -> None:
    policy = {**QUEUE, "max_messages": 5, "overflow": "block"}
    world = World(destinations={"/queue/a": policy})
    client, reader = world.client(), world.client()
    for number in range(4):
        client.ask(send("/queue/a", str(number), f"receipt:{number}"))
    client.send(send("/queue/a", "5", "receipt:5"), send("/queue/a", "6", "receipt:6"))
    assert client.frames() == []
    reader.send("SUBSCRIBE\nid:0\ndestination:/queue/a\n\n^@")
    world.run()
    receipts = [frame.headers["receipt-id"] for frame in client.frames()]
    assert receipts == ["5", "6"]


def test_a_known_send_with_a_receipt_and_a_transaction() -> None:
    world = World()
    client, reader = world.client(), world.client()
    subscribe(reader, "/topic/a")
    client.send("BEGIN\ntransaction:1\n\n^@")
    for number in range(4):
        client.ask(send("/topic/a", str(number), "transaction:1", f"receipt:{number}"))
    assert reader.frames() == []
    client.ask("COMMIT\ntransaction:1\nreceipt:c\n\n^@")
    assert bodies(reader) == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "header", ["selector:receipt IS NOT NULL", "filter:receipt!=x"]
)
def test_no_subscription_is_asked_about_receipts(header: str) -> None:
    world = World()
    client, reader = world.client(), world.client()
    reader.ask(f"SUBSCRIBE\nid:0\ndestination:/topic/a\n{header}\nreceipt:s\n\n^@")
    for number in range(4):
        client.send(send("/topic/a", "x", f"receipt:{number}"))
    assert reader.frames() == []


def test_a_known_send_in_a_transaction_waits_for_its_commit() -> None:
    world = World()
    client, reader = world.client(), world.client()
    subscribe(reader, "/topic/a")
    in_transaction = send("/topic/a", "x", "transaction:1")
    for _ in range(3):
        client.send("BEGIN\ntransaction:1\n\n^@", in_transaction * 2)
        assert reader.frames() == []
        client.send("COMMIT\ntransaction:1\n\n^@")
        assert bodies(reader) == [b"x", b"x"]
    # And one whose transaction is not open is an error, however well it is known.
    client.send(in_transaction)
    assert client.error()[0] == "syntax"


def test_blocks_hold_for_whoever_sends_what_others_have_made_known() -> None:
    name = "/queue/web"
    world = World(destinations={name: {**QUEUE, "web_write_block": True}})
    client = known_to(world, name)
    web = world.client(is_web=True)
    web.send(send(name))
    assert web.error() == (DestinationBlocked(name, "web_write_block").message, None)
    client.send(send(name))
    assert len(world.hub.broker.destinations[name]) == 1


def test_a_known_send_to_a_full_queue_is_refused_and_one_that_blocks_waits() -> None:
    full = {**QUEUE, "max_messages": 3}
    world = World(destinations={"q": full, "b": {**full, "overflow": "block"}})
    client = world.client()
    client.send(send("q") * 4)
    assert client.error()[0] == "destination flup"
    client = world.client()
    client.send(send("b") * 4)
    assert not client.is_reading
    assert client.frames() == []


def test_a_known_send_after_disconnect_is_ignored() -> None:
    world = World()
    client = known_to(world, "/queue/a")
    client.send("DISCONNECT\n\n^@" + send("/queue/a"))
    assert len(world.hub.broker.destinations["/queue/a"]) == 0


def test_what_is_remembered_has_a_limit_that_may_be_zero() -> None:
    for size, most in (0, 0), (100_000, 150):
        world = World(max_known_headers=size)
        client, reader = world.client(), world.client()
        subscribe(reader, "/topic/a")
        frames = "".join(send("/topic/a", "x", f"number:{n}") for n in range(1000))
        for _ in range(3):
            client.send(frames)
            assert len(reader.frames()) == 1000
        blocks = world.hub.blocks.of(
            client.session.connection.version, world.hub.limits
        )
        known = 0 if blocks is None else len(blocks.known) + len(blocks.earlier)
        assert bool(size) == bool(known)
        assert known <= most


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_a_version_reads_what_another_has_made_known_by_its_own_rules(
    version: str,
) -> None:
    world = World()
    clients = [world.client(version=each) for each in ("1.0", "1.1", "1.2")]
    reader = world.client(version="1.2")
    subscribe(reader, "/topic/a")
    for client in clients:
        client.send(send("/topic/a", "x", "a:\\n") * 3)
    values = [frame.headers["a"] for frame in reader.frames()]
    assert values == ["\\n"] * 3 + ["\n"] * 6
    client = world.client(version=version)
    client.send(send("/topic/a", "x", "a:\\n"))
    value = "\\n" if version == "1.0" else "\n"
    assert reader.frame().headers["a"] == value


def varied(name: str, numbers: range, *headers: str) -> str:
    """SENDs that have a number each, enough of them to be found out."""
    texts = [send(name, str(n), f"number:{n}", *headers) for n in numbers]
    return "".join(texts)


@pytest.mark.parametrize("kind", ["queue", "topic"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_each_message_has_what_its_own_send_had(kind: str, version: str) -> None:
    world = World()
    client, reader = world.client(), world.client(version=version)
    subscribe(reader, f"/{kind}/a")
    for start in range(0, 400, 100):
        numbers = range(start, start + 100)
        client.send(varied(f"/{kind}/a", numbers, "a:b"))
        frames = reader.frames()
        assert [frame.body.decode() for frame in frames] == list(map(str, numbers))
        for number, frame in zip(numbers, frames, strict=True):
            own = {k: v for k, v in frame.headers.items() if k in {"number", "a"}}
            assert own == {"number": str(number), "a": "b"}
    blocks = world.hub.blocks.of(client.session.connection.version, world.hub.limits)
    assert blocks is not None
    templates = [h for h in blocks.known.values() if type(h) is not Headers]
    assert [template.target for template in templates] == [
        world.hub.broker.destinations[f"/{kind}/a"]
    ]


def test_selectors_are_asked_of_each_messages_own_value() -> None:
    world = World()
    client, reader = world.client(), world.client()
    reader.ask(
        "SUBSCRIBE\nid:0\ndestination:/topic/a\nselector:number >= 190\nreceipt:s\n\n^@"
    )
    client.send(varied("/topic/a", range(200)))
    assert bodies(reader) == [str(n).encode() for n in range(190, 200)]


def test_few_values_of_a_header_end_as_known_as_if_there_were_one() -> None:
    world = World()
    client, reader = world.client(), world.client()
    subscribe(reader, "/topic/a")
    client.send(varied("/topic/a", range(200)))
    for _ in range(4):
        client.send(varied("/topic/a", range(3)) * 2)
    assert [body.decode() for body in bodies(reader)[200:]] == ["0", "1", "2"] * 8
    blocks = world.hub.blocks.of(client.session.connection.version, world.hub.limits)
    assert blocks is not None
    for number in range(3):
        block = f"SEND\ndestination:/topic/a\nnumber:{number}\n\n"
        headers = blocks.known[block.encode()]
        assert headers.target is world.hub.broker.destinations["/topic/a"]


def unlike(name: str, numbers: range, *headers: str) -> str:
    """SENDs of which each has a header that no other one has."""
    texts = [send(name, str(n), f"id-{n}:x", *headers) for n in numbers]
    return "".join(texts)


@pytest.mark.parametrize("kind", ["queue", "topic"])
def test_sends_that_only_begin_alike_arrive_with_what_is_theirs(kind: str) -> None:
    world = World()
    client, reader = world.client(), world.client()
    subscribe(reader, f"/{kind}/a")
    for start in range(0, 400, 100):
        numbers = range(start, start + 100)
        client.send(unlike(f"/{kind}/a", numbers, "a:b"))
        frames = reader.frames()
        assert [frame.body.decode() for frame in frames] == list(map(str, numbers))
        assert all(
            frame.headers[f"id-{number}"] == "x" and frame.headers["a"] == "b"
            for number, frame in zip(numbers, frames, strict=True)
        )
        assert all(len(frame.headers) == 6 for frame in frames)
    beginning = client.session.connection._parser._beginning
    assert beginning is not None
    assert beginning.target is world.hub.broker.destinations[f"/{kind}/a"]
    # What asks for a receipt, or belongs to a transaction, does so after that, too.
    client.send("BEGIN\ntransaction:1\n\n^@")
    client.send(unlike(f"/{kind}/a", range(400, 402), "transaction:1"))
    client.send(unlike(f"/{kind}/a", range(402, 403), "receipt:r"))
    assert client.frame().headers == {"receipt-id": "r"}
    assert bodies(reader) == [b"402"]
    client.send("COMMIT\ntransaction:1\n\n^@")
    assert bodies(reader) == [b"400", b"401"]


@pytest.mark.parametrize("alike", [varied, unlike])
def test_sends_that_are_alike_to_a_destination_that_is_made_again(
    alike: Callable[[str, range], str],
) -> None:
    world = World(destinations={"/queue/*": QUEUE})
    client, reader = world.client(), world.client()
    subscribe(reader, "/queue/new")
    client.send(alike("/queue/new", range(100)))
    assert len(reader.frames()) == 100
    reader.send("UNSUBSCRIBE\nid:/queue/new\n\n^@")
    world.hub.broker.expire(world.now)
    assert "/queue/new" not in world.hub.broker.destinations
    client.send(alike("/queue/new", range(100, 110)))
    assert len(world.hub.broker.destinations["/queue/new"]) == 10


def test_a_block_holds_for_sends_that_begin_as_those_of_others() -> None:
    name = "/queue/web"
    world = World(destinations={name: {**QUEUE, "web_write_block": True}})
    client = world.client()
    client.send(unlike(name, range(100)))
    assert len(world.hub.broker.destinations[name]) == 100
    world.hub.broker.destinations[name].policy = dataclasses.replace(
        world.hub.broker.destinations[name].policy, write_block=True
    )
    client.send(unlike(name, range(100, 101)))
    assert client.error()[0] == DestinationBlocked(name, "write_block").message
