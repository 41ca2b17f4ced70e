"""STOMP over WebSocket: messages in, messages out.

A connection feeds its session, sends what the outbox flushes, one STOMP frame a
message or several, and closes with a code that says why.

Source: RFC 6455 § 7.4 (close codes).
"""

import asyncio
import contextlib
from typing import Final, Protocol

from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from romp_asgi.access_log import session_type
from romp_asgi.deadline import Deadline
from romp_asgi.errors import (
    AuthError,
    InternalError,
    LimitExceeded,
    MessageTooLarge,
    PeerError,
    ProtocolError,
    ShuttingDown,
)
from romp_asgi.hub import Hub
from romp_asgi.outbox import Outbox
from romp_asgi.tcp import peer_name
from romp_asgi.websocket_messages import (
    FrameOutbox,
    MessageOutbox,
    PackedOutbox,
    text_head,
)

#: The ASGI extension of a server that gives and takes messages without events.
DIRECT: Final = "romp_asgi.direct"

#: Seconds for a client to take what is queued to it, and to answer a close.
_DRAIN: Final = 10.0

#: Octets of the reason of a close (RFC 6455 § 5.5).
_MAX_REASON: Final = 123


class DirectServer(Protocol):
    """What a server has for `DIRECT`: see `uvicorn_ws.py`.

    Attributes:
        outlives_call: whether a connection with a client goes on when the call of the
            application has returned.
    """

    outlives_call: bool

    def attach(self, client: "DirectConnection") -> None:
        """Give messages to a client from now on."""
        ...

    async def send(self, event: Message) -> None:
        """Take an event; as the ``send`` of the call, which may have returned."""
        ...

    def end_call(self) -> None:
        """Do what is done when a call returns: close, if no close is under way."""
        ...

    def write_messages(self, pieces: list[bytes]) -> None:
        """Send messages now, if the connection is open still: see `encode_messages`."""
        ...

    def pause_reading(self) -> None:
        """Leave what the client sends to the kernel."""
        ...

    def resume_reading(self) -> None:
        """Read again."""
        ...


class WebSocketConnection:
    """One WebSocket client; what is the same under every server.

    Args:
        hub: what all sessions share.
        scope: ASGI's description of the connection.
        receive: gives ASGI events.
        send: takes them.
    """

    _outbox_type: type[Outbox]

    def __init__(self, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        config = hub.config
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._send = send
        self._coalesces = config.websocket_coalesce
        make_outbox = PackedOutbox if self._coalesces else self._outbox_type
        self.outbox: Outbox = make_outbox(
            self,
            hub.flusher,
            config.outbox_high_water,
            config.max_outbox,
            self._has_room,
        )
        self._close: tuple[int, str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_aborted = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._session = session_type(hub)(
            hub,
            self,
            peer=peer_name(scope.get("client")),
            is_web=True,
            is_admin=False,
            now=self._loop.time(),
        )
        self._session.is_secure = scope.get("scheme") == "wss"
        self._deadline = Deadline(self._session)

    async def run(self, subprotocol: str | None) -> None:
        """Accept the client, and serve it until it is gone."""
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        self._task = asyncio.current_task()
        self._session.start()
        self._begin()
        try:
            await self._read()
        except asyncio.CancelledError:
            if not self._is_aborted or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._end()
            if self._writer is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await self._writer

    def _begin(self) -> None:
        """The client has been accepted."""
        raise NotImplementedError

    async def _read(self) -> None:
        """Read until the client is gone."""
        raise NotImplementedError

    def _end(self) -> None:
        """The client is gone."""
        self._deadline.cancel()
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._session.connection_lost()
        if self._writer is not None:
            self._writer.cancel()

    async def _send_close(self, code: int, reason: str) -> None:
        close = {"type": "websocket.close", "code": code, "reason": reason}
        try:
            await self._send(close)
        finally:
            # Some servers close only when we return, and tell the reader nothing until
            # then: granian.
            self.abort()

    # What the session and the outbox ask

    def write_frames(self, pieces: list[bytes]) -> None:
        """Send what the outbox has flushed."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Take nothing more from the client for now."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Take something again."""
        raise NotImplementedError

    def deadline_changed(self) -> None:
        """The session's next deadline is another one."""
        self._deadline.set()

    def close(self, error: PeerError | None) -> None:
        """Write what is queued, then close with a code that fits."""
        self._close = close_code(error), close_reason(error)
        self.outbox.flush()
        self._end_timer = self._loop.call_later(_DRAIN, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None and not self._is_aborted:
            self._is_aborted = True
            self._task.cancel()

    def _has_room(self) -> None:
        self._session.has_room()


class EventConnection(WebSocketConnection):
    """A client under any ASGI server: events, and a task that writes."""

    _outbox_type = FrameOutbox

    def __init__(self, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(hub, scope, receive, send)
        # Payloads that are being sent, and whether there is anything to do for the
        # writer: these, or a close.
        self._batch: list[bytes] = []
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()

    @override
    def _begin(self) -> None:
        self._writer = asyncio.create_task(self._write())

    @override
    async def _read(self) -> None:
        while (event := await self._receive())["type"] != "websocket.disconnect":
            if self._close is not None:
                continue
            data = event.get("bytes")
            if data is None:
                data = event["text"].encode()
            self._session.receive_data(data, self._loop.time())
            await self._readable.wait()

    async def _write(self) -> None:
        # A client that goes away while we write: the reader hears of it.
        with contextlib.suppress(OSError, RuntimeError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._batch:
                    batch, self._batch = self._batch, []
                    for payload in batch:
                        await self._send(self._event(payload))
                    self.outbox.resume()
                if self._close is not None:
                    await self._send_close(*self._close)
                    return

    @staticmethod
    def _event(payload: bytes) -> Message:
        try:
            return {"type": "websocket.send", "text": payload.decode()}
        except UnicodeDecodeError:
            return {"type": "websocket.send", "bytes": payload}

    @override
    def write_frames(self, pieces: list[bytes]) -> None:
        # The outbox waits until they are sent.
        self._batch = pieces
        self.outbox.pause()
        self._wake.set()

    @override
    def pause_reading(self) -> None:
        self._readable.clear()

    @override
    def resume_reading(self) -> None:
        self._readable.set()

    @override
    def close(self, error: PeerError | None) -> None:
        super().close(error)
        self._wake.set()
        self._readable.set()


class DirectConnection(WebSocketConnection):
    """A client on our own kind of uvicorn's protocol: see `uvicorn_ws.py`.

    Messages come and go without events, and without a task that writes.
    """

    _outbox_type = MessageOutbox

    def __init__(self, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(hub, scope, receive, send)
        self._server: DirectServer = scope["extensions"][DIRECT]

    def receive_data(self, data: bytes) -> None:
        """The client has sent something, in one message or more."""
        if self._close is None:
            self._session.receive_data(data, self._loop.time())

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self.outbox.pause()

    def resume_writing(self) -> None:
        """The transport's buffer has room."""
        self.outbox.resume()

    @override
    def _begin(self) -> None:
        self._server.attach(self)

    @override
    async def _read(self) -> None:
        # No other event comes.
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    @override
    def write_frames(self, pieces: list[bytes]) -> None:
        if self._coalesces:
            pieces = [
                piece
                for message in pieces
                for piece in (text_head(len(message)), message, b"")
            ]
        self._server.write_messages(pieces)

    @override
    def pause_reading(self) -> None:
        self._server.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._server.resume_reading()

    @override
    def close(self, error: PeerError | None) -> None:
        super().close(error)
        self._writer = asyncio.create_task(self._write_close())

    async def _write_close(self) -> None:
        # The server waits until its transport takes something; then the outbox has
        # been flushed, too.
        assert self._close is not None
        with contextlib.suppress(OSError, RuntimeError):
            await self._send_close(*self._close)


class LastingConnection(DirectConnection):
    """The same where the connection outlives the call of the application.

    The call returns when the client is let in, and with it go a task, its coroutines
    and the scope, which are half of what an idle connection has in memory.
    """

    def __init__(self, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(hub, scope, receive, send)
        self._has_ended = False

    @override
    async def run(self, subprotocol: str | None) -> None:
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        # Those of the call hold the scope, and what Starlette has around it.
        del self._receive
        self._send = self._server.send
        try:
            self._session.start()
            self._begin()
        except BaseException:
            self.connection_lost()
            raise

    def connection_lost(self) -> None:
        """The client is gone, or will be when the close is done."""
        if not self._has_ended:
            self._has_ended = True
            self._end()

    @override
    def abort(self) -> None:
        # Not in the middle of what the session does.
        self._loop.call_soon(self._abort)

    def _abort(self) -> None:
        self.connection_lost()
        self._server.end_call()


def connection_type(scope: Scope) -> type[WebSocketConnection]:
    """The kind of connection for what the server can do."""
    server = scope.get("extensions", {}).get(DIRECT)
    if server is None:
        return EventConnection
    return LastingConnection if server.outlives_call else DirectConnection


def close_reason(error: PeerError | None) -> str:
    """What a close says beside its code, in as many octets as it may have."""
    text = "" if error is None else error.message
    return text.encode()[:_MAX_REASON].decode(errors="ignore")


def close_code(error: PeerError | None) -> int:
    """The WebSocket close code for the reason of a close."""
    match error:
        case None:
            return 1000
        case ShuttingDown():
            return 1012
        case LimitExceeded() | MessageTooLarge():
            return 1009
        case ProtocolError():
            return 1002
        case AuthError():
            return 1008
        case InternalError():
            return 1011
        case _:
            return 1008
