"""What a filter knows of where a frame comes from, and what it can do there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from romp_asgi.errors import FilterError
from romp_asgi.local import outgoing
from romp_asgi.receiver import MessageReceiver

if TYPE_CHECKING:
    from romp_asgi.session import Session


class ClientSession:
    """The client that a filter deals with.

    What ends the session takes effect after the frame that is being filtered.
    """

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def id(self) -> str:
        """As in the ``session`` header of CONNECTED; empty before it."""
        return self._session.id

    @property
    def peer(self) -> str:
        """``host:port`` of the client."""
        return self._session.peer

    @property
    def user(self) -> str:
        """Who it has logged in as; empty for nobody."""
        return self._session.client.user

    def next_message_id(self) -> int:
        """A message-id that no message of this server has."""
        return self._session.hub.broker.next_number()

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The ids of its subscriptions."""
        return tuple(self._session.client.subscriptions)

    @property
    def pending_output(self) -> int:
        """Octets that wait to be written to it."""
        return self._session.transport.outbox.size

    def send_message(
        self,
        destination: str,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send it a MESSAGE, whether it subscribes to the destination or not."""
        session = self._session
        message = outgoing(destination, body, headers)
        message.number = session.hub.broker.next_number()
        MessageReceiver(
            session, session.transport.outbox, session.connection.version, destination
        ).deliver(message, 0, False)

    def send_error(self, message: str, *, fatal: bool = True) -> None:
        """Send it an ERROR, and close the connection if it is fatal."""
        session = self._session
        error = FilterError(message, fatal=fatal)
        if fatal:
            session.cut_off(error)
        else:
            session.transport.outbox.write(session.connection.error(error))

    def ack(self, ack_id: str) -> None:
        """Acknowledge a message in its place.

        Raises:
            UnknownAck: if it was never given it.
        """
        session = self._session
        tag = session.tag(ack_id)
        if tag is not None:
            now = asyncio.get_running_loop().time()
            session.hub.broker.acknowledge(session.client, tag, now)

    def unsubscribe(self, id: str) -> None:
        """End one of its subscriptions.

        Raises:
            UnknownSubscription: if it has none of that id.
        """
        self._session.hub.broker.unsubscribe(self._session.client, id)

    def unsubscribe_all(self) -> None:
        """End all of its subscriptions."""
        for id in self.subscriptions:
            self.unsubscribe(id)

    def shutdown(self) -> None:
        """Write what is queued to it, then close."""
        self._session.cut_off(None)

    def kill(self) -> None:
        """Close at once."""
        self._session.abort()


@dataclass(slots=True)
class Context:
    """One frame's surroundings.

    Attributes:
        session: the client.
        timestamp: when the frame was read, in seconds since the epoch.
        is_secure: whether the connection is encrypted.
        is_web_sockets: whether it is a WebSocket.
        is_admin: whether it has an administrator's rights.
        is_downstream: whether it is a link to another server.
        server_flags: of ``romp.toml``.
        attributes: what filters leave each other with this frame; names that begin
            with ``romp.`` are the server's.
    """

    session: ClientSession
    timestamp: float
    is_secure: bool = False
    is_web_sockets: bool = False
    is_admin: bool = False
    is_downstream: bool = False
    server_flags: Sequence[str] = ()
    attributes: dict[str, str] = field(default_factory=dict)
