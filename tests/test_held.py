"""Clients that wait for room, and what lets them go on."""

import asyncio
import socket
import struct
from typing import Any

import pytest

from romp_asgi import Config, Romp, tcp
from romp_asgi.config import DestinationConfig
from romp_asgi.filters import Context, StompMessage
from romp_asgi.stomp.spec import Command
from tests.client import Client, running

pytestmark = pytest.mark.anyio


def application(max_messages: int = 1, **keys: Any) -> Romp:
    destinations = {
        "/queue/small": DestinationConfig(
            type="queue", max_messages=max_messages, overflow="block"
        ),
        "/queue/other": DestinationConfig(type="queue"),
        "/topic/a": DestinationConfig(type="topic", slow_consumer="block"),
    }
    return Romp(Config(ports=[0], destinations=destinations, **keys))


def send(destination: str, body: str, receipt: str = "") -> str:
    receipt = f"receipt:{receipt}\n" if receipt else ""
    return f"SEND\ndestination:{destination}\n{receipt}\n{body}^@"


def ack(frame: Any, *, transaction: str = "", command: str = "ACK") -> str:
    lines = f"transaction:{transaction}\n" if transaction else ""
    return f"{command}\nid:{frame.headers['ack']}\n{lines}receipt:{command}\n\n^@"


async def receipts(client: Client, count: int) -> list[str]:
    return [(await client.frame()).headers["receipt-id"] for _ in range(count)]


async def consumes(client: Client, destination: str, *bodies: str) -> list[Any]:
    """Subscribe for one message at a time; send some, and get the first."""
    client.send(
        f"SUBSCRIBE\nid:1\ndestination:{destination}\n"
        "ack:client-individual\nprefetch-count:1\n\n^@",
        *(send(destination, body) for body in bodies),
    )
    return [await client.frame()]


@pytest.mark.parametrize("destination", ["/queue/small", "/topic/a"])
@pytest.mark.parametrize("together", [True, False])
async def test_an_ack_makes_the_room_that_its_client_waits_for(
    destination: str, together: bool
) -> None:
    async with running(application()) as (client,):
        (first,) = await consumes(client, destination, "a")
        frames = [
            send(destination, "b", "b"),
            send(destination, "c", "c"),
            ack(first),
        ]
        if together:
            client.send(*frames)
        else:
            for frame in frames:
                client.send(frame)
                await asyncio.sleep(0.01)
        # The ACK came before what was sent before it; and its message has made room.
        answers = [await client.frame() for _ in range(3)]
        names = [answer.headers.get("receipt-id") for answer in answers]
        assert set(names[:2]) == {"ACK", None}
        assert names[2] == "b"
        (second,) = [a for a in answers if a.command is Command.MESSAGE]
        assert second.body == b"b"
        client.send(ack(second, command="NACK"), ack(second))


async def test_acks_in_a_row_make_room_too() -> None:
    async with running(application()) as (client,):
        client.send(
            "SUBSCRIBE\nid:1\ndestination:/queue/small\n"
            "ack:client-individual\nprefetch-count:2\n\n^@",
            *(send("/queue/small", "a") for _ in range(3)),
        )
        first, second = await client.frame(), await client.frame()
        client.send(
            send("/queue/small", "b", "b"),
            f"ACK\nid:{first.headers['ack']}\n\n^@",
            f"ACK\nid:{second.headers['ack']}\n\n^@",
        )
        frames = [await client.frame() for _ in range(3)]
        assert sorted(frame.body for frame in frames) == [b"", b"a", b"b"]


async def test_what_is_no_ack_waits_its_turn() -> None:
    async with running(application()) as (client,):
        (first,) = await consumes(client, "/queue/other", "a")
        client.send(
            send("/queue/small", "b", "b"),
            "BEGIN\ntransaction:t\nreceipt:BEGIN\n\n^@",
            ack(first, transaction="t"),
            "COMMIT\ntransaction:t\nreceipt:COMMIT\n\n^@",
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.frame()
        client.send("UNSUBSCRIBE\nid:none\nreceipt:last\n\n^@")
        other = await drain(client, "/queue/small")
        assert other == [b"b"]
        assert await receipts(client, 4) == ["b", "BEGIN", "ACK", "COMMIT"]
        error = await client.frame()
        assert error.command is Command.ERROR
        assert error.headers["receipt-id"] == "last"


async def drain(client: Client, destination: str) -> list[bytes]:
    """Take one message, as another client at the same address."""
    peer = client._writer.get_extra_info("peername")
    other = await Client.connect(f"{peer[0]}:{peer[1]}")
    other.send(f"SUBSCRIBE\nid:1\ndestination:{destination}\n\n^@")
    frame = await other.frame()
    await other.close()
    return [frame.body]


async def test_an_ack_that_is_wrong_is_told_at_once() -> None:
    async with running(application()) as (client,):
        await consumes(client, "/queue/other", "a")
        client.send(send("/queue/small", "b"), "ACK\nid:99\nreceipt:x\n\n^@")
        error = await client.frame()
        assert error.headers["message"] == "ack err"
        assert error.headers["receipt-id"] == "x"


async def test_what_is_no_frame_is_told_in_its_turn() -> None:
    async with running(application()) as (client,):
        (first,) = await consumes(client, "/queue/other", "a")
        client.send(send("/queue/small", "b", "b"))
        await asyncio.sleep(0.02)
        client.send("NONSENSE\n\n^@")
        await asyncio.sleep(0.02)
        client.send(ack(first))
        assert await drain(client, "/queue/small") == [b"b"]
        assert await receipts(client, 1) == ["b"]
        error = await client.frame()
        assert error.headers["message"] == "syntax"


async def test_no_more_is_read_ahead_than_a_little() -> None:
    romp = application()
    async with running(romp) as (client,):
        await consumes(client, "/queue/other", "a")
        body = "x" * 1000
        client.send(*[send("/queue/small", body)] * 5000)
        (session,) = romp._hub.sessions
        async with asyncio.timeout(5):
            while session._ahead is None or session._ahead <= 65536:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert session._ahead is not None
        assert session._ahead < 600_000
        client._writer.transport.abort()


async def test_with_filters_nothing_overtakes() -> None:
    romp, seen = application(), list[Command]()

    @romp.stomp
    def see(context: Context, message: StompMessage) -> None:
        seen.append(message.command)

    async with running(romp) as (client,):
        (first,) = await consumes(client, "/queue/other", "a")
        client.send(send("/queue/small", "b", "b"), ack(first))
        assert await drain(client, "/queue/small") == [b"b"]
        assert await receipts(client, 2) == ["b", "ACK"]
        # They see each of those in a row, too.
        again = f"ACK\nid:{first.headers['ack']}\n\n^@"
        client.send(again, again, ack(first))
        assert await receipts(client, 1) == ["ACK"]
    assert seen.count(Command.ACK) == 4


@pytest.mark.parametrize("how", ["held", "half closed"])
async def test_a_client_that_waits_and_is_gone_is_noticed(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "_WATCH_INTERVAL", 0.05)
    romp = application()
    async with running(romp) as (client,):
        client.send(send("/queue/small", "b", "b"))
        if how == "half closed":
            client._writer.write_eof()
        sock = client._writer.get_extra_info("socket")
        await asyncio.sleep(0.15)
        assert len(romp._hub.sessions) == 1
        # A reset, as of a client that was killed.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client._writer.transport.abort()
        async with asyncio.timeout(5):
            while romp._hub.sessions:
                await asyncio.sleep(0.01)


async def test_the_kernel_asks_for_silent_clients() -> None:
    romp = application()
    async with running(romp):
        (session,) = romp._hub.sessions
        sock = session.transport._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


# Clients that do not take what they ask for


async def test_who_takes_no_receipts_is_not_read_from() -> None:
    romp = application(outbox_high_water=20_000, max_outbox=100_000)
    async with running(romp) as (client,):
        (session,) = romp._hub.sessions
        # More than the kernel keeps.
        count, receipt = 40_000, "r" * 500
        client.send(send("/topic/a", "x", receipt) * count)
        async with asyncio.timeout(20):
            while not session._is_choked:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        # What one read brings may come on top.
        assert session.transport.outbox.size < 1_000_000
        # Nothing was lost: whoever reads gets them all.
        got = 0
        async with asyncio.timeout(50):
            while got < count:
                assert (await client.frame()).headers == {"receipt-id": receipt}
                got += 1
        assert not session._is_choked


async def test_what_was_for_a_client_goes_with_it() -> None:
    romp = application(outbox_high_water=20_000, max_outbox=100_000)
    async with running(romp) as (client,):
        (session,) = romp._hub.sessions
        client.send(send("/topic/a", "x", "r" * 500) * 40_000)
        async with asyncio.timeout(20):
            while not session._is_choked:
                await asyncio.sleep(0.01)
        outbox = session.transport.outbox
        assert outbox.size
        client._writer.transport.abort()
        async with asyncio.timeout(10):
            while romp._hub.sessions:
                await asyncio.sleep(0.01)
        assert (outbox.size, outbox._pieces) == (0, [])
        assert list(session._frames) == []
        assert session.connection._parser._size == 0
