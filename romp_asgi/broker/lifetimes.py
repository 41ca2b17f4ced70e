"""How long messages may wait.

The ``expiry`` of a destination is the same for all that wait there: so they become too
old in their order. The ``expires`` header, which is ActiveMQ's, is each message's own.
"""

import math
from typing import Final

from romp_asgi.broker.backlog import Backlog
from romp_asgi.broker.clock import Clock
from romp_asgi.broker.message import Message
from romp_asgi.stomp.spec import EXPIRES

#: 13 digits are this century's milliseconds since the epoch.
_MAX_DIGITS: Final = 18

#: How many waiting messages are looked through in a second, so that it takes about a
#: hundredth of the time: what is longer is looked through less often.
_PACE: Final = 100_000


class Lifetimes:
    """The ``expires`` headers of the messages that wait in one destination.

    They may come in any order, other than what ``expiry`` of the destination says.

    Args:
        clock: the time.
    """

    __slots__ = ("_clock", "_next_look", "_soonest")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._soonest = math.inf
        self._next_look = -math.inf

    def note(self, message: Message) -> None:
        """A message waits, which may have an ``expires`` header."""
        text = message.headers.get(EXPIRES, "")
        if len(text) > _MAX_DIGITS or not (text.isascii() and text.isdigit()):
            return
        # "0" is never, as without the header.
        if milliseconds := int(text):
            clock = self._clock
            expires_at = clock.now() + milliseconds / 1000 - clock.wall()
            # Of the destination's and its own the sooner; 0 would be never.
            expires_at = min(expires_at, message.expires_at or math.inf) or -1.0
            message.expires_at = expires_at
            self._soonest = min(self._soonest, expires_at)

    def is_due(self, now: float) -> bool:
        """Whether all that waits has to be looked through."""
        return self._soonest <= now >= self._next_look

    def look(self, waiting: list[Message], now: float) -> set[Message]:
        """Look through all that waits; return what is too old."""
        late = {message for message in waiting if is_late(message, now)}
        self._soonest = min(
            (
                message.expires_at
                for message in waiting
                if message.expires_at and message not in late
            ),
            default=math.inf,
        )
        self._next_look = now + len(waiting) / _PACE
        return late

    def take_late(self, backlog: Backlog, now: float) -> list[Message]:
        """Take out of a backlog what is too old, oldest first."""
        late = take_late(backlog, now)
        if self.is_due(now):
            for delivery in backlog.take_out(self.look(backlog.messages(), now)):
                backlog.let_go(delivery)
                late.append(delivery.message)
        return late


def take_late(backlog: Backlog, now: float) -> list[Message]:
    """Take out of a backlog what is too old, oldest first, up to what is not."""
    late = []
    while (oldest := backlog.peek()) and is_late(oldest, now):
        backlog.let_go(backlog.pop())
        late.append(oldest)
    return late


def is_late(message: Message, now: float) -> bool:
    """Whether a message is too old to be delivered."""
    return message.expires_at != 0 and message.expires_at <= now
