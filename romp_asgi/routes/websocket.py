"""STOMP over WebSocket.

Source: RFC 6455 § 7.4 (close codes), § 1.9 (sub-protocols); the sub-protocol names
are those registered for STOMP.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

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
from romp_asgi.outbox import FrameOutbox, Outbox
from romp_asgi.tcp import peer_name

logger = logging.getLogger(__name__)

#: What we speak, the best first. A client that offers none of them but others is
#: accepted without one, and may then go away.
SUBPROTOCOLS: Final = ("v12.stomp", "v11.stomp", "v10.stomp", "stomp")

#: Octets up to which waiting frames are packed into one message.
_MAX_PACKED = 65536

#: Seconds for a client to take what is queued to it, and to answer a close.
_DRAIN = 10.0


class WebSocketConnection:
    """One WebSocket client.

    Args:
        hub: what all sessions share.
        scope: ASGI's description of the connection.
        receive: gives ASGI events.
        send: takes them.
    """

    def __init__(self, hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
        config = hub.config
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._send = send
        self._coalesces = config.websocket_coalesce
        self.outbox: Outbox = FrameOutbox(
            self,
            hub.flusher,
            config.outbox_high_water,
            config.max_outbox,
            self._has_room,
        )
        # Frames that are being sent, and whether there is anything to do for the
        # writer: these, or a close.
        self._batch: list[bytes] = []
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()
        self._close: tuple[int, str] | None = None
        self._task: asyncio.Task[None] | None = None
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
        writer = asyncio.create_task(self._write())
        self._session.start()
        try:
            await self._read()
        except asyncio.CancelledError:
            if not self._is_aborted or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._deadline.cancel()
            if self._end_timer is not None:
                self._end_timer.cancel()
            self._session.connection_lost()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _read(self) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
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
                    for event in self._events(batch):
                        await self._send(event)
                    self.outbox.resume()
                if self._close is not None:
                    code, reason = self._close
                    await self._send(
                        {"type": "websocket.close", "code": code, "reason": reason}
                    )
                    # Some servers close only when we return, and tell the reader
                    # nothing until then: granian.
                    self.abort()
                    return

    def _events(self, frames: list[bytes]) -> Iterable[Message]:
        if self._coalesces:
            frames = _packed(frames)
        for frame in frames:
            try:
                yield {"type": "websocket.send", "text": frame.decode()}
            except UnicodeDecodeError:
                yield {"type": "websocket.send", "bytes": frame}

    # What the session and the outbox ask

    def write_frames(self, pieces: list[bytes]) -> None:
        """Give frames to the writer; the outbox waits until they are sent."""
        self._batch = pieces
        self.outbox.pause()
        self._wake.set()

    def pause_reading(self) -> None:
        """Take no more events from the server for now."""
        self._readable.clear()

    def resume_reading(self) -> None:
        """Take events again."""
        self._readable.set()

    def deadline_changed(self) -> None:
        """The session's next deadline is another one."""
        self._deadline.set()

    def close(self, error: PeerError | None) -> None:
        """Write what is queued, then close with a code that fits."""
        self._close = close_code(error), "" if error is None else error.message
        self.outbox.flush()
        self._wake.set()
        self._readable.set()
        self._end_timer = self._loop.call_later(_DRAIN, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None and not self._is_aborted:
            self._is_aborted = True
            self._task.cancel()

    def _has_room(self) -> None:
        self._session.has_room()


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


def _packed(frames: list[bytes]) -> list[bytes]:
    """Several frames to a message, up to a size; a heart-beat stays alone."""
    messages: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for frame in frames:
        if frame == b"\n" or (waiting and size + len(frame) > _MAX_PACKED):
            messages.append(b"".join(waiting))
            waiting, size = [], 0
        if frame == b"\n":
            messages.append(frame)
        else:
            waiting.append(frame)
            size += len(frame)
    messages.append(b"".join(waiting))
    return [message for message in messages if message]


class WebSocketEndpoint:
    """The ASGI endpoint: who may come in, and by which sub-protocol.

    Args:
        hub: what all sessions share.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client, or refuse it with a status that says why."""
        headers = Headers(scope=scope)
        origin, host = headers.get("origin"), headers.get("host", "")
        if not origin_allowed(origin, host, self._hub.config.origins):
            await self._refuse(f"The origin {origin} may not.", scope, receive, send)
            return
        await receive()  # websocket.connect
        connection = WebSocketConnection(self._hub, scope, receive, send)
        await connection.run(choose_subprotocol(scope.get("subprotocols", [])))

    @staticmethod
    async def _refuse(reason: str, scope: Scope, receive: Receive, send: Send) -> None:
        logger.info("refused a WebSocket of %s: %s", scope.get("client"), reason)
        websocket = WebSocket(scope, receive, send)
        if "websocket.http.response" in scope.get("extensions", {}):
            text = f"{reason} See websockets_origin in romp.toml.\n"
            await websocket.send_denial_response(PlainTextResponse(text, 403))
        else:
            await websocket.close(1008, reason[:100])


def origin_allowed(
    origin: str | None, host: str, allowed: frozenset[str] | None
) -> bool:
    """Whether a page of an origin may open a WebSocket here.

    Args:
        origin: the ``Origin`` header; None of a client that is no browser.
        host: the ``Host`` header.
        allowed: origins, ``*`` for all; None for that of the server alone. Its scheme
            is not compared, because a proxy may have taken off the TLS.

    Source: RFC 6455 § 10.2.
    """
    if origin is None:
        return True
    if allowed is None:
        return urlsplit(origin).netloc.lower() == host.lower()
    return "*" in allowed or origin.lower() in {each.lower() for each in allowed}


def choose_subprotocol(offered: list[str]) -> str | None:
    """The best sub-protocol that a client offers, or None."""
    for name in SUBPROTOCOLS:
        if name in offered:
            return name
    return None
