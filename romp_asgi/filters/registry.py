"""What is asked of a filter when it is added, at the start, and at the end."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from romp_asgi.errors import FilterStartError, LocalProtocolError, RompError

logger = logging.getLogger(__name__)


class Registry:
    """The filters of one kind that an application has, in the order of registration.

    Args:
        sees: what they see beside a context: ``message`` or ``request``.
    """

    def __init__(self, sees: str) -> None:
        self._sees = sees
        self._filters: list[object] = []
        self._started = 0
        self._is_closed = False

    def add(self, filter: object) -> Callable[..., Any]:
        """Add a filter; return it as it is called.

        Raises:
            TypeError: if it is no filter.
            LocalProtocolError: once the server has started.
        """
        if self._is_closed:
            raise LocalProtocolError("a filter was added after the start of the server")
        function = getattr(filter, "do_filter", filter)
        if not callable(function):
            raise TypeError(
                f"a filter is a function of context and {self._sees}, or an object "
                f"with do_filter(context, {self._sees}), not {filter!r}"
            )
        self._check_signature(function)
        self._filters.append(filter)
        return function

    def start(self) -> None:
        """Call every ``init()``, in order; no filter is added now.

        Once: a second start does nothing. One that comes after a failure begins with
        the filter that failed.

        Raises:
            FilterStartError: if one fails.
        """
        self._is_closed = True
        for filter in self._filters[self._started :]:
            try:
                _call_init(filter)
            except RompError:
                raise
            except Exception as exc:
                logger.debug("init() of %s", _name(filter), exc_info=exc)
                raise FilterStartError(
                    _name(filter), f"{type(exc).__name__}: {exc}"
                ) from exc
            self._started += 1

    async def stop(self) -> None:
        """Call every ``close()``, the last one first; a start may follow.

        One that fails is logged, and the others are called all the same.
        """
        started, self._started = self._filters[: self._started], 0
        self._is_closed = False
        for filter in reversed(started):
            close = getattr(filter, "close", None)
            if close is None:
                continue
            try:
                closed = close()
                if inspect.isawaitable(closed):
                    await closed
            except Exception:
                logger.exception("close() of the filter %s", _name(filter))

    def _check_signature(self, function: Callable[..., Any]) -> None:
        try:
            inspect.signature(function).bind(object(), object())
        except TypeError as exc:
            raise TypeError(
                f"the filter {_name(function)} must take two arguments, context and "
                f"{self._sees}: {exc}"
            ) from None
        except ValueError:
            return  # a builtin that does not say


def _call_init(filter: object) -> None:
    init = getattr(filter, "init", None)
    if init is None:
        return
    if inspect.iscoroutinefunction(init):
        raise TypeError("it is async, and nobody would wait for it")
    init()


def _name(filter: object) -> str:
    name = getattr(filter, "__qualname__", None)
    return type(filter).__qualname__ if name is None else str(name)
