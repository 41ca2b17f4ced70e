"""A link to an edge server: dialled, kept up, and dialled again."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from romp_asgi.config import DownstreamConfig
from romp_asgi.downstream.backoff import Backoff
from romp_asgi.downstream.edge import Edge
from romp_asgi.downstream.inlet import Inlet
from romp_asgi.errors import ProtocolError
from romp_asgi.stomp import Command, Frame, HeartBeat, spec

if TYPE_CHECKING:
    from romp_asgi.hub import Hub

logger = logging.getLogger(__name__)

#: The longest first wait before dialling again, and the longest of all, in seconds.
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
#: A link that held so long, in seconds, was a good one.
_GOOD: Final = 10.0
#: Seconds to connect and be let in.
_TIMEOUT: Final = 10.0
_READ_SIZE: Final = 65536


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a link is.

    Attributes:
        name: what statistics call it.
        address: ``host:port`` of the edge server.
        is_connected: whether it is up.
        since: since when it is up, or down; seconds since the epoch.
        connects: how often it came up.
        messages: how many messages were taken.
        refused: how many were refused here, and are lost to us.
        error: why it is down, or was the last time; empty if it never was.
    """

    name: str
    address: str
    is_connected: bool
    since: float
    connects: int = 0
    messages: int = 0
    refused: int = 0
    error: str = ""


class LinkError(Exception):
    """Why a link went down.

    Attributes:
        is_refusal: whether the edge server does not want us.
    """

    def __init__(self, reason: str, *, is_refusal: bool = False) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal


class Link:
    """One of ``[downstreams]``.

    Args:
        hub: what takes the messages.
        config: where it goes.

    Attributes:
        state: how it is.
    """

    def __init__(self, hub: Hub, config: DownstreamConfig) -> None:
        self._hub = hub
        self._config = config
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self.state = LinkState(config.name, config.address, False, time.time())

    async def run(self) -> None:
        """Keep it up, until this is cancelled."""
        while True:
            began = time.monotonic()
            try:
                await _Visit(self._hub, self._config, self).run()
            except (LinkError, ProtocolError, OSError, TimeoutError) as exc:
                if time.monotonic() - began >= _GOOD:
                    self._backoff.reset()
                if isinstance(exc, LinkError) and exc.is_refusal:
                    self._backoff.slow()
                self._down(_reason(exc))
            await asyncio.sleep(self._backoff.next())

    def came_up(self) -> None:
        """The edge server has let us in."""
        state = self.state
        logger.info("downstream %s: connected to %s", state.name, state.address)
        self.state = replace(
            state, is_connected=True, since=time.time(), connects=state.connects + 1
        )

    def count(self, *, is_taken: bool) -> None:
        """A message was taken, or refused."""
        state = self.state
        if is_taken:
            self.state = replace(state, messages=state.messages + 1)
        else:
            self.state = replace(state, refused=state.refused + 1)

    def _down(self, reason: str) -> None:
        state = self.state
        # Once, and not each time that dialling fails for the same reason.
        if state.is_connected or reason != state.error:
            logger.warning("downstream %s: %s: %s", state.name, state.address, reason)
        since = time.time() if state.is_connected else state.since
        self.state = replace(state, is_connected=False, since=since, error=reason)


class _Visit:
    """One connection to the edge server, from dialling to its end."""

    def __init__(self, hub: Hub, config: DownstreamConfig, link: Link) -> None:
        self._hub = hub
        self._config = config
        self._link = link
        self._loop = asyncio.get_running_loop()
        limits = hub.limits
        # The edge server adds headers of its own to what its sender was allowed.
        self._edge = Edge(
            replace(limits, max_headers=limits.max_headers + 16),
            HeartBeat(config.heart_beat, config.heart_beat),
        )
        self._writer: asyncio.StreamWriter
        self._is_free = asyncio.Event()
        self._is_free.set()
        # What was given to the inlet and not answered yet, by its receipt.
        self._waiting: dict[str, tuple[Frame, str]] = {}
        self._receipts = 0
        self._inlet: Inlet | None = None
        self._wrote_at = self._loop.time()

    async def run(self) -> None:
        """Be there, until it ends.

        Raises:
            LinkError, ProtocolError, OSError, TimeoutError: always, with why.
        """
        config = self._config
        host, port = _split(config.address)
        async with asyncio.timeout(_TIMEOUT):
            reader, self._writer = await asyncio.open_connection(
                host, port, ssl=_tls(config) if config.tls else None
            )
        try:
            async with asyncio.timeout(_TIMEOUT):
                rest = await self._log_in(reader, config.host or host)
            self._link.came_up()
            for number, destination in enumerate(config.destinations):
                frame = self._edge.subscribe(
                    str(number), destination, config.prefetch_count
                )
                self._write(frame)
            self._take(rest)
            await self._read(reader)
        finally:
            if self._inlet is not None:
                self._inlet.end()
            self._writer.transport.abort()

    async def _log_in(self, reader: asyncio.StreamReader, host: str) -> list[Frame]:
        """CONNECT; return what came after the answer."""
        config, edge = self._config, self._edge
        self._write(edge.connect(host, config.login, config.passcode))
        while not (frames := edge.receive_data(await _read(reader))):
            pass
        first, *rest = frames
        if first.command is not Command.CONNECTED:
            raise LinkError(_words(first), is_refusal=True)
        edge.connected(first)
        return rest

    async def _read(self, reader: asyncio.StreamReader) -> None:
        silence = self._edge.heart_beat.receive_ms / 1000
        longest = silence * self._hub.config.heart_beat_grace or None
        beats = asyncio.create_task(self._beat())
        try:
            while True:
                try:
                    async with asyncio.timeout(longest):
                        data = await _read(reader)
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

    def _take(self, frames: list[Frame]) -> None:
        """Hand over what the edge server sends."""
        for frame in frames:
            if frame.command is Command.MESSAGE:
                self._receipts += 1
                receipt = str(self._receipts)
                self._waiting[receipt] = frame, self._local(frame)
                self._relay(receipt)
            elif frame.command is Command.ERROR:
                raise LinkError(_words(frame))

    def _local(self, message: Frame) -> str:
        """What the destination of a message is called here."""
        config = self._config
        locals = config.local_destinations or config.destinations
        subscription = message.headers.get(spec.SUBSCRIPTION, "")
        if subscription.isdecimal() and int(subscription) < len(locals):
            return locals[int(subscription)]
        # romp calls every subscription 0, and names the destination alone.
        names: Mapping[str, str] = dict(zip(config.destinations, locals, strict=True))
        destination = message.headers.get(spec.DESTINATION, "")
        return names.get(destination, destination)

    def _relay(self, receipt: str) -> None:
        now = self._loop.time()
        if self._inlet is None:
            self._inlet = Inlet(
                self._hub,
                self._config.name,
                self._config.login or self._config.name,
                now,
                answered=self._answered,
                paused=self._paused,
                closed=self._closed,
            )
        message, destination = self._waiting[receipt]
        self._inlet.send(message, destination, receipt, now)

    # What the inlet tells

    def _answered(self, frame: Frame) -> None:
        if frame.command is Command.MESSAGE:
            # An answer of a filter: it goes to the edge server.
            destination = frame.headers[spec.DESTINATION]
            self._write(self._edge.send(destination, frame.headers, frame.body))
            return
        waiting = self._waiting.pop(frame.headers.get(spec.RECEIPT_ID, ""), None)
        if waiting is None:
            return
        message, destination = waiting
        is_taken = frame.command is Command.RECEIPT
        if not is_taken:
            logger.warning(
                "downstream %s: a message for %s was refused: %s",
                self._config.name,
                destination,
                _words(frame),
            )
        self._link.count(is_taken=is_taken)
        self._write(self._edge.acknowledge(message, is_ack=is_taken))

    def _paused(self, is_paused: bool) -> None:
        if is_paused:
            self._is_free.clear()
        else:
            self._is_free.set()

    def _closed(self) -> None:
        """The session has ended, because of a message: the others go on in another."""
        self._inlet = None
        self._is_free.set()
        if self._hub.is_stopping:
            self._writer.transport.abort()
        elif self._waiting:
            self._loop.call_soon(self._relay_again)

    def _relay_again(self) -> None:
        for receipt in list(self._waiting):
            self._relay(receipt)

    def _write(self, data: bytes) -> None:
        if data:
            self._writer.write(data)
            self._wrote_at = self._loop.time()


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(_READ_SIZE)
    if not data:
        raise LinkError("the edge server closed the connection")
    return data


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _tls(config: DownstreamConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=config.tls_ca_file)


def _words(frame: Frame) -> str:
    """What an ERROR says, on one line; the sentence if there is one."""
    body = frame.body.decode("utf-8", "replace").strip()
    text = body.splitlines()[0] if body else ""
    message = frame.headers.get(spec.MESSAGE, "")
    return ": ".join(part for part in (message[:200], text[:200]) if part) or "ERROR"


def _reason(error: Exception) -> str:
    """Why a link is down, in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT:g} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
