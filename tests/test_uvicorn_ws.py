"""Our protocol class for uvicorn: messages without events, and with them as ever."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings, strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from bench.wire import websocket_frame
from romp_asgi.uvicorn_ws import (
    Farewell,
    Gate,
    LastEvents,
    StandAloneProtocol,
    WebSocketProtocol,
)
from romp_asgi.websocket import DIRECT
from romp_asgi.websocket_messages import (
    PackedOutbox,
    decode_messages,
    encode_messages,
    frame_size,
    text_head,
)
from tests.test_session import NoFlusher
from tests.test_websocket import (
    CONNECT,
    SEND,
    SUBSCRIBE,
    closed_with,
    connected,
    serving,
    subscribed,
)

pytestmark = pytest.mark.anyio


# Encoding


def read(octets: bytes) -> list[tuple[Opcode, bytes]]:
    """The messages in them, as a client of websockets has them."""
    protocol = Protocol(Side.CLIENT, max_size=None)
    protocol.receive_data(octets)
    messages = []
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        assert frame.fin
        messages.append((frame.opcode, bytes(frame.data)))
    return messages


@pytest.mark.parametrize("size", [1, 125, 126, 1023, 1024, 65535, 65536, 1 << 20])
@pytest.mark.parametrize("filling", [b"x", b"\xc3\xbc", b"\xff"])
def test_a_message_of_any_length(size: int, filling: bytes) -> None:
    payload = (filling * size)[: (size - 1) // len(filling) * len(filling)] + b"\0"
    opcode = Opcode.BINARY if b"\xff" in payload else Opcode.TEXT
    for head, tail in ((payload, b""), (b"MESSAGE\n\n", payload)):
        pieces = [text_head(len(head) + len(tail)), head, tail]
        assert read(encode_messages(pieces)) == [(opcode, head + tail)]


@given(st.lists(st.tuples(st.binary(), st.text()), min_size=1))
def test_each_message_is_text_if_it_can_be(messages: list[tuple[bytes, str]]) -> None:
    def opcode(payload: bytes) -> Opcode:
        try:
            payload.decode()
        except UnicodeDecodeError:
            return Opcode.BINARY
        return Opcode.TEXT

    pieces, payloads = [], []
    for number, (octets, text) in enumerate(messages):
        one, two = text.encode() + b"\0", octets + b"\0"
        if number % 2:
            one, two = two, one
        pieces += [text_head(len(one + two)), one, two]
        payloads.append(one + two)
    expected = [(opcode(payload), payload) for payload in payloads]
    assert read(encode_messages(pieces)) == expected


# Decoding


def client_frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame as a client of websockets has it."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


SIZES = (0, 1, 125, 126, 127, 65535)


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("size", SIZES)
def test_a_simple_message_is_taken_when_it_is_complete(
    opcode: Opcode, size: int
) -> None:
    payload = bytes(97 + index % 26 for index in range(size))
    frame = client_frame(opcode, payload)
    before = client_frame(opcode, b"before")
    for cut in {*range(15), len(frame) - 1, len(frame)}:
        data = before + frame[:cut]
        payloads: list[bytes] = []
        is_complete = cut >= len(frame)
        end = len(before) + (len(frame) if is_complete else 0)
        assert decode_messages(data, 0, payloads) == end
        assert payloads == [b"before", payload][: 1 + is_complete]
        assert frame_size(frame[:cut], 0) in (0, len(frame))
    assert frame_size(frame, 0) == len(frame)


@pytest.mark.parametrize(
    "frame",
    [
        client_frame(Opcode.TEXT, b"x" * 65536),
        client_frame(Opcode.TEXT, b"\xff"),
        client_frame(Opcode.TEXT, b"x", fin=False),
        client_frame(Opcode.CONT, b"x"),
        client_frame(Opcode.PING, b"x"),
        client_frame(Opcode.CLOSE, b"\x03\xe8"),
        Frame(Opcode.TEXT, b"not masked").serialize(mask=False),
        b"\xc1" + client_frame(Opcode.TEXT, b"compressed")[1:],
    ],
)
def test_what_is_not_simple_is_left(frame: bytes) -> None:
    payloads: list[bytes] = []
    simple = client_frame(Opcode.BINARY, b"\xff")
    assert decode_messages(simple + frame + simple, 0, payloads) == len(simple)
    assert payloads == [b"\xff"]
    assert frame_size(simple + frame, len(simple)) == len(frame)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_however_what_a_client_sends_is_cut_it_is_read_as_websockets_would(
    data: st.DataObject,
) -> None:
    """All kinds of frames, in pieces of any lengths."""
    frames = data.draw(st.lists(some_frames(), max_size=12))
    octets = b"".join(frames)
    places = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=20)))
    edges = [0, *places, len(octets)]
    pieces = [octets[a:b] for a, b in itertools.pairwise(edges) if b > a]
    ours, theirs = Reading(by_itself=True), Reading(by_itself=False)
    for piece in pieces:
        ours.protocol.data_received(piece)
        theirs.protocol.data_received(piece)
    assert ours.protocol.conn.state is theirs.protocol.conn.state
    if ours.protocol.conn.state is State.OPEN:
        assert ours.payloads == theirs.payloads
        assert ours.written == theirs.written
    else:
        # Of the same read, with what is wrong uvicorn drops what came before it, and
        # of two wrong frames the other one may be told of.
        assert ours.payloads.startswith(theirs.payloads)
        assert b"\x88" in ours.written
        assert b"\x88" in theirs.written


@st.composite
def some_frames(draw: st.DrawFn) -> bytes:
    """A message, in one frame or several, or a control frame; seldom a wrong one."""
    size = draw(st.sampled_from([*SIZES, 65536, 5]))
    text = client_frame(Opcode.TEXT, b"x" * size)
    return draw(
        st.sampled_from(
            [
                *[text] * 4,
                client_frame(Opcode.BINARY, b"\xff" * size),
                client_frame(Opcode.PING, b"ping"),
                client_frame(Opcode.TEXT, b"be", fin=False)
                + client_frame(Opcode.PING, b"between")
                + client_frame(Opcode.CONT, b"", fin=False)
                + client_frame(Opcode.CONT, b"gun"),
                client_frame(Opcode.TEXT, b"never ended", fin=False),
                client_frame(Opcode.TEXT, b"\xff"),
                client_frame(Opcode.CONT, b"of nothing"),
                client_frame(Opcode.CLOSE, b"\x03\xe8"),
                Frame(Opcode.TEXT, b"not masked").serialize(mask=False),
            ]
        )
    )


class Reading:
    """The protocol class after a handshake, and what comes of what it reads."""

    def __init__(self, *, by_itself: bool) -> None:
        self.payloads = b""
        self.written = b""
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            config = uvicorn.Config(echo, log_config=None)
            config.load()
            self.protocol = WebSocketProtocol(config, ServerState(), {}, loop)
        self.protocol.transport = self  # type: ignore[assignment]  # what is asked of it
        self.protocol.begin()
        self.protocol.conn = ServerProtocol(state=State.OPEN, max_size=None)
        self.protocol.handshake_complete = self.protocol.handshake_initiated = True
        if not by_itself:
            self.protocol.data_received(b"")  # something, before there is a client
        self.protocol.attach(self)

    # The client

    def receive_data(self, data: bytes) -> None:
        self.payloads += data

    def pause_writing(self) -> None:
        pass

    resume_writing = pause_writing

    # The transport

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass

    pause_reading = resume_reading = close

    def is_closing(self) -> bool:
        return False


# Without events


@pytest.fixture(params=[StandAloneProtocol, WebSocketProtocol])
def ws(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_our_server_offers_it_and_the_broker_takes_it(ws: Any) -> None:
    async with serving(ws) as (url, romp), connected(url):
        (session,) = romp._hub.sessions
        kind = "LastingConnection" if ws.outlives_call else "DirectConnection"
        assert type(session.transport).__name__ == kind
    async with serving("websockets-sansio") as (url, romp), connected(url):
        (session,) = romp._hub.sessions
        assert type(session.transport).__name__ == "EventConnection"


async def test_a_client_costs_one_task_or_none(ws: Any) -> None:
    async with serving(ws) as (url, _):
        before = len(asyncio.all_tasks())
        async with connected(url) as client:
            await subscribed(client)
            # One is the client's keep-alive here.
            ours = 0 if ws.outlives_call else 1
            assert len(asyncio.all_tasks()) == before + ours + 1


async def test_a_client_keeps_nothing_of_its_handshake(ws: Any) -> None:
    async with serving(ws) as (url, romp), connected(url):
        (session,) = romp._hub.sessions
        transport: Any = session.transport
        protocol = transport._server
        if ws.outlives_call:
            assert not hasattr(protocol, "scope")
            assert not hasattr(protocol, "request")
            assert isinstance(protocol.queue, Farewell)
        else:
            assert protocol.scope["headers"]
            assert not protocol.request.headers
            assert isinstance(protocol.queue, LastEvents)
        assert protocol.response is None
        assert isinstance(protocol.writable, Gate)


async def test_all_wait_at_a_gate_that_is_shut() -> None:
    gate, passed = Gate(), []

    async def go(number: int) -> None:
        await gate.wait()
        passed.append(number)

    await go(0)
    gate.clear()
    gate.clear()
    assert not gate.is_set()
    tasks = [asyncio.create_task(go(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    assert passed == [0]
    gate.set()
    gate.set()
    assert gate.is_set()
    await asyncio.gather(*tasks)
    assert passed == [0, 1, 2]


async def test_the_last_events_come_in_order_whenever_they_are_read() -> None:
    events = LastEvents()
    first: Any = {"type": "websocket.disconnect", "code": 1}
    second: Any = {"type": "websocket.disconnect", "code": 2}
    assert events.empty()
    reader = asyncio.create_task(events.get())
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.sleep(0)
    reader = asyncio.create_task(events.get())
    await asyncio.sleep(0)
    events.put_nowait(first)
    events.put_nowait(second)
    assert await reader is first
    assert not events.empty()
    assert await events.get() is second
    assert events.empty()


async def test_a_message_in_fragments(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        await subscribed(client)
        await client.send([SEND[:9], SEND[9:], "Grü", "ße\0"])
        assert str(await client.recv()).endswith("\n\nGrüße\0")
        # A character may be cut in two by the end of a fragment.
        whole = f"{SEND}\0{SEND}ü\0".encode()
        await client.send([whole[:-2], whole[-2:]], text=True)
        assert str(await client.recv()).endswith("\n\n\0")
        assert str(await client.recv()).endswith("\n\nü\0")


async def test_text_that_is_none_closes_with_1007(ws: Any) -> None:
    async with serving(ws) as (url, romp):
        async with connected(url) as client:
            await client.send(b"SEND\ndestination:/topic/a\n\n\xff\0", text=True)
            assert await closed_with(client) == 1007
        async with asyncio.timeout(5):
            while romp._hub.sessions:
                await asyncio.sleep(0.01)


async def test_a_message_that_is_too_large_closes_with_1009(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        # The close may come while it is being sent.
        with contextlib.suppress(ConnectionClosed):
            await client.send("x" * (1 << 22) + "x")
        assert await closed_with(client) == 1009


async def test_pings_are_answered_between_messages(ws: Any) -> None:
    async with serving(ws) as (url, _), connected(url) as client:
        await subscribed(client)
        pongs = []
        for number in range(200):
            await client.send(f"{SEND}{number}\0")
            pongs.append(await client.ping())
        for number in range(200):
            assert str(await client.recv()).endswith(f"\n\n{number}\0")
        async with asyncio.timeout(5):
            await asyncio.gather(*pongs)


async def test_what_does_not_fit_waits_and_comes_in_order(ws: Any) -> None:
    count, size = 300, 200_000
    queue = {"type": "queue", "max_messages": count}
    keys = {"destinations": {"/queue/a": queue}, "outbox_high_water": 100_000}
    async with serving(ws, **keys) as (url, romp), connected(url) as client:
        await client.send(SUBSCRIBE.replace("topic", "queue"))
        assert str(await client.recv()).startswith("RECEIPT\n")
        client.transport.pause_reading()
        for number in range(count):
            await romp.publish("/queue/a", f"{number:08}".ljust(size))
        (session,) = romp._hub.sessions
        outbox = session.transport.outbox
        async with asyncio.timeout(5):
            while not outbox.is_paused:
                await asyncio.sleep(0.01)
        # Two marks: that of the queue, and what a pass had written by then.
        assert outbox.size <= 100_000 + 2 * size
        assert len(romp._hub.broker.destinations["/queue/a"]) > 0
        client.transport.resume_reading()
        for number in range(count):
            body = str(await client.recv()).partition("\n\n")[2]
            assert body.startswith(f"{number:08}")


async def test_a_session_ends_with_the_close_whatever_the_client_does(
    ws: Any,
) -> None:
    async with serving(ws) as (url, romp):
        with handshake(url) as s:
            await until(s, b"\r\n\r\n")
            s.sendall(websocket_frame(CONNECT.encode(), masked=True))
            await until(s, b"CONNECTED\n")
            assert romp._hub.sessions
            s.sendall(websocket_frame(b"NONSENSE\n\n\0", masked=True))
            # It does not answer the close.
            await until(s, b"ERROR\nmessage:syntax\n")
            async with asyncio.timeout(2):
                while romp._hub.sessions:
                    await asyncio.sleep(0.01)


ENDS = {
    "close": client_frame(Opcode.CLOSE, b"\x03\xe8"),
    "no text": client_frame(Opcode.TEXT, b"\xff", fin=False)
    + client_frame(Opcode.CONT, b"\xff"),
    "eof": b"",
    "no answer to a ping": b"",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("reads_on", [True, False])
async def test_who_has_ended_takes_nothing_more_from_a_queue(
    ws: Any, end: str, reads_on: bool
) -> None:
    tables = {"/queue/a": {"type": "queue", "max_messages": 1000}}
    ping = 0.2 if end == "no answer to a ping" else 20
    async with serving(ws, ping=ping, destinations=tables) as (url, romp):
        for _ in range(400):
            await romp.publish("/queue/a", b"x" * 100_000)
        with handshake(url) as s:
            await until(s, b"\r\n\r\n")
            subscribe = "SUBSCRIBE\ndestination:/queue/a\nid:1\n\n\0"
            frames = CONNECT + subscribe
            s.sendall(websocket_frame(frames.encode(), masked=True))
            queue = romp._hub.broker.destinations["/queue/a"]
            async with asyncio.timeout(5):
                while len(queue) == 400:
                    await asyncio.sleep(0.01)
                if ENDS[end]:
                    s.sendall(ENDS[end])
                elif end == "eof":
                    s.shutdown(socket.SHUT_WR)
                # What is written to it already is still on the way.
                while romp._hub.sessions:
                    await asyncio.sleep(0.01)
            left = len(queue)
            assert left > 100
            if reads_on:
                while await asyncio.to_thread(s.recv, 1 << 20):
                    pass
            await asyncio.sleep(0.05)
            assert len(queue) == left


async def test_a_stop_finds_a_close_under_way(ws: Any) -> None:
    """Its client has not read all: the server ends all the same, without an error."""
    with contextlib.ExitStack() as stack:
        queue = {"/queue/a": {"type": "queue", "max_messages": 1000}}
        async with serving(ws, destinations=queue) as (url, romp):
            for _ in range(400):
                await romp.publish("/queue/a", b"x" * 100_000)
            s = stack.enter_context(handshake(url))
            await until(s, b"\r\n\r\n")
            frames = CONNECT + "SUBSCRIBE\ndestination:/queue/a\nid:1\n\n\0"
            s.sendall(websocket_frame(frames.encode(), masked=True))
            async with asyncio.timeout(5):
                while len(romp._hub.broker.destinations["/queue/a"]) == 400:
                    await asyncio.sleep(0.01)
                s.sendall(ENDS["close"])
                while romp._hub.sessions:
                    await asyncio.sleep(0.01)


async def test_what_waits_is_written_before_the_close(ws: Any) -> None:
    count = 100
    async with serving(ws) as (url, romp), connected(url) as client:
        await subscribed(client)
        client.transport.pause_reading()
        for _ in range(count):
            await romp.publish("/topic/a", "x" * 200_000)
        (session,) = romp._hub.sessions
        assert session.transport.outbox.is_paused
        await client.send("NONSENSE\n\n\0")
        async with asyncio.timeout(5):
            while romp._hub.sessions and not session.is_closed():
                await asyncio.sleep(0.01)
        client.transport.resume_reading()
        for _ in range(count):
            assert str(await client.recv()).startswith("MESSAGE\n")
        assert str(await client.recv()).startswith("ERROR\n")
        assert await closed_with(client) == 1002


async def test_a_session_that_is_held_is_not_read_from(ws: Any) -> None:
    queue = {"type": "queue", "max_messages": 1, "overflow": "block"}
    async with (
        serving(ws, destinations={"/queue/a": queue}) as (url, romp),
        connected(url) as client,
    ):
        frame = "SEND\ndestination:/queue/a\n\n" + "x" * 100_000 + "\0"
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(1000):
                await client.send(frame)
                sent += 1

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send(), 1)
        assert sent < 200
        received = 0
        async with romp.subscribe("/queue/a") as messages, asyncio.timeout(10):
            while received < sent:
                await anext(messages)
                received += 1


@pytest.mark.parametrize("answers", [True, False])
async def test_a_held_session_is_not_expected_to_answer_pings(
    ws: Any, answers: bool
) -> None:
    queue = {"type": "queue", "max_messages": 1, "overflow": "block"}
    async with (
        serving(ws, ping=0.1, destinations={"/queue/a": queue}) as (url, romp),
        connected(url) as client,
    ):
        await client.send("SEND\ndestination:/queue/a\n\nx\0" * 3)
        await asyncio.sleep(1)
        assert len(romp._hub.broker.destinations["/queue/a"]) < 3
        assert romp._hub.sessions
        if not answers:
            client.transport.pause_reading()
        async with romp.subscribe("/queue/a") as messages:
            assert [(await anext(messages)).text for _ in range(3)] == ["x"] * 3
        # From now on it is.
        await asyncio.sleep(1)
        assert len(romp._hub.sessions) == answers
        client.transport.abort()


@contextlib.contextmanager
def handshake(url: str) -> Iterator[socket.socket]:
    """A client that does not wait for the answer to its handshake."""
    host, port = url.removeprefix("ws://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        yield sock


async def until(sock: socket.socket, octets: bytes) -> None:
    """Read until something has come."""
    data = b""
    while octets not in data:
        piece = await asyncio.to_thread(sock.recv, 10_000)
        assert piece, data
        data += piece


def send_as_much_as_goes(sock: socket.socket, frame: bytes) -> int:
    """Send a message over and over, up to 1,000 times; return how often it went."""
    octets = websocket_frame(frame, masked=True)
    for sent in range(1000):
        try:
            sock.sendall(octets)
        except TimeoutError:
            return sent
    return 1000


class Slow:
    """Middleware that looks something up before it lets a client in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.4)
        await self._app(scope, receive, send)


async def test_messages_from_before_the_accept_come_first_and_are_held_as_others(
    ws: Any,
) -> None:
    queue = {"type": "queue", "max_messages": 1, "overflow": "block"}
    frames = [f"SEND\ndestination:/queue/a\n\n{n}\0".encode() for n in range(4)]
    large = b"SEND\ndestination:/queue/a\n\n" + b"x" * 100_000 + b"\0"
    async with serving(ws, slow=Slow, destinations={"/queue/a": queue}) as (url, romp):
        with handshake(url) as s:
            # What comes in one read with the handshake uvicorn drops.
            await asyncio.sleep(0.1)
            for message in (CONNECT.encode(), frames[0] + frames[1], *frames[2:]):
                s.sendall(websocket_frame(message, masked=True))
            async with asyncio.timeout(5):
                while not len(romp._hub.broker.destinations["/queue/a"]):
                    await asyncio.sleep(0.01)
            s.settimeout(0.5)
            sent = await asyncio.to_thread(send_as_much_as_goes, s, large)
            # What the kernel takes, which is not read.
            assert sent < 200
            async with romp.subscribe("/queue/a") as messages, asyncio.timeout(5):
                bodies = [(await anext(messages)).text for _ in range(5)]
            assert bodies == ["0", "1", "2", "3", "x" * 100_000]


async def test_a_client_that_comes_during_the_stop_is_told(ws: Any) -> None:
    async with serving(ws) as (url, romp):
        romp._hub.is_stopping = True
        async with connect(f"{url}/") as client:
            assert str(await client.recv()).startswith("ERROR\nmessage:shutdown\n")
            assert await closed_with(client) == 1012


def test_what_waits_is_packed_together() -> None:
    messages: list[bytes] = []
    outbox = PackedOutbox(Writer(messages), NoFlusher(), 1000, 1 << 20, lambda: None)
    outbox.pause()
    for _ in range(5000):
        outbox.write(b"MESSAGE\n\n", b"x" * 90 + b"\0")
    outbox.write(b"\n")
    outbox.write(b"RECEIPT\n\n\0")
    assert messages == []
    outbox.resume()
    assert [message.count(b"\0") for message in messages[-2:]] == [0, 1]
    assert len(messages) == 5000 * 100 // 65536 + 1 + 2
    assert b"".join(messages).count(b"x\0") == 5000


class Writer:
    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages

    def write_frames(self, pieces: list[bytes]) -> None:
        self._messages += pieces


# With events


@contextlib.asynccontextmanager
async def application(app: Any, ws: Any) -> AsyncIterator[str]:
    """An application that knows nothing of us, on our class; its address."""
    config = uvicorn.Config(app, ws=ws, lifespan="off", log_config=None, port=0)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    try:
        async with asyncio.timeout(5):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/broken":
        raise ValueError("what the application does wrong")
    await send({"type": "websocket.accept"})
    deflates = DIRECT not in scope["extensions"]
    await send({"type": "websocket.send", "text": f"deflates: {deflates}"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "close":
            await send({"type": "websocket.close", "code": 3001, "reason": "asked"})
            return
        for _ in range(3):
            await send({**event, "type": "websocket.send"})


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_an_application_has_its_events(ws: Any, compression: str | None) -> None:
    async with (
        application(echo, ws) as url,
        connect(url, compression=compression) as client,
        asyncio.timeout(10),
    ):
        assert await client.recv() == f"deflates: {compression is not None}"
        for message in ("text", b"octets", "x" * 200_000, ""):
            await client.send(message)
            assert [await client.recv() for _ in range(3)] == [message] * 3
        await client.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3001, "asked")


@pytest.mark.parametrize(("path", "status"), [("refused", 403), ("broken", 500)])
async def test_an_application_that_does_not_accept(
    ws: Any, path: str, status: int
) -> None:
    async with application(echo, ws) as url:
        with pytest.raises(InvalidStatus) as caught:
            await connect(url + path)
        assert caught.value.response.status_code == status


async def test_a_request_that_is_no_handshake_is_refused(ws: Any) -> None:
    async with application(echo, ws) as url:
        host, port = url.removeprefix("ws://").rstrip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 7\r\n\r\n"
        )
        async with asyncio.timeout(5):
            assert (await reader.readline()).split()[1] in (b"400", b"426")
            await reader.read()
        writer.close()


async def test_a_client_that_is_gone_ends_the_broker_s_session(ws: Any) -> None:
    async with serving(ws) as (url, romp):
        async with connect(f"{url}/") as client:
            await client.send(CONNECT)
            await client.recv()
            await client.close(1001)
        async with asyncio.timeout(5):
            while romp._hub.sessions:
                await asyncio.sleep(0.01)
