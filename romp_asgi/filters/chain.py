"""The order in which filters see a frame.

```text
SEND            pre-send filters → the destination takes it → filters → receipt
DISCONNECT      pre-send filters → filters → receipt → the end
anything else   it takes effect → pre-send filters → filters → receipt
```

So a filter sees a SEND after its destination took it; one before SEND may change or
refuse it. ``HANDLED`` ends the way: nothing that comes after it happens, the receipt
too.
"""

from __future__ import annotations

import bisect
import inspect
from collections.abc import Awaitable, Callable, Generator
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from romp_asgi.filters.registry import Registry
from romp_asgi.stomp import Command

if TYPE_CHECKING:
    from romp_asgi.broker import Pending
    from romp_asgi.filters.context import Context
    from romp_asgi.filters.message import StompMessage


class Outcome(Enum):
    """What a filter says of a frame."""

    #: Go on with the next filter.
    CONTINUE = "continue"
    #: The filter has done all there is to do.
    HANDLED = "handled"


CONTINUE: Final = Outcome.CONTINUE
HANDLED: Final = Outcome.HANDLED

#: Insert points. Any whole number between or beside them is one, too: filters see a
#: frame in the order of theirs, and of one point in the order of registration. Those
#: below ``_SEND`` come before a destination takes a SEND.
PRE_SEND: Final = 100
_SEND: Final = 200
DEFAULT: Final = 300

#: A filter as it is called. None counts as CONTINUE.
FilterFunction = Callable[
    ["Context", "StompMessage"], "Outcome | Awaitable[Outcome | None] | None"
]


#: A frame on its way past the filters; see ``FilterChain.way``.
Way = Generator[
    Awaitable["Outcome | None"], "Outcome | None", tuple[Outcome, "Pending | None"]
]


@runtime_checkable
class StompFilter(Protocol):
    """A filter with a state of its own.

    ``init()``, called at the start, and ``close()``, plain or async, called at the end,
    are optional.
    """

    def do_filter(
        self, context: Context, message: StompMessage
    ) -> Outcome | Awaitable[Outcome | None] | None:
        """See a frame."""
        ...


class FilterChain:
    """The filters of one application.

    Attributes:
        before: those that see a SEND before its destination does.
        after: those that see it after.
    """

    def __init__(self) -> None:
        self.before: list[FilterFunction] = []
        self.after: list[FilterFunction] = []
        self._points: list[int] = []
        self._functions: list[FilterFunction] = []
        self._registry = Registry("message")

    def __len__(self) -> int:
        return len(self._functions)

    def add(self, filter: StompFilter | FilterFunction, point: int = DEFAULT) -> None:
        """Add a filter at an insert point, after those that are there.

        Raises:
            TypeError: if it is no filter.
            LocalProtocolError: once the server has started.
        """
        function = self._registry.add(filter)
        index = bisect.bisect_right(self._points, point)
        self._points.insert(index, point)
        self._functions.insert(index, function)

    def start(self) -> None:
        """Call every ``init()``, in the order of registration; no filter is added now.

        Once: a second start does nothing.

        Raises:
            FilterStartError: if one fails.
        """
        self._registry.start()
        first_after = bisect.bisect_left(self._points, _SEND)
        self.before = self._functions[:first_after]
        self.after = self._functions[first_after:]

    async def stop(self) -> None:
        """Call every ``close()``, the last one first; a start may follow."""
        await self._registry.stop()

    def way(
        self, context: Context, message: StompMessage, act: Callable[[], Pending | None]
    ) -> Way:
        """Lead a frame past the filters.

        Args:
            context: where it comes from.
            message: the frame.
            act: makes it take effect.

        Returns:
            A generator that yields what has to be awaited, is sent what came of it,
            and returns whether the frame was handled and what ``act`` waits for.
        """
        pending = None
        # A SEND takes effect between the filters, a DISCONNECT after all of them.
        if message.command not in (Command.SEND, Command.DISCONNECT):
            pending = act()
        for function in self.before:
            if (yield from _ask(function, context, message)) is HANDLED:
                return HANDLED, pending
        if message.command is Command.SEND:
            pending = act()
        for function in self.after:
            if (yield from _ask(function, context, message)) is HANDLED:
                return HANDLED, pending
        return CONTINUE, pending


def _ask(
    function: FilterFunction, context: Context, message: StompMessage
) -> Generator[Awaitable[Outcome | None], Outcome | None, Outcome]:
    returned = function(context, message)
    outcome: object = returned
    if inspect.isawaitable(returned):
        outcome = yield returned
    if outcome is None:
        return CONTINUE
    if not isinstance(outcome, Outcome):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"the filter {name} must return CONTINUE, HANDLED or None, not {outcome!r}"
        )
    return outcome
