"""TCP: real sockets on port 0."""

import asyncio
import gc
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from romp_asgi import Config, Romp
from romp_asgi.errors import StartError
from romp_asgi.session import Session
from romp_asgi.tcp import TcpConnection, peer_name
from tests.client import Client, running

pytestmark = pytest.mark.anyio

CONNECT = b"CONNECT\naccept-version:1.2\nhost:x\n\n\0"


def application(**keys: Any) -> Romp:
    return Romp(Config(ports=[0], **keys))


@asynccontextmanager
async def raw(
    romp: Romp,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection."""
    host, port = romp.addresses[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def count_of_ours() -> int:
    gc.collect()
    return sum(isinstance(o, TcpConnection | Session) for o in gc.get_objects())


async def test_an_error_arrives_although_the_client_goes_on_sending() -> None:
    romp = application()
    async with romp.lifespan(), raw(romp) as (reader, writer):
        writer.write(CONNECT + b"NONSENSE\n\n\0" + b"x" * 5_000_000)
        data = await asyncio.wait_for(reader.read(), 10)
        assert b"ERROR\nmessage:syntax\n" in data
        assert data.endswith(b"\0")


async def test_a_client_may_close_its_half_first() -> None:
    romp = application()
    async with romp.lifespan(), raw(romp) as (reader, writer):
        send = b"SEND\ndestination:/queue/a\nreceipt:1\n\nhello\0"
        writer.write(CONNECT + send)
        writer.write_eof()
        data = await asyncio.wait_for(reader.read(), 10)
        assert b"RECEIPT\nreceipt-id:1\n" in data
        await until(lambda: not romp._hub.sessions)


async def test_frames_in_single_octets() -> None:
    romp = application()
    async with romp.lifespan(), raw(romp) as (reader, writer):
        for octet in CONNECT + b"SEND\ndestination:/queue/a\nreceipt:1\n\nhello\0":
            writer.write(bytes([octet]))
            await writer.drain()
        await asyncio.wait_for(reader.readuntil(b"receipt-id:1"), 10)


async def test_connect_timeout() -> None:
    romp = application(connect_timeout=0.05)
    async with romp.lifespan(), raw(romp) as (reader, _):
        data = await asyncio.wait_for(reader.read(), 10)
        assert data.startswith(b"ERROR\nmessage:timeout\n")


async def test_heart_beats_over_a_socket() -> None:
    romp = application(heart_beat_write_min=20)
    async with romp.lifespan(), raw(romp) as (reader, writer):
        writer.write(b"CONNECT\naccept-version:1.2\nheart-beat:0,20\n\n\0")
        await reader.readuntil(b"\0")
        assert await asyncio.wait_for(reader.readexactly(3), 10) == b"\n\n\n"


async def test_a_large_message_goes_out_unjoined() -> None:
    async with running(application()) as (client,):
        body = "x" * 1_000_000
        client.send(
            "SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@",
            f"SEND\ndestination:/queue/a\n\n{body}^@",
        )
        assert (await client.frame()).body == body.encode()


@pytest.mark.parametrize("policy", ["disconnect", "drop", "block"])
async def test_a_subscriber_that_does_not_read(policy: str) -> None:
    destinations = {"/topic/a": {"type": "topic", "slow_consumer": policy}}
    romp = Romp(
        Config.from_dict(
            {
                "ports": [0],
                "destinations": destinations,
                "outbox_high_water": 100_000,
                "max_outbox": 1_000_000,
            }
        )
    )
    async with (
        running(romp, clients=2) as (sender, other),
        raw(romp) as (
            reader,
            writer,
        ),
    ):
        writer.write(CONNECT + b"SUBSCRIBE\ndestination:/topic/a\nid:1\n\n\0")
        await reader.readuntil(b"\0")
        await until(lambda: "/topic/a" in romp._hub.broker.destinations)
        await until(lambda: romp._hub.broker.destinations["/topic/a"].connections)
        frame = f"SEND\ndestination:/topic/a\n\n{'x' * 100_000}^@"
        for _ in range(300):
            sender.send(frame)
        sender.send("SEND\ndestination:/topic/a\nreceipt:last\n\n^@")
        last = asyncio.create_task(sender.frame())
        # Nobody else notices.
        other.send("BEGIN\ntransaction:1\nreceipt:r\n\n^@")
        assert (await other.frame()).headers["receipt-id"] == "r"
        if policy == "block":
            await asyncio.sleep(0.2)
            assert not last.done()
        data = b""
        async with asyncio.timeout(10):
            while True:
                more = await reader.read(1 << 20)
                data += more
                if not more or data.count(b"\0") == 301:
                    break
                if policy == "drop" and last.done() and len(more) < 1000:
                    break
                if policy == "drop" and last.done():
                    await asyncio.sleep(0.01)
                    if not reader._buffer:  # type: ignore[attr-defined]  # all is read
                        break
        assert (await last).headers["receipt-id"] == "last"
        if policy == "disconnect":
            assert b"ERROR\nmessage:slow consumer\n" in data
        else:
            assert b"ERROR" not in data
        assert (data.count(b"\0") == 301) == (policy == "block")


async def test_a_queue_stops_feeding_a_consumer_that_does_not_read() -> None:
    queue = {"type": "queue", "max_messages": 10_000}
    romp = Romp(
        Config.from_dict(
            {
                "ports": [0],
                "destinations": {"/queue/a": queue},
                "outbox_high_water": 50_000,
            }
        )
    )
    async with running(romp) as (sender,), raw(romp) as (reader, writer):
        writer.write(CONNECT + b"SUBSCRIBE\ndestination:/queue/a\nid:1\n\n\0")
        await reader.readuntil(b"\0")
        for _ in range(1000):
            sender.send(f"SEND\ndestination:/queue/a\n\n{'x' * 20_000}^@")
        sender.send("SEND\ndestination:/queue/a\nreceipt:last\n\n^@")
        assert (await sender.frame()).headers["receipt-id"] == "last"
        waiting = len(romp._hub.broker.destinations["/queue/a"])
        assert 0 < waiting < 1000
        count = 0
        async with asyncio.timeout(10):
            while count < 1001:
                count += (await reader.read(1 << 20)).count(b"\0")
        assert len(romp._hub.broker.destinations["/queue/a"]) == 0


async def test_thousands_of_connections_leave_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    romp = application()
    source = random.Random(1)

    async def visit(number: int) -> None:
        async with raw(romp) as (reader, writer):
            match number % 4:
                case 0:
                    writer.write(
                        CONNECT + b"SUBSCRIBE\ndestination:/topic/a\nid:1\n\n\0"
                        b"BEGIN\ntransaction:1\n\n\0"
                        b"SEND\ndestination:/topic/a\n\nhi\0"
                    )
                    await reader.read(10)
                case 1:
                    writer.write(CONNECT[:25])
                case 2:
                    writer.write(source.randbytes(200))
                case _:
                    pass

    async with romp.lifespan():
        tasks, counts = len(asyncio.all_tasks()), []
        # Other tests of this process may have left some to the collector.
        before = count_of_ours()
        for _ in range(4):
            for start in range(0, 2500, 50):
                await asyncio.gather(*map(visit, range(start, start + 50)))
            await until(lambda: not romp._hub.sessions)
            await asyncio.sleep(0)
            counts.append(count_of_ours())
        assert len(asyncio.all_tasks()) == tasks
        assert max(counts) <= before
        assert not romp._hub.broker.memory.used
    assert caplog.text == ""


async def test_a_port_that_is_taken_is_one_sentence() -> None:
    romp = application()
    async with romp.lifespan():
        port = int(romp.addresses[0].split(":")[1])
        second = Romp(Config(ports=[port]))
        with pytest.raises(StartError) as caught:
            async with second.lifespan():
                pass
        assert str(caught.value) == (
            f"cannot listen on 127.0.0.1:{port}: another program has the port"
        )
    with pytest.raises(StartError, match="this machine does not have the address"):
        async with Romp(Config(ports=[0], bind_address="192.0.2.1")).lifespan():
            pass


async def test_at_the_end_clients_are_told_and_get_what_is_queued() -> None:
    romp = application(shutdown_timeout=2.0)
    async with romp.lifespan():
        reading = await Client.connect(romp.addresses[0])
        host, port = romp.addresses[0].split(":")
        _, deaf = await asyncio.open_connection(host, int(port))
        deaf.write(CONNECT + b"SUBSCRIBE\ndestination:/topic/a\nid:1\n\n\0")
        reading.send("SUBSCRIBE\ndestination:/topic/a\nid:1\nreceipt:r\n\n^@")
        assert (await reading.frame()).headers["receipt-id"] == "r"
        await until(lambda: romp._hub.broker.destinations["/topic/a"].connections == 2)
        for _ in range(60):
            await romp.publish("/topic/a", b"x" * 100_000)

        async def read() -> list[str]:
            return [
                (await reading.frame()).headers.get("message", "") for _ in "x" * 61
            ]

        frames = asyncio.create_task(read())
        start = asyncio.get_running_loop().time()
    took = asyncio.get_running_loop().time() - start
    assert took < 4
    assert await frames == [""] * 60 + ["shutdown"]
    with pytest.raises(EOFError):
        await reading.frame()
    await reading.close()
    deaf.transport.abort()
    await asyncio.sleep(0)


def test_peer_name() -> None:
    assert peer_name(("1.2.3.4", 5)) == "1.2.3.4:5"
    assert peer_name(("::1", 5, 0, 0)) == "[::1]:5"
    assert peer_name(None) == "None"
