"""stomp.py at STOMP 1.0, 1.1 and 1.2."""

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stomp

from tests.program import Program

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

VERSIONS = {
    "1.0": stomp.Connection10,
    "1.1": stomp.Connection11,
    "1.2": stomp.Connection12,
}


class Listener(stomp.ConnectionListener):  # type: ignore[misc]  # it has no types
    """Puts what comes into queues."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Any] = queue.Queue()
        self.receipts: queue.Queue[str] = queue.Queue()
        self.errors: queue.Queue[Any] = queue.Queue()
        self.heart_beat_timeouts = 0

    def on_message(self, frame: Any) -> None:
        self.messages.put(frame)

    def on_receipt(self, frame: Any) -> None:
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame: Any) -> None:
        self.errors.put(frame)

    def on_heartbeat_timeout(self) -> None:
        self.heart_beat_timeouts += 1

    def message(self) -> Any:
        return self.messages.get(timeout=5)


class Client:
    """A connection with its listener."""

    def __init__(self, connection: Any, version: str) -> None:
        self.connection = connection
        self.version = version
        self.listener = Listener()
        connection.set_listener("", self.listener)

    def ack(self, message: Any, **more: Any) -> None:
        self._answer(self.connection.ack, message, more)

    def nack(self, message: Any, **more: Any) -> None:
        self._answer(self.connection.nack, message, more)

    def _answer(self, method: Any, message: Any, more: dict[str, Any]) -> None:
        headers = message.headers
        match self.version:
            case "1.0":
                method(headers["message-id"], **more)
            case "1.1":
                method(headers["message-id"], headers["subscription"], **more)
            case _:
                method(headers["ack"], **more)


Connect = Callable[..., Client]


@pytest.fixture(params=VERSIONS)
def connect(request: pytest.FixtureRequest, program: Program) -> Iterator[Connect]:
    clients = []

    def make(**more: Any) -> Client:
        address = [("127.0.0.1", program.tcp)]
        client = Client(VERSIONS[request.param](address, **more), request.param)
        client.connection.connect("user", "pass", wait=True)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.connection.disconnect()


def name(request: pytest.FixtureRequest, kind: str = "queue") -> str:
    return f"/{kind}/{request.node.name}"


def test_send_and_receive(connect: Connect, request: pytest.FixtureRequest) -> None:
    client = connect()
    client.connection.subscribe(name(request), id="1")
    body = "Grüße: ☃ \\ :\n"
    client.connection.send(name(request), body, headers={"plain": "yes"})
    message = client.listener.message()
    assert message.body == body
    assert message.headers["plain"] == "yes"
    assert message.headers["destination"] == name(request)


def test_headers_with_special_characters(
    connect: Connect, request: pytest.FixtureRequest
) -> None:
    client = connect()
    value = {"1.0": "a:b", "1.1": "a:b\\c\nd", "1.2": "a:b\\c\nd\re"}[client.version]
    client.connection.subscribe(name(request), id="1")
    client.connection.send(name(request), "x", headers={"special": value})
    assert client.listener.message().headers["special"] == value


def test_receipts(connect: Connect, request: pytest.FixtureRequest) -> None:
    client = connect()
    client.connection.subscribe(name(request), id="1", receipt="r1")
    client.connection.send(name(request), "x", receipt="r2")
    client.connection.unsubscribe(id="1", receipt="r3")
    receipts = [client.listener.receipts.get(timeout=5) for _ in range(3)]
    assert receipts == ["r1", "r2", "r3"]


def test_two_consumers_take_turns(
    connect: Connect, request: pytest.FixtureRequest
) -> None:
    sender, first, second = connect(), connect(), connect()
    for consumer in (first, second):
        consumer.connection.subscribe(name(request), id="1", receipt="s")
        consumer.listener.receipts.get(timeout=5)
    for number in range(10):
        sender.connection.send(name(request), str(number))
    for consumer, start in ((first, 0), (second, 1)):
        bodies = [consumer.listener.message().body for _ in range(5)]
        assert bodies == [str(n) for n in range(start, 10, 2)]


def test_topic_is_broadcast(connect: Connect, request: pytest.FixtureRequest) -> None:
    clients = [connect(), connect()]
    for client in clients:
        client.connection.subscribe(name(request, "topic"), id="1", receipt="s")
        client.listener.receipts.get(timeout=5)
    clients[0].connection.send(name(request, "topic"), "to all")
    assert [c.listener.message().body for c in clients] == ["to all"] * 2


@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_unacknowledged_comes_again(
    connect: Connect, request: pytest.FixtureRequest, mode: str
) -> None:
    first, second = connect(), connect()
    first.connection.subscribe(name(request), id="1", ack=mode)
    for number in range(3):
        second.connection.send(name(request), str(number))
    messages = [first.listener.message() for _ in range(3)]
    first.ack(messages[1], receipt="acked")
    first.listener.receipts.get(timeout=5)
    first.connection.disconnect()
    second.connection.subscribe(name(request), id="1")
    left = ["2"] if mode == "client" else ["0", "2"]
    again = [second.listener.message() for _ in left]
    assert [message.body for message in again] == left
    assert {message.headers["redelivered"] for message in again} == {"true"}


@pytest.mark.parametrize("connect", ["1.1", "1.2"], indirect=True)
def test_nack_delivers_again(connect: Connect, request: pytest.FixtureRequest) -> None:
    client = connect()
    client.connection.subscribe(name(request), id="1", ack="client-individual")
    client.connection.send(name(request), "x")
    message = client.listener.message()
    assert message.headers["redelivered"] == "false"
    client.nack(message)
    message = client.listener.message()
    assert (message.body, message.headers["redelivered"]) == ("x", "true")
    client.ack(message)


def test_transactions(connect: Connect, request: pytest.FixtureRequest) -> None:
    client = connect()
    client.connection.subscribe(name(request), id="1")
    for number, end in enumerate(["abort", "commit"]):
        transaction = client.connection.begin()
        client.connection.send(name(request), str(number), transaction=transaction)
        getattr(client.connection, end)(transaction)
    assert client.listener.message().body == "1"
    assert client.listener.messages.empty()


def test_a_megabyte(connect: Connect, request: pytest.FixtureRequest) -> None:
    client = connect(auto_decode=False)
    body = bytes(range(256)) * 4096
    client.connection.subscribe(name(request), id="1")
    client.connection.send(name(request), body)
    assert client.listener.message().body == body


def test_an_error_names_its_receipt(connect: Connect) -> None:
    client = connect()
    client.connection.send("/nowhere/at/all", "x", receipt="lost")
    error = client.listener.errors.get(timeout=5)
    assert error.headers["message"] == "destination unknown"
    assert error.headers["receipt-id"] == "lost"
    # The server closes now, and stomp.py must not be told to while it does so, too.
    end = time.monotonic() + 5
    while client.connection.transport.socket is not None:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("connect", ["1.1", "1.2"], indirect=True)
def test_heart_beats_keep_a_connection(connect: Connect) -> None:
    client = connect(heartbeats=(200, 200))
    time.sleep(1.5)  # several intervals of real time
    assert client.connection.is_connected()
    assert client.listener.heart_beat_timeouts == 0
