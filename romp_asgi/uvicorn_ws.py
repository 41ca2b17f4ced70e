"""uvicorn's WebSocket protocol, whose writes of one loop pass go out in one.

uvicorn writes to the socket once for each message. A broadcast sends many small ones
to many clients in one pass, and then system calls are most of its cost: put together
they are two and a half times as fast (bench/README.md).
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)


class PassWriter:
    """A transport that writes at the end of a loop pass.

    Args:
        transport: the one that is written to, and does everything else.
    """

    __slots__ = ("_loop", "_pieces", "_size", "_transport", "_write_limit")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size = 0
        # As much as the transport itself takes before it wants a pause.
        self._write_limit = transport.get_write_buffer_limits()[1] or 65536

    def write(self, data: bytes) -> None:
        """Write at the end of the pass, or now if much has come together."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= self._write_limit:
            self._flush()

    def close(self) -> None:
        """Write what has come together, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._pieces:
            pieces, self._pieces, self._size = self._pieces, [], 0
            self._transport.write(b"".join(pieces))


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with a transport that collects."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        writer = PassWriter(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, writer))
