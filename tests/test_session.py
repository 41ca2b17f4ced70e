"""Sessions: frames in, frames out, without sockets. A conversation a rule."""

import itertools
import logging
from typing import Any

import pytest

from romp_asgi.broker import Broker, Client as BrokerClient, Kind, Pending, Policy
from romp_asgi.broker.topic import Topic
from romp_asgi.config import Config
from romp_asgi.errors import PeerError
from romp_asgi.hub import Hub
from romp_asgi.outbox import Flusher, Outbox
from romp_asgi.session import Session
from romp_asgi.stomp import Command, Frame, Limits, Parser
from romp_asgi.stomp.versions import STOMP_1_0, Version
from tests.marks import interpreted_only

QUEUE = {"type": "queue", "max_messages": 3, "max_deliveries": 2, "expiry": 0}
DESTINATIONS = {
    "/queue/a": QUEUE,
    "/queue/b": {**QUEUE, "dead_letter": "/queue/dead", "max_message_size": 4},
    "/queue/dead": QUEUE,
    "/queue/block": {**QUEUE, "overflow": "block"},
    "/queue/blocked": {**QUEUE, "write_block": True, "read_block": True},
    "/queue/web": {**QUEUE, "web_write_block": True, "web_read_block": True},
    "/queue/one": {**QUEUE, "max_connections": 1},
    "/queue/auto": {**QUEUE, "auto_ack": True},
    "/topic/**": {"type": "topic"},
    "/counted/users": {"max_messages": 9, "min_delivery": 1, "sub_by_user": True},
}


class World:
    """A hub whose loop is a list."""

    def __init__(self, **keys: Any) -> None:
        self.hub = Hub(Config.from_dict({"destinations": DESTINATIONS, **keys}))
        self.now = 100.0
        self.scheduled: list[Any] = []
        self.hub.later = self.scheduled.append  # type: ignore[method-assign,assignment]

    def client(self, *, version: str = "1.2", **more: Any) -> "Client":
        """A client that has connected."""
        client = Client(self, **more)
        client.send(f"CONNECT\naccept-version:{version}\nhost:x\n\n^@")
        assert client.frame().command is Command.CONNECTED
        return client

    def run(self) -> None:
        """The next pass of the loop."""
        while self.scheduled:
            self.scheduled.pop(0)()


class Client:
    """A transport that keeps what it is given."""

    def __init__(
        self, world: World, *, is_web: bool = False, is_admin: bool = False
    ) -> None:
        self.world = world
        self.is_reading = True
        self.closed_for: list[PeerError | None] = []
        self.outbox = Outbox(self, NoFlusher(), 1 << 20, 1 << 24, lambda: None)
        self._parser = Parser(Limits(), commands={c.value: c for c in Command})
        self._frames: list[Frame] = []
        self.session = Session(
            world.hub,
            self,
            peer="test",
            is_web=is_web,
            is_admin=is_admin,
            now=world.now,
        )
        self.session.start()

    def send(self, *texts: str) -> None:
        data = "".join(texts).replace("^@", "\0").encode()
        self.session.receive_data(data, self.world.now)

    def reads(self, version: Version) -> None:
        """Read by the rules of a version from now on."""
        self._parser = Parser(Limits(), version, {c.value: c for c in Command})

    def frames(self) -> list[Frame]:
        self.outbox.flush()
        return self.flushed()

    def flushed(self) -> list[Frame]:
        """What it has got before the end of the pass."""
        while frames := self._parser.frames():
            self._frames += frames
        frames, self._frames = self._frames, []
        return frames

    def frame(self) -> Frame:
        (frame,) = self.frames()
        return frame

    def error(self) -> tuple[str, str | None]:
        frame = self.frame()
        assert frame.command is Command.ERROR
        assert frame.headers["content-type"] == "text/plain"
        assert frame.body.endswith(b".\n")
        return frame.headers["message"], frame.headers.get("receipt-id")

    def ask(self, text: str) -> None:
        """Send a frame that has a receipt, and get it."""
        self.send(text)
        frame = self.frame()
        assert frame.command is Command.RECEIPT, frame

    # The transport

    def write_frames(self, pieces: list[bytes]) -> None:
        self._parser.receive_data(b"".join(pieces))

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def deadline_changed(self) -> None:
        pass

    def close(self, error: PeerError | None) -> None:
        self.closed_for.append(error)

    def abort(self) -> None:
        self.session.connection_lost()


class NoFlusher(Flusher):
    def add(self, outbox: Outbox) -> None:
        """There is no loop: the test flushes."""


def bodies(client: Client) -> list[bytes]:
    return [frame.body for frame in client.frames()]


# Connecting


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_connected_has_version_server_session_and_heart_beat(command: str) -> None:
    client = Client(World())
    client.send(f"{command}\naccept-version:1.0,1.1,1.2,1.3\nreceipt:no\n\n^@")
    frame = client.frame()
    assert frame.command is Command.CONNECTED
    assert frame.headers["version"] == "1.2"
    assert frame.headers["server"] == "romp"
    assert frame.headers["session"] == client.session.id
    assert frame.headers["heart-beat"] == "60000,120000"


def test_without_accept_version_it_is_1_0() -> None:
    client = Client(World())
    client.send("CONNECT\nlogin: a\npasscode: b\n\n^@")
    assert client.frame().headers["version"] == "1.0"


def test_no_version_in_common() -> None:
    client = Client(World())
    client.send("CONNECT\naccept-version:2.0\n\n^@")
    frame = client.frame()
    assert frame.headers["message"] == "unsupported version"
    assert frame.headers["version"] == "1.0,1.1,1.2"
    assert len(client.closed_for) == 1


@pytest.mark.parametrize(
    ("login", "passcode", "is_good"),
    [("a", "b", True), ("a", "c", False), ("b", "b", False), ("", "", False)],
)
def test_login_and_passcode(login: str, passcode: str, is_good: bool) -> None:
    client = Client(World(login="a", passcode="b"))
    client.send(
        f"CONNECT\naccept-version:1.2\nlogin:{login}\npasscode:{passcode}\n\n^@"
    )
    if is_good:
        assert client.frame().command is Command.CONNECTED
    else:
        assert client.error() == ("auth err", None)


def test_an_admin_needs_no_login_as_long_as_only_this_machine_gets_there() -> None:
    keys = {"login": "a", "passcode": "b"}
    assert World(**keys).client(is_admin=True).session.is_admin
    client = Client(World(admin_bind_address="0.0.0.0", **keys), is_admin=True)
    client.send("CONNECT\naccept-version:1.2\n\n^@")
    assert client.error() == ("auth err", None)
    client = Client(World(admin_bind_address="0.0.0.0"), is_admin=True)
    client.send("CONNECT\naccept-version:1.2\n\n^@")
    assert client.error() == ("auth err", None)


def test_frames_before_connect_are_denied() -> None:
    client = Client(World())
    client.send("SEND\ndestination:/queue/a\nreceipt:1\n\n^@")
    assert client.error() == ("denied", "1")


def test_a_second_connect_is_an_error() -> None:
    client = World().client()
    client.send("CONNECT\naccept-version:1.2\n\n^@")
    assert client.error() == ("syntax", None)


def test_disconnect_with_receipt() -> None:
    client = World().client()
    client.send("DISCONNECT\nreceipt:bye\n\n^@", "SEND\ndestination:/queue/a\n\n^@")
    assert client.frame().headers == {"receipt-id": "bye"}
    assert client.closed_for == [None]


def test_eof_ends_the_session() -> None:
    client = World().client()
    client.session.receive_eof()
    client.session.receive_eof()
    assert client.closed_for == [None]


# Receipts and errors


@pytest.mark.parametrize(
    "frame",
    [
        "SEND\ndestination:/queue/a\n",
        "SEND\ndestination:/queue/a\ntransaction:t\n",
        "SUBSCRIBE\ndestination:/topic/b\nid:2\n",
        "UNSUBSCRIBE\nid:1\n",
        "ACK\nid:1\n",
        "NACK\nid:1\n",
        "ACK\nid:1\ntransaction:t\n",
        "BEGIN\ntransaction:u\n",
        "COMMIT\ntransaction:t\n",
        "ABORT\ntransaction:t\n",
        "DISCONNECT\n",
    ],
)
def test_every_frame_gets_the_receipt_it_asks_for(frame: str) -> None:
    client = World().client()
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\n\n^@",
        "SEND\ndestination:/queue/a\n\n^@",
        "BEGIN\ntransaction:t\n\n^@",
    )
    client.frames()
    client.send(f"{frame}receipt:r\n\n^@")
    assert client.frames()[-1].headers == {"receipt-id": "r"}


def test_a_receipt_is_written_before_the_end_of_the_pass() -> None:
    world = World()
    subscriber, producer = world.client(), world.client()
    subscriber.send("SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@")
    for number in range(3):
        producer.send(f"SEND\ndestination:/queue/a\nreceipt:{number}\n\n^@")
        (receipt,) = producer.flushed()
        assert receipt.headers == {"receipt-id": str(number)}
    producer.send("SEND\ndestination:/topic/a\n\n^@")
    assert producer.flushed() == subscriber.flushed() == []
    assert len(subscriber.frames()) == 3


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("SEND\n", "syntax"),
        ("SUBSCRIBE\nid:9\n", "syntax"),
        ("SUBSCRIBE\ndestination:/queue/a\n", "syntax"),
        ("SUBSCRIBE\ndestination:/queue/a\nid:9\nack:other\n", "syntax"),
        ("SUBSCRIBE\ndestination:/queue/a\nid:9\nprefetch-count:x\n", "syntax"),
        ("SUBSCRIBE\ndestination:/queue/a\nid:1\n", "syntax"),
        ("UNSUBSCRIBE\nid:9\n", "syntax"),
        ("BEGIN\n", "syntax"),
        ("BEGIN\ntransaction:t\n", "syntax"),
        ("COMMIT\ntransaction:u\n", "syntax"),
        ("ABORT\ntransaction:u\n", "syntax"),
        ("SEND\ndestination:/queue/a\ntransaction:u\n", "syntax"),
        ("SEND\ndestination:/nowhere\n", "destination unknown"),
        ("SUBSCRIBE\ndestination:/nowhere\nid:9\n", "destination unknown"),
        ("SEND\ndestination:/queue/blocked\n", "blocked"),
        ("SUBSCRIBE\ndestination:/queue/blocked\nid:9\n", "blocked"),
        ("SUBSCRIBE\ndestination:/topic/x\nid:9\n", "subs flup"),
        ("ACK\nid:7\n", "ack err"),
        ("ACK\nid:0\n", "ack err"),
        ("ACK\nid:x\n", "ack err"),
        ("NACK\nid:1-1\n", "ack err"),
        ("ACK\n", "syntax"),
    ],
)
def test_error_words(frame: str, message: str) -> None:
    client = World(max_subs=2).client()
    client.send(
        "SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@",
        "BEGIN\ntransaction:t\n\n^@",
    )
    if message == "subs flup":
        client.send("SUBSCRIBE\ndestination:/topic/b\nid:2\n\n^@")
    client.send(f"{frame}receipt:r\n\n^@")
    assert client.error() == (message, "r")
    assert len(client.closed_for) == 1
    client.send("SEND\ndestination:/topic/a\nreceipt:s\n\n^@")
    assert client.frames() == []


def test_other_limits() -> None:
    world = World(max_message_size=10)
    client = world.client()
    client.send(*["SEND\ndestination:/queue/a\n\n^@"] * 4)
    assert client.error() == ("destination flup", None)
    client = world.client()
    client.send("SEND\ndestination:/queue/b\nreceipt:r\n\n12345^@")
    assert client.error() == ("msg flup", "r")
    client = world.client()
    client.send("SEND\ndestination:/queue/a\n\n12345678901^@")
    assert client.error() == ("msg flup", None)
    first, second = world.client(), world.client()
    first.ask("SUBSCRIBE\ndestination:/queue/one\nid:1\nreceipt:r\n\n^@")
    second.send("SUBSCRIBE\ndestination:/queue/one\nid:1\n\n^@")
    assert second.error() == ("subs flup", None)
    client = Client(world)
    client.send("CONNECT\n", "x:y\n" * 65, "\n^@")
    assert client.error() == ("hdr flup", None)


def test_web_blocks_are_for_web_sessions() -> None:
    world = World()
    world.client().ask("SEND\ndestination:/queue/web\nreceipt:r\n\n^@")
    for frame in ("SEND", "SUBSCRIBE\nid:1"):
        client = world.client(is_web=True)
        client.send(f"{frame}\ndestination:/queue/web\n\n^@")
        assert client.error() == ("blocked", None)


def test_a_bug_of_ours_costs_its_sender_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class WrongBroker(Broker):
        def begin(self, client: BrokerClient, transaction: str) -> None:
            raise ValueError("a bug")

    world = World()
    world.hub.broker = WrongBroker({"/queue/a": Policy(kind=Kind.QUEUE)})
    bad, good = world.client(), world.client()
    bad.send("BEGIN\ntransaction:t\nreceipt:r\n\n^@")
    assert bad.error() == ("internal error", "r")
    assert "ValueError: a bug" in caplog.text
    good.ask("SEND\ndestination:/queue/a\nreceipt:r\n\n^@")


# Messages


def test_message_headers() -> None:
    client = World().client()
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:a\\cb\n\n^@",
        "SEND\ndestination:/queue/a\nmessage-id:7\nsubscription:8\nack:9\n"
        "redelivered:true\nreceipt:r\nFoo_Bar:x\\ny\n\nbody^@",
    )
    message, receipt = client.frames()
    assert next(iter(message.headers.items())) == ("subscription", "a:b")
    assert message.headers["Foo_Bar"] == "x\ny"
    assert message.headers["content-length"] == "4"
    assert "ack" not in message.headers
    assert "redelivered" not in message.headers
    assert "receipt" not in message.headers
    assert int(message.headers["message-id"]) > 1_600_000_000_000
    assert receipt.command is Command.RECEIPT


@pytest.mark.parametrize("name", ["/queue/a", "/topic/a"])
@pytest.mark.parametrize("blanks", [" {}", "{} ", "\t{}\t"])
def test_a_sender_cannot_write_the_servers_headers_with_blanks(
    name: str, blanks: str
) -> None:
    """STOMP 1.0 trims names, and of equal ones the first counts."""
    world = World()
    sender, reader = world.client(), world.client(version="1.0")
    reader.reads(STOMP_1_0)
    reader.send(f"SUBSCRIBE\ndestination:{name}\n\n^@")
    spoofed = ["destination", "message-id", "content-length", "subscription"]
    lines = "".join(f"{blanks.format(spoof)}:7\n" for spoof in spoofed)
    lines += f"{blanks.format('b')}:c\ndestination:{name}\n"
    for length in ("", "content-length:4\n") * 4:
        sender.send(f"SEND\n{lines}{length}\nbody^@" * 2)
    frames = reader.frames()
    assert len(frames) == 16
    assert {frame.headers["destination"] for frame in frames} == {name}
    assert len({int(frame.headers["message-id"]) for frame in frames}) == 16
    assert {frame.body for frame in frames} == {b"body"}
    assert {frame.headers["b"] for frame in frames} == {"c"}
    assert not any("subscription" in frame.headers for frame in frames)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_ack_ids(version: str) -> None:
    client = World().client(version=version)
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client-individual\n\n^@",
        "SEND\ndestination:/queue/a\n\nx^@",
    )
    headers = client.frame().headers
    assert headers["redelivered"] == "false"
    name, given = ("id", "ack") if version == "1.2" else ("message-id", "message-id")
    ack = f"ACK\n{name}:{headers[given]}\nsubscription:wrong\nreceipt:r\n\n^@"
    client.ask(ack)
    client.ask(ack)  # repeated: passed over
    client.send(f"ACK\n{name}:{headers[given]}9\n\n^@")
    assert client.error() == ("ack err", None)


def consumer(world: World, count: int, **more: Any) -> Client:
    """A client that has so many messages of a topic, in two subscriptions in turn."""
    client = world.client(**more)
    client.send(
        "SUBSCRIBE\ndestination:/topic/a\nid:1\nack:client-individual\n\n^@",
        "SUBSCRIBE\ndestination:/topic/a\nid:2\nack:client-individual\n\n^@",
        "SEND\ndestination:/topic/a\n\nx^@" * (count // 2),
    )
    assert len(client.frames()) == count
    return client


def test_acks_in_a_row() -> None:
    world = World()
    client = consumer(world, 6)
    client.send(*(f"ACK\nid:{tag}\n\n^@" for tag in (1, 2, 3, 3, 6)))
    assert client.frames() == []
    assert list(client.session.client.unacked) == [4, 5]
    client.send("ACK\nid:4\n\n^@", "ACK\nid:5\n\n^@")
    assert world.hub.broker.memory.used == 0


@pytest.mark.parametrize("wrong", [0, 7])
def test_of_acks_in_a_row_the_one_that_is_wrong_is_an_error(wrong: int) -> None:
    world = World(close_on_error=False)
    client = consumer(world, 6)
    client.send(*(f"ACK\nid:{tag}\n\n^@" for tag in (1, 2, wrong, 3)))
    assert client.error() == ("ack err", None)
    assert list(client.session.client.unacked) == [4, 5, 6]


def test_of_acks_in_a_row_none_counts_after_an_error_that_closes() -> None:
    world = World()
    client, other = world.client(), world.client()
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client-individual\n\n^@",
        *(f"SEND\ndestination:/queue/a\n\n{body}^@" for body in "xyz"),
    )
    assert len(client.frames()) == 3
    client.send(*(f"ACK\nid:{tag}\n\n^@" for tag in (1, 4, 2)))
    assert client.error() == ("ack err", None)
    other.send("SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@")
    assert bodies(other) == [b"y", b"z"]


@interpreted_only
def test_whoever_acknowledges_in_a_row_waits_as_for_one_ack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As destinations may have it that settle elsewhere."""
    world = World()
    client = consumer(world, 4)
    pending = Pending()
    monkeypatch.setattr(Topic, "settle", lambda *_: pending)
    client.send(
        *(f"ACK\nid:{tag}\n\n^@" for tag in (1, 2, 3)),
        "UNSUBSCRIBE\nid:1\nreceipt:r\n\n^@",
    )
    assert client.frames() == []
    pending.resolve()
    world.run()
    assert client.frame().headers == {"receipt-id": "r"}


def test_acks_in_a_row_change_no_order() -> None:
    """What is for one user goes before what is for all, after each ACK."""
    world = World()
    client, other = world.client(), world.client()
    client.session.client.user, other.session.client.user = "u", "p"
    client.send(
        "SUBSCRIBE\nid:1\ndestination:/counted/users\n"
        "ack:client-individual\nprefetch-count:2\n\n^@"
    )
    for line, body in (("to:u", "U1"), ("x:", "L1"), ("x:", "L2"), ("to:u", "U2")):
        other.send(f"SEND\ndestination:/counted/users\n{line}\n\n{body}^@")
    assert bodies(client) == [b"U1", b"L1"]
    client.send("ACK\nid:1\n\n^@ACK\nid:2\n\n^@")
    assert bodies(client) == [b"U2", b"L2"]


def test_an_ack_after_its_unsubscribe_is_passed_over() -> None:
    client = World().client()
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\n\n^@",
        "SEND\ndestination:/queue/a\n\nx^@",
        "UNSUBSCRIBE\nid:1\n\n^@",
    )
    client.frames()
    client.ask("ACK\nid:1\nreceipt:r\n\n^@")
    client.send("SUBSCRIBE\ndestination:/queue/a\nid:2\n\n^@")
    message = client.frame()
    assert (message.body, message.headers["redelivered"]) == (b"x", "true")


def test_before_1_2_an_ack_of_an_auto_subscription_is_passed_over() -> None:
    client = World().client(version="1.1")
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@",
        "SEND\ndestination:/queue/a\n\nx^@",
    )
    id = client.frame().headers["message-id"]
    client.ask(f"ACK\nmessage-id:{id}\nsubscription:1\nreceipt:r\n\n^@")
    client.send(f"ACK\nmessage-id:{int(id) + 1}\nsubscription:1\n\n^@")
    assert client.error() == ("ack err", None)


def test_before_1_2_the_number_of_the_message_counts_too() -> None:
    client = World().client(version="1.1")
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\n\n^@",
        "SEND\ndestination:/queue/a\n\nx^@",
    )
    number, tag = client.frame().headers["message-id"].split("-")
    client.send(f"ACK\nmessage-id:{int(number) - 1}-{tag}\nsubscription:1\n\n^@")
    assert client.error() == ("ack err", None)


def test_auto_ack_gives_nothing_to_acknowledge() -> None:
    client = World().client()
    client.send(
        "SUBSCRIBE\ndestination:/queue/auto\nid:1\nack:client\n\n^@",
        "SEND\ndestination:/queue/auto\n\nx^@",
    )
    assert "ack" not in client.frame().headers
    client.send("ACK\nid:1\n\n^@")
    assert client.error() == ("ack err", None)


def test_a_1_0_subscription_without_id_goes_by_its_destination() -> None:
    client = World().client(version="1.0")
    client.send(
        "SUBSCRIBE\ndestination: /topic/a\n\n^@", "SEND\ndestination: /topic/a\n\nx^@"
    )
    assert "subscription" not in client.frame().headers
    client.ask("UNSUBSCRIBE\ndestination:/topic/a\nreceipt:r\n\n^@")
    client.send("SEND\ndestination:/topic/a\n\nx^@")
    assert client.frames() == []
    client.send("UNSUBSCRIBE\n\n^@")
    assert client.error() == ("syntax", None)


def test_prefetch_count() -> None:
    client = World().client()
    client.send(*["SEND\ndestination:/queue/a\n\n^@"] * 3)
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\nprefetch-count:2\n\n^@"
    )
    assert [f.headers["ack"] for f in client.frames()] == ["1", "2"]
    client.send("ACK\nid:1\n\n^@")
    assert [f.headers["ack"] for f in client.frames()] == ["3"]
    client.send("UNSUBSCRIBE\nid:1\n\n^@")
    client.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\nprefetch-count:0\n\n^@"
    )
    assert len(client.frames()) == 2


def test_nack_comes_again_then_goes_to_the_dead_letters() -> None:
    client = World().client()
    client.send(
        "SUBSCRIBE\ndestination:/queue/b\nid:1\nack:client\n\n^@",
        "SUBSCRIBE\ndestination:/queue/dead\nid:2\n\n^@",
        "SEND\ndestination:/queue/b\n\nx^@",
        "NACK\nid:1\n\n^@",
        "NACK\nid:2\n\n^@",
    )
    first, second, dead = client.frames()
    assert (first.headers["ack"], second.headers["ack"]) == ("1", "2")
    assert dead.headers["destination"] == "/queue/dead"
    assert dead.headers["original-destination"] == "/queue/b"
    client.send("SEND\ndestination:/queue/b\n\ny^@", "NACK\nid:3\nrequeue:false\n\n^@")
    assert [f.headers["destination"] for f in client.frames()] == [
        "/queue/b",
        "/queue/dead",
    ]


def test_transactions() -> None:
    client = World().client()
    client.send(
        "SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@",
        "BEGIN\ntransaction:t\n\n^@",
        "BEGIN\ntransaction:u\n\n^@",
        "SEND\ndestination:/topic/a\ntransaction:t\n\n1^@",
        "SEND\ndestination:/topic/a\ntransaction:u\n\n2^@",
        "SEND\ndestination:/topic/a\n\n3^@",
        "COMMIT\ntransaction:t\n\n^@",
        "ABORT\ntransaction:u\n\n^@",
    )
    assert bodies(client) == [b"3", b"1"]


# Waiting


def test_a_producer_waits_for_room_and_loses_nothing() -> None:
    world = World()
    producer, consumer = world.client(), world.client()
    producer.send(
        *[
            f"SEND\ndestination:/queue/block\nreceipt:{number}\n\n{number}^@"
            for number in range(8)
        ]
    )
    assert [f.headers["receipt-id"] for f in producer.frames()] == ["0", "1"]
    assert not producer.is_reading
    consumer.send("SUBSCRIBE\ndestination:/queue/block\nid:1\n\n^@")
    world.run()
    assert [f.headers["receipt-id"] for f in producer.frames()] == list("234567")
    assert bodies(consumer) == [b"%d" % number for number in range(8)]
    assert producer.is_reading


def test_a_producer_that_waits_may_leave() -> None:
    world = World()
    producer, consumer = world.client(), world.client()
    producer.send(*["SEND\ndestination:/queue/block\n\n^@"] * 5)
    producer.session.connection_lost()
    consumer.send("SUBSCRIBE\ndestination:/queue/block\nid:1\n\n^@")
    world.run()
    assert len(consumer.frames()) == 3


def test_a_producer_that_waits_and_has_sent_all_ends_after_it() -> None:
    world = World()
    producer, consumer = world.client(), world.client()
    producer.send(*["SEND\ndestination:/queue/block\n\n^@"] * 5)
    producer.session.receive_eof()
    assert producer.closed_for == []
    consumer.send("SUBSCRIBE\ndestination:/queue/block\nid:1\n\n^@")
    world.run()
    assert len(consumer.frames()) == 5
    assert producer.closed_for == [None]


# Time


def test_connect_timeout() -> None:
    client = Client(World())
    assert client.session.next_deadline() == 110.0
    client.session.check_deadlines(109.0)
    assert client.frames() == []
    client.session.check_deadlines(110.0)
    assert client.error() == ("timeout", None)
    assert client.session.next_deadline() is None


def test_heart_beats_are_sent_within_the_interval() -> None:
    world = World(heart_beat_write_min=1000)
    client = Client(world)
    client.send("CONNECT\naccept-version:1.2\nheart-beat:0,1000\n\n^@")
    client.frames()
    written = []
    client.write_frames = lambda pieces: written.append(world.now)  # type: ignore[method-assign]
    for _ in range(50):
        deadline = client.session.next_deadline()
        assert deadline is not None
        world.now = max(deadline, world.now + 0.01)
        client.session.check_deadlines(world.now)
        client.outbox.flush()
    gaps = [b - a for a, b in itertools.pairwise(written)]
    assert max(gaps) <= 1.0
    assert len(written) > 5


def test_silence_ends_a_session_that_agreed_on_heart_beats() -> None:
    world = World(heart_beat_read=1000)
    client = Client(world)
    client.send("CONNECT\naccept-version:1.2\nheart-beat:1000,0\n\n^@")
    client.frames()
    client.session.check_deadlines(101.9)
    assert client.frames() == []
    client.session.check_deadlines(102.0)
    assert client.error() == ("timeout", None)


def test_a_client_that_is_not_read_from_is_not_timed_out() -> None:
    world = World(heart_beat_read=1000)
    client, consumer = Client(world), world.client()
    client.send("CONNECT\naccept-version:1.2\nheart-beat:1000,0\n\n^@")
    client.frames()
    client.send(*["SEND\ndestination:/queue/block\n\n^@"] * 5)
    client.session.check_deadlines(200.0)
    world.now = 200.5
    consumer.send("SUBSCRIBE\ndestination:/queue/block\nid:1\n\n^@")
    world.run()
    client.session.check_deadlines(201.0)
    assert client.frames() == []
    assert client.closed_for == []


# The end


def test_what_a_client_had_goes_back_when_it_leaves() -> None:
    world = World()
    first, second = world.client(), world.client()
    first.send(
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\n\n^@",
        "SEND\ndestination:/queue/a\n\n1^@",
        "SEND\ndestination:/queue/a\n\n2^@",
    )
    first.session.connection_lost()
    first.session.connection_lost()
    second.send("SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@")
    assert bodies(second) == [b"1", b"2"]
    assert len(world.hub.sessions) == 1


def test_shut_down_tells_the_client() -> None:
    client = World().client()
    client.session.shut_down()
    assert client.error() == ("shutdown", None)
    client.session.shut_down()
    assert client.frames() == []


def test_whoever_comes_during_a_shutdown_is_told() -> None:
    world = World()
    world.hub.is_stopping = True
    assert Client(world).error() == ("shutdown", None)


def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = Client(World(login="a", passcode="right-secret"))
    client.send("CONNECT\naccept-version:1.2\nlogin:a\npasscode:wrong-secret\n\n^@")
    assert client.error() == ("auth err", None)
    assert "secret" not in caplog.text


# Several versions


@pytest.mark.parametrize("name", ["/topic/a", "/topic/ack"])
def test_subscribers_of_all_versions_get_the_same_message(name: str) -> None:
    world = World()
    readers = [world.client(version=v) for v in ("1.2", "1.1", "1.0", "1.1", "1.2")]
    ack = "ack:client\n" if name.endswith("ack") else ""
    for reader in readers:
        reader.ask(f"SUBSCRIBE\nid:1\ndestination:{name}\n{ack}receipt:s\n\n^@")
    sender = world.client()
    for number in range(4):
        sender.send(f"SEND\ndestination:{name}\na:b\\cc\n\n{number}^@")
    frames = [reader.frames() for reader in readers]
    for received in frames:
        assert [frame.body for frame in received] == [b"0", b"1", b"2", b"3"]
    # As each version writes a colon.
    values = [received[0].headers["a"] for received in frames]
    assert values == ["b:c", "b:c", "b:c", "b:c", "b:c"]
    assert sender.frames() == []


def test_a_message_that_comes_back_goes_to_a_client_of_another_version() -> None:
    world = World()
    first, second, third = (world.client(version=v) for v in ("1.2", "1.1", "1.0"))
    subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\nreceipt:s\n\n^@"
    first.ask(subscribe)
    world.client().send("SEND\ndestination:/queue/a\n\nx^@")
    assert first.frame().body == b"x"
    second.ask(subscribe)
    first.session.connection_lost()
    assert second.frame().body == b"x"
    third.ask(subscribe)
    second.session.connection_lost()
    assert len(world.hub.sessions) == 2  # the third, and the sender
    assert len(world.hub.broker.destinations["/queue/a"]) <= 1


@pytest.mark.parametrize("name", ["1.0", "1.1", "1.2"])
@pytest.mark.parametrize("ack", ["auto", "client"])
def test_a_large_message_is_the_same_as_a_small_one(name: str, ack: str) -> None:
    world = World()
    received = []
    for body in "x" * 100, "x" * 100_000:
        sender, first = world.client(), world.client(version=name)
        subscribe = f"SUBSCRIBE\nid:0\ndestination:/queue/a\nack:{ack}\n\n^@"
        first.send(subscribe)
        sender.send(f"SEND\ndestination:/queue/a\na:b\n\n{body}^@" * 3)
        frames = first.frames()
        assert [frame.body for frame in frames] == [body.encode()] * 3
        first.session.connection_lost()
        second = world.client(version=name)
        second.send(subscribe)
        again = second.frames()
        assert len(again) == (0 if ack == "auto" else 3)
        second.session.connection_lost()
        world.hub.broker.destinations["/queue/a"].purge()
        received.append([dict(frame.headers) for frame in (*frames, *again)])
    small, large = received
    for one, other in zip(small, large, strict=True):
        assert one.pop("content-length") == "100"
        assert other.pop("content-length") == "100000"
        assert one.keys() == other.keys()
        for header in ("redelivered", "subscription", "a"):
            assert one.get(header) == other.get(header)
