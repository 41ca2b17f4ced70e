"""What becomes here of the messages of one connection to an edge server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from romp_asgi.downstream.inlet import Inlet
from romp_asgi.errors import DestinationBlocked, DestinationFull, NotLogged
from romp_asgi.stomp import Command, Frame, spec

if TYPE_CHECKING:
    from romp_asgi.hub import Hub

logger = logging.getLogger(__name__)

#: Seconds until what was refused for now is tried again.
RETRY: Final = 0.25
#: What keeps a message from its destination, but need not for ever: that it is full, as
#: the memory may be, or blocked, which an administrator can change; and a full disk.
_PASSING: Final = frozenset(
    {DestinationFull.message, DestinationBlocked.message, NotLogged.REFUSED}
)
_MAX_TOLD: Final = 100


class Outgoing(Protocol):
    """What an intake asks of its visit."""

    def settle(self, message: Frame, *, is_taken: bool) -> None:
        """A message was taken, or refused for good."""
        ...

    def answer(self, message: Frame) -> None:
        """A filter answers."""
        ...

    def fail(self, reason: str) -> None:
        """Nothing can be taken any more."""
        ...


class Intake:
    """Messages on their way from an edge server to their destinations here.

    They go through a session, one after another. When that ends because of a message,
    the others go on in another session.

    Args:
        hub: what takes the messages.
        name: of the link.
        login: the user that they come from.
        visit: told what becomes of them.

    Attributes:
        is_free: whether it takes something now; it keeps what comes all the same.
    """

    def __init__(self, hub: Hub, name: str, login: str, visit: Outgoing) -> None:
        self._hub = hub
        self._name = name
        self._login = login
        self._visit = visit
        self._loop = asyncio.get_running_loop()
        # What was not answered yet, in order, by the receipt it is to have; and what of
        # it the inlet has.
        self._waiting: dict[str, tuple[Frame, str]] = {}
        self._given: set[str] = set()
        self._receipts = 0
        self._inlet: Inlet | None = None
        self._has_answered = False
        self._last_words = ""
        self._told: set[tuple[str, str]] = set()
        self._is_paused = False
        self._is_ended = False
        self._retry: asyncio.TimerHandle | None = None
        self.is_free = asyncio.Event()
        self.is_free.set()

    def take(self, message: Frame, destination: str) -> None:
        """Take a message for a destination here."""
        self._receipts += 1
        receipt = str(self._receipts)
        self._waiting[receipt] = message, destination
        self._give(receipt)

    def tell(self, what: str, why: str) -> None:
        """Log once a visit; how often it was so is counted."""
        if (what, why) not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add((what, why))
            logger.warning("downstream %s: %s: %s", self._name, what, why)

    def flush(self) -> None:
        """Hear what the session has to say so far."""
        if self._inlet is not None:
            self._inlet.outbox.flush()

    def end(self) -> None:
        """Take nothing more."""
        self._is_ended = True
        self.is_free.set()
        if self._retry is not None:
            self._retry.cancel()
        if self._inlet is not None:
            self._inlet.end()

    # Into the session

    def _give(self, receipt: str) -> None:
        if self._retry is not None or self._is_ended:
            return
        now = self._loop.time()
        if self._inlet is None:
            self._has_answered = False
            self._last_words = ""
            self._inlet = Inlet(
                self._hub,
                self._name,
                self._login,
                now,
                answered=self._answered,
                paused=self._paused,
                closed=self._closed,
            )
            self._inlet.start(now)
        if self._inlet is not None:
            self._given.add(receipt)
            self._inlet.send(*self._waiting[receipt], receipt, now)

    def _give_again(self) -> None:
        self._retry = None
        self._look()
        for receipt in list(self._waiting):
            if receipt not in self._given:
                self._give(receipt)

    # What the session says

    def _answered(self, frame: Frame) -> None:
        if frame.command is Command.MESSAGE:
            self._visit.answer(frame)
            return
        receipt = frame.headers.get(spec.RECEIPT_ID, "")
        error = None
        if frame.command is Command.ERROR:
            error = frame.headers.get(spec.MESSAGE)
        if receipt not in self._waiting:
            if error is not None:
                self._last_words = words(frame)
            return
        self._has_answered = True
        message, destination = self._waiting[receipt]
        if error in _PASSING:
            self.tell(f"a message for {destination} has to wait", words(frame))
            self._hold_back()
            return
        del self._waiting[receipt]
        self._given.discard(receipt)
        is_taken = error is None or error == NotLogged.ACCEPTED
        if not is_taken:
            self.tell(f"a message for {destination} was refused", words(frame))
        self._visit.settle(message, is_taken=is_taken)

    def _hold_back(self) -> None:
        """Try all that waits again, later and in order."""
        if self._inlet is not None:
            self._inlet.end()
            self._leave_inlet()
        if self._retry is None:
            self._retry = self._loop.call_later(RETRY, self._give_again)
            self._look()

    def _paused(self, is_paused: bool) -> None:
        self._is_paused = is_paused
        self._look()

    def _closed(self) -> None:
        """The session has ended."""
        self._leave_inlet()
        self._look()
        if not self._has_answered:
            # Another would end as this one did.
            reason = self._last_words or "it was closed"
            self._visit.fail(f"the session here has ended: {reason}")
        elif self._waiting:
            self._loop.call_soon(self._give_again)

    def _leave_inlet(self) -> None:
        self._inlet = None
        self._given.clear()
        self._is_paused = False

    def _look(self) -> None:
        if self._is_paused or self._retry is not None:
            self.is_free.clear()
        else:
            self.is_free.set()


def words(frame: Frame) -> str:
    """What an ERROR says, on one line; the sentence if there is one."""
    body = frame.body.decode("utf-8", "replace").strip()
    text = body.splitlines()[0] if body else ""
    parts = (frame.headers.get(spec.MESSAGE, ""), text)
    return repr(": ".join(part[:200] for part in parts if part))[1:-1] or "ERROR"
