"""Romp as an application, and in one."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import romp_asgi
from romp_asgi import Config, DestinationConfig, LocalSubscription, Message, Romp
from romp_asgi.errors import (
    DestinationFull,
    MessageTooLarge,
    SlowConsumer,
    UnknownDestination,
)
from tests.client import running

pytestmark = pytest.mark.anyio

CONNECT = "CONNECT\naccept-version:1.2\nhost:x\n\n\0"


def http(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def test_public_names() -> None:
    for name in romp_asgi.__all__:
        assert getattr(romp_asgi, name)
    assert callable(romp_asgi.app)


# In an application


def fastapi_app(romp: Romp) -> Any:
    app = FastAPI(lifespan=romp.lifespan)
    app.mount("/romp", romp)

    @app.get("/own")
    async def own() -> str:
        return "own"

    return app


def starlette_app(romp: Romp) -> Any:
    return Starlette(routes=[Mount("/romp", romp)], lifespan=romp.lifespan)


@pytest.mark.parametrize("make", [fastapi_app, starlette_app])
def test_mounted(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    with TestClient(make(Romp())) as client:
        assert client.get("/romp/health_check").status_code == 200
        assert "STOMP" in client.get("/romp/").text
        assert client.get("/romp/nothing").status_code == 404
        if make is fastapi_app:
            assert client.get("/own").json() == "own"
        for path in ("/romp/", "/romp/any/path"):
            with client.websocket_connect(path, ["v12.stomp"]) as websocket:
                websocket.send_text(CONNECT)
                assert websocket.receive_text().startswith("CONNECTED\n")
    assert "lifespan" not in caplog.text


def test_the_lifespan_composes_with_one_of_the_application() -> None:
    romp, events = Romp(Config(ports=[0])), list[object]()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        async with romp.lifespan(app):
            events.append(len(romp.addresses))
            yield {"mine": 1}
            events.append("ends")

    app = FastAPI(lifespan=lifespan)
    app.mount("/romp", romp)
    with TestClient(app) as client:
        assert client.get("/romp/health_check").status_code == 200
    assert events == [1, "ends"]
    assert romp.addresses == []


def test_without_the_lifespan_websocket_works_and_the_log_says_once_what_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Starlette(routes=[Mount("/romp", Romp(Config(ports=[1234])))])
    client = TestClient(app)
    for _ in range(2):
        with client.websocket_connect("/romp/") as websocket:
            websocket.send_text(CONNECT)
            assert websocket.receive_text().startswith("CONNECTED\n")
    lines = [r.getMessage() for r in caplog.records if r.name == "romp_asgi.app"]
    assert len(lines) == 1
    assert "romp.lifespan was not run, no TCP listener is open (ports 1234)" in lines[0]


async def test_listeners_are_opened_only_if_the_config_names_them() -> None:
    async with (romp := Romp()).lifespan():
        assert (romp.addresses, romp.admin_addresses) == ([], [])
    async with (romp := Romp(Config(ports=[0]))).lifespan():
        assert (len(romp.addresses), romp.admin_addresses) == (1, [])


async def test_two_brokers_share_nothing() -> None:
    one, two = Romp(), Romp()
    async with one.subscribe("/topic/a") as ones, two.subscribe("/topic/a") as twos:
        await one.publish("/topic/a", "one")
        await two.publish("/topic/a", "two")
        assert (await anext(ones)).text == "one"
        assert (await anext(twos)).text == "two"


async def test_lifespan_events_of_the_server() -> None:
    sent: list[Any] = []
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(events)

    async def send(event: Any) -> None:
        sent.append(event)

    await Romp()({"type": "lifespan"}, receive, send)
    assert [event["type"] for event in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


# Pages


async def test_pages() -> None:
    romp = Romp(Config(name="<my> broker", ports=[0]))
    async with romp.lifespan(), http(romp) as client:
        for path in ("/health_check", "/romp/health_check"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (200, "")
            assert answer.headers["server"] == "<my> broker"
        home = await client.get("/")
        assert "&lt;my&gt; broker" in home.text
        assert romp.addresses[0] in home.text
        head = await client.head("/")
        assert head.content == b""
        assert head.headers["content-length"] == home.headers["content-length"]
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.post("/health_check")).status_code == 405


# Application code


async def test_publish_and_subscribe() -> None:
    romp = Romp()
    async with romp.subscribe("/topic/a") as messages:
        headers = {"x": "y", "message-id": "mine", "destination": "/else"}
        await romp.publish("/topic/a", "Grüße", headers)
        await romp.publish("/topic/a", b"\xff")
        message = await anext(messages)
        assert isinstance(message, Message)
        assert message.destination == "/topic/a"
        assert message.headers == {"destination": "/topic/a", "x": "y"}
        assert message.text == "Grüße"
        assert message.id.isdigit()
        assert (await anext(messages)).body == b"\xff"


async def test_application_and_clients_talk() -> None:
    romp = Romp(Config(ports=[0]))
    async with running(romp) as (client,), romp.subscribe("/queue/in") as messages:
        client.send("SUBSCRIBE\ndestination:/topic/out\nid:1\nreceipt:r\n\n^@")
        assert (await client.frame()).headers["receipt-id"] == "r"
        client.send("SEND\ndestination:/queue/in\nreply:to:me\n\nquestion^@")
        message = await anext(messages)
        assert (message.text, message.headers["reply"]) == ("question", "to:me")
        await romp.publish("/topic/out", "answer")
        assert (await client.frame()).body == b"answer"


async def test_what_was_fetched_ahead_goes_back_to_its_queue() -> None:
    romp = Romp()
    for number in range(5):
        await romp.publish("/queue/a", str(number))
    async with romp.subscribe("/queue/a") as messages:
        assert (await anext(messages)).text == "0"
    async with romp.subscribe("/queue/a") as messages:
        assert [(await anext(messages)).text for _ in range(4)] == list("1234")


async def test_a_reader_that_waits_is_woken() -> None:
    romp = Romp()
    async with romp.subscribe("/queue/a") as messages:
        first = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        await romp.publish("/queue/a", "x")
        assert (await first).text == "x"


async def test_a_slow_reader_of_a_topic_is_told_after_what_it_has() -> None:
    romp = Romp(Config(max_outbox=10_000))
    async with romp.subscribe("/topic/a") as messages:
        for _ in range(200):
            await romp.publish("/topic/a", "x" * 100)
        for _ in range(16):
            assert (await anext(messages)).body
        with pytest.raises(SlowConsumer):
            await _drain(messages)


async def _drain(messages: LocalSubscription) -> None:
    async for _ in messages:
        pass


async def test_a_reader_of_an_auto_ack_destination_is_fed_as_it_reads() -> None:
    queue = DestinationConfig(type="queue", max_messages=1000, auto_ack=True)
    romp = Romp(Config(max_outbox=5000, destinations={"/queue/a": queue}))
    async with romp.subscribe("/queue/a") as messages:
        for number in range(100):
            await romp.publish("/queue/a", str(number))
        for number in range(100):
            assert (await anext(messages)).text == str(number)


async def test_publish_errors() -> None:
    queue = DestinationConfig(type="queue", max_messages=1, max_message_size=3)
    romp = Romp(Config(destinations={"/queue/a": queue}))
    with pytest.raises(UnknownDestination):
        await romp.publish("/nowhere")
    with pytest.raises(UnknownDestination):
        async with romp.subscribe("/nowhere"):
            pass
    with pytest.raises(MessageTooLarge):
        await romp.publish("/queue/a", "1234")
    await romp.publish("/queue/a")
    with pytest.raises(DestinationFull):
        await romp.publish("/queue/a")
    wrong: Any = 7
    with pytest.raises(TypeError, match="body must be bytes or str, not int"):
        await romp.publish("/queue/a", wrong)
    with pytest.raises(TypeError, match="headers must be str"):
        await romp.publish("/queue/a", "", {"n": wrong})
    for name, value in [("n", "\ud800"), ("n\0", ""), ("n", "\0"), ("", "a")]:
        with pytest.raises(ValueError, match="a header"):
            await romp.publish("/queue/a", "", {name: value})


async def test_publish_waits_where_the_queue_blocks() -> None:
    queue = DestinationConfig(type="queue", max_messages=2, overflow="block")
    romp = Romp(Config(destinations={"/queue/a": queue}))
    await romp.publish("/queue/a", "0")
    waiting = asyncio.create_task(romp.publish("/queue/a", "1"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    async with romp.subscribe("/queue/a") as messages:
        assert [(await anext(messages)).text for _ in range(2)] == ["0", "1"]
    await waiting


async def test_blocks_do_not_hold_for_application_code() -> None:
    topic = DestinationConfig(type="topic", write_block=True, read_block=True)
    romp = Romp(Config(destinations={"/topic/a": topic}))
    async with romp.subscribe("/topic/a") as messages:
        await romp.publish("/topic/a", "x")
        assert (await anext(messages)).text == "x"


async def test_losses_are_a_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    queue = DestinationConfig(type="queue", expiry=50)
    romp = Romp(Config(destinations={"/queue/a": queue}))
    async with romp.lifespan():
        for _ in range(3):
            await romp.publish("/queue/a")
        async with asyncio.timeout(5):
            while "dropped 3 messages of /queue/a: expired" not in caplog.text:
                await asyncio.sleep(0.05)
    assert len(caplog.records) == 1


async def test_a_client_is_refused_while_the_server_stops() -> None:
    romp = Romp(Config(ports=[0]))
    async with romp.lifespan():
        await romp.stop()
        host, port = romp.addresses[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert (await reader.read()).startswith(b"ERROR\nmessage:shutdown\n")
        writer.close()
        await writer.wait_closed()
