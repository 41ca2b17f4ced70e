"""Filters in their order, and their beginning and end."""

import bisect
import inspect
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from romp_asgi.errors import LocalProtocolError

logger = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., object])


class Registry(Generic[_Function]):
    """The filters of one kind of an application.

    Args:
        second: what a filter is given beside a context.
        default: the insert point of a filter that is added without one.

    Attributes:
        functions: in the order in which they are called.
        points: the insert point of each.
    """

    def __init__(self, second: str, default: int) -> None:
        self.functions: list[_Function] = []
        self.points: list[int] = []
        self.is_started = False
        self._second = second
        self._default = default
        self._inits: list[Callable[[], None]] = []
        self._closes: list[Callable[[], object]] = []

    def __len__(self) -> int:
        return len(self.functions)

    def add(self, filter: object, point: int | None = None) -> None:
        """Add a filter at an insert point, after those that are there.

        Args:
            filter: a function, or an object with ``do_filter`` and perhaps ``init()``
                and ``close()``.
            point: lower ones come first.

        Raises:
            TypeError: if it is no filter.
            LocalProtocolError: once the server has started.
        """
        if self.is_started:
            raise LocalProtocolError("a filter was added after the start of the server")
        function: Any = getattr(filter, "do_filter", filter)
        if not callable(function):
            raise TypeError(
                f"a filter is a function of context and {self._second}, or an object "
                f"with do_filter(context, {self._second}), not {filter!r}"
            )
        self._check_signature(function)
        init = getattr(filter, "init", None)
        if init is not None:
            self._inits.append(init)
        close = getattr(filter, "close", None)
        if close is not None:
            self._closes.append(close)
        point = self._default if point is None else point
        index = bisect.bisect_right(self.points, point)
        self.points.insert(index, point)
        self.functions.insert(index, function)

    def start(self) -> None:
        """Call every ``init()``, in the order of registration; no filter is added now.

        Once: a second start does nothing.
        """
        if not self.is_started:
            self.is_started = True
            for init in self._inits:
                init()

    async def stop(self) -> None:
        """Call every ``close()``, the last one first; a start may follow."""
        if not self.is_started:
            return
        self.is_started = False
        for close in reversed(self._closes):
            try:
                closed = close()
                if inspect.isawaitable(closed):
                    await closed
            except Exception:
                logger.exception("close() of a filter")

    def _check_signature(self, function: Callable[..., object]) -> None:
        try:
            inspect.signature(function).bind(object(), object())
        except TypeError as exc:
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"the filter {name} must take two arguments, context and "
                f"{self._second}: {exc}"
            ) from None
        except ValueError:
            return  # a builtin that does not say
