"""STOMP over TCP: sockets in, sockets out.

A connection feeds its session, writes what the outbox flushes, and closes so that
the last ERROR arrives.
"""

import asyncio
import contextlib
import errno
import os
import select
import socket
from typing import cast

from romp_asgi.access_log import session_type
from romp_asgi.deadline import Deadline
from romp_asgi.errors import PeerError, StartError
from romp_asgi.hub import Hub
from romp_asgi.outbox import Outbox

#: Seconds to go on reading, and dropping, what a client sends after we are done with
#: it. A socket that is closed with unread octets resets the connection, and a reset
#: may overtake the ERROR that says why.
_LINGER = 2.0

#: Seconds for a client to take what is queued to it when the connection closes.
_DRAIN = 10.0

#: Seconds between looks at whether a client that we do not read from is still there.
_WATCH_INTERVAL = 5.0

#: Seconds of silence after which the kernel asks the client's, and between its asking.
_KEEP_IDLE, _KEEP_INTERVAL, _KEEP_COUNT = 60, 15, 4

#: Pieces larger than this on average are handed over without joining them first.
_LARGE_PIECE = 8192


class TcpConnection(asyncio.Protocol):
    """One TCP client.

    Args:
        hub: what all sessions share.
        is_admin: whether it came in at the admin listener.
    """

    __slots__ = (
        "_deadline",
        "_end_timer",
        "_hub",
        "_is_admin",
        "_is_at_eof",
        "_is_closing",
        "_is_finished",
        "_is_reading",
        "_loop",
        "_session",
        "_transport",
        "_watch_timer",
        "outbox",
    )

    def __init__(self, hub: Hub, *, is_admin: bool) -> None:
        self._hub = hub
        self._is_admin = is_admin
        self._is_at_eof = False
        self._is_closing = False
        self._is_finished = False
        self._is_reading = True
        self._end_timer: asyncio.TimerHandle | None = None
        self._watch_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        loop = self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)
        config = self._hub.config
        self.outbox = Outbox(
            self,
            self._hub.flusher,
            config.outbox_high_water,
            config.max_outbox,
            self._has_room,
        )
        self._session = session_type(self._hub)(
            self._hub,
            self,
            peer=peer_name(transport.get_extra_info("peername")),
            is_web=False,
            is_admin=self._is_admin,
            now=loop.time(),
        )
        self._deadline = Deadline(self._session)
        self._session.start()

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        if not self._is_closing:
            self._session.receive_data(data, self._loop.time())

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still read."""
        if self._is_closing:
            return False
        self._is_at_eof = True
        self._session.receive_eof()
        self._not_reading()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._is_closing = True
        self._deadline.cancel()
        if self._end_timer is not None:
            self._end_timer.cancel()
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        self._session.connection_lost()

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self.outbox.pause()

    def resume_writing(self) -> None:
        """The transport's buffer has room."""
        self.outbox.resume()
        if self._is_closing:
            self._finish()

    # What the session asks

    def write_frames(self, pieces: list[bytes]) -> None:
        """Write pieces of frames."""
        if sum(map(len, pieces)) > _LARGE_PIECE * len(pieces):
            self._transport.writelines(pieces)
        else:
            self._transport.write(b"".join(pieces))

    def pause_reading(self) -> None:
        """Leave what the client sends to the kernel."""
        self._transport.pause_reading()
        self._not_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._is_reading = True
        self._transport.resume_reading()

    def deadline_changed(self) -> None:
        """The session's next deadline is another one."""
        self._deadline.set()

    def close(self, error: PeerError | None) -> None:
        """Write what is queued, then close."""
        self._is_closing = True
        self.outbox.flush()
        self._end_timer = self._loop.call_later(_DRAIN, self._transport.abort)
        self._finish()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _finish(self) -> None:
        """Once all is written, say so; then the client closes its end, or we do."""
        if self._is_finished or self.outbox.size or self._transport.is_closing():
            return
        self._is_finished = True
        if self._is_at_eof:
            self._transport.close()
            return
        # The client may have closed already.
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()
            self._transport.resume_reading()
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self._loop.call_later(_LINGER, self._transport.abort)

    def _has_room(self) -> None:
        self._session.has_room()

    def _not_reading(self) -> None:
        """Nothing tells any more that the client is gone: look now and then."""
        self._is_reading = False
        if self._watch_timer is None:
            self._watch_timer = self._loop.call_later(_WATCH_INTERVAL, self._watch)

    def _watch(self) -> None:
        self._watch_timer = None
        if self._is_closing or self._is_reading:
            return
        if _is_reset(self._transport.get_extra_info("socket")):
            self._transport.abort()
        else:
            self._not_reading()


def _is_reset(sock: socket.socket) -> bool:
    """Whether the other end of a socket is gone for good."""
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return bool(poll.poll(0))  # an error or a hang-up, which are always told


def _keep_alive(listener: socket.socket) -> None:
    """Let the kernel find out about clients that went without a word."""
    # The loop's own socket objects may not let options be set.
    with socket.socket(fileno=os.dup(listener.fileno())) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _KEEP_IDLE),
            ("TCP_KEEPINTVL", _KEEP_INTERVAL),
            ("TCP_KEEPCNT", _KEEP_COUNT),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def listen(
    hub: Hub, address: str, port: int, *, is_admin: bool
) -> asyncio.Server:
    """Open a listener.

    Args:
        hub: what all sessions share.
        address: a name or number of this machine.
        port: its port; 0 for any.
        is_admin: whether its sessions are admin sessions.

    Raises:
        StartError: if that is not possible.
    """
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(
            lambda: TcpConnection(hub, is_admin=is_admin), address, port, backlog=1024
        )
    except OSError as exc:
        raise start_error(address, port, exc) from exc
    for listener in server.sockets:
        _keep_alive(listener)
    return server


def start_error(address: str, port: int, error: OSError) -> StartError:
    """Why a listener cannot be opened, for the person who starts the server."""
    reasons = {
        errno.EADDRINUSE: "another program has the port",
        errno.EADDRNOTAVAIL: "this machine does not have the address",
        errno.EACCES: "ports below 1024 need more rights",
    }
    reason = reasons.get(error.errno or 0) or error.strerror or str(error)
    return StartError(peer_name((address, port)), reason)


def peer_name(address: object) -> str:
    """An address as a person writes it."""
    match address:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return str(address)
