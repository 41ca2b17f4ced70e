"""uvicorn, hypercorn and granian serve ``romp_asgi:app``."""

import signal
from pathlib import Path

import httpx
import pytest
import stomp
from websockets.sync.client import connect

from tests.interop.test_stomp_py import Listener
from tests.program import running

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("server", ["romp-asgi", "uvicorn", "hypercorn", "granian"])
def test_server(server: str, tmp_path: Path) -> None:
    with running(tmp_path, server=server) as program:
        page = httpx.get(f"http://127.0.0.1:{program.http}/")
        assert page.status_code == 200
        assert f"127.0.0.1:{program.tcp}" in page.text
        assert httpx.get(f"http://127.0.0.1:{program.http}/x").status_code == 404

        connection = stomp.Connection12([("127.0.0.1", program.tcp)])
        listener = Listener()
        connection.set_listener("", listener)
        connection.connect(wait=True)
        connection.subscribe("/topic/a", id="1", receipt="r")
        listener.receipts.get(timeout=5)
        with connect(program.websocket_url, subprotocols=["v12.stomp"]) as websocket:  # type: ignore[list-item]
            assert websocket.subprotocol == "v12.stomp"
            websocket.send("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
            assert str(websocket.recv(5)).startswith("CONNECTED\nversion:1.2\n")
            websocket.send("SEND\ndestination:/topic/a\n\nhello\0")
            assert listener.message().body == "hello"
        connection.disconnect()
        # uvicorn ends by the signal that it got, after it has cleaned up.
        assert program.stop() in (0, -signal.SIGTERM)
    assert "shutting down" in program.log.read_text()
