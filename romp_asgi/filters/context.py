"""What a filter knows of where a frame comes from, and what it can do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    def subscriptions(self) -> tuple[str, ...]:
        """The ids of its subscriptions."""
        return self._session.subscription_ids

    @property
    def pending_output(self) -> int:
        """Octets that wait to be written to it."""
        return self._session.pending_output

    def send_message(
        self,
        destination: str,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send it a MESSAGE, whether it subscribes to the destination or not."""
        self._session.send_message(destination, body, headers)

    def send_error(self, message: str, *, fatal: bool = True) -> None:
        """Send it an ERROR, and close the connection if it is fatal."""
        self._session.send_error(message, fatal=fatal)

    def ack(self, ack_id: str) -> None:
        """Acknowledge a message in its place.

        Raises:
            UnknownAck: if it was never given it.
        """
        self._session.ack(ack_id)

    def unsubscribe(self, id: str) -> None:
        """End one of its subscriptions.

        Raises:
            UnknownSubscription: if it has none of that id.
        """
        self._session.unsubscribe(id)

    def unsubscribe_all(self) -> None:
        """End all of its subscriptions."""
        for id in self.subscriptions:
            self._session.unsubscribe(id)

    def shutdown(self) -> None:
        """Write what is queued to it, then close."""
        self._session.close_gracefully()

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
        attributes: what filters leave each other with this frame; names that begin
            with ``romp.`` are the server's.
    """

    session: ClientSession
    timestamp: float
    is_secure: bool = False
    is_web_sockets: bool = False
    is_admin: bool = False
    is_downstream: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
