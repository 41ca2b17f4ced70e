"""The timer of one session."""

import asyncio
from typing import Protocol


class Timed(Protocol):
    """What has deadlines."""

    def next_deadline(self) -> float | None:
        """When to call ``check_deadlines`` next, or None for not at all."""
        ...

    def check_deadlines(self, now: float) -> None:
        """Do what is due."""
        ...


class Deadline:
    """Calls a session at its next deadline.

    Traffic moves deadlines away, not nearer; so the timer is left as it is, and finds
    out when it fires that it has to be set again.
    """

    __slots__ = ("_handle", "_timed")

    def __init__(self, timed: Timed) -> None:
        self._timed = timed
        self._handle: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """Set the timer to what the session says now."""
        self.cancel()
        deadline = self._timed.next_deadline()
        if deadline is not None:
            loop = asyncio.get_running_loop()
            # Not in the same pass again, should a deadline not move.
            when = max(deadline, loop.time() + 0.01)
            self._handle = loop.call_at(when, self._fire)

    def cancel(self) -> None:
        """Forget it."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._timed.check_deadlines(asyncio.get_running_loop().time())
        self.set()
