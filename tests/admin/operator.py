"""An administrator who asks a server over a socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from romp_asgi import Config, Romp
from romp_asgi.stomp import Command, Frame
from tests.client import Client

LOGIN = {"login": "boss", "passcode": "hush"}


class Operator(Client):
    """Asks for commands."""

    @classmethod
    async def of(
        cls, address: str, login: str = "boss", passcode: str = "hush"
    ) -> "Operator":
        host, port = address.rsplit(":", 1)
        client = cls(*await asyncio.open_connection(host, int(port)))
        lines = f"accept-version:1.2\nlogin:{login}\npasscode:{passcode}\n"
        client.send(f"CONNECT\n{lines}\n^@")
        assert (await client.frame()).command is Command.CONNECTED
        return client

    def command(self, name: str, body: object = None, **headers: str) -> None:
        lines = "".join(f"{key}:{value}\n" for key, value in headers.items())
        text = "" if body is None else json.dumps(body)
        self.send(f"SEND\ndestination:/virt/admin/{name}\n{lines}\n{text}^@")

    async def answer(self, name: str, body: object = None) -> dict[str, Any]:
        """What a command answers."""
        self.command(name, body, **{"reply-to": "answers"})
        frame = await self.frame()
        assert frame.command is Command.MESSAGE, frame
        return json.loads(frame.body)  # type: ignore[no-any-return]  # an object

    async def does(self, command: str, /, **members: object) -> Any:
        answer = await self.answer(command, members)
        assert answer.keys() == {"ok", "result"}, answer
        assert answer["ok"] is True
        return answer["result"]

    async def cannot(self, name: str, body: object = None) -> str:
        answer = await self.answer(name, body)
        assert answer.keys() == {"ok", "error"}, answer
        assert answer["ok"] is False
        return str(answer["error"])

    async def error(self) -> Frame:
        frame = await self.frame()
        assert frame.command is Command.ERROR, frame
        return frame

    async def receipt(self, frame: str) -> None:
        """Send a frame that asks for a receipt, and have it."""
        self.send(frame.replace("\n", "\nreceipt:done\n", 1))
        got = await self.frame()
        assert got.headers == {"receipt-id": "done"}, got


def application(**keys: Any) -> Romp:
    keys = {"ports": [0], "enable_admin": True, "stat_interval": 0, **LOGIN, **keys}
    return Romp(Config.from_dict(keys))


@asynccontextmanager
async def operating(**keys: Any) -> AsyncIterator[tuple[Romp, Operator]]:
    """A server, and an administrator of it."""
    romp = application(**keys)
    async with romp.lifespan():
        operator = await Operator.of(romp.addresses[0])
        try:
            yield romp, operator
        finally:
            await operator.close()
