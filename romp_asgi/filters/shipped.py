"""Filters that come with the broker, each for use and as an example.

Register one with ``romp.stomp_filter(PingFilter())``.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from romp_asgi.filters.chain import CONTINUE, HANDLED, Outcome
from romp_asgi.filters.context import Context
from romp_asgi.filters.http import HttpContext
from romp_asgi.filters.message import StompMessage
from romp_asgi.stomp import Command

#: ``romp.publish``: a destination, a body, headers.
Publish = Callable[[str, bytes, Mapping[str, str]], Awaitable[None]]


class PingFilter:
    """Answers a SEND that has a header ``ping`` with the header's value."""

    def do_filter(self, context: Context, message: StompMessage) -> Outcome:
        """See a frame."""
        value = message.headers.get("ping")
        if message.command is not Command.SEND or value is None:
            return CONTINUE
        context.session.send_message(message.destination or "", value)
        return HANDLED


class EchoFilter:
    """Sends every SEND to a destination back to its sender.

    Args:
        destination: which one; names in ``/virt/`` are seen by no destination.
    """

    def __init__(self, destination: str = "/virt/echo") -> None:
        self._destination = destination

    def do_filter(self, context: Context, message: StompMessage) -> Outcome:
        """See a frame."""
        if (
            message.command is not Command.SEND
            or message.destination != self._destination
        ):
            return CONTINUE
        context.session.send_message(self._destination, message.body, message.headers)
        return HANDLED


class ResendFilter:
    """Publishes here what an edge server sends to a destination.

    The link's ``local_destinations`` say where it comes in; a name in ``/virt/`` is
    seen by no destination.

    Args:
        publish: ``romp.publish``.
        source: where it comes in.
        target: where it is published.
    """

    def __init__(self, publish: Publish, source: str, target: str) -> None:
        self._publish = publish
        self._source = source
        self._target = target

    async def do_filter(self, context: Context, message: StompMessage) -> Outcome:
        """See a frame."""
        is_from_edge = context.is_downstream and message.command is Command.SEND
        if not is_from_edge or message.destination != self._source:
            return CONTINUE
        await self._publish(self._target, message.body, message.headers)
        return HANDLED


class HelloFilter:
    """Answers ``GET /romp/hello``. An HTTP filter: ``romp.http_filter``."""

    def do_filter(self, context: HttpContext, request: Request) -> Response | Outcome:
        """See a request."""
        if context.attributes["romp.uri"] == "/romp/hello":
            return PlainTextResponse("hello\n")
        return CONTINUE
