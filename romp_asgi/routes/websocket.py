"""Where STOMP over WebSocket comes in: who may, and by which sub-protocol.

Source: RFC 6455 § 1.9 (sub-protocols); their names are those registered for STOMP.
"""

import logging
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from romp_asgi.hub import Hub
from romp_asgi.websocket import connection_type

logger = logging.getLogger(__name__)

#: What we speak, the best first. A client that offers none of them but others is
#: accepted without one, and may then go away.
SUBPROTOCOLS: Final = ("v12.stomp", "v11.stomp", "v10.stomp", "stomp")


class WebSocketEndpoint:
    """The ASGI endpoint: who may come in, and by which sub-protocol.

    Args:
        hub: what all sessions share.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client, or refuse it with a status that says why."""
        headers = Headers(scope=scope)
        origin, host = headers.get("origin"), headers.get("host", "")
        if not origin_allowed(origin, host, self._hub.config.origins):
            await self._refuse(f"The origin {origin} may not.", scope, receive, send)
            return
        await receive()  # websocket.connect
        connection = connection_type(scope)(self._hub, scope, receive, send)
        await connection.run(choose_subprotocol(scope.get("subprotocols", [])))

    @staticmethod
    async def _refuse(reason: str, scope: Scope, receive: Receive, send: Send) -> None:
        logger.info("refused a WebSocket of %s: %s", scope.get("client"), reason)
        websocket = WebSocket(scope, receive, send)
        if "websocket.http.response" in scope.get("extensions", {}):
            text = f"{reason} See websockets_origin in romp.toml.\n"
            await websocket.send_denial_response(PlainTextResponse(text, 403))
        else:
            await websocket.close(1008, reason[:100])


def origin_allowed(
    origin: str | None, host: str, allowed: frozenset[str] | None
) -> bool:
    """Whether a page of an origin may open a WebSocket here.

    Args:
        origin: the ``Origin`` header; None of a client that is no browser.
        host: the ``Host`` header.
        allowed: origins, ``*`` for all; None for that of the server alone. Its scheme
            is not compared, because a proxy may have taken off the TLS.

    Source: RFC 6455 § 10.2.
    """
    if origin is None:
        return True
    if allowed is None:
        return urlsplit(origin).netloc.lower() == host.lower()
    return "*" in allowed or origin.lower() in {each.lower() for each in allowed}


def choose_subprotocol(offered: list[str]) -> str | None:
    """The best sub-protocol that a client offers, or None."""
    for name in SUBPROTOCOLS:
        if name in offered:
            return name
    return None
