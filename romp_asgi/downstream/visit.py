"""One connection to an edge server, from dialling to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from romp_asgi.config import DownstreamConfig
from romp_asgi.downstream.edge import Edge
from romp_asgi.downstream.inlet import Inlet
from romp_asgi.errors import MemoryFull, NotLogged
from romp_asgi.stomp import Command, Frame, HeartBeat, Limits, spec

if TYPE_CHECKING:
    from romp_asgi.hub import Hub

logger = logging.getLogger(__name__)

#: Seconds to connect, to be let in, and to leave.
TIMEOUT: Final = 10.0
_LEAVE_TIMEOUT: Final = 1.0
#: Seconds until what was refused for now is tried again.
RETRY: Final = 0.25
#: How much more than a client here an edge server may send: what is too large for us is
#: refused message by message, and only what is so many times too large ends the visit.
_ROOM: Final = 16
_READ_SIZE: Final = 65536
#: What is wrong with a message here that will not be so for ever: a full destination
#: has MemoryFull's word, too.
_PASSING: Final = frozenset({MemoryFull.message, NotLogged.REFUSED})
_MAX_TOLD: Final = 100


class LinkError(Exception):
    """Why a link went down.

    Attributes:
        is_refusal: whether the edge server does not want us.
    """

    def __init__(self, reason: str, *, is_refusal: bool = False) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal


class Watcher(Protocol):
    """Who wants to know how it goes."""

    def came_up(self) -> None:
        """The edge server has let us in, and what we subscribe to is there."""
        ...

    def count(self, *, is_taken: bool) -> None:
        """A message was taken, or refused for good."""
        ...


class Visit:
    """One connection.

    Args:
        hub: what takes the messages.
        config: where it goes.
        watcher: told how it goes.
    """

    def __init__(self, hub: Hub, config: DownstreamConfig, watcher: Watcher) -> None:
        self._hub = hub
        self._config = config
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        limits = hub.limits
        self._edge = Edge(
            Limits(
                max_headers=_ROOM * limits.max_headers,
                max_header_len=_ROOM * limits.max_header_len,
                max_header_size=_ROOM * limits.max_header_size,
                max_message_size=_ROOM * limits.max_message_size,
            ),
            HeartBeat(config.heart_beat, config.heart_beat),
        )
        locals = config.local_destinations or config.destinations
        # romp calls every subscription 0, whatever we do: no id of ours is that.
        self._ids = {f"link-{number}": name for number, name in enumerate(locals)}
        self._names = dict(zip(config.destinations, locals, strict=True))
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._pieces: list[bytes] = []
        self._wrote_at = self._loop.time()
        self._is_up = False
        self._error: LinkError | None = None
        # What was not answered yet here, in order, by the receipt it is to have.
        self._waiting: dict[str, tuple[Frame, str]] = {}
        self._receipts = 0
        self._inlet: Inlet | None = None
        self._has_answered = False
        self._last_words = ""
        self._told: set[tuple[str, str]] = set()
        # Nothing is read while the inlet takes nothing, or before a message is tried
        # again.
        self._is_paused = False
        self._retry: asyncio.TimerHandle | None = None
        self._is_free = asyncio.Event()
        self._is_free.set()

    @property
    def is_held(self) -> bool:
        """Whether what comes has to wait for room here."""
        return not self._is_free.is_set()

    async def run(self) -> None:
        """Be there, until it ends.

        Raises:
            LinkError, ProtocolError, OSError, TimeoutError: always, with why.
        """
        config = self._config
        host, port = _split(config.address)
        tls = tls_context(config) if config.tls else None
        self._reader, self._writer = await _dial(host, port, tls)
        try:
            async with asyncio.timeout(TIMEOUT):
                rest = await self._log_in(config.host or host)
            self._subscribe()
            self._take(rest)
            await self._read()
        except (LinkError, OSError) as exc:
            raise self._error or exc from None
        except asyncio.CancelledError:
            await self._leave()
            raise
        finally:
            self._end()

    async def _log_in(self, host: str) -> list[Frame]:
        """CONNECT; return what came after the answer."""
        config, edge = self._config, self._edge
        self._write(edge.connect(host, config.login, config.passcode))
        while not (frames := edge.receive_data(await self._octets())):
            pass
        first, *rest = frames
        if first.command is not Command.CONNECTED:
            raise LinkError(_words(first), is_refusal=True)
        edge.connected(first)
        return rest

    def _subscribe(self) -> None:
        destinations = self._config.destinations
        for number, (id, destination) in enumerate(
            zip(self._ids, destinations, strict=True), 1
        ):
            # Frames are processed in order: the last one's receipt is for all.
            receipt = "subscribed" if number == len(destinations) else None
            prefetch_count = self._config.prefetch_count
            self._write(self._edge.subscribe(id, destination, prefetch_count, receipt))
        if not destinations:
            self._up()

    async def _octets(self) -> bytes:
        data = await self._reader.read(_READ_SIZE)
        if not data:
            raise LinkError("the edge server closed the connection")
        return data

    async def _read(self) -> None:
        silence = self._edge.heart_beat.receive_ms / 1000
        longest = silence * self._hub.config.heart_beat_grace or None
        beats = asyncio.create_task(self._beat())
        try:
            while True:
                try:
                    async with asyncio.timeout(longest):
                        data = await self._octets()
                except TimeoutError:
                    raise LinkError("its heart-beats have stopped") from None
                self._take(self._edge.receive_data(data))
                await self._is_free.wait()
                await self._writer.drain()
        finally:
            beats.cancel()

    async def _beat(self) -> None:
        """Send heart-beats where nothing else was sent."""
        interval = self._edge.heart_beat.send_ms / 1000
        while interval:
            await asyncio.sleep(interval / 4)
            if self._loop.time() - self._wrote_at >= interval / 2:
                self._write(b"\n")

    async def _leave(self) -> None:
        """Acknowledge what was taken, say goodbye, and wait until that is read."""
        if self._inlet is not None:
            self._inlet.outbox.flush()
            self._inlet.end()
        self._write(self._edge.disconnect())
        self._flush()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_LEAVE_TIMEOUT):
                # With octets unread a close is a reset, which overtakes.
                while await self._reader.read(_READ_SIZE):
                    pass

    def _end(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        if self._inlet is not None:
            self._inlet.end()
        self._writer.transport.abort()

    def _fail(self, error: LinkError) -> None:
        """End the visit, from outside of its task."""
        self._error = error
        self._is_free.set()
        self._writer.transport.abort()

    # What the edge server sends

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.command is Command.MESSAGE:
                self._up()
                local = self._local(frame)
                if local is None:
                    self._refuse(frame)
                    continue
                self._receipts += 1
                receipt = str(self._receipts)
                self._waiting[receipt] = frame, local
                if self._may_relay():
                    self._relay(receipt)
            elif frame.command is Command.RECEIPT:
                self._up()
            elif frame.command is Command.ERROR:
                raise LinkError(_words(frame), is_refusal=not self._is_up)
        if self._inlet is not None:
            self._inlet.outbox.flush()

    def _up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self._watcher.came_up()

    def _local(self, message: Frame) -> str | None:
        """What the destination of a message is called here; None if it is not linked.

        The edge server does not choose: it is the one that outsiders reach.
        """
        local = self._ids.get(message.headers.get(spec.SUBSCRIPTION, ""))
        if local is None:
            local = self._names.get(message.headers.get(spec.DESTINATION, ""))
        return local

    def _refuse(self, message: Frame) -> None:
        """Refuse what comes without our having subscribed to it."""
        destination = message.headers.get(spec.DESTINATION, "")
        name = repr(destination[:200])[1:-1]
        self._tell(f"a message for {name} was refused", "it is of no subscription")
        self._watcher.count(is_taken=False)
        self._write(self._edge.acknowledge(message, is_ack=False))

    def _relay(self, receipt: str) -> None:
        now = self._loop.time()
        if self._inlet is None:
            self._has_answered = False
            self._last_words = ""
            self._inlet = Inlet(
                self._hub,
                self._config.name,
                self._config.login or self._config.name,
                now,
                answered=self._answered,
                paused=self._paused,
                closed=self._closed,
            )
            self._inlet.start(now)
        if self._inlet is not None:
            self._inlet.send(*self._waiting[receipt], receipt, now)

    def _relay_again(self) -> None:
        self._retry = None
        self._look()
        for receipt in list(self._waiting):
            if self._may_relay():
                self._relay(receipt)

    def _may_relay(self) -> bool:
        return self._retry is None and self._error is None

    # What the inlet tells

    def _answered(self, frame: Frame) -> None:
        if frame.command is Command.MESSAGE:
            # An answer of a filter: it goes to the edge server.
            destination = frame.headers[spec.DESTINATION]
            self._write(self._edge.send(destination, frame.headers, frame.body))
            return
        receipt = frame.headers.get(spec.RECEIPT_ID, "")
        error = None
        if frame.command is Command.ERROR:
            error = frame.headers.get(spec.MESSAGE)
        if receipt not in self._waiting:
            if error is not None:
                self._last_words = _words(frame)
            return
        self._has_answered = True
        message, destination = self._waiting[receipt]
        if error in _PASSING:
            self._tell(f"a message for {destination} has to wait", _words(frame))
            self._hold_back()
            return
        del self._waiting[receipt]
        is_taken = error is None or error == NotLogged.ACCEPTED
        if not is_taken:
            self._tell(f"a message for {destination} was refused", _words(frame))
        self._watcher.count(is_taken=is_taken)
        self._write(self._edge.acknowledge(message, is_ack=is_taken))

    def _hold_back(self) -> None:
        """Try all that waits again, later and in order."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.end()
            self._is_paused = False
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY, self._relay_again)
            self._look()

    def _paused(self, is_paused: bool) -> None:
        self._is_paused = is_paused
        self._look()

    def _look(self) -> None:
        if self._is_paused or self._retry is not None:
            self._is_free.clear()
        else:
            self._is_free.set()

    def _closed(self) -> None:
        """The session has ended: because of a message, the others go on in another."""
        self._inlet = None
        self._is_paused = False
        self._look()
        if not self._has_answered:
            # Another would end as this one did.
            words = self._last_words or "it was closed"
            self._fail(LinkError(f"the session here has ended: {words}"))
        elif self._waiting:
            self._loop.call_soon(self._relay_again)

    def _tell(self, what: str, why: str) -> None:
        """Log once a visit; how often it was so is counted."""
        if (what, why) not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add((what, why))
            logger.warning("downstream %s: %s: %s", self._config.name, what, why)

    # What the edge server gets

    def _write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._writer.transport.is_closing():
            self._writer.write(b"".join(pieces))
            self._wrote_at = self._loop.time()


def tls_context(config: DownstreamConfig) -> ssl.SSLContext:
    """Whom to trust.

    Raises:
        OSError: if there is no such file, or nothing of use in it.
    """
    return ssl.create_default_context(cafile=config.tls_ca_file)


async def _dial(
    host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address of a name that answers.

    Each has its time, so that one that is silent is not in the way of the others.

    Raises:
        OSError, TimeoutError: if none does, why the last one did not.
    """
    async with asyncio.timeout(TIMEOUT):
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
    error: OSError | None = None
    for address in dict.fromkeys(str(info[4][0]) for info in found):
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.open_connection(
                    address,
                    port,
                    ssl=tls,
                    server_hostname=host if tls is not None else None,
                )
        except OSError as exc:
            error = exc
    raise error or OSError(f"{host} has no address")


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _words(frame: Frame) -> str:
    """What an ERROR says, on one line; the sentence if there is one."""
    headers: Mapping[str, str] = frame.headers
    body = frame.body.decode("utf-8", "replace").strip()
    text = body.splitlines()[0] if body else ""
    message = headers.get(spec.MESSAGE, "")
    words = (part[:200] for part in (message, text) if part)
    return repr(": ".join(words))[1:-1] or "ERROR"
