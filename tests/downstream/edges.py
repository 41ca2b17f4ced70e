"""Servers with links, and edge servers: ourselves, or a few lines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from romp_asgi import Config, Romp
from romp_asgi.downstream import LinkState

DESTINATIONS: dict[str, Any] = {
    "/queue/**": {"type": "queue", "max_messages": 10_000},
    "/topic/**": {"type": "topic"},
}


def edge(port: int = 0, **keys: Any) -> Romp:
    table = {"ports": [port], "destinations": DESTINATIONS, "admin_port": 0, **keys}
    return Romp(Config.from_dict(table))


def server(
    address: str,
    tables: dict[str, Any] = DESTINATIONS,
    keys: dict[str, Any] | None = None,
    **link: Any,
) -> Romp:
    """One with a link to an edge."""
    edge = {"address": address, "destinations": ["/queue/a"], **link}
    config = {"destinations": tables, "downstreams": {"edge": edge}, **(keys or {})}
    return Romp(Config.from_dict(config))


@asynccontextmanager
async def both(**keys: Any) -> AsyncIterator[tuple[Romp, Romp]]:
    """An edge server, and one that is linked to it."""
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], **keys)
        async with here.lifespan():
            await until(lambda: state(here).is_connected)
            yield there, here


class FakeEdge:
    """One end of a connection to a link, of an edge server that a test plays."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    async def frame(self) -> str:
        """The next frame, as text, without its NUL."""
        async with asyncio.timeout(5):
            return (await self._reader.readuntil(b"\0"))[:-1].decode().lstrip("\n")

    def send(self, *frames: str) -> None:
        """Send frames, with ``^@`` for NUL."""
        self._writer.write("".join(frames).replace("^@", "\0").encode())

    async def welcome(self, headers: str = "version:1.2\n") -> str:
        """Let the link in and confirm its first SUBSCRIBE, which is returned."""
        await self.frame()
        self.send(f"CONNECTED\n{headers}\n^@")
        subscribe = await self.frame()
        self.send("RECEIPT\nreceipt-id:subscribed\n\n^@")
        return subscribe

    async def end(self) -> bytes:
        """Wait until the link leaves, or has gone; return what it sent till then."""
        heard = b""
        while not heard.endswith(b"DISCONNECT\n\n\0"):
            if not (data := await self._reader.read(1000)):
                break
            heard += data
        return heard


@asynccontextmanager
async def playing(
    play: Callable[[FakeEdge], Awaitable[None]], host: str = "127.0.0.1", **more: Any
) -> AsyncIterator[str]:
    """The address of an edge server that is played."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await play(FakeEdge(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    served = await asyncio.start_server(serve, host, 0, **more)
    async with served:
        port = served.sockets[0].getsockname()[1]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def state(romp: Romp) -> LinkState:
    (only,) = romp.downstreams
    return only


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def unacked(romp: Romp) -> int:
    return sum(len(session.client.unacked) for session in romp._hub.sessions)
