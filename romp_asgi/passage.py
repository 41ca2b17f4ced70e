"""A frame on its way through the filters; on it, it takes effect."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from romp_asgi.broker import VIRTUAL, Pending
from romp_asgi.filters import CONTINUE, ClientSession, Context, StompMessage
from romp_asgi.filters.chain import FilterChain, Outcome
from romp_asgi.stomp import Command, Frame
from romp_asgi.stomp.spec import RECEIPT

if TYPE_CHECKING:
    from romp_asgi.session import Session


class Passage:
    """One frame, one time through the filters of an application.

    Args:
        session: the client that sent it.
        filters: the filters.
        frame: the frame.
    """

    __slots__ = ("_frame", "_message", "_session", "_way")

    def __init__(self, session: Session, filters: FilterChain, frame: Frame) -> None:
        self._session = session
        self._frame = frame
        self._message = StompMessage(frame.command, frame.headers, frame.body)
        context = Context(
            ClientSession(session),
            timestamp=time.time(),
            is_secure=session.is_secure,
            is_web_sockets=session.client.is_web,
            is_admin=session.is_admin,
            is_downstream=session.is_downstream,
            server_flags=session.hub.config.server_flags,
        )
        self._way = filters.way(context, self._message, self._act)

    def go_on(self, outcome: Outcome | None, error: Exception | None) -> None:
        """Take the frame as far as it goes without waiting.

        Args:
            outcome: what came of the awaitable that was waited for.
            error: what it raised.
        """
        way, session = self._way, self._session
        try:
            awaited = way.send(outcome) if error is None else way.throw(error)
        except StopIteration as stop:
            self._finish(*stop.value)
            return
        session.hold(Pending())
        session.hub.spawn(self._wait(awaited))

    async def _wait(self, awaited: Awaitable[Outcome | None]) -> None:
        """Wait for an async filter; only this client's frames wait with it."""
        session = self._session
        outcome: Outcome | None = None
        error: Exception | None = None
        try:
            outcome = await awaited
        except Exception as exc:
            error = exc
        session.release()
        if session.is_closed():
            self._way.close()
            return
        try:
            self.go_on(outcome, error)
        except Exception as exc:
            session.failed(self._frame, exc)
        session.resume()

    def _act(self) -> Pending | None:
        if self._is_virtual():
            return None
        return self._session.act(self._message.frame())

    def _finish(self, outcome: Outcome, pending: Pending | None) -> None:
        message, session = self._message, self._session
        if outcome is CONTINUE and self._is_virtual():
            session.command(message.frame())
        # A link has to know that its message was handled.
        is_answered = outcome is CONTINUE or session.is_downstream
        if is_answered and (pending is not None or RECEIPT in self._frame.headers):
            session.done(self._frame, pending)
        if message.command is Command.DISCONNECT:
            session.end(None)

    def _is_virtual(self) -> bool:
        """Whether it is a SEND that only a filter can claim."""
        message = self._message
        destination = message.destination or ""
        return message.command is Command.SEND and destination.startswith(VIRTUAL)
