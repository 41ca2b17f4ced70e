"""uvicorn's WebSocket protocol, with fewer writes, and a shorter way for STOMP.

uvicorn writes to the socket once for each message. A broadcast sends many small ones
to many clients in one pass, and then system calls are most of its cost. What is left
is ASGI's: an event, a task and a queue for each message. So an endpoint may ask for
messages without events, as many at a time as there are (bench/README.md).
"""

import asyncio
from typing import Any, Final, Protocol, cast

from typing_extensions import override
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.http11 import Request
from websockets.protocol import State

from romp_asgi.websocket import DIRECT
from romp_asgi.websocket_messages import (
    decode_messages,
    encode_messages,
    frame_size,
    is_simple,
    is_text,
)

#: Seconds for a peer to take what is written to it before a close.
_DRAIN: Final = 10.0


class MessageClient(Protocol):
    """What takes messages without events."""

    def receive_data(self, data: bytes) -> None:
        """The peer has sent messages, text or binary: the payloads of one read."""
        ...

    def pause_writing(self) -> None:
        """What is written is not taken for now."""
        ...

    def resume_writing(self) -> None:
        """It is taken again."""
        ...


class LastingClient(MessageClient, Protocol):
    """One that stays when the application's call has returned."""

    def connection_lost(self) -> None:
        """No message comes or goes any more; may be told more than once."""
        ...


class PassWriter:
    """A transport that writes at the end of a loop pass.

    Args:
        transport: the one that is written to, and does everything else.
    """

    __slots__ = ("_loop", "_pieces", "_size", "_transport", "_write_limit")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size = 0
        # As much as the transport itself takes before it wants a pause.
        self._write_limit = transport.get_write_buffer_limits()[1] or 65536

    def write(self, data: bytes) -> None:
        """Write at the end of the pass, or now if much has come together."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= self._write_limit:
            self._flush()

    def write_through(self, data: bytes) -> None:
        """Write now, behind what has come together."""
        self._flush()
        self._transport.write(data)

    def close(self) -> None:
        """Write what has come together, then close, and wait for that a while."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_DRAIN, self._transport.abort)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pieces:
            pieces, self._pieces, self._size = self._pieces, [], 0
            self._transport.write(b"".join(pieces))


class Gate:
    """An `asyncio.Event` that is set, as long as nobody clears it, for 40 octets.

    asyncio's has a deque of 0.75 KiB for those who wait; most connections never wait.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None

    def is_set(self) -> bool:
        """Whether nobody has to wait."""
        return self._event is None

    def clear(self) -> None:
        """Have those wait who come."""
        if self._event is None:
            self._event = asyncio.Event()

    def set(self) -> None:
        """Let all go on."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> bool:
        """Wait until it is set."""
        if self._event is not None:
            await self._event.wait()
        return True


class LastEvents:
    """An `asyncio.Queue` for one reader and few events, without its deques.

    It has four, of 0.75 KiB each.
    """

    __slots__ = ("_arrived", "_events")

    def __init__(self) -> None:
        self._events: list[ASGIReceiveEvent] = []
        self._arrived: asyncio.Future[None] | None = None

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        """Add an event."""
        self._events.append(event)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._events

    async def get(self) -> ASGIReceiveEvent:
        """The next event; wait for it if there is none."""
        while not self._events:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._events.pop(0)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with a transport that collects, and a way round events.

    An application that knows nothing of that has the events of ASGI, as ever. One that
    does finds this object in the extensions of its scope, unless messages are deflated,
    and may call `attach` when it has accepted the connection. From then on the only
    event that there is for it is ``websocket.disconnect``; it closes by an event, too.
    """

    #: Whether a connection with a client goes on when the application's call returns.
    outlives_call = False

    transport: PassWriter  # type: ignore[assignment]  # it has all that uvicorn calls
    _client: MessageClient | None = None
    _was_paused = False  # reading, since the last ping

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writer = PassWriter(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, writer))
        self.writable = Gate()  # type: ignore[assignment]  # it has all that is called
        self.begin()

    def begin(self) -> None:
        """Nothing has been read."""
        # Payloads of the messages of one read, which go to the client together.
        self._received: list[bytes] = []
        # Whether frames are read here, and not by websockets; then the beginning of a
        # frame, and how much of one websockets has not been given yet.
        self._reads_itself = False
        self._partial = b""
        self._passing = 0
        # Whether frames came before there was a client: websockets may be in one.
        self._has_begun = False

    @override
    def data_received(self, data: bytes) -> None:
        if self._reads_itself:
            self._read(data)
        else:
            self._has_begun = self.handshake_initiated
            super().data_received(data)
        if self._received:
            received, self._received = self._received, []
            if self._client is not None:
                self._client.receive_data(b"".join(received))

    def _read(self, data: bytes) -> None:
        """Take simple messages from what was read, and leave the rest to websockets."""
        if self._partial:
            data, self._partial = self._partial + data, b""
        position, size = 0, len(data)
        while position < size:
            if self.conn.state is not State.OPEN:
                super().data_received(data[position:])
                return
            if not self._passing:
                # Not in the middle of a message of several frames.
                is_possible = not self.frames
                if is_possible:
                    position = decode_messages(data, position, self._received)
                frame = frame_size(data, position)
                is_cut_off = frame > size - position > 1 and is_simple(data, position)
                if not frame or (is_possible and is_cut_off):
                    self._partial = data[position:]
                    return
                self._passing = frame
            # A frame as a whole, or as much as there is of it.
            end = min(size, position + self._passing)
            self._passing -= end - position
            super().data_received(data[position:end])
            position = end

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._client = None
        super().connection_lost(exc)

    @override
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # Without extensions a frame is its payload and a head; see `encode_messages`.
        if self.response.status_code == 101 and not self.conn.extensions:
            extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]  # any may come
            extensions[DIRECT] = self
        # The scope has them, and the parser would keep them.
        event.headers.clear()

    # What an endpoint asks that takes messages without events

    def attach(self, client: MessageClient) -> None:
        """Give messages to a client from now on, and those that came before now."""
        self._client = client
        self._reads_itself = not self._has_begun
        received, others = [], []
        while not self.queue.empty():
            event = self.queue.get_nowait()
            if event["type"] != "websocket.receive":
                others.append(event)
            elif (text := event.get("text")) is not None:
                received.append(text.encode())
            else:
                received.append(event.get("bytes") or b"")
        # Of what was for the handshake and for events most connections keep a third of
        # their memory, and need nothing any more.
        self.queue = self._last_events(client)  # type: ignore[assignment]  # it has all that is called
        for event in others:
            self.queue.put_nowait(event)
        self.response = None  # type: ignore[assignment]  # it was sent
        if self.read_paused:
            self.resume_reading()
        if received:
            client.receive_data(b"".join(received))

    def _last_events(self, client: MessageClient) -> "LastEvents | Farewell":
        """What takes the events that may come after a client was attached."""
        return LastEvents()

    def end_call(self) -> None:
        """Close as when the application's call returns: if no close is under way."""
        if self.close_timer is None:
            self.transport.close()

    def write_messages(self, pieces: list[bytes]) -> None:
        """Send messages now, if the connection is open still: see `encode_messages`."""
        if self.conn.state is State.OPEN and not self.transport.is_closing():
            self.transport.write_through(encode_messages(pieces))

    def pause_reading(self) -> None:
        """Leave what the peer sends to the kernel."""
        self.read_paused = self._was_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self.read_paused = False
        self.transport.resume_reading()

    # What the transport tells, and uvicorn of messages and pings

    @override
    def send_keepalive_ping(self) -> None:
        self._was_paused = self.read_paused
        super().send_keepalive_ping()

    @override
    def keepalive_timeout(self) -> None:
        # Who is not read from cannot be heard to answer; but one that does not read
        # what is written to it may be gone.
        if self._client is not None and self._was_paused and self.writable.is_set():
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
            return
        super().keepalive_timeout()
        if self.close_sent:
            self._tell_of_end(1011)

    @override
    def eof_received(self) -> None:
        # What is left to be written is not waited for without an end.
        self.transport.close()
        self._tell_of_end(1006)

    def _tell_of_end(self, code: int) -> None:
        """Tell the client now, not when all is written: what it writes is dropped."""
        if self._client is not None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code})

    @override
    def shutdown(self) -> None:
        if self.handshake_complete and self.conn.state is not State.OPEN:
            # uvicorn would begin a close where one is under way.
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._client is not None:
            self._client.pause_writing()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._client is not None:
            self._client.resume_writing()

    @override
    def send_receive_event_to_app(self) -> None:
        if self._client is None:
            super().send_receive_event_to_app()
            return
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text" and not is_text(data):
            # "An endpoint MUST _Fail the WebSocket Connection_" (RFC 6455 § 8.1).
            self.conn.fail(1007, "not UTF-8")
            self.handle_parser_exception()
            return
        self._received.append(data)


class Farewell:
    """An `asyncio.Queue` of which nobody reads: each event says that it is over.

    Args:
        client: told in the next pass, when what came before has been given to it.
    """

    __slots__ = ("_client",)

    def __init__(self, client: LastingClient) -> None:
        self._client = client

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        """Add an event: there is none but ``websocket.disconnect``."""
        asyncio.get_running_loop().call_soon(self._client.connection_lost)


class StandAloneProtocol(WebSocketProtocol):
    """The same for an application with nothing around it: its call need not last.

    Where a client was attached the connection goes on when the call has returned. What
    the call had in memory, coroutines, scope and task, is as much as all the rest of
    an idle connection. The client, a `LastingClient`, is told of the end.
    """

    outlives_call = True

    @override
    async def run_asgi(self) -> None:
        # uvicorn's closes when the call returns.
        stays = False
        try:
            await self.app(self.scope, self.receive, self.send)
            stays = self._client is not None
            if not stays and not self.handshake_complete:
                self.logger.error("The application returned without a handshake.")
                self.send_500_response()
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self.send_500_response()
        if not stays:
            self.end_call()
        elif self.handshake_complete:
            # Nothing asks for them any more.
            del self.scope, self.request

    @override
    def _last_events(self, client: MessageClient) -> Farewell:
        return Farewell(cast(LastingClient, client))
