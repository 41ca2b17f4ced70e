"""The server's side of one STOMP connection: state, version and heart-beats.

What comes in is given to ``receive_data`` and taken out of ``events_received`` as
frames; what has to go out is returned as octets by the method that decides it. The
session above decides who may log in and what a frame does.

Source: STOMP 1.2 § Connecting, § Protocol Negotiation, § Heart-beating.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from romp_asgi.errors import (
    HeaderError,
    NotLoggedIn,
    PeerError,
    StateError,
    TimeoutExceeded,
    VersionError,
)
from romp_asgi.stomp import spec
from romp_asgi.stomp.blocks import BlockCache
from romp_asgi.stomp.frame import Frame, encode_frame, encode_headers
from romp_asgi.stomp.heartbeat import HeartBeat, negotiate, parse_heart_beat
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.parser import Parser
from romp_asgi.stomp.spec import CLIENT_COMMANDS, CONNECT_COMMANDS, Command
from romp_asgi.stomp.versions import (
    PADDING,
    STOMP_1_0,
    STOMP_1_2,
    Version,
    negotiate_version,
)

#: What a heart-beat is: one EOL.
HEART_BEAT: Final = b"\n"


class State(Enum):
    """Where a connection is in its life."""

    #: Nothing but CONNECT, STOMP and DISCONNECT is possible.
    CONNECTING = "CONNECT has not been accepted yet"
    #: Every client frame but CONNECT and STOMP is possible.
    CONNECTED = "the connection is open already"
    #: Nothing is read any more.
    CLOSED = "the connection is closed"


#: To look it up in its enum takes 0.1 µs each time, in Python 3.11.
_CLOSED: Final = State.CLOSED


class Connection:
    """One connection, without its socket.

    Args:
        limits: how large a frame may be, once logged in.
        login_limits: how large it may be before that.
        heart_beat: what the server can do and wants.
        blocks: header blocks that came before, on any connection of the server.
        connect_timeout: seconds to wait for CONNECT.
        heart_beat_grace: how many agreed intervals without a sign of life end the
            connection; the spec asks for "an error margin".
        now: the time, in seconds of any clock that only goes forward.

    Attributes:
        limits: as given; looked at when the connection is opened.
    """

    __slots__ = (
        "_blocks",
        "_connect_deadline",
        "_grace",
        "_parser",
        "_received_at",
        "_sent_at",
        "_server_heart_beat",
        "heart_beat",
        "limits",
        "state",
        "version",
    )

    def __init__(
        self,
        *,
        limits: Limits,
        login_limits: Limits,
        heart_beat: HeartBeat,
        blocks: BlockCache,
        connect_timeout: float,
        heart_beat_grace: float,
        now: float,
    ) -> None:
        self.state = State.CONNECTING
        self.version: Version = STOMP_1_2
        self.heart_beat = HeartBeat()
        self.limits = limits
        self._server_heart_beat = heart_beat
        self._blocks = blocks
        self._grace = heart_beat_grace
        self._connect_deadline = now + connect_timeout
        self._received_at = now
        self._sent_at = now
        self._parser = Parser(login_limits, commands=CLIENT_COMMANDS)

    # Incoming

    def receive_data(self, data: bytes, now: float) -> None:
        """Take octets as they come from the peer."""
        self._received_at = now
        if self.state is not _CLOSED:
            self._parser.receive_data(data)

    def hear(self, now: float) -> None:
        """The peer counts as heard from, although nothing was read."""
        self._received_at = now

    def events_received(self) -> list[Frame]:
        """The frames that are complete, in order; call until there are none.

        Raises:
            ProtocolError: when what follows is not a frame.
        """
        if self.state is _CLOSED:
            return []
        return self._parser.frames()

    def check(self, frame: Frame) -> None:
        """Whether a frame is possible now and has the headers it must have.

        Raises:
            NotLoggedIn: for a frame before CONNECT.
            StateError: for a second CONNECT.
            HeaderError: for a missing header.
        """
        command = frame.command
        if self.state is State.CONNECTING:
            if command not in CONNECT_COMMANDS and command is not Command.DISCONNECT:
                raise NotLoggedIn(command)
        elif command in CONNECT_COMMANDS:
            raise StateError(command, self.state.value)
        for name in self.version.required.get(command, ()):
            if name not in frame.headers:
                raise HeaderError(command, name)

    # Outgoing

    def negotiate(self, frame: Frame) -> Mapping[str, str]:
        """Agree on version and heart-beats with a CONNECT.

        Returns:
            The headers of CONNECT, as the version agreed on reads them.

        Raises:
            VersionError: if there is no version in common.
            HeartBeatError: if the ``heart-beat`` header is not two numbers.
        """
        headers = frame.headers
        version = negotiate_version(headers.get(spec.ACCEPT_VERSION))
        if version.trims:
            trimmed: dict[str, str] = {}
            for name, value in headers.items():
                # Of names that become equal the first counts, as of repeated ones.
                trimmed.setdefault(name.strip(PADDING), value.strip(PADDING))
            headers = trimmed
        # STOMP 1.0 knows no heart-beats.
        offered = None if version is STOMP_1_0 else headers.get(spec.HEART_BEAT)
        client = parse_heart_beat(offered)
        self.version = version
        self.heart_beat = negotiate(client, self._server_heart_beat)
        return headers

    def accept(self, server: str, session: str, *, abridges: bool = False) -> bytes:
        """Open the connection after ``negotiate``.

        Args:
            server: the name of the server.
            session: the session's id.
            abridges: whether some frames may come abridged; see `Parser.switch`.

        Returns:
            CONNECTED.
        """
        self.state = State.CONNECTED
        blocks = self._blocks.of(self.version, self.limits)
        self._parser.switch(self.version, self.limits, blocks, abridges=abridges)
        # None are declared to a STOMP 1.0 client, because none will come.
        declared = HeartBeat() if self.version is STOMP_1_0 else self._server_heart_beat
        headers = {
            spec.VERSION: self.version.name,
            spec.HEART_BEAT: str(declared),
            spec.SERVER: server,
            spec.SESSION: session,
        }
        return encode_frame(Frame(Command.CONNECTED, headers), self.version)

    def receipt(self, receipt_id: str) -> bytes:
        """RECEIPT. Source: STOMP 1.2 § RECEIPT."""
        if not receipt_id.isidentifier() and not receipt_id.isdigit():
            line = encode_headers({spec.RECEIPT_ID: receipt_id}, self.version)
            return f"RECEIPT\n{line}\n\0".encode()
        return b"RECEIPT\nreceipt-id:%b\n\n\0" % receipt_id.encode()

    def error(self, error: PeerError) -> bytes:
        """ERROR, with the error's words. Does not close: see ``close``.

        Source: STOMP 1.2 § ERROR.
        """
        headers = {spec.MESSAGE: error.message}
        if error.receipt_id is not None:
            headers[spec.RECEIPT_ID] = error.receipt_id
        if isinstance(error, VersionError):
            headers[spec.VERSION] = ",".join(error.supported)
        headers[spec.CONTENT_TYPE] = "text/plain"
        body = error.detail.encode("utf-8", "replace") + b"\n"
        return encode_frame(Frame(Command.ERROR, headers, body), self.version)

    def close(self) -> None:
        """Read no more, and forget what was read."""
        self.state = State.CLOSED
        self._parser.close()

    # Time

    def next_deadline(self) -> float | None:
        """When to call ``check_deadlines`` next, or None for not at all."""
        if self.state is State.CONNECTING:
            return self._connect_deadline
        if self.state is State.CLOSED:
            return None
        deadlines = []
        if self.heart_beat.receive_ms:
            deadlines.append(self._receive_deadline())
        if self.heart_beat.send_ms:
            deadlines.append(self._send_deadline())
        return min(deadlines, default=None)

    def check_deadlines(self, now: float, sent_at: float) -> bytes:
        """Do what is due.

        Args:
            now: the time.
            sent_at: when octets were last written to the peer; anything written
                counts as a heart-beat.

        Returns:
            A heart-beat, or nothing.

        Raises:
            TimeoutExceeded: if the peer has been silent for too long.
        """
        if self.state is State.CONNECTING and now >= self._connect_deadline:
            raise TimeoutExceeded("CONNECT did not come in time.")
        if self.state is not State.CONNECTED:
            return b""
        if self.heart_beat.receive_ms and now >= self._receive_deadline():
            raise TimeoutExceeded(
                "Neither a frame nor a heart-beat came in time: every "
                f"{self.heart_beat.receive_ms} ms was agreed on."
            )
        self._sent_at = max(self._sent_at, sent_at)
        if self.heart_beat.send_ms and now >= self._send_deadline():
            self._sent_at = now
            return HEART_BEAT
        return b""

    def _receive_deadline(self) -> float:
        return self._received_at + self.heart_beat.receive_ms / 1000 * self._grace

    def _send_deadline(self) -> float:
        # Ahead of the interval, because the peer counts from when it hears.
        return self._sent_at + self.heart_beat.send_ms / 1000 * 0.8
