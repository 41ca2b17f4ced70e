"""Where the messages of an edge server come in: as SENDs of a session of its own."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from romp_asgi.access_log import session_type
from romp_asgi.auth import User
from romp_asgi.errors import PeerError
from romp_asgi.outbox import Outbox
from romp_asgi.stomp import Command, Frame, Limits, Parser, spec
from romp_asgi.stomp.frame import encode_frame
from romp_asgi.stomp.versions import STOMP_1_2

if TYPE_CHECKING:
    from romp_asgi.hub import Hub

#: The ``message-id`` that a relayed message had at the edge server.
ORIG_ID: Final = "orig-id"

_CONNECT: Final = Frame(Command.CONNECT, {spec.ACCEPT_VERSION: STOMP_1_2.name})
#: What our own session sends.
_COMMANDS: Final = {
    command.value: command
    for command in (Command.CONNECTED, Command.MESSAGE, Command.RECEIPT, Command.ERROR)
}
_UNLIMITED: Final = Limits(*[1 << 40] * 4)


class Inlet:
    """A session in the process, and the transport that it is on.

    Args:
        hub: what all sessions share.
        name: of the link, for the log.
        login: the user that the messages come from.
        now: the time, in seconds of the loop's clock.
        answered: told what the session sends, frame by frame.
        paused: told whether it takes nothing for now.
        closed: told that it takes nothing more.

    Attributes:
        is_closed: whether it takes nothing more.
    """

    def __init__(
        self,
        hub: "Hub",
        name: str,
        login: str,
        now: float,
        *,
        answered: Callable[[Frame], None],
        paused: Callable[[bool], None],
        closed: Callable[[], None],
    ) -> None:
        config = hub.config
        self._answered = answered
        self._paused = paused
        self._closed = closed
        self.is_closed = False
        self._parser = Parser(_UNLIMITED, commands=_COMMANDS)
        self.outbox = Outbox(
            self,
            hub.flusher,
            config.outbox_high_water,
            config.max_outbox,
            lambda: None,  # it is never full: it takes all at once
        )
        self._session = session = session_type(hub)(
            hub, self, peer=f"downstream {name}", is_web=False, is_admin=False, now=now
        )
        session.is_downstream = True
        session.user = User(login)
        session.client.user = login
        session.start()
        session.connection.negotiate(_CONNECT)
        session.receive_data(encode_frame(_CONNECT, STOMP_1_2), now)

    def send(
        self,
        message: Frame,
        destination: str,
        receipt: str,
        now: float,
    ) -> None:
        """Take a MESSAGE as a SEND to a destination here.

        What becomes of it is answered by a RECEIPT or an ERROR of this id.
        """
        given: Mapping[str, str] = message.headers
        headers = {spec.DESTINATION: destination, spec.RECEIPT: receipt}
        headers[ORIG_ID] = given.get(spec.MESSAGE_ID, "")
        for name, value in given.items():
            if name not in spec.RESERVED_HEADERS:
                headers.setdefault(name, value)
        frame = Frame(Command.SEND, headers, message.body)
        self._session.receive_data(encode_frame(frame, STOMP_1_2), now)

    def end(self) -> None:
        """The link is gone."""
        if not self.is_closed:
            self.is_closed = True
            self._session.connection_lost()

    # What the session and the outbox ask of a transport

    def write_frames(self, pieces: list[bytes]) -> None:
        """Answer with what the session sends."""
        self._parser.receive_data(b"".join(pieces))
        while frames := self._parser.frames():
            for frame in frames:
                self._answered(frame)

    def pause_reading(self) -> None:
        """Take nothing for now."""
        self._paused(True)

    def resume_reading(self) -> None:
        """Take something again."""
        self._paused(False)

    def deadline_changed(self) -> None:
        """There are no deadlines in the process."""

    def close(self, error: PeerError | None) -> None:
        """Tell what is still to be told, then end."""
        self.outbox.flush()
        self.abort()

    def abort(self) -> None:
        """End at once."""
        if not self.is_closed:
            self.end()
            self._closed()
