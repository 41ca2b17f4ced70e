"""One client: the only place where frames, rights and the broker meet.

A session knows no sockets: a transport feeds it octets and the time, and writes what
is in its outbox.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, Protocol, assert_never

from mypy_extensions import mypyc_attr

from romp_asgi.auth import User
from romp_asgi.broker import VIRTUAL, Client, Message, Pending
from romp_asgi.broker.destination import Destination
from romp_asgi.broker.pending import all_of
from romp_asgi.errors import (
    FilterError,
    HeaderError,
    InternalError,
    NotLogged,
    PeerError,
    ProtocolError,
    RefusedByFilter,
    SelectorError,
    ShuttingDown,
    UnknownAck,
    UnknownDestination,
)
from romp_asgi.headers import ack_mode, prefetch_count, wanted, whole_number
from romp_asgi.hub import Hub
from romp_asgi.outbox import Outbox
from romp_asgi.passage import Passage
from romp_asgi.receiver import MessageReceiver
from romp_asgi.stomp import Command, Connection, Frame, spec
from romp_asgi.stomp.abridged import AckRun, ReceiptSend, SendRun
from romp_asgi.stomp.connection import State
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.versions import STOMP_1_2

logger = logging.getLogger(__name__)


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


#: To look up a member in its enum takes 0.1 µs each time, in Python 3.11.
_SEND: Final = Command.SEND
_ACK: Final = Command.ACK
_DISCONNECT: Final = Command.DISCONNECT
_CONNECTED: Final = State.CONNECTED

#: What a SEND may ask for beside its destination.
_MATTERS: Final = frozenset({spec.RECEIPT, spec.TRANSACTION})

#: Octets that are read from a client that is held and has something to acknowledge.
_MAX_AHEAD: Final = 65536


@mypyc_attr(allow_interpreted_subclasses=True)
class Session:
    """One client, from its connection to its end.

    Args:
        hub: what all sessions share.
        transport: the connection.
        peer: the client's address, for the log.
        is_web: whether it came over WebSocket.
        is_admin: whether it came in at the admin listener.
        now: the time, in seconds of the loop's clock.

    Attributes:
        id: the ``session`` header of CONNECTED; empty before it.
        user: who it has logged in as; None before that.
        is_admin: whether it came in at the admin listener, or is an administrator's.
        since: when it connected, in seconds since the epoch.
        is_downstream: whether it has what an edge server sends.
        is_secure: whether the connection is encrypted, as far as this server knows.
        client: what the broker knows of it.
        connection: what the protocol knows of it.
    """

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_error",
        "_frames",
        "_held",
        "_is_answered",
        "_is_at_eof",
        "_is_choked",
        "_looked_at",
        "_now",
        "_sent_at",
        "client",
        "connection",
        "hub",
        "id",
        "is_admin",
        "is_downstream",
        "is_secure",
        "peer",
        "since",
        "transport",
        "user",
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
        self.since = 0.0
        self.is_admin = is_admin
        self.is_downstream = False
        self.is_secure = False
        self.id = ""
        self.user: User | None = None
        self.hub = hub
        self.transport = transport
        self.client = Client(is_web=is_web)
        self.connection = Connection(
            limits=hub.limits,
            login_limits=hub.login_limits,
            heart_beat=hub.heart_beat,
            blocks=hub.blocks,
            connect_timeout=config.connect_timeout,
            heart_beat_grace=config.heart_beat_grace,
            now=now,
        )
        self._now = now
        self._sent_at = now
        self._looked_at = now
        # Frames that were read and not yet processed, and what they wait for.
        self._frames: Iterator[Frame] = iter(())
        self._held: Pending | None = None
        self._is_at_eof = False
        # Whether what is being processed of its last read has brought a receipt.
        self._is_answered = False
        # Whether it is not read from until it has taken what waits for it.
        self._is_choked = False
        # While it is held and read from all the same: octets read since, and what was
        # wrong after the frames that wait.
        self._ahead: int | None = None
        self._error: ProtocolError | None = None

    # What the transport tells

    def start(self) -> None:
        """The transport is ready."""
        self.hub.add(self)
        if self.hub.is_stopping:
            self.end(ShuttingDown())
        self.transport.deadline_changed()

    def receive_data(self, data: bytes, now: float) -> None:
        """Take octets from the client, and do what they say."""
        self._now = now
        self._is_answered = False
        outbox = self.transport.outbox
        if outbox.is_unanswered:
            outbox.is_unanswered = False
            self.hub.flusher.answered()
        self.connection.receive_data(data, now)
        if self._held is None:
            self._process()
        elif self._ahead is not None:
            self._read_ahead(len(data))
        if self._is_answered:
            # It may wait for that, and goes on while its message is written to others.
            outbox.flush()
        if outbox.size > outbox.max_size and outbox.size > outbox.high_water:
            # It asks for receipts and does not take them.
            self._is_choked = True
            self.transport.pause_reading()

    def receive_eof(self) -> None:
        """The client sends nothing more."""
        self._is_at_eof = True
        if self._held is None and self.connection.state is not State.CLOSED:
            self.end(None)

    def connection_lost(self) -> None:
        """The connection is gone."""
        self.connection.close()
        self.hub.broker.leave(self.client)
        self.hub.remove(self)
        # Session and transport know each other: what they hold would stay until the
        # collector comes by.
        self._frames = iter(())
        self.transport.outbox.clear()

    def has_room(self) -> None:
        """The outbox was full, and is so no more."""
        self.hub.broker.resume(self.client)
        if self._is_choked:
            self._is_choked = False
            if self._held is None and not self.is_closed():
                self.transport.resume_reading()

    def next_deadline(self) -> float | None:
        """When to call ``check_deadlines`` next, or None for not at all."""
        return self.connection.next_deadline()

    def check_deadlines(self, now: float) -> None:
        """Send a heart-beat or time the client out, if that is due."""
        self._now = now
        if self._held is not None or self._is_choked:
            # We do not read from it: its silence is ours.
            self.connection.hear(now)
        outbox = self.transport.outbox
        if outbox.wrote:
            # At some time since the last look; the earliest is the safe one.
            outbox.wrote = False
            self._sent_at = self._looked_at
        self._looked_at = now
        try:
            heart_beat = self.connection.check_deadlines(now, self._sent_at)
        except ProtocolError as exc:
            self.end(exc)
            return
        if heart_beat:
            outbox.write(heart_beat)

    # What the server tells

    def shut_down(self) -> None:
        """The server stops: tell the client, and close."""
        self.end(ShuttingDown())

    def cut_off(self, error: PeerError | None) -> None:
        """End the client, in the next pass of the loop.

        With ``close_on_error = false`` it is only told, if the error is not fatal.
        """
        closes = error is None or error.fatal or self.hub.config.close_on_error
        self.hub.later(partial(self.end if closes else self._tell, error))

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    # Frames

    def _process(self) -> None:
        """Process frames until there are none, or one has to be waited for."""
        while True:
            for frame in self._frames:
                try:
                    self._handle(frame)
                except Exception as exc:
                    self.failed(frame, exc)
                if self._held is not None:
                    if self._ahead is not None:
                        self._acknowledge_ahead()
                    return
            try:
                frames = self._read()
            except ProtocolError as exc:
                self.end(exc)
                return
            if not frames:
                return
            self._frames = iter(frames)

    def _read(self) -> list[Frame]:
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self.connection.events_received()

    def _read_ahead(self, size: int) -> None:
        """Take an acknowledgement of a client that is held, wherever it stands."""
        assert self._ahead is not None
        self._ahead += size
        try:
            frames = self._read()
        except ProtocolError as exc:
            # When what came before it has been processed.
            self._error = exc
            frames = []
        if self._error is not None or self._ahead > _MAX_AHEAD:
            self.transport.pause_reading()
        self._frames = iter([*self._frames, *frames])
        self._acknowledge_ahead()

    def _acknowledge_ahead(self) -> None:
        """Process the acknowledgements among the frames that wait.

        What the client waits for may be the room that they make.
        """
        waiting = []
        for frame in self._frames:
            is_ahead = frame.command in spec.ACKNOWLEDGEMENTS
            if is_ahead and spec.TRANSACTION not in frame.headers:
                try:
                    self._handle(frame)
                except Exception as exc:
                    self.failed(frame, exc)
            else:
                waiting.append(frame)
        self._frames = iter(waiting)

    def _handle(self, frame: Frame) -> None:
        connection = self.connection
        command = frame.command
        headers = frame.headers
        # Nearly all frames are of two kinds of which all is known that matters: a SEND
        # with headers that came before leads where they did, and an ACK may have a
        # number and nothing else. There is nothing more to look for in them; and of
        # 10,000 destinations what a look-up needs is in no cache.
        if (
            type(headers) is Headers
            and connection.state is _CONNECTED
            and self.hub.filters is None
        ):
            broker = self.hub.broker
            pending: Pending | None
            if command is _SEND:
                if isinstance(frame, SendRun):
                    self._send_run(frame, headers)
                    return
                target: Destination | None = headers.target
                if target is None or not target.exists:
                    plain = _MATTERS.isdisjoint(headers)
                    target = self._target(headers) if plain else None
                if target is not None:
                    message = Message(target.name, headers, frame.body)
                    pending = broker.send(self.client, message, self._now, None, target)
                    if pending is not None or isinstance(frame, ReceiptSend):
                        self.done(frame, pending)
                    return
            elif command is _ACK:
                if isinstance(frame, AckRun):
                    self._acknowledge_run(frame)
                    return
                if headers.tag:
                    pending = broker.acknowledge(self.client, headers.tag, self._now)
                    if pending is not None:
                        self.done(frame, pending)
                    return
        # SEND and ACK, which are nearly all, look for their headers themselves.
        if connection.state is not _CONNECTED or (
            command is not _SEND and command is not _ACK
        ):
            if connection.state is State.CLOSED:
                return
            try:
                connection.check(frame)
            except HeaderError:
                if command is Command.SUBSCRIBE:
                    # "subs flup" goes before the header that is missing, as in romp.
                    self.hub.broker.check_subscriptions(self.client)
                raise
            if self.user is None and command in spec.CONNECT_COMMANDS:
                self._log_in(frame)
                return
        filters = self.hub.filters
        if filters is not None:
            Passage(self, filters, frame).go_on(None, None)
            return
        pending = self.act(frame)
        if pending is not None or frame.receipt() is not None:
            self.done(frame, pending)
        if command is _DISCONNECT:
            self.end(None)

    def _send_run(self, run: SendRun, headers: Headers) -> None:
        """SENDs that came in a row, together if their target takes them so."""
        bodies, broker = run.bodies, self.hub.broker
        target: Destination | None = headers.target
        if (
            target is not None
            and target.exists
            and broker.takes_run(target, len(bodies))
        ):
            pending = broker.send_run(headers, bodies, self._now, target)
            if pending is not None:
                self.done(run, pending)
            return
        for index, body in enumerate(bodies, 1):
            frame = Frame(_SEND, headers, body)
            try:
                self._handle(frame)
            except Exception as exc:
                self.failed(frame, exc)
            if self._held is not None:
                rest = bodies[index:]
                if rest:
                    self._frames = iter([SendRun(headers, rest), *self._frames])
                return

    def _acknowledge_run(self, run: AckRun) -> None:
        """ACKs that came in a row, which is cheaper than one by one."""
        broker, client, tags = self.hub.broker, self.client, run.tags
        pendings: list[Pending | None] = []
        start = 0
        for index, tag in enumerate(tags):
            if not 0 < tag <= client.last_tag:
                # It was never given to the client: only that is an error.
                pendings.append(broker.acknowledge_all(client, tags[start:index]))
                start = index + 1
                self.failed(run, UnknownAck(str(tag)))
                if self.is_closed():
                    return
        pendings.append(broker.acknowledge_all(client, tags[start:]))
        pending = all_of([pending for pending in pendings if pending is not None])
        if pending is not None:
            self.done(run, pending)

    def _log_in(self, frame: Frame) -> None:
        """CONNECT, which goes no further before its login has been checked."""
        headers = self.connection.negotiate(frame)
        login = self.hub.authenticator.log_in(
            headers.get(spec.LOGIN),
            headers.get(spec.PASSCODE),
            peer=self.peer,
            is_admin=self.is_admin,
            is_gone=self.is_closed,
        )
        if isinstance(login, User):
            self._logged_in(frame, login)
            return
        self.hold(Pending())
        self.hub.spawn(self._wait_for_login(frame, login))

    async def _wait_for_login(
        self, frame: Frame, login: Callable[[], Awaitable[User]]
    ) -> None:
        """Wait for a check that takes its time; only this client waits with it."""
        try:
            user = await login()
            self.release()
            if not self.is_closed():
                self._logged_in(frame, user)
        except Exception as exc:
            self.release()
            self.failed(frame, exc)
        self.resume()

    def _logged_in(self, frame: Frame, user: User) -> None:
        self.user = user
        self.client.user = user.name
        self.is_admin = self.is_admin or user.is_admin
        self._handle(frame)

    def failed(self, frame: Frame, error: Exception) -> None:
        """A frame was refused, or could not be processed."""
        if not isinstance(error, PeerError):
            logger.error("internal error at %s of %s", frame, self.peer, exc_info=error)
            error = InternalError()
        error.receipt_id = frame.receipt()
        if isinstance(error, FilterError):
            if error.log_message is not None:
                logger.warning("filter: %s: %s", self.peer, error.log_message)
            closes = error.fatal
            if self.is_downstream:
                # A link has to know what became of its message.
                error = RefusedByFilter(error)
            elif error.reply_message is None:
                if closes:
                    self.end(None)
                return
        else:
            closes = error.fatal or self.hub.config.close_on_error
        if closes:
            self.end(error)
        else:
            self._tell(error)

    def _tell(self, error: PeerError | None) -> None:
        """Send an ERROR after which the connection stays open."""
        if error is not None and not self.is_closed():
            self.transport.outbox.write(self.connection.error(error))

    # What a frame on its way through the filters asks

    def act(self, frame: Frame) -> Pending | None:
        """Do what a frame says; return what has to be waited for, if anything."""
        if frame.command is _SEND:
            return self._send(frame)
        broker, client = self.hub.broker, self.client
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
                self._connect()
            case Command.DISCONNECT:
                pass
            case (
                Command.CONNECTED | Command.MESSAGE | Command.RECEIPT | Command.ERROR
            ):  # pragma: no cover  # the parser knows only what a client sends
                raise AssertionError(frame.command)
            case _:
                assert_never(frame.command)
        return None

    def _connect(self) -> None:
        self.id = self.hub.next_session_id()
        connected = self.connection.accept(
            self.hub.server, self.id, abridges=self._takes_abridged()
        )
        self.transport.outbox.write(connected)
        self.transport.deadline_changed()

    def _takes_abridged(self) -> bool:
        """Whether nobody looks at each frame as it came."""
        return self.hub.filters is None and self.hub.message_log is None

    def _send(self, frame: Frame) -> Pending | None:
        headers = frame.headers
        destination = headers.get(spec.DESTINATION)
        if destination is None:
            raise HeaderError(Command.SEND, spec.DESTINATION)
        broker = self.hub.broker
        transaction = headers.get(spec.TRANSACTION)
        message = Message(destination, headers, frame.body)
        try:
            pending = broker.send(self.client, message, self._now, transaction)
        except (UnknownDestination, NotLogged):
            # A command is no message, and needs no log of them.
            if not destination.startswith(VIRTUAL):
                raise
            self.command(frame)
            return None
        return pending

    def _target(self, headers: Headers) -> Destination | None:
        """The destination of a SEND, if it is there; its headers lead to it then."""
        name = headers.get(spec.DESTINATION)
        if name is None:
            return None
        target = self.hub.broker.destinations.get(name)
        if headers.template is not None:
            headers.template.target = target
        if headers.is_known:
            headers.target = target
        return target

    def command(self, frame: Frame) -> None:
        """A SEND to a virtual name that no filter claims."""
        self.hub.administration.command(self, frame, self._now)

    def _subscribe(self, frame: Frame) -> None:
        headers = frame.headers
        destination = headers[spec.DESTINATION]
        id = headers.get(spec.ID)
        ack = ack_mode(frame)
        try:
            wants = wanted(
                headers.get(spec.SELECTOR),
                headers.get(spec.FILTER),
                self.hub.config.max_selector_len,
            )
        except SelectorError:
            # What else is wrong goes first, as in romp.
            self.hub.broker.check_subscribe(self.client, destination)
            raise
        receiver = MessageReceiver(
            self, self.transport.outbox, self.connection.version, id
        )
        self.hub.broker.subscribe(
            self.client,
            # STOMP 1.0: UNSUBSCRIBE goes by destination where there was no id.
            destination if id is None else id,
            destination,
            receiver,
            ack,
            prefetch_count(frame),
            wants,
        )

    def _unsubscribe(self, frame: Frame) -> None:
        headers = frame.headers
        id = headers.get(spec.ID, headers.get(spec.DESTINATION))
        if id is None:
            raise HeaderError(frame.command, spec.ID)
        self.hub.broker.unsubscribe(self.client, id)

    def _acknowledge(self, frame: Frame, *, is_ack: bool) -> Pending | None:
        headers = frame.headers
        version = self.connection.version
        ack_id = headers.get(version.ack_header)
        if ack_id is None or version is not STOMP_1_2:
            # 1.1 asks for more than one.
            self.connection.check(frame)
        assert ack_id is not None
        tag = self.tag(ack_id)
        if tag is None:
            if self._is_auto_ack(headers.get(spec.SUBSCRIPTION)):
                raise UnknownAck(ack_id)
            return None
        return self.hub.broker.acknowledge(
            self.client,
            tag,
            self._now,
            is_ack=is_ack,
            requeue=is_ack or headers.get(spec.REQUEUE) != "false",
            transaction=headers.get(spec.TRANSACTION),
        )

    def _is_auto_ack(self, id: str | None) -> bool:
        """Whether a message that nobody waits for is of a destination of ``auto_ack``.

        Args:
            id: the subscription that the client names; without one, it must be so of
                all that it has.
        """
        subscriptions = self.client.subscriptions
        named = subscriptions if id is None else [id] if id in subscriptions else []
        policies = [subscriptions[each].destination.policy for each in named]
        return bool(policies) and all(policy.auto_ack for policy in policies)

    def tag(self, ack_id: str) -> int | None:
        """The delivery that an ACK or NACK names, as `MessageReceiver` wrote it.

        Returns:
            None for a message of an "auto" subscription, which STOMP 1.0 and 1.1 let
            a client name: it counts as acknowledged already.

        Raises:
            UnknownAck: if it cannot have been given.
        """
        if self.connection.version is STOMP_1_2:
            tag = whole_number(ack_id)
            if tag in self.client.unacked:
                return tag
        else:
            number, dash, last = ack_id.rpartition("-")
            tag = whole_number(last)
            if not dash and 0 < tag <= self.hub.broker.last_number:
                return None
            delivery = self.client.unacked.get(tag)
            if delivery is not None and number != str(delivery.message.number):
                raise UnknownAck(ack_id)
        if not 0 < tag <= self.client.last_tag:
            raise UnknownAck(ack_id)
        return tag

    def done(self, frame: Frame, pending: Pending | None) -> None:
        """A frame was processed, or will be: send its receipt, if it asks, then."""
        receipt_id = None
        # "… on any client frame other than CONNECT"
        if frame.command not in spec.CONNECT_COMMANDS:
            receipt_id = frame.receipt()
        if pending is None or pending.done:
            if receipt_id is not None:
                self._is_answered = True
                self.transport.outbox.write(self.connection.receipt(receipt_id))
            return
        if self.client.unacked and self.hub.filters is None:
            self._held = pending
            self._ahead = 0
        else:
            self.hold(pending)
        release = partial(self._release, frame, pending, receipt_id)
        pending.then(partial(self.hub.later, release))

    def hold(self, pending: Pending) -> None:
        """Process and read nothing more from the client until ``release``."""
        self._held = pending
        self.transport.pause_reading()

    def _release(self, frame: Frame, pending: Pending, receipt_id: str | None) -> None:
        """What was waited for is done."""
        self.release()
        if self.is_closed():
            return
        if pending.error is not None:
            self.failed(frame, pending.error)
        elif receipt_id is not None:
            self.transport.outbox.write(self.connection.receipt(receipt_id))
        self.resume()

    def release(self) -> None:
        """What ``hold`` waited for is done; ``resume`` goes on."""
        self._held = self._ahead = None
        self.connection.hear(max(self._now, self._looked_at))

    def resume(self) -> None:
        """Process what has been read, then read again."""
        if not self._is_waiting():
            self._process()
        if self._is_waiting() or self.is_closed():
            return
        if self._is_at_eof:
            self.end(None)
        elif not self._is_choked:
            self.transport.resume_reading()

    # The end

    def _is_waiting(self) -> bool:
        return self._held is not None

    def is_closed(self) -> bool:
        """Whether nothing more is done for the client."""
        return self.connection.state is State.CLOSED

    def end(self, error: PeerError | None) -> None:
        """Leave the broker, tell the client why if there is a reason, and close.

        "The server MUST then close the connection just after sending the ERROR."
        """
        if self.is_closed():
            return
        self.hub.broker.leave(self.client)
        if error is not None:
            if not isinstance(error, ShuttingDown):  # one line for all: see Hub.stop
                words = error.message, error.detail
                logger.info("closing %s: %s: %s", self.peer, *words)
            self.transport.outbox.write(self.connection.error(error))
        self.connection.close()
        self.transport.deadline_changed()
        self.transport.close(error)
