"""What each key of a destination does for clients, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from romp_asgi import Config, Romp
from romp_asgi.errors import DestinationFull, LocalProtocolError, UnknownDestination
from romp_asgi.stomp import Frame
from romp_asgi.stomp.spec import Command
from romp_asgi.uvicorn_ws import WebSocketProtocol
from tests.client import Client
from tests.test_websocket import closed_with, connected, serving

pytestmark = pytest.mark.anyio

QUEUE = {"type": "queue"}
TOPIC = {"type": "topic"}
Tables = dict[str, dict[str, Any]]


def application(**destinations: dict[str, Any]) -> Romp:
    keys = {"ports": [0], "admin_port": 0, "close_on_error": False}
    return Romp(Config.from_dict({**keys, "destinations": destinations}))


class User(Client):
    """A client with a name, and words for what tests do."""

    @classmethod
    async def of(cls, romp: Romp, name: str = "") -> "User":
        host, port = romp.addresses[0].split(":")
        client = cls(*await asyncio.open_connection(host, int(port)))
        client.send(f"CONNECT\naccept-version:1.2\nlogin:{name}\npasscode:x\n\n^@")
        assert (await client.frame()).command is Command.CONNECTED
        return client

    async def does(self, command: str, **headers: str) -> None:
        """Send a frame, and have its receipt."""
        self.ask(command, **headers)
        frame = await self.frame()
        assert frame.headers == {"receipt-id": "done"}, frame

    def ask(self, command: str, body: str = "", **headers: str) -> None:
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        self.send(f"{command}\nreceipt:done\n{lines}\n{body}^@")

    async def sends(self, destination: str, body: str, **headers: str) -> None:
        """Send a message; what comes before its receipt is an answer to it."""
        self.ask("SEND", body, destination=destination, **headers)
        frame = await self.frame()
        assert frame.headers == {"receipt-id": "done"}, frame

    async def gets(self, *bodies: str) -> Frame:
        """These messages, and these only, as far as the server has come."""
        frame = None
        for body in bodies:
            frame = await self.frame()
            assert frame.command is Command.MESSAGE, frame
            assert frame.body.decode() == body
        await self.gets_nothing()
        assert frame is not None
        return frame

    async def gets_nothing(self) -> None:
        # Whatever was to come before it has come with it.
        await self.does("SEND", destination="nowhere-in-particular")

    async def error(self) -> str:
        frame = await self.frame()
        assert frame.command is Command.ERROR, frame
        return frame.headers["message"]


@asynccontextmanager
async def users(
    *names: str, **destinations: dict[str, Any]
) -> AsyncIterator[tuple[Romp, list[User]]]:
    """A server with destinations, and users who have connected."""
    nowhere = {"nowhere-in-particular": TOPIC}
    romp = application(**destinations, **nowhere)
    async with romp.lifespan():
        clients = [await User.of(romp, name) for name in names]
        try:
            yield romp, clients
        finally:
            for client in clients:
                await client.close()


# min_delivery


async def test_min_delivery() -> None:
    async with users("a", "b", "c", mem={"min_delivery": 2}) as (_, [a, b, c]):
        await c.sends("mem", "1")
        await c.sends("mem", "2")
        # What waits comes before the receipt.
        a.ask("SUBSCRIBE", destination="mem", id="x", ack="client")
        frame = await a.frame()
        assert (frame.body, frame.headers["redelivered"]) == (b"1", "false")
        assert (await a.frame()).headers == {"receipt-id": "done"}
        b.ask("SUBSCRIBE", destination="mem", id="y", ack="auto")
        assert (await b.frame()).body == b"1"
        assert (await b.frame()).headers == {"receipt-id": "done"}
        # One has it, the other has not acknowledged it: "2" waits for that.
        await b.gets_nothing()
        a.ask("ACK", id=frame.headers["ack"])
        assert (await a.frame()).body == b"2"
        assert (await a.frame()).headers == {"receipt-id": "done"}
        await b.gets("2")


async def test_a_client_that_goes_leaves_its_message_to_the_next_new_one() -> None:
    async with users("a", "b", "c", mem={"min_delivery": 1}) as (romp, [a, b, c]):
        await a.does("SUBSCRIBE", destination="mem", id="x", ack="client")
        await b.does("SUBSCRIBE", destination="mem", id="x", ack="client")
        await c.sends("mem", "1")
        await a.gets("1")
        await b.gets("1")
        for client in (a, b):
            await client.does("DISCONNECT")
        c.ask("SUBSCRIBE", destination="mem", id="x", ack="client")
        frame = await c.frame()
        assert (frame.body, frame.headers["redelivered"]) == (b"1", "true")
        assert (await c.frame()).headers == {"receipt-id": "done"}
        assert len(romp._hub.broker.destinations["mem"]) == 1
        await c.does("ACK", id=frame.headers["ack"])
        assert len(romp._hub.broker.destinations["mem"]) == 0


async def test_a_type_goes_before_min_delivery() -> None:
    queue = {"type": "queue", "min_delivery": 2}
    async with users("a", "b", q=queue) as (_, [a, b]):
        await a.does("SUBSCRIBE", destination="q", id="1")
        await b.sends("q", "1")
        await b.sends("q", "2")
        await a.gets("1", "2")


# filter_self


@pytest.mark.parametrize(
    "table", [TOPIC, QUEUE, {"min_delivery": 1}], ids=["topic", "queue", "counted"]
)
async def test_filter_self(table: dict[str, Any]) -> None:
    async with users("a", "b", d={**table, "filter_self": True}) as (_, [a, b]):
        for client in (a, b):
            await client.does("SUBSCRIBE", destination="d", id="1")
        await a.sends("d", "of a")
        await b.gets("of a")
        await b.sends("d", "of b")
        await a.gets("of b")
        await a.does("BEGIN", transaction="t")
        await a.sends("d", "later", transaction="t")
        await a.does("COMMIT", transaction="t")
        await b.gets("later")
        await a.gets_nothing()


async def test_who_is_passed_over_in_a_queue_keeps_its_turn() -> None:
    queue = {**QUEUE, "filter_self": True}
    async with users("a", "b", "c", q=queue) as (_, [a, b, c]):
        for client in (a, b, c):
            await client.does("SUBSCRIBE", destination="q", id="1")
        await a.sends("q", "1")
        await b.gets("1")
        await b.sends("q", "2")
        await a.gets("2")


async def test_own_messages_wait_in_a_queue_for_others() -> None:
    async with users("a", "b", q={**QUEUE, "filter_self": True}) as (_, [a, b]):
        await a.does("SUBSCRIBE", destination="q", id="1")
        await a.sends("q", "1")
        await a.gets_nothing()
        b.ask("SUBSCRIBE", destination="q", id="1")
        assert (await b.frame()).body == b"1"


# sub_by_user


@pytest.mark.parametrize(
    "table", [TOPIC, QUEUE, {"min_delivery": 1}], ids=["topic", "queue", "counted"]
)
async def test_a_message_to_a_user(table: dict[str, Any]) -> None:
    inbox = {**table, "sub_by_user": True}
    async with users("ann", "bob", inbox=inbox) as (romp, [ann, bob]):
        for client in (ann, bob):
            await client.does("SUBSCRIBE", destination="inbox", id="1")
        await bob.sends("inbox", "for ann", to="ann")
        frame = await ann.gets("for ann")
        assert frame.headers["to"] == "ann"
        await bob.gets_nothing()
        await romp.publish("inbox", "for bob", user="bob")
        await bob.gets("for bob")
        await ann.gets_nothing()


async def test_a_message_waits_for_its_user() -> None:
    inbox = {**QUEUE, "sub_by_user": True, "max_messages": 1}
    async with users("ann", "bob", inbox=inbox) as (romp, [ann, bob]):
        await bob.does("SUBSCRIBE", destination="inbox", id="1")
        await bob.sends("inbox", "for ann", to="ann")
        bob.ask("SEND", destination="inbox", to="ann")
        assert await bob.error() == "destination flup"
        with pytest.raises(DestinationFull):
            await romp.publish("inbox", user="cid")
        await bob.gets_nothing()
        ann.ask("SUBSCRIBE", destination="inbox", id="1")
        assert (await ann.frame()).body == b"for ann"


async def test_the_newer_subscription_of_a_user_counts() -> None:
    inbox = {**TOPIC, "sub_by_user": True}
    async with users("ann", "ann", inbox=inbox) as (romp, [old, new]):
        await old.does("SUBSCRIBE", destination="inbox", id="1")
        await new.does("SUBSCRIBE", destination="inbox", id="1")
        frame = await old.frame()
        assert frame.headers["message"] == "replaced"
        assert frame.body.endswith(b".\n")
        await romp.publish("inbox", "for ann", user="ann")
        await new.gets("for ann")
        # With close_on_error = false it goes on, and may take its place again.
        await old.gets_nothing()
        await old.does("SUBSCRIBE", destination="inbox", id="1")
        assert await new.error() == "replaced"


async def test_otherwise_the_connection_of_the_older_is_closed() -> None:
    keys = {"ports": [0], "destinations": {"inbox": {**TOPIC, "sub_by_user": True}}}
    romp = Romp(Config.from_dict(keys))
    async with romp.lifespan():
        old, new = await User.of(romp, "ann"), await User.of(romp, "ann")
        await old.does("SUBSCRIBE", destination="inbox", id="1")
        await new.does("SUBSCRIBE", destination="inbox", id="1")
        assert await old.error() == "replaced"
        with pytest.raises(EOFError):
            await old.frame()
        for client in (old, new):
            await client.close()


async def test_who_has_no_name_has_no_subscription() -> None:
    async with users("", inbox={**TOPIC, "sub_by_user": True}) as (_, [nobody]):
        nobody.ask("SUBSCRIBE", destination="inbox", id="1")
        assert await nobody.error() == "denied"


async def test_application_code_addresses_users_only_where_there_are() -> None:
    romp = Romp(
        Config.from_dict(
            {"destinations": {"a": TOPIC, "b*": {**TOPIC, "sub_by_user": True}}}
        )
    )
    with pytest.raises(LocalProtocolError, match="sub_by_user"):
        await romp.publish("a", user="ann")
    with pytest.raises(LocalProtocolError, match="name"):
        await romp.publish("b1", user="")
    with pytest.raises(UnknownDestination):
        await romp.publish("c", user="ann")
    await romp.publish("b1", user="ann")
    assert list(romp._hub.broker.destinations) == ["a", "b1"]


# auto_ack


async def test_auto_ack() -> None:
    async with users("a", q={**QUEUE, "auto_ack": True}, r=QUEUE) as (_, [a]):
        await a.does("SUBSCRIBE", destination="q", id="1", ack="client")
        await a.does("SUBSCRIBE", destination="r", id="2", ack="client")
        a.send("SEND\ndestination:q\n\n1^@")
        frame = await a.frame()
        assert "ack" not in frame.headers
        for command in ("ACK", "NACK"):
            a.ask(command, id=frame.headers["message-id"])
            assert await a.error() == "ack err"
        await a.does("UNSUBSCRIBE", id="1")


# expiry, pedantic_expiry, expires, dead_letter


async def test_what_expires_is_swept_within_a_second() -> None:
    tables: Tables = {
        "q": {**QUEUE, "expiry": 1, "dead_letter": "DLQ"},
        "DLQ": QUEUE,
    }
    async with users("a", "b", **tables) as (_, [a, b]):
        await a.does("SUBSCRIBE", destination="DLQ", id="1")
        sent = time.monotonic()
        await b.sends("q", "late", colour="blue")
        frame = await a.frame()
        assert time.monotonic() - sent < 2
        assert frame.body == b"late"
        assert frame.headers["destination"] == "DLQ"
        assert frame.headers["original-destination"] == "q"
        assert frame.headers["x-last-death-reason"] == "expired"
        assert frame.headers["colour"] == "blue"


async def test_without_dead_letters_there_is_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with users("a", q={**QUEUE, "expiry": 1}) as (_, [a]):
        await a.sends("q", "late")
        async with asyncio.timeout(5):
            while "dropped 1 messages of q: expired" not in caplog.text:
                await asyncio.sleep(0.05)


async def test_expires_and_pedantic_expiry() -> None:
    tables: Tables = {"q": QUEUE, "p": {**QUEUE, "pedantic_expiry": True}}
    async with users("a", "b", **tables) as (romp, [a, b]):
        assert romp._sweeper is not None
        romp._sweeper.cancel()  # so that only who is pedantic looks
        past = str(int(time.time() * 1000) - 1)
        soon = str(int(time.time() * 1000) + 60_000)
        for name in tables:
            await b.sends(name, "late", expires=past)
            await b.sends(name, "soon", expires=soon)
            a.ask("SUBSCRIBE", destination=name, id=name)
        for body in (b"late", b"soon", b"", b"soon", b""):
            frame = await a.frame()
            assert frame.body == body
        assert len(romp._hub.broker.destinations["p"]) == 0


async def test_a_nack_says_in_the_dead_letter_what_it_was() -> None:
    tables: Tables = {"q": {**QUEUE, "dead_letter": "DLQ"}, "DLQ": QUEUE}
    async with users("a", **tables) as (_, [a]):
        await a.does("SUBSCRIBE", destination="q", id="1", ack="client")
        a.send("SEND\ndestination:q\n\n1^@")
        frame = await a.frame()
        await a.does("NACK", id=frame.headers["ack"], requeue="false")
        a.ask("SUBSCRIBE", destination="DLQ", id="2")
        frame = await a.frame()
        assert frame.headers["x-last-death-reason"] == "rejected"
        assert frame.headers["original-destination"] == "q"


# Blocks, connections, names


BLOCKED = {
    f"{name}_block": {**TOPIC, f"{name}_block": True}
    for name in ("write", "read", "web_write", "web_read")
}


@pytest.mark.parametrize("command", ["SEND", "SUBSCRIBE"])
async def test_blocks_over_tcp(command: str) -> None:
    async with users("a", **BLOCKED) as (romp, [a]):
        for name in BLOCKED:
            a.ask(command, destination=name, id=name)
            if name == {"SEND": "write_block", "SUBSCRIBE": "read_block"}[command]:
                assert await a.error() == "blocked"
            else:
                assert (await a.frame()).headers == {"receipt-id": "done"}
        # No block is for application code.
        for name in BLOCKED:
            async with romp.subscribe(name) as messages:
                await romp.publish(name, "1")
                assert (await anext(messages)).body == b"1"


@pytest.mark.parametrize("command", ["SEND", "SUBSCRIBE"])
async def test_blocks_over_websocket(command: str) -> None:
    word = {"SEND": "write", "SUBSCRIBE": "read"}[command]
    tables = Config.from_dict({"destinations": BLOCKED}).destinations
    async with serving(WebSocketProtocol, destinations=tables) as (url, _):
        for name in BLOCKED:
            async with connected(url) as client:
                frame = f"{command}\ndestination:{name}\nid:1\nreceipt:r\n\n\0"
                await client.send(frame)
                answer = str(await client.recv())
                if word in name:
                    assert "message:blocked\n" in answer
                    assert f"has {name} set." in answer
                    assert await closed_with(client) == 1008
                else:
                    assert answer.startswith("RECEIPT\n")


async def test_max_connections_is_of_the_destination() -> None:
    async with users("a", "b", q={**QUEUE, "max_connections": 2}) as (_, [a, b]):
        await a.does("SUBSCRIBE", destination="q", id="1")
        await a.does("SUBSCRIBE", destination="q", id="2")
        b.ask("SUBSCRIBE", destination="q", id="1")
        assert await b.error() == "subs flup"
        await a.does("UNSUBSCRIBE", id="1")
        await b.does("SUBSCRIBE", destination="q", id="1")


async def test_names_are_for_statistics() -> None:
    tables: Tables = {"q": {**QUEUE, "name": "orders"}, "r": QUEUE, "s/*": QUEUE}
    async with users("a", **tables) as (romp, [a]):
        await a.sends("s/1", "1")
        a.ask("SEND", destination="orders")
        assert await a.error() == "destination unknown"
        destinations = romp._hub.broker.destinations
        labels = {name: destinations[name].label for name in ("q", "r", "s/1")}
        assert labels == {"q": "orders", "r": "r", "s/1": "s/1"}


async def test_limits_of_length_and_size_hold_for_application_code() -> None:
    romp = application(q={**QUEUE, "max_messages": 1, "max_message_size": 3})
    await romp.publish("q", "123")
    with pytest.raises(DestinationFull):
        await romp.publish("q", "1")
