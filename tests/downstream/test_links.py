"""Links to an edge server, which is another of ourselves, over real sockets."""

import asyncio
import logging
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from romp_asgi import Config, Romp
from romp_asgi.downstream import LinkState, link as link_module
from romp_asgi.filters import (
    HANDLED,
    PRE_SEND,
    Context,
    FilterError,
    Outcome,
    StompMessage,
)
from romp_asgi.stomp.spec import Command

pytestmark = pytest.mark.anyio

DESTINATIONS: dict[str, Any] = {
    "/queue/**": {"type": "queue", "max_messages": 10_000},
    "/topic/**": {"type": "topic"},
}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links dial again at once."""
    monkeypatch.setattr(link_module, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(link_module, "LONGEST_WAIT", 0.05)


def edge(port: int = 0, **keys: Any) -> Romp:
    table = {"ports": [port], "destinations": DESTINATIONS, "admin_port": 0, **keys}
    return Romp(Config.from_dict(table))


def server(address: str, tables: dict[str, Any] = DESTINATIONS, **link: Any) -> Romp:
    """One with a link to an edge."""
    edge = {"address": address, "destinations": ["/queue/a"], **link}
    config = {"destinations": tables, "downstreams": {"edge": edge}}
    return Romp(Config.from_dict(config))


@asynccontextmanager
async def both(**keys: Any) -> AsyncIterator[tuple[Romp, Romp]]:
    """An edge server, and one that is linked to it."""
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], **keys)
        async with here.lifespan():
            await until(lambda: state(here).is_connected)
            yield there, here


def state(romp: Romp) -> LinkState:
    (only,) = romp.downstreams
    return only


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def unacked(romp: Romp) -> int:
    return sum(len(session.client.unacked) for session in romp._hub.sessions)


async def test_what_comes_there_is_sent_here() -> None:
    async with both(local_destinations=["/queue/b"]) as (there, here):
        async with here.subscribe("/queue/b") as messages:
            await there.publish("/queue/a", "hello", {"colour": "a:b\n"})
            message = await anext(messages)
        assert message.destination == "/queue/b"
        assert message.text == "hello"
        assert message.headers["colour"] == "a:b\n"
        assert int(message.headers["orig-id"]) > 1_600_000_000_000
        await until(lambda: unacked(there) == 0)
        now = state(here)
        assert (now.name, now.address) == ("edge", there.addresses[0])
        assert (now.connects, now.messages, now.refused, now.error) == (1, 1, 0, "")


async def test_several_destinations_have_counterparts_each() -> None:
    async with both(
        destinations=["/queue/a", "/topic/b"],
        local_destinations=["/queue/x", "/queue/y"],
    ) as (there, here):
        await until(lambda: len(there._hub.broker.destinations) == 2)
        await there.publish("/topic/b", "b")
        await there.publish("/queue/a", "a")
        for name, text in (("/queue/x", "a"), ("/queue/y", "b")):
            async with here.subscribe(name) as messages:
                assert (await anext(messages)).text == text


async def test_an_edge_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    there = edge()
    async with there.lifespan():
        address = there.addresses[0]
    port = int(address.rpartition(":")[2])
    here = server(address)
    async with here.lifespan():
        await until(lambda: state(here).error)
        assert not state(here).is_connected
        assert "Connect call failed" in state(here).error
        await asyncio.sleep(0.2)
        # Told once, however often it was tried.
        assert len([r for r in caplog.records if "downstream" in r.message]) == 1
        again = edge(port)
        async with again.lifespan():
            await again.publish("/queue/a", "late")
            async with here.subscribe("/queue/a") as messages:
                assert (await anext(messages)).text == "late"


async def test_an_edge_that_starts_again_loses_us_nothing() -> None:
    there = edge()
    async with there.lifespan():
        address = there.addresses[0]
        here = server(address)
        # Its links are to be taken down after the edge: as if that had been killed.
        life = here.lifespan()
        await life.__aenter__()
        for number in range(100):
            await there.publish("/queue/a", str(number))
        await until(lambda: state(here).messages == 100)
        await until(lambda: unacked(there) == 0)
    await until(lambda: not state(here).is_connected)
    assert state(here).error == "shutdown: The server is shutting down."
    again = edge(int(address.rpartition(":")[2]))
    async with again.lifespan():
        await again.publish("/queue/a", "again")
        async with here.subscribe("/queue/a") as messages:
            texts = [(await anext(messages)).text for _ in range(101)]
        assert texts == [*map(str, range(100)), "again"]
        assert state(here).connects == 2
        await life.__aexit__(None, None, None)


async def test_what_was_not_taken_stays_at_the_edge() -> None:
    small = {"/queue/a": {"type": "queue", "max_messages": 2, "overflow": "block"}}
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], small, prefetch_count=5)
        for number in range(20):
            await there.publish("/queue/a", str(number))
        async with here.lifespan():
            queue = there._hub.broker.destinations["/queue/a"]
            local = here._hub.broker.destinations["/queue/a"]
            await until(lambda: len(local) == 2)
            await asyncio.sleep(0.05)
            # The one that filled the queue is held, and those behind it wait.
            assert len(local) == 2
            assert state(here).messages == 1
            assert len(queue) + unacked(there) == 19
            async with here.subscribe("/queue/a") as messages:
                texts = [(await anext(messages)).text for _ in range(20)]
        assert texts == [str(number) for number in range(20)]


async def test_what_is_refused_here_is_told_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    picky = {"/queue/a": {"type": "queue", "max_message_size": 5}}
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], picky)
        for body in ("1", "much too long", "2", "much too long, too", "3"):
            await there.publish("/queue/a", body)
        async with here.lifespan(), here.subscribe("/queue/a") as messages:
            assert [(await anext(messages)).text for _ in "123"] == ["1", "2", "3"]
            await until(lambda: state(here).refused == 2)
            await until(lambda: unacked(there) == 0)
            assert state(here).connects == 1
    lines = [r.message for r in caplog.records if "was refused" in r.message]
    assert len(lines) == 2
    assert "downstream edge: a message for /queue/a was refused: msg flup: " in lines[0]


async def test_filters_see_it_and_answer_to_the_edge() -> None:
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0])

        def answer(context: Context, message: StompMessage) -> Outcome | None:
            if not context.is_downstream or message.command is not Command.SEND:
                return None
            if message.body == b"refuse":
                raise FilterError
            context.session.send_message("/queue/answers", message.text.upper())
            return HANDLED

        here.stomp_filter_at(answer, PRE_SEND)
        async with here.lifespan(), there.subscribe("/queue/answers") as answers:
            await there.publish("/queue/a", "refuse")
            await there.publish("/queue/a", "hello")
            assert (await anext(answers)).text == "HELLO"
            # Handled is taken, for the edge.
            await until(lambda: unacked(there) == 0 and state(here).messages == 1)
            assert state(here).refused == 1


async def test_a_wrong_login_is_told_and_tried_again_slowly(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "LONGEST_WAIT", 1000.0)
    there = edge(login="romp", passcode="right")
    async with there.lifespan():
        here = server(there.addresses[0], login="romp", passcode="wr0ng")
        async with here.lifespan():
            await until(lambda: state(here).error)
            assert state(here).error.startswith("auth err: The login or the passcode")
            assert here._links[0]._backoff._limit == 1000.0
    assert "wr0ng" not in caplog.text


async def test_a_good_login() -> None:
    there = edge(login="romp", passcode="right")
    async with there.lifespan():
        here = server(there.addresses[0], login="romp", passcode="right")
        async with here.lifespan():
            await until(lambda: state(here).is_connected)


async def test_an_edge_that_falls_silent_is_left() -> None:
    connected = b"CONNECTED\nversion:1.2\nheart-beat:20,20\n\n\0"
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0")
        writer.write(connected)
        while data := await reader.read(1000):
            heard.extend(data)
        writer.close()

    silent = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        here = server(f"127.0.0.1:{port}", heart_beat=20)
        async with here.lifespan():
            await until(lambda: state(here).error)
            assert state(here).error == "its heart-beats have stopped"
            await until(lambda: state(here).connects == 2)
    # We send ours, after the SUBSCRIBE.
    assert heard.startswith(b"SUBSCRIBE\n")
    assert b"\0\n\n" in heard


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "The command 'HTTP/1.1 400 Bad"),
        (b"CONNECTED\nversion:3.0\n\n\0", "it speaks STOMP '3.0'"),
        (b"ERROR\nmessage:no\n\nGo away.\0", "no: Go away."),
        (b"", "the edge server closed the connection"),
    ],
)
async def test_what_is_no_edge(answer: bytes, error: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0")
        writer.write(answer)
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        here = server(f"localhost:{port}")
        async with here.lifespan():
            await until(lambda: state(here).error)
            assert state(here).error.startswith(error)


async def serve_romp(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """An edge as romp is: of STOMP 1.0, every subscription is 0."""
    assert b"login:xtomp\npasscode:password\n" in await reader.readuntil(b"\0")
    writer.write(b"CONNECTED\nserver:romp\nversion:1.0\n\n\0")
    assert b"destination:/queue/a\n" in await reader.readuntil(b"\0")
    assert b"destination:/queue/b\n" in await reader.readuntil(b"\0")
    for number, name in enumerate("ba"):
        writer.write(
            f"MESSAGE\nmessage-id:{number}\nsubscription:x\n"
            f"destination:/queue/{name}\n\n{name}\0".encode()
        )
        ack = await reader.readuntil(b"\0")
        assert f"message-id:{number}\n".encode() in ack
    await reader.read()
    writer.close()


async def test_an_edge_of_stomp_1_0() -> None:
    romp = await asyncio.start_server(serve_romp, "127.0.0.1", 0)
    async with romp:
        port = romp.sockets[0].getsockname()[1]
        here = server(
            f"127.0.0.1:{port}",
            destinations=["/queue/a", "/queue/b"],
            local_destinations=["/queue/x", "/queue/y"],
        )
        async with here.lifespan():
            for name, text, id in (("/queue/y", "b", "0"), ("/queue/x", "a", "1")):
                async with here.subscribe(name) as messages:
                    message = await anext(messages)
                    assert (message.text, message.headers["orig-id"]) == (text, id)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """One that localhost has signed itself, and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *more, *files], check=True, capture_output=True)
    return certificate, key


async def test_tls(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0")
        writer.write(b"CONNECTED\nversion:1.2\n\n\0")
        await reader.read()
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with other:
        port = other.sockets[0].getsockname()[1]
        trusting = server(
            f"localhost:{port}", tls=True, tls_ca_file=str(certificate[0])
        )
        async with trusting.lifespan():
            await until(lambda: state(trusting).is_connected)
        doubting = server(f"localhost:{port}", tls=True)
        async with doubting.lifespan():
            await until(lambda: state(doubting).error)
            assert state(doubting).error.startswith("TLS: ")


async def test_the_end_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tasks = asyncio.all_tasks()
    async with both() as (there, here):
        await there.publish("/queue/a", "x")
        await until(lambda: state(here).messages == 1)
        assert [session.peer for session in here._hub.sessions] == ["downstream edge"]
    assert not here._hub.sessions
    await until(lambda: asyncio.all_tasks() == tasks)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
