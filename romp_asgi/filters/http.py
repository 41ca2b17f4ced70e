"""Application code that sees GET requests ahead of the routes."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from romp_asgi.errors import FilterError, LocalProtocolError
from romp_asgi.filters.chain import Outcome

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
    """A filter with a state of its own; ``init()`` is optional."""

    def do_filter(
        self, context: HttpContext, request: Request
    ) -> Answer | Awaitable[Answer]:
        """See a request."""
        ...


class HttpFilters:
    """The HTTP filters of one application, in the order of registration."""

    def __init__(self) -> None:
        self._functions: list[HttpFunction] = []
        self._inits: list[Callable[[], None]] = []
        self._is_started = False

    def __len__(self) -> int:
        return len(self._functions)

    def add(self, filter: HttpFilter | HttpFunction) -> None:
        """Add a filter after those that are there.

        Raises:
            LocalProtocolError: once the server has started.
        """
        if self._is_started:
            raise LocalProtocolError("a filter was added after the start of the server")
        if isinstance(filter, HttpFilter):
            self._functions.append(filter.do_filter)
        else:
            self._functions.append(filter)
        init = getattr(filter, "init", None)
        if init is not None:
            self._inits.append(init)

    def start(self) -> None:
        """Call every ``init()``; no filter is added now. Once."""
        if not self._is_started:
            self._is_started = True
            for init in self._inits:
                init()

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
