"""Commands of administrators: a SEND to ``/virt/admin/<command>``, and its answer.

The body is a JSON object, the answer another one: ``{"ok":true,"result":…}`` or
``{"ok":false,"error":"…"}``, a MESSAGE to the ``reply-to`` of the SEND, which nobody
but its sender gets. Without that header there is none, and an error is an ERROR.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from romp_asgi import process
from romp_asgi.admin import arguments, reports
from romp_asgi.admin.json import decode_object, encode
from romp_asgi.broker import VIRTUAL, Destination, operations
from romp_asgi.broker.patterns import is_pattern
from romp_asgi.config import Config
from romp_asgi.config.table import Table
from romp_asgi.errors import (
    BrokerError,
    ClosedByAdmin,
    CommandError,
    ConfigErrors,
    HeaderError,
    NotAdmin,
    SlowConsumer,
    UnknownDestination,
)
from romp_asgi.local import outgoing
from romp_asgi.policies import policy
from romp_asgi.receiver import MessageReceiver
from romp_asgi.stomp import Frame
from romp_asgi.stomp.spec import (
    CONTENT_TYPE,
    CORRELATION_ID,
    DESTINATION,
    REPLY_TO,
    TRANSACTION,
)

if TYPE_CHECKING:
    from romp_asgi.hub import Hub
    from romp_asgi.session import Session

logger = logging.getLogger(__name__)

_SHOWN_CHARACTERS: Final = 300

PREFIX: Final = f"{VIRTUAL}admin/"


class Administration:
    """The commands of one server.

    Args:
        hub: what all sessions share.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._is_on = hub.config.enable_admin
        self._now = 0.0

    def command(self, session: Session, frame: Frame, now: float) -> None:
        """Do what a SEND asks that no destination and no filter has taken.

        Args:
            session: who sent it.
            frame: the SEND.
            now: the time, in seconds of the loop's clock.

        Raises:
            UnknownDestination: if it is no command.
            NotAdmin: if it is one, of somebody who may not.
            SlowConsumer: if answers are not taken fast enough.
            PeerError: if it is not possible, and there is no ``reply-to``.
        """
        destination = frame.headers[DESTINATION]
        if not destination.startswith(PREFIX):
            raise UnknownDestination(destination)
        self._check(session)
        if TRANSACTION in frame.headers:
            reason = "is not possible with a command, which is not undone"
            raise HeaderError(frame.command, TRANSACTION, reason)
        self._now = now
        reply_to = frame.headers.get(REPLY_TO)
        outbox = session.transport.outbox
        if reply_to is not None and outbox.size > outbox.max_size:
            raise SlowConsumer(reply_to, outbox.max_size)
        try:
            result = self._run(session, destination.removeprefix(PREFIX), frame.body)
        except (BrokerError, CommandError) as exc:
            if reply_to is None:
                raise
            answer = {"ok": False, "error": str(exc)}
        else:
            answer = {"ok": True, "result": result}
        if reply_to is not None:
            _reply(session, reply_to, answer, frame.headers.get(CORRELATION_ID))

    def _check(self, session: Session) -> None:
        if not self._is_on:
            raise NotAdmin("Admin commands are off here: enable_admin is not set.")
        if not session.is_admin:
            raise NotAdmin("Admin commands need the login of an administrator.")

    def _run(self, session: Session, name: str, body: bytes) -> object:
        if name not in _COMMANDS:
            known = ", ".join(sorted(_COMMANDS))
            raise CommandError(f"There is no command {name[:40]!r}; there are {known}.")
        model, method = _COMMANDS[name]
        # romp does not look at what comes with these two.
        is_end = name in _ENDS
        try:
            members = {} if is_end else decode_object(body)
        except ValueError as exc:
            raise CommandError(str(exc)) from None
        taken = arguments.read(name, model, members)
        if name not in _QUESTIONS:
            what = f"{name} {taken}"[:_SHOWN_CHARACTERS]
            logger.info("admin usr=%s %s: %s", session.user, session.peer, what)
        return method(self, taken)

    # The server

    def _stat(self, taken: arguments.Nothing) -> object:
        statistics, memory = self._hub.statistics, self._hub.broker.memory
        return {
            "cc": statistics.server(),
            "destinations": statistics.destinations(),
            "downstreams": statistics.downstreams(),
            "memory": {"used": memory.used, "limit": memory.limit},
        }

    def _shut_down(self, taken: arguments.Nothing) -> object:
        self._hub.later(process.terminate)
        return {}

    def _kill(self, taken: arguments.Nothing) -> object:
        process.kill()

    # Sessions

    def _sessions(self, taken: arguments.Limit) -> object:
        return reports.sessions(self._hub, taken.limit)

    def _close(self, taken: arguments.Id) -> object:
        for session in self._hub.sessions:
            if session.id == taken.id and not session.is_closed():
                session.cut_off(ClosedByAdmin())
                return {}
        raise CommandError(f"There is no session {taken.id[:40]!r}.")

    # Destinations

    def _destinations(self, taken: arguments.Limit) -> object:
        return reports.destinations(self._hub, taken.limit)

    def _destination(self, taken: arguments.Name) -> object:
        return reports.destination_in_full(self._find(taken))

    def _find(self, taken: arguments.Name) -> Destination:
        """The destination that a command is about.

        Raises:
            CommandError: if it is a pattern, which is none.
            UnknownDestination: if there is no such name, and no pattern has it.
        """
        broker, name = self._hub.broker, taken.name
        if is_pattern(name) and name not in broker.destinations:
            shown = repr(name[:200])[1:-1]
            raise CommandError(
                f"{shown} is a pattern; name one of the destinations that it makes."
            )
        return broker.find(name)

    def _purge(self, taken: arguments.Name) -> object:
        return {"purged": self._find(taken).purge()}

    def _drain(self, taken: arguments.Drain) -> object:
        destination = self._find(taken)
        if taken.undo and taken.now:
            raise CommandError("The command drain takes undo or now, not both.")
        if taken.undo:
            operations.reopen(destination)
        elif taken.now:
            operations.shut_down(self._hub.broker, destination)
        else:
            operations.drain(destination)
        return reports.destination_in_short(destination)

    def _reconfigure(self, taken: arguments.Changes) -> object:
        destination = self._find(taken)
        for key in taken.settings:
            if key not in operations.CHANGEABLE:
                known = ", ".join(operations.CHANGEABLE)
                reason = f"cannot change {key[:40]}; it can change {known}"
                raise CommandError(f"The command reconfigure {reason}.")
        try:
            tables = {"destinations": {taken.name: taken.settings}}
            table = Config.from_dict(tables, "").destinations[taken.name]
        except ConfigErrors as exc:
            reason = "; ".join(str(exc).splitlines())
            raise CommandError(f"{reason}.") from None
        keys = set(taken.settings)
        operations.reconfigure(destination, policy(table), keys, self._now)
        return reports.destination_in_full(destination)


_Method = Callable[[Administration, Any], object]

#: What each command takes, and what does it.
_COMMANDS: Final[Mapping[str, tuple[type[Table], _Method]]] = MappingProxyType(
    {
        "close": (arguments.Id, Administration._close),
        "destination": (arguments.Name, Administration._destination),
        "destinations": (arguments.Limit, Administration._destinations),
        "drain": (arguments.Drain, Administration._drain),
        "kill": (arguments.Nothing, Administration._kill),
        "purge": (arguments.Name, Administration._purge),
        "reconfigure": (arguments.Changes, Administration._reconfigure),
        "sessions": (arguments.Limit, Administration._sessions),
        "shutdown": (arguments.Nothing, Administration._shut_down),
        "stat": (arguments.Nothing, Administration._stat),
    }
)

#: Those after which there is no server, and those that change nothing.
_ENDS: Final = frozenset({"kill", "shutdown"})
_QUESTIONS: Final = frozenset({"destination", "destinations", "sessions", "stat"})


def _reply(
    session: Session,
    reply_to: str,
    answer: Mapping[str, object],
    correlation_id: str | None,
) -> None:
    """Send the answer to the one who asked, on its subscription if it has one."""
    headers = {CONTENT_TYPE: "application/json"}
    if correlation_id is not None:
        headers[CORRELATION_ID] = correlation_id
    message = outgoing(reply_to, encode(answer), headers)
    message.number = session.hub.broker.next_number()
    subscriptions = session.client.subscriptions.values()
    named = (each.id for each in subscriptions if each.destination.name == reply_to)
    id = next(named, reply_to)
    MessageReceiver(
        session, session.transport.outbox, session.connection.version, id
    ).deliver(message, 0, False)
