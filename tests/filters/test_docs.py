"""The examples of docs/filters.md do what it says."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from romp_asgi import Romp
from romp_asgi.stomp.spec import Command
from tests.client import running

DOCS = Path(__file__).parents[2] / "docs" / "filters.md"


def examples() -> dict[str, Any]:
    """What the page's code defines, run block after block."""
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    return names


@pytest.mark.anyio
async def test_the_examples(caplog: pytest.LogCaptureFixture) -> None:
    names = examples()
    romp: Romp = names["romp"]
    transport = httpx.ASGITransport(romp)
    async with (
        running(romp, clients=2) as (client, other),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        client.send("SEND\ndestination:/virt/time\nreceipt:1\n\n^@")
        answer = await client.frame()
        assert (answer.command, answer.body) == (Command.MESSAGE, b"half past nine")

        client.send("SEND\ndestination:/virt/price\n\nACME^@")
        assert (await client.frame()).body == b"42.00"

        client.send(
            "SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@",
            "SEND\ndestination:/topic/a\nreceipt:2\n\nhello^@",
        )
        answer = await client.frame()
        assert answer.body == b"hello"
        assert answer.headers["checked"] == "yes"
        assert (await client.frame()).headers == {"receipt-id": "2"}
        assert (await http.get("/counts/a")).text == "1"

        client.send("SEND\ndestination:/topic/a\nping:pong\n\n^@")
        assert [(await client.frame()).body for _ in range(2)] == [b"", b"pong"]
        client.send("SEND\ndestination:/virt/echo\nx:y\n\nabc^@")
        answer = await client.frame()
        assert (answer.body, answer.headers["x"]) == (b"abc", "y")

        client.send("SEND\ndestination:/topic/a\nreceipt:3\n\noh darn^@")
        answer = await client.frame()
        assert answer.command is Command.ERROR
        assert answer.headers["message"] == "moderated"
        assert answer.headers["receipt-id"] == "3"
        assert "swore" in caplog.text

        other.send("SEND\ndestination:/virt/nobody\n\n^@")
        answer = await other.frame()
        assert answer.headers["message"] == "destination unknown"

        assert (await http.get("/old?page=1")).status_code == 410
        assert (await http.get("/romp/hello")).text == "hello\n"
        assert (await http.get("/health_check")).status_code == 200
