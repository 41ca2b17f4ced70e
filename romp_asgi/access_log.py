"""The access log: what clients do, frame by frame, in the logger `romp_asgi.access`.

It is on at the levels Info and above of the key ``access_log``; at the others, and by
default, it costs nothing, because then sessions are plain ones. A line is written
before its frame takes effect. What clients say is escaped, so that it stays on one
line, and passcodes are not shown.
"""

import logging
from typing import Final

from romp_asgi.auth import User
from romp_asgi.config import AccessLog
from romp_asgi.hub import Hub
from romp_asgi.session import Session
from romp_asgi.stomp import Command, Frame
from romp_asgi.stomp.spec import BODY_COMMANDS, CONNECT_COMMANDS, DESTINATION

logger = logging.getLogger("romp_asgi.access")

_SHOWN_CHARACTERS: Final = 200
_SHOWN_OCTETS: Final = 1000


def session_type(hub: Hub) -> type[Session]:
    """The kind of sessions for a server's access log."""
    match hub.config.access_log:
        case AccessLog.INFO:
            return LoggedSession
        case AccessLog.DEBUG | AccessLog.TRACE:
            return FrameLoggedSession
        case _:
            return Session


def open_logger(level: AccessLog) -> None:
    """Let through what the key asks for, unless somebody has set the logger up."""
    if logger.level == logging.NOTSET:
        is_verbose = level in (AccessLog.DEBUG, AccessLog.TRACE)
        logger.setLevel(logging.DEBUG if is_verbose else logging.INFO)


class LoggedSession(Session):
    """A session with a line for each frame, in romp's words."""

    __slots__ = ()

    def connection_lost(self) -> None:
        """The connection is gone."""
        if self.user is not None:
            logger.info("session shutdown usr=%s id=%s", self.user, self.id)
        super().connection_lost()

    def _logged_in(self, frame: Frame, user: User) -> None:
        logger.info("login usr=%s", user)
        super()._logged_in(frame, user)

    def _handle(self, frame: Frame) -> None:
        # A CONNECT comes again, once its login is known to be good.
        is_again = frame.command in CONNECT_COMMANDS and self.user is not None
        if not is_again and not self.is_closed():
            self._log(frame)
        super()._handle(frame)

    def _takes_abridged(self) -> bool:
        return False

    def _log(self, frame: Frame) -> None:
        match frame.command:
            case Command.CONNECT | Command.STOMP:
                logger.info("%s", frame.command)
            case Command.SUBSCRIBE:
                destination = _printable(frame.headers.get(DESTINATION, ""))
                logger.info("SUBSCRIBE q=%s usr=%s", destination, self._who())
            case _:
                logger.info("%s usr=%s", frame.command, self._who())

    def _who(self) -> User | str:
        return "" if self.user is None else self.user


class FrameLoggedSession(LoggedSession):
    """A session that shows frames, too: of long ones the beginning."""

    __slots__ = ()

    def _log(self, frame: Frame) -> None:
        super()._log(frame)
        body = ""
        if frame.command in BODY_COMMANDS:
            body = f" {frame.body[:_SHOWN_OCTETS]!r}"
        logger.debug("%s %s%s", self.peer, frame, body)


def _printable(text: str) -> str:
    """A client's text for a log: bounded, and on one line."""
    return repr(text[:_SHOWN_CHARACTERS])[1:-1]
