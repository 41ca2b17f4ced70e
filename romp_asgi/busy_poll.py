"""Looking again, instead of going to sleep, where an answer is about to come."""

import time
from collections.abc import Callable
from typing import Final

#: After so many polls in a row that were of no use there are no more.
_MAX_CREDIT: Final = 16

#: Without credit one pass in so many polls, to see whether it is of use by now.
_PROBE_INTERVAL: Final = 64


class BusyPoll:
    """Keeps the loop from sleeping for a moment after it has written something.

    Whoever waits for what was written often answers at once: with the next message
    after a receipt, with a reply to a request, with an acknowledgement. A process that
    sleeps is woken by the kernel, and its core by the hypervisor; both take longer than
    the broker takes for a message. So the loop looks at its sockets again for a few
    microseconds. Where no answer comes more often than not it stops doing so, but for a
    try now and then: a server with little to do, or one that shares its core with its
    clients, sleeps as ever, and so does one whose clients send however fast, but not
    because of what they got. Everything else in the loop is run meanwhile.

    Args:
        window: seconds to look.
        later: calls back in the next pass of the loop.
        clock: the time, in seconds.
    """

    __slots__ = (
        "_clock",
        "_credit",
        "_is_answered",
        "_is_polling",
        "_later",
        "_passes",
        "_until",
        "_window",
    )

    def __init__(
        self,
        window: float,
        later: Callable[[Callable[[], None]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window = window
        self._later = later
        self._clock = clock
        self._until = 0.0
        self._is_polling = False
        self._is_answered = False
        # Polls that were of use lately, less those that were not; passes without one.
        self._credit = 0
        self._passes = 0

    def answered(self) -> None:
        """A client has sent something after it was written to."""
        self._is_answered = True

    def wrote(self) -> None:
        """A pass of the loop ends in which something was written."""
        is_answered, self._is_answered = self._is_answered, False
        if self._is_polling:
            if not is_answered:
                return
            if self._credit < _MAX_CREDIT:
                self._credit += 1
        elif self._credit or self._is_probe():
            self._is_polling = True
            self._later(self._poll)
        else:
            return
        self._until = self._clock() + self._window

    def _is_probe(self) -> bool:
        self._passes = (self._passes + 1) % _PROBE_INTERVAL
        return not self._passes

    def _poll(self) -> None:
        """Come again in the next pass, which does not sleep for that."""
        if self._clock() < self._until:
            self._later(self._poll)
            return
        self._is_polling = False
        if self._credit:
            self._credit -= 1
