"""Application code that sees GET requests ahead of the routes."""

from __future__ import annotations

import bisect
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from romp_asgi.errors import FilterError
from romp_asgi.filters.chain import DEFAULT, Outcome
from romp_asgi.filters.registry import Registry

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class HttpContext:
    """One request's surroundings.

    Attributes:
        timestamp: when it came, in seconds since the epoch.
        is_secure: whether the connection is encrypted.
        attributes: what filters leave each other with this request; ``romp.uri`` is
            its path with its query.
    """

    timestamp: float
    is_secure: bool
    attributes: dict[str, str] = field(default_factory=dict)


#: What a filter returns: a response, which ends the way; or CONTINUE or None.
Answer = Response | Outcome | None
HttpFunction = Callable[[HttpContext, Request], Answer | Awaitable[Answer]]


@runtime_checkable
class HttpFilter(Protocol):
    """A filter with a state of its own.

    ``init()``, called at the start, and ``close()``, plain or async, called at the end,
    are optional.
    """

    def do_filter(
        self, context: HttpContext, request: Request
    ) -> Answer | Awaitable[Answer]:
        """See a request."""
        ...


class HttpFilters:
    """The HTTP filters of one application."""

    def __init__(self) -> None:
        self._points: list[int] = []
        self._functions: list[HttpFunction] = []
        self._registry = Registry("request")

    def __len__(self) -> int:
        return len(self._functions)

    def add(self, filter: HttpFilter | HttpFunction, point: int = DEFAULT) -> None:
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
        """Call every ``init()``; no filter is added now. Once.

        Raises:
            FilterStartError: if one fails.
        """
        self._registry.start()

    async def stop(self) -> None:
        """Call every ``close()``, the last one first; a start may follow."""
        await self._registry.stop()

    async def answer(self, request: Request) -> Response | None:
        """What a filter answers; None if the routes are to.

        A filter that raises is logged, and the client gets a 500.
        """
        url = request.url
        context = HttpContext(
            timestamp=time.time(),
            is_secure=url.scheme == "https",
            attributes={
                "romp.uri": f"{url.path}?{url.query}" if url.query else url.path
            },
        )
        try:
            for function in self._functions:
                answer = function(context, request)
                if inspect.isawaitable(answer):
                    answer = await answer
                if isinstance(answer, Response):
                    return answer
                if answer is Outcome.HANDLED:
                    return Response(status_code=204)
        except FilterError as exc:
            logger.warning("HTTP filter at %s: %s", url.path, exc.log_message or exc)
            return PlainTextResponse("Internal Server Error\n", 500)
        except Exception:
            logger.exception("HTTP filter at %s", url.path)
            return PlainTextResponse("Internal Server Error\n", 500)
        return None
