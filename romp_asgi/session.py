"""One client: the only place where frames, rights and the broker meet.

A session knows no sockets: a transport feeds it octets and the time, and writes what
is in its outbox.
"""

import logging
import sys
import time
from collections.abc import Awaitable, Iterator, Mapping
from functools import partial
from typing import Protocol, assert_never

from romp_asgi.broker import Client, Message, Pending
from romp_asgi.errors import (
    FilterError,
    HeaderError,
    InternalError,
    PeerError,
    ProtocolError,
    ShuttingDown,
    UnknownAck,
    UnknownDestination,
)
from romp_asgi.filters import CONTINUE, ClientSession, Context, StompMessage
from romp_asgi.filters.chain import FilterChain, Outcome, Way
from romp_asgi.hub import Hub
from romp_asgi.local import outgoing
from romp_asgi.outbox import Outbox
from romp_asgi.receiver import MessageReceiver
from romp_asgi.stomp import Command, Connection, Frame, spec
from romp_asgi.stomp.connection import State
from romp_asgi.stomp.spec import AckMode
from romp_asgi.stomp.versions import STOMP_1_2

logger = logging.getLogger(__name__)

_MAX_DIGITS = 18


class Transport(Protocol):
    """What a session asks of the connection that it is on."""

    outbox: Outbox

    def pause_reading(self) -> None:
        """Read nothing more from the client for now."""
        ...

    def resume_reading(self) -> None:
        """Read from the client again."""
        ...

    def deadline_changed(self) -> None:
        """Ask ``next_deadline`` again."""
        ...

    def close(self, error: PeerError | None) -> None:
        """Write what is in the outbox, then close, for this reason if any."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Session:
    """One client, from its connection to its end.

    Args:
        hub: what all sessions share.
        transport: the connection.
        peer: the client's address, for the log.
        is_web: whether it came over WebSocket.
        is_admin: whether it came in at the admin listener.
        now: the time, in seconds of the loop's clock.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_connection",
        "_frames",
        "_held",
        "_hub",
        "_is_at_eof",
        "_now",
        "_sent_at",
        "_transport",
        "id",
        "is_admin",
        "peer",
    )

    def __init__(
        self,
        hub: Hub,
        transport: Transport,
        *,
        peer: str,
        is_web: bool,
        is_admin: bool,
        now: float,
    ) -> None:
        config = hub.config
        self.peer = peer
        self.is_admin = is_admin
        self.id = ""
        self._hub = hub
        self._transport = transport
        self._client = Client(is_web=is_web)
        self._connection = Connection(
            limits=hub.limits,
            login_limits=hub.login_limits,
            heart_beat=hub.heart_beat,
            connect_timeout=config.connect_timeout,
            heart_beat_grace=config.heart_beat_grace,
            now=now,
        )
        self._now = now
        self._sent_at = now
        # Frames that were read and not yet processed, and what they wait for.
        self._frames: Iterator[Frame] = iter(())
        self._held: Pending | None = None
        self._is_at_eof = False

    # What the transport tells

    def start(self) -> None:
        """The transport is ready."""
        self._hub.add(self)
        if self._hub.is_stopping:
            self._end(ShuttingDown())
        self._transport.deadline_changed()

    def receive_data(self, data: bytes, now: float) -> None:
        """Take octets from the client, and do what they say."""
        self._now = now
        self._connection.receive_data(data, now)
        if self._held is None:
            self._process()

    def receive_eof(self) -> None:
        """The client sends nothing more."""
        self._is_at_eof = True
        if self._held is None and self._connection.state is not State.CLOSED:
            self._end(None)

    def connection_lost(self) -> None:
        """The connection is gone."""
        self._connection.close()
        self._hub.broker.leave(self._client)
        self._hub.remove(self)

    def has_room(self) -> None:
        """The outbox was full, and is so no more."""
        self._hub.broker.resume(self._client)

    def next_deadline(self) -> float | None:
        """When to call ``check_deadlines`` next, or None for not at all."""
        return self._connection.next_deadline()

    def check_deadlines(self, now: float) -> None:
        """Send a heart-beat or time the client out, if that is due."""
        self._now = now
        outbox = self._transport.outbox
        if outbox.wrote:
            # Since the last look; later than that is not known, so a heart-beat may
            # be sent a little early.
            outbox.wrote = False
            self._sent_at = now
        try:
            heart_beat = self._connection.check_deadlines(now, self._sent_at)
        except ProtocolError as exc:
            # Not while we do not read from it.
            if self._held is None:
                self._end(exc)
            return
        if heart_beat:
            outbox.write(heart_beat)

    # What the server tells

    def shut_down(self) -> None:
        """The server stops: tell the client, and close."""
        self._end(ShuttingDown())

    def cut_off(self, error: PeerError) -> None:
        """End the client, in the next pass of the loop."""
        self._hub.later(partial(self._end, error))

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # What filters ask, through a ClientSession

    @property
    def subscription_ids(self) -> tuple[str, ...]:
        """The ids of the client's subscriptions."""
        return tuple(self._client.subscriptions)

    @property
    def pending_output(self) -> int:
        """Octets that wait to be written to the client."""
        return self._transport.outbox.size

    def send_message(
        self, destination: str, body: bytes | str, headers: Mapping[str, str] | None
    ) -> None:
        """Write a MESSAGE of no subscription."""
        message = outgoing(destination, body, headers)
        broker = self._hub.broker
        broker.last_number = message.number = broker.last_number + 1
        MessageReceiver(
            self, self._transport.outbox, self._connection.version, destination
        ).deliver(message, 0, False)

    def send_error(self, message: str, *, fatal: bool) -> None:
        """Write an ERROR, and close if it is fatal."""
        error = FilterError(message, fatal=fatal)
        if not fatal:
            self._transport.outbox.write(self._connection.error(error))
        else:
            self.cut_off(error)

    def ack(self, ack_id: str) -> None:
        """Acknowledge a message in the client's place."""
        tag = self._tag(ack_id)
        if tag is not None:
            self._hub.broker.acknowledge(self._client, tag, self._now)

    def unsubscribe(self, id: str) -> None:
        """End a subscription in the client's place."""
        self._hub.broker.unsubscribe(self._client, id)

    def close_gracefully(self) -> None:
        """Close, in the next pass of the loop, after writing what is queued."""
        self._hub.later(partial(self._end, None))

    # Frames

    def _process(self) -> None:
        """Process frames until there are none, or one has to be waited for."""
        while True:
            for frame in self._frames:
                try:
                    self._handle(frame)
                except Exception as exc:
                    self._failed(frame, exc)
                if self._held is not None:
                    return
            try:
                frames = self._connection.events_received()
            except ProtocolError as exc:
                self._end(exc)
                return
            if not frames:
                return
            self._frames = iter(frames)

    def _handle(self, frame: Frame) -> None:
        connection = self._connection
        command = frame.command
        if command is not Command.SEND or connection.state is not State.CONNECTED:
            if connection.state is State.CLOSED:
                return
            connection.check(frame)
        filters = self._hub.filters
        if filters is not None:
            self._filter(filters, frame)
            return
        pending = self._act(frame)
        if pending is not None or spec.RECEIPT in frame.headers:
            self._done(frame, pending)
        if command is Command.DISCONNECT:
            self._end(None)

    def _failed(self, frame: Frame, error: Exception) -> None:
        """A frame was refused, or could not be processed."""
        if not isinstance(error, PeerError):
            logger.error("internal error at %s of %s", frame, self.peer, exc_info=error)
            error = InternalError()
        error.receipt_id = frame.headers.get(spec.RECEIPT)
        if isinstance(error, FilterError):
            if error.log_message is not None:
                logger.warning("filter: %s: %s", self.peer, error.log_message)
            if error.reply_message is None:
                if error.fatal:
                    self._end(None)
                return
            closes = error.fatal
        else:
            closes = error.fatal or self._hub.config.close_on_error
        if closes:
            self._end(error)
        elif not self._is_closed():
            self._transport.outbox.write(self._connection.error(error))

    # Filters

    def _filter(self, filters: FilterChain, frame: Frame) -> None:
        """Lead a frame past the filters; on its way it takes effect."""
        message = StompMessage(frame.command, frame.headers, frame.body)
        context = Context(
            ClientSession(self),
            timestamp=time.time(),
            is_web_sockets=self._client.is_web,
            is_admin=self.is_admin,
        )
        way = filters.way(context, message, lambda: self._act_unless_virtual(message))
        self._go_on(way, message, None, None)

    def _act_unless_virtual(self, message: StompMessage) -> Pending | None:
        """A SEND to ``/virt/…`` is for a filter to claim: no destination sees it."""
        if message.command is Command.SEND and _is_virtual(message):
            return None
        return self._act(message.frame())

    def _go_on(
        self,
        way: Way,
        message: StompMessage,
        outcome: Outcome | None,
        error: Exception | None,
    ) -> None:
        """Take a frame as far as it goes without waiting."""
        try:
            awaited = way.send(outcome) if error is None else way.throw(error)
        except StopIteration as stop:
            self._at_the_end(message, *stop.value)
            return
        self._held = Pending()
        self._transport.pause_reading()
        self._hub.spawn(self._await(way, message, awaited))

    async def _await(
        self, way: Way, message: StompMessage, awaited: Awaitable[Outcome | None]
    ) -> None:
        """Wait for an async filter; only this client's frames wait with it."""
        outcome: Outcome | None = None
        error: Exception | None = None
        try:
            outcome = await awaited
        except Exception as exc:
            error = exc
        self._held = None
        if self._is_closed():
            way.close()
            return
        try:
            self._go_on(way, message, outcome, error)
        except Exception as exc:
            self._failed(message.frame(), exc)
        self._resume()

    def _at_the_end(
        self, message: StompMessage, outcome: Outcome, pending: Pending | None
    ) -> None:
        """A frame has passed the filters."""
        is_send = message.command is Command.SEND
        if outcome is CONTINUE:
            if is_send and _is_virtual(message):
                raise UnknownDestination(message.destination or "")
            if pending is not None or spec.RECEIPT in message.headers:
                self._done(message.frame(), pending)
        if message.command is Command.DISCONNECT:
            self._end(None)

    def _act(self, frame: Frame) -> Pending | None:
        """Do what a frame says; return what has to be waited for, if anything."""
        if frame.command is Command.SEND:
            return self._send(frame)
        broker, client = self._hub.broker, self._client
        match frame.command:
            case Command.ACK:
                return self._acknowledge(frame, is_ack=True)
            case Command.NACK:
                return self._acknowledge(frame, is_ack=False)
            case Command.SUBSCRIBE:
                self._subscribe(frame)
            case Command.UNSUBSCRIBE:
                self._unsubscribe(frame)
            case Command.BEGIN:
                broker.begin(client, frame.headers[spec.TRANSACTION])
            case Command.COMMIT:
                transaction = frame.headers[spec.TRANSACTION]
                return broker.commit(client, transaction, self._now)
            case Command.ABORT:
                broker.abort(client, frame.headers[spec.TRANSACTION])
            case Command.CONNECT | Command.STOMP:
                self._connect(frame)
            case Command.DISCONNECT:
                pass
            case (
                Command.CONNECTED | Command.MESSAGE | Command.RECEIPT | Command.ERROR
            ):  # pragma: no cover  # the parser knows only what a client sends
                raise AssertionError(frame.command)
            case _:
                assert_never(frame.command)
        return None

    def _connect(self, frame: Frame) -> None:
        connection = self._connection
        headers = connection.negotiate(frame)
        self._hub.log_in(
            headers.get(spec.LOGIN),
            headers.get(spec.PASSCODE),
            is_admin=self.is_admin,
        )
        self.id = self._hub.next_session_id()
        self._transport.outbox.write(connection.accept(self._hub.server, self.id))
        self._transport.deadline_changed()

    def _send(self, frame: Frame) -> Pending | None:
        headers = frame.headers
        destination = headers.get(spec.DESTINATION)
        if destination is None:
            raise HeaderError(Command.SEND, spec.DESTINATION)
        return self._hub.broker.send(
            self._client,
            Message(destination, headers, frame.body),
            self._now,
            headers.get(spec.TRANSACTION),
        )

    def _subscribe(self, frame: Frame) -> None:
        headers = frame.headers
        destination = headers[spec.DESTINATION]
        id = headers.get(spec.ID)
        ack = _ack_mode(frame)
        receiver = MessageReceiver(
            self, self._transport.outbox, self._connection.version, id
        )
        self._hub.broker.subscribe(
            self._client,
            # STOMP 1.0: UNSUBSCRIBE goes by destination where there was no id.
            destination if id is None else id,
            destination,
            receiver,
            ack,
            _prefetch_count(frame),
        )

    def _unsubscribe(self, frame: Frame) -> None:
        headers = frame.headers
        id = headers.get(spec.ID, headers.get(spec.DESTINATION))
        if id is None:
            raise HeaderError(frame.command, spec.ID)
        self._hub.broker.unsubscribe(self._client, id)

    def _acknowledge(self, frame: Frame, *, is_ack: bool) -> Pending | None:
        headers = frame.headers
        tag = self._tag(headers[self._connection.version.ack_header])
        if tag is None:
            return None
        return self._hub.broker.acknowledge(
            self._client,
            tag,
            self._now,
            is_ack=is_ack,
            requeue=headers.get(spec.REQUEUE) != "false",
            transaction=headers.get(spec.TRANSACTION),
        )

    def _tag(self, ack_id: str) -> int | None:
        """The delivery that an ACK or NACK names, as `MessageReceiver` wrote it.

        Returns:
            None for a message of an "auto" subscription, which STOMP 1.0 and 1.1 let
            a client name: it counts as acknowledged already.

        Raises:
            UnknownAck: if it cannot have been given.
        """
        if self._connection.version is STOMP_1_2:
            tag = _whole_number(ack_id)
        else:
            number, dash, last = ack_id.rpartition("-")
            tag = _whole_number(last)
            if not dash and 0 < tag <= self._hub.broker.last_number:
                return None
            delivery = self._client.unacked.get(tag)
            if delivery is not None and number != str(delivery.message.number):
                raise UnknownAck(ack_id)
        if not 0 < tag <= self._client.last_tag:
            raise UnknownAck(ack_id)
        return tag

    def _done(self, frame: Frame, pending: Pending | None) -> None:
        """A frame was processed, or will be: send its receipt, if it asks, then."""
        receipt_id = None
        # "… on any client frame other than CONNECT"
        if frame.command not in spec.CONNECT_COMMANDS:
            receipt_id = frame.headers.get(spec.RECEIPT)
        if pending is None or pending.done:
            if receipt_id is not None:
                self._transport.outbox.write(self._connection.receipt(receipt_id))
            return
        self._held = pending
        self._transport.pause_reading()
        pending.then(partial(self._hub.later, partial(self._release, receipt_id)))

    def _release(self, receipt_id: str | None) -> None:
        """What was waited for is done."""
        self._held = None
        if self._is_closed():
            return
        if receipt_id is not None:
            self._transport.outbox.write(self._connection.receipt(receipt_id))
        self._resume()

    def _resume(self) -> None:
        """Process what has been read, then read again."""
        if not self._is_waiting():
            self._process()
        if self._is_waiting() or self._is_closed():
            return
        if self._is_at_eof:
            self._end(None)
        else:
            self._transport.resume_reading()

    # The end

    def _is_waiting(self) -> bool:
        return self._held is not None

    def _is_closed(self) -> bool:
        return self._connection.state is State.CLOSED

    def _end(self, error: PeerError | None) -> None:
        """Leave the broker, tell the client why if there is a reason, and close.

        "The server MUST then close the connection just after sending the ERROR."
        """
        if self._is_closed():
            return
        self._hub.broker.leave(self._client)
        if error is not None:
            logger.info("closing %s: %s: %s", self.peer, error.message, error.detail)
            self._transport.outbox.write(self._connection.error(error))
        self._connection.close()
        self._transport.deadline_changed()
        self._transport.close(error)


def _whole_number(text: str) -> int:
    """The number that a text of a few ASCII digits is, or -1."""
    if len(text) <= _MAX_DIGITS and text.isdigit() and text.isascii():
        return int(text)
    return -1


def _is_virtual(message: StompMessage) -> bool:
    return (message.destination or "").startswith("/virt/")


def _ack_mode(frame: Frame) -> AckMode:
    value = frame.headers.get(spec.ACK, AckMode.AUTO)
    try:
        return AckMode(value)
    except ValueError:
        reason = f"must be auto, client or client-individual, not {value[:40]!r}"
        raise HeaderError(frame.command, spec.ACK, reason) from None


def _prefetch_count(frame: Frame) -> int | None:
    value = frame.headers.get(spec.PREFETCH_COUNT)
    if value is None:
        return None
    count = _whole_number(value)
    if count < 0:
        reason = f"must be a number of messages, not {value[:40]!r}"
        raise HeaderError(frame.command, spec.PREFETCH_COUNT, reason)
    # RabbitMQ's and AMQP's meaning of 0: no limit. Memory still is one.
    return count or sys.maxsize
