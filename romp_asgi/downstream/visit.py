"""One connection to an edge server, from dialling to its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Final, Protocol

from romp_asgi.config import DownstreamConfig
from romp_asgi.downstream.edge import Edge
from romp_asgi.downstream.intake import Intake, words
from romp_asgi.stomp import Command, Frame, HeartBeat, Limits, spec

if TYPE_CHECKING:
    from romp_asgi.hub import Hub

#: Seconds to connect, to be let in, and to leave.
TIMEOUT: Final = 10.0
_LEAVE_TIMEOUT: Final = 1.0
#: How much more than a client here an edge server may send: what is too large for us is
#: refused message by message, and only what is so many times too large ends the visit.
_ROOM: Final = 16
_READ_SIZE: Final = 65536


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
        login = config.login or config.name
        self._intake = Intake(hub, config.name, login, self)

    @property
    def is_held(self) -> bool:
        """Whether what comes has to wait for room here."""
        return not self._intake.is_free.is_set()

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
            self._intake.end()
            self._writer.transport.abort()

    async def _log_in(self, host: str) -> list[Frame]:
        """CONNECT; return what came after the answer."""
        config, edge = self._config, self._edge
        self._write(edge.connect(host, config.login, config.passcode))
        while not (frames := edge.receive_data(await self._octets())):
            pass
        first, *rest = frames
        if first.command is not Command.CONNECTED:
            raise LinkError(words(first), is_refusal=True)
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
                await self._intake.is_free.wait()
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
        self._intake.flush()
        self._intake.end()
        self._write(self._edge.disconnect())
        self._flush()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_LEAVE_TIMEOUT):
                # With octets unread a close is a reset, which overtakes.
                while await self._reader.read(_READ_SIZE):
                    pass

    # What the edge server sends

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.command is Command.MESSAGE:
                self._up()
                local = self._local(frame)
                if local is None:
                    self._refuse(frame)
                else:
                    self._intake.take(frame, local)
            elif frame.command is Command.RECEIPT:
                self._up()
            elif frame.command is Command.ERROR:
                raise LinkError(words(frame), is_refusal=not self._is_up)
        self._intake.flush()

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
        self._intake.tell(
            f"a message for {name} was refused", "it is of no subscription"
        )
        self.settle(message, is_taken=False)

    # What the intake tells

    def settle(self, message: Frame, *, is_taken: bool) -> None:
        """Acknowledge a message, or say that it was refused."""
        self._watcher.count(is_taken=is_taken)
        self._write(self._edge.acknowledge(message, is_ack=is_taken))

    def answer(self, message: Frame) -> None:
        """Send what a filter answers."""
        destination = message.headers[spec.DESTINATION]
        self._write(self._edge.send(destination, message.headers, message.body))

    def fail(self, reason: str) -> None:
        """End."""
        self._error = LinkError(reason)
        self._intake.end()
        self._writer.transport.abort()

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
