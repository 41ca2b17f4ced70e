"""A STOMP client of a few lines, for tests that want to see every frame."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from romp_asgi import Romp
from romp_asgi.stomp import Frame, Limits, Parser
from romp_asgi.stomp.spec import Command


class Client:
    """Writes text with `^@` for NUL, reads frames."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._frames: list[Frame] = []
        self._parser = Parser(Limits(), commands={c.value: c for c in Command})

    @classmethod
    async def connect(cls, address: str) -> Self:
        host, port = address.rsplit(":", 1)
        client = cls(*await asyncio.open_connection(host, int(port)))
        client.send("CONNECT\naccept-version:1.2\nhost:test\n\n^@")
        assert (await client.frame()).command is Command.CONNECTED
        return client

    def send(self, *frames: str) -> None:
        self._writer.write("".join(frames).replace("^@", "\0").encode())

    async def frame(self) -> Frame:
        """The next frame.

        Raises:
            EOFError: if the server has closed the connection.
        """
        async with asyncio.timeout(5):
            while not self._frames:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError
                self._parser.receive_data(data)
                while frames := self._parser.frames():
                    self._frames += frames
        return self._frames.pop(0)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def running(romp: Romp, clients: int = 1) -> AsyncIterator[list[Client]]:
    """A server, and clients that are connected to it."""
    async with romp.lifespan():
        connected = [await Client.connect(romp.addresses[0]) for _ in range(clients)]
        try:
            yield connected
        finally:
            for client in connected:
                await client.close()
