"""Lines of ``C:`` and ``S:``, driven through a Connection with a fake time."""

import re
from textwrap import dedent
from typing import Final

from romp_asgi.errors import PeerError
from romp_asgi.stomp import BlockCache, Command, Connection, Frame, HeartBeat, Limits
from romp_asgi.stomp.connection import State
from romp_asgi.stomp.spec import CONNECT_COMMANDS, RECEIPT
from tests.stomp.wire import wire

_ENTRY: Final = re.compile(r"^(?=C:|S:|at )", re.MULTILINE)
_CONTENT_LENGTH: Final = re.compile(r"^content-length:([0-9]+)\n", re.MULTILINE)

#: What closes a connection.
CLOSED: Final = "(closed)"


class Conversation:
    """A connection, and as little of a session as a conversation needs.

    Frames that are possible are in ``frames``; nothing else is done with them, but
    for CONNECT, receipts and DISCONNECT. A script has these entries:

    - ``C:`` what the client sends, as in ``wire``;
    - ``S:`` what the server sends next, ERROR and MESSAGE without their
      content-length; ``^J`` is a heart-beat, ``(closed)`` the end;
    - ``at 2.5`` the time goes on, and on its way to there whatever is due is done.

    Every entry has to be met, and nothing else may be sent.
    """

    def __init__(
        self,
        *,
        heart_beat: HeartBeat | None = None,
        login_limits: Limits | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.now = 0.0
        self.frames: list[Frame] = []
        self.connect_headers: dict[str, str] = {}
        self.connection = Connection(
            limits=limits or Limits(),
            login_limits=login_limits or Limits(),
            heart_beat=heart_beat or HeartBeat(),
            blocks=BlockCache(),
            connect_timeout=10,
            heart_beat_grace=2,
            now=self.now,
        )
        self._sent_at = self.now
        self._sent: list[str] = []

    def play(self, script: str) -> None:
        """Go through the entries; what the server has sent by then is checked."""
        for entry in _ENTRY.split(dedent(script).strip("\n"))[1:]:
            word, _, text = entry.removesuffix("\n").partition(" ")
            if word == "at":
                self._go_to(float(text))
            elif word == "C:":
                assert not self._sent, "the server sent more"
                self.receive(wire(text.replace("\n   ", "\n")))
            else:
                assert self._sent, f"the server sent nothing, not {text!r}"
                text = text.replace("\n   ", "\n").rstrip("\n")
                assert self._sent.pop(0) == wire(text).decode()
        assert not self._sent, "the server sent more"

    def receive(self, data: bytes) -> None:
        """Octets come from the client."""
        connection = self.connection
        connection.receive_data(data, self.now)
        try:
            while frames := connection.events_received():
                for frame in frames:
                    self._handle(frame)
        except PeerError as exc:
            self._end(exc)

    def _handle(self, frame: Frame) -> None:
        connection = self.connection
        receipt = frame.headers.get(RECEIPT)
        try:
            connection.check(frame)
            if frame.command in CONNECT_COMMANDS:
                self.connect_headers = dict(connection.negotiate(frame))
                self._send(connection.accept("romp/0.1", "s1"))
                return
        except PeerError as exc:
            exc.receipt_id = receipt
            raise
        self.frames.append(frame)
        if receipt is not None:
            self._send(connection.receipt(receipt))
        if frame.command is Command.DISCONNECT:
            connection.close()
            self._sent.append(CLOSED)

    def _go_to(self, time: float) -> None:
        connection = self.connection
        while (deadline := connection.next_deadline()) is not None and deadline <= time:
            self.now = deadline
            try:
                if octets := connection.check_deadlines(self.now, self._sent_at):
                    self._send(octets)
            except PeerError as exc:
                self._end(exc)
        self.now = time

    def _end(self, error: PeerError) -> None:
        self._send(self.connection.error(error))
        self.connection.close()
        self._sent.append(CLOSED)

    def _send(self, octets: bytes) -> None:
        self._sent_at = self.now
        text = octets.decode()
        if match := _CONTENT_LENGTH.search(text):
            assert len(octets.partition(b"\n\n")[2]) == int(match[1]) + 1
            text = text[: match.start()] + text[match.end() :]
        self._sent.append(text)


def connected(version: str = "1.2", heart_beat: str = "0,0") -> Conversation:
    """A conversation after CONNECT, at time 0; the server can do 1000,1000."""
    conversation = Conversation(heart_beat=HeartBeat(1000, 1000))
    conversation.receive(
        wire(f"CONNECT\naccept-version:{version}\nheart-beat:{heart_beat}\n\n^@")
    )
    assert conversation.connection.state is State.CONNECTED
    conversation._sent.clear()
    return conversation
