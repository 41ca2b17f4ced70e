"""What filters are told of a frame's surroundings, and what they cost when absent."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from starlette.testclient import TestClient

from romp_asgi import Config, Romp
from romp_asgi.filters import (
    CONTINUE,
    Context,
    HelloFilter,
    ResendFilter,
    StompMessage,
)
from romp_asgi.hub import Hub
from tests.client import running
from tests.test_session import World

pytestmark = pytest.mark.anyio

DESTINATIONS = {"/queue/**": {"type": "queue"}, "/topic/**": {"type": "topic"}}


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_filter_knows_whether_a_web_socket_is_secure(scheme: str) -> None:
    romp, seen = Romp(Config(login="romp", passcode="secret")), list[Context]()

    @romp.stomp
    def see(context: Context, message: StompMessage) -> None:
        seen.append(context)

    with (
        TestClient(romp) as http,
        http.websocket_connect(f"{scheme}://testserver/") as ws,
    ):
        ws.send_text(
            "CONNECT\naccept-version:1.2\nhost:x\nlogin:romp\npasscode:secret\n\n\0"
        )
        assert ws.receive_text().startswith("CONNECTED")
    (context,) = seen
    assert context.is_secure == (scheme == "wss")
    assert context.is_web_sockets
    assert context.session.user == "romp"
    # It is the user of the config's login.
    assert context.is_admin


async def test_resend_publishes_what_an_edge_server_sends() -> None:
    edge = Romp(Config(ports=[0]))
    async with edge.lifespan():
        link = {
            "address": edge.addresses[0],
            "destinations": ["/queue/out"],
            "local_destinations": ["/virt/edge"],
        }
        table = {"destinations": DESTINATIONS, "downstreams": {"edge": link}}
        romp = Romp(Config.from_dict({**table, "ports": [0]}))
        romp.stomp_filter(ResendFilter(romp.publish, "/virt/edge", "/queue/in"))
        async with running(romp) as (client,), romp.subscribe("/queue/in") as messages:
            await edge.publish("/queue/out", "hello", {"colour": "blue"})
            message = await anext(messages)
            assert (message.text, message.headers["colour"]) == ("hello", "blue")
            # Of any other client it is nothing to resend.
            client.send("SEND\ndestination:/virt/edge\n\nx^@")
            error = await client.frame()
            assert error.headers["message"] == "destination unknown"


@pytest.mark.parametrize(("version", "status"), [("1.0", 200), ("1.1", 400)])
async def test_a_request_without_host(version: str, status: int) -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        raise AssertionError  # pragma: no cover  # there is no body

    scope = {
        "type": "http",
        "http_version": version,
        "method": "GET",
        "path": "/health_check",
        "raw_path": b"/health_check",
        "query_string": b"",
        "headers": [],
    }
    await Romp()(scope, receive, send)
    assert sent[0]["status"] == status


@contextmanager
def calls() -> Iterator[list[str]]:
    """The Python functions that are called meanwhile, by file and name."""
    called: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(before)


def calls_of_a_send(hub: Hub | None = None) -> list[str]:
    world = World()
    if hub is not None:
        world.hub.filters = hub.filters
    client = world.client()
    client.send("SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@")
    send = "SEND\ndestination:/topic/a\n\nx^@"
    client.send(send)
    with calls() as called:
        client.send(send)
    assert len(client.frames()) == 2
    return called


def test_without_filters_none_of_their_code_runs() -> None:
    called = calls_of_a_send()
    ours = ("romp_asgi/filters", "romp_asgi/passage")
    assert not [call for call in called if any(part in call for part in ours)]
    # HTTP filters and routes are nothing to a SEND.
    romp = Romp()
    romp.http_filter(HelloFilter())
    romp._start_filters()
    assert calls_of_a_send(romp._hub) == called
    # And this would notice one.
    romp = Romp()
    romp.stomp_filter(lambda context, message: CONTINUE)
    romp._start_filters()
    assert len(calls_of_a_send(romp._hub)) > len(called) + 5
