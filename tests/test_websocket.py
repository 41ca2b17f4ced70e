"""WebSocket: a real uvicorn, with its own protocol class and with ours."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from romp_asgi import Config, Romp
from romp_asgi.errors import FilterError, InternalError, SlowConsumer
from romp_asgi.routes.websocket import origin_allowed
from romp_asgi.server import Server
from romp_asgi.uvicorn_ws import StandAloneProtocol, WebSocketProtocol
from romp_asgi.websocket import close_code, close_reason

pytestmark = pytest.mark.anyio

CONNECT = "CONNECT\naccept-version:1.2\nhost:x\n\n\0"
SUBSCRIBE = "SUBSCRIBE\ndestination:/topic/a\nid:1\nreceipt:s\n\n\0"
SEND = "SEND\ndestination:/topic/a\n\n"


@pytest.fixture(params=[StandAloneProtocol, WebSocketProtocol, "websockets-sansio"])
def ws(request: pytest.FixtureRequest) -> Any:
    return request.param


@asynccontextmanager
async def serving(
    ws: Any, *, ping: Any = 20, slow: Any = None, **keys: Any
) -> AsyncIterator[tuple[str, Romp]]:
    """A server; its WebSocket address and its application."""
    romp = Romp(Config(**keys))
    config = uvicorn.Config(
        romp if slow is None else slow(romp),
        ws=ws,
        lifespan="off",
        log_config=None,
        ws_per_message_deflate=False,
        ws_max_size=1 << 22,
        ws_ping_interval=ping,
        ws_ping_timeout=ping,
        timeout_graceful_shutdown=1,
    )
    server = Server(config, romp)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        port = listener.getsockname()[1]
        async with romp.lifespan():
            task = asyncio.create_task(server._serve([listener]))
            try:
                async with asyncio.timeout(5):
                    while not server.started:
                        await asyncio.sleep(0.01)
                yield f"ws://127.0.0.1:{port}", romp
            finally:
                server.should_exit = True
                await asyncio.wait_for(task, 10)


@asynccontextmanager
async def connected(url: str, **more: Any) -> AsyncIterator[ClientConnection]:
    """A client that has CONNECTED."""
    options = {"max_size": None, "compression": None, **more}
    async with asyncio.timeout(20), connect(f"{url}/", **options) as client:
        await client.send(CONNECT)
        assert str(await client.recv()).startswith("CONNECTED\n")
        yield client


async def subscribed(client: ClientConnection) -> None:
    await client.send(SUBSCRIBE)
    assert str(await client.recv()).startswith("RECEIPT\n")


def test_a_reason_is_cut_to_what_a_close_may_have() -> None:
    assert close_reason(None) == ""
    assert close_reason(FilterError("no")) == "no"
    assert close_reason(FilterError("ü" * 100)) == "ü" * 61


async def closed_with(client: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        await client.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["v10.stomp", "v11.stomp", "v12.stomp"], "v12.stomp"),
        (["v11.stomp"], "v11.stomp"),
        (["v10.stomp"], "v10.stomp"),
        (["stomp"], "stomp"),
        (None, None),
    ],
)
async def test_subprotocols(
    ws: Any, offered: list[str] | None, chosen: str | None
) -> None:
    async with serving(ws) as (url, _), connected(url, subprotocols=offered) as client:
        assert client.subprotocol == chosen


async def test_text_and_binary_both_ways(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        await subscribed(client)
        await client.send(f"{SEND}Grüße\0")
        assert str(await client.recv()).endswith("\n\nGrüße\0")
        await client.send(f"{SEND}Grüße\0".encode())
        assert str(await client.recv()).endswith("\n\nGrüße\0")
        await client.send(SEND.encode() + b"\xff\xfe\0")
        answer = await client.recv()
        assert isinstance(answer, bytes)
        assert answer.endswith(b"\n\n\xff\xfe\0")


async def test_frames_split_over_messages_and_packed_into_one(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        await subscribed(client)
        for piece in (SEND[:7], SEND[7:], "spl", "it\0\n"):
            await client.send(piece)
        assert str(await client.recv()).endswith("split\0")
        await client.send(f"{SEND}one\0\n{SEND}two\0{SEND}three\0")
        # One STOMP frame a message.
        answers = [str(await client.recv()) for _ in range(3)]
        assert [a.rpartition("\n")[2] for a in answers] == ["one\0", "two\0", "three\0"]
        assert all(answer.count("\0") == 1 for answer in answers)


async def test_coalesced(ws: Any) -> None:
    async with (
        serving(ws, websocket_coalesce=True) as (url, _),
        connected(url) as client,
    ):
        await subscribed(client)
        await client.send(f"{SEND}x\0" * 500)
        messages, count = 0, 0
        while count < 500:
            count += str(await client.recv()).count("\0")
            messages += 1
        assert messages < 50


@pytest.mark.parametrize("coalesce", [False, True])
async def test_a_heart_beat_is_a_message_of_its_own(ws: Any, coalesce: bool) -> None:
    keys = {"heart_beat_write_min": 20, "websocket_coalesce": coalesce}
    async with (
        serving(ws, **keys) as (url, _),
        asyncio.timeout(10),
        connect(f"{url}/") as client,
    ):
        await client.send("CONNECT\naccept-version:1.2\nheart-beat:0,20\n\n\0")
        await client.recv()
        assert [await client.recv() for _ in range(3)] == ["\n"] * 3


async def test_a_megabyte(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        await subscribed(client)
        await client.send(SEND + "x" * (1 << 20) + "\0")
        assert len(await client.recv()) > 1 << 20


@pytest.mark.parametrize(
    ("frame", "message", "code"),
    [
        ("NONSENSE\n\n\0", "syntax", 1002),
        (f"{SEND}{'x' * 20}\0", "msg flup", 1009),
        ("SEND\ndestination:/nowhere\n\n\0", "destination unknown", 1008),
    ],
)
async def test_an_error_then_its_close_code(
    ws: Any, frame: str, message: str, code: int
) -> None:
    async with serving(ws, max_message_size=10) as (url, _), connected(url) as client:
        await client.send(frame)
        await client.send("ignored")
        assert str(await client.recv()).startswith(f"ERROR\nmessage:{message}\n")
        assert await closed_with(client) == code


async def test_disconnect_closes_with_1000(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        await client.send("DISCONNECT\nreceipt:r\n\n\0")
        assert str(await client.recv()).startswith("RECEIPT\n")
        assert await closed_with(client) == 1000


async def test_a_wrong_login_closes_with_1008(ws: Any) -> None:
    async with (
        serving(ws, login="a", passcode="b") as (url, _),
        connect(f"{url}/") as client,
    ):
        await client.send(CONNECT)
        assert str(await client.recv()).startswith("ERROR\nmessage:auth err\n")
        assert await closed_with(client) == 1008


async def test_shutdown_tells_then_closes_with_1012(ws: Any) -> None:
    async with serving(ws) as (url, romp), connected(url) as client:
        await subscribed(client)
        for _ in range(100):
            await romp.publish("/topic/a", "queued")
        stop = asyncio.create_task(romp.stop())
        for _ in range(100):
            assert str(await client.recv()).endswith("queued\0")
        assert str(await client.recv()).startswith("ERROR\nmessage:shutdown\n")
        assert await closed_with(client) == 1012
        await stop


@pytest.mark.parametrize(
    ("keys", "path"),
    [({"websockets": False}, "/"), ({"websocket_path": "/stomp"}, "/other")],
)
async def test_no_websocket_here(ws: Any, keys: dict[str, Any], path: str) -> None:
    async with serving(ws, **keys) as (url, _):
        with pytest.raises(InvalidStatus) as caught:
            await connect(url + path)
        assert caught.value.response.status_code in (403, 404)


async def test_websocket_path(ws: Any) -> None:
    async with (
        serving(ws, websocket_path="/stomp") as (url, _),
        connect(f"{url}/stomp") as client,
    ):
        await client.send(CONNECT)
        assert str(await client.recv()).startswith("CONNECTED\n")


@pytest.mark.parametrize(
    ("allowed", "origin", "is_good"),
    [
        (None, "same", True),
        (None, "http://evil.example", False),
        ("https://good.example", "https://good.example", True),
        ("https://good.example", "same", False),
        ("*", "http://evil.example", True),
    ],
)
async def test_origin(ws: Any, allowed: str | None, origin: str, is_good: bool) -> None:
    async with serving(ws, websockets_origin=allowed) as (url, _):
        if origin == "same":
            origin = url.replace("ws:", "http:")
        if is_good:
            async with connected(url, origin=origin):
                return
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, origin=origin)  # type: ignore[arg-type]  # any text
        assert caught.value.response.status_code == 403
        assert b"websockets_origin" in (caught.value.response.body or b"")


def test_origin_rules() -> None:
    assert origin_allowed(None, "a:1", None)
    assert origin_allowed("https://A:1", "a:1", None)
    assert not origin_allowed("https://a", "a:1", None)
    assert origin_allowed("HTTPS://A", "b", frozenset({"https://a"}))


def test_close_codes() -> None:
    assert close_code(InternalError()) == 1011
    assert close_code(SlowConsumer("/topic/a", 1)) == 1008


async def test_a_client_that_does_not_read_is_cut_off(ws: Any) -> None:
    keys = {"outbox_high_water": 50_000, "max_outbox": 500_000}
    async with serving(ws, **keys) as (url, romp), connected(url) as client:
        await subscribed(client)
        client.transport.pause_reading()
        hub = romp._hub
        async with asyncio.timeout(10):
            while hub.broker.destinations.get("/topic/a") is not None:
                topic = hub.broker.destinations["/topic/a"]
                if not topic.connections:
                    break
                await romp.publish("/topic/a", "x" * 50_000)
                await asyncio.sleep(0)
        client.transport.resume_reading()
        last = ""
        try:
            while True:
                last = str(await client.recv())[:100]
        except ConnectionClosed:
            assert last.startswith("ERROR\nmessage:slow consumer\n")


async def test_ping_and_a_client_that_vanishes(ws: Any) -> None:
    async with serving(ws) as (url, romp):
        async with connected(url) as client:
            await subscribed(client)
            await asyncio.wait_for(await client.ping(), 5)
            client.transport.abort()
        async with asyncio.timeout(5):
            while romp._hub.sessions:
                await romp.publish("/topic/a", "x" * 1000)
                await asyncio.sleep(0.01)


async def test_connections_leave_nothing_behind(ws: Any) -> None:
    async with serving(ws) as (url, romp):
        tasks = len(asyncio.all_tasks())
        for number in range(150):
            async with connect(f"{url}/") as client:
                if number % 3:
                    await client.send(CONNECT if number % 2 else "garbage\n\n\0")
        async with asyncio.timeout(5):
            while romp._hub.sessions or len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0.01)


async def test_a_held_producer_goes_on_later(ws: Any) -> None:
    queue = {"type": "queue", "max_messages": 2, "overflow": "block"}
    async with (
        serving(ws, destinations={"/queue/a": queue}) as (url, romp),
        connected(url) as client,
    ):
        frame = "SEND\ndestination:/queue/a\n\nx\0"
        await client.send(frame * 6 + "SEND\ndestination:/queue/a\nreceipt:r\n\ny\0")
        async with romp.subscribe("/queue/a") as messages:
            bodies = [(await anext(messages)).text for _ in range(7)]
        assert bodies == ["x"] * 6 + ["y"]
        assert str(await client.recv()).startswith("RECEIPT\nreceipt-id:r\n")
