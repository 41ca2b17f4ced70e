"""Filters that cannot start, or not end: nothing is ever served without them."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from romp_asgi import Config, Romp
from romp_asgi.errors import FilterStartError
from romp_asgi.filters import Context, FilterError, HttpContext, StompMessage
from tests.client import running

pytestmark = pytest.mark.anyio


class Life:
    """A filter that writes down what happens to it."""

    def __init__(self, name: str, told: list[str]) -> None:
        self._name = name
        self._told = told
        self.init_error: Exception | None = None
        self.close_error: Exception | None = None

    def init(self) -> None:
        self._told.append(f"init {self._name}")
        if self.init_error is not None:
            raise self.init_error

    def close(self) -> None:
        self._told.append(f"close {self._name}")
        if self.close_error is not None:
            raise self.close_error

    def do_filter(self, context: Context | HttpContext, seen: object) -> None:
        self._told.append(f"filter {self._name}")


class Moderate(Life):
    """Refuses all that is sent."""

    def do_filter(self, context: Context | HttpContext, seen: object) -> None:
        assert isinstance(seen, StompMessage)
        if seen.command == "SEND":
            raise FilterError("moderated")


async def test_a_filter_that_cannot_start_ends_the_start() -> None:
    told: list[str] = []
    romp = Romp(Config(ports=[0]))
    first, second = Life("first", told), Life("second", told)
    second.init_error = KeyError("no such thing")
    for each in (first, second, Life("third", told)):
        romp.stomp_filter(each)
    with pytest.raises(FilterStartError) as raised:
        async with romp.lifespan():
            pytest.fail("it has started")  # pragma: no cover
    assert str(raised.value) == (
        "the filter Life: init() failed with KeyError: 'no such thing'"
    )
    # What was opened is closed, and nothing else; then it may be tried again.
    assert told == ["init first", "init second", "close first"]
    second.init_error = None
    async with romp.lifespan():
        assert told[3:] == ["init first", "init second", "init third"]
    assert told[6:] == ["close third", "close second", "close first"]


@pytest.mark.parametrize("kind", ["stomp", "http"])
async def test_the_asgi_server_is_told(kind: str) -> None:
    """Else it takes it that there is no lifespan here, and serves without filters."""
    romp = Romp(Config(ports=[0]))
    filter = Life("bad", [])
    filter.init_error = OSError(2, "No such file or directory")
    add: Any = romp.stomp_filter if kind == "stomp" else romp.http_filter
    add(filter)
    assert await startup(romp) == (
        "the filter Life: init() failed with "
        "FileNotFoundError: [Errno 2] No such file or directory"
    )


async def test_the_asgi_server_is_told_of_any_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    romp = Romp(Config(ports=[0]))

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    romp.on_start = fail
    assert await startup(romp) == "ZeroDivisionError: a bug"
    assert "Traceback" in caplog.text
    assert romp.addresses == []


async def startup(romp: Romp) -> str:
    """What the ASGI server is told of a start that fails."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event)

    await romp({"type": "lifespan"}, receive, send)
    (event,) = sent
    assert event["type"] == "lifespan.startup.failed"
    message = event["message"]
    assert isinstance(message, str)
    return message


def test_without_lifespan_nothing_is_served_until_all_filters_have_started() -> None:
    told: list[str] = []
    romp = Romp()
    first, second = Life("first", told), Moderate("second", told)
    second.init_error = ValueError("not yet")
    romp.stomp_filter(first)
    romp.stomp_filter(second)
    http = TestClient(romp)  # which runs no lifespan as long as it is not entered
    for _ in range(2):
        with pytest.raises(FilterStartError), http.websocket_connect("/"):
            pytest.fail("it was let in")  # pragma: no cover
        with pytest.raises(FilterStartError):
            http.get("/health_check")
    assert told == ["init first", *["init second"] * 4]
    second.init_error = None
    with http.websocket_connect("/") as ws:
        ws.send_text("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
        assert ws.receive_text().startswith("CONNECTED")
        ws.send_text("SEND\ndestination:/topic/a\n\nx\0")
        assert "message:moderated" in ws.receive_text()
    assert told[5:7] == ["init second", "filter first"]


async def test_a_filter_that_cannot_end_is_told_and_the_others_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []
    romp = Romp(Config(ports=[0]))
    bad = Life("bad", told)
    bad.close_error = ValueError("stuck")
    romp.stomp_filter(Life("stomp", told))
    romp.stomp_filter(bad)
    romp.http_filter(Life("http", told))
    for _ in range(2):
        async with running(romp):
            told.clear()
        assert [word for word in told if word.startswith("close")] == [
            "close bad",
            "close stomp",
            "close http",
        ]
    assert "close() of the filter Life" in caplog.text
    assert "ValueError: stuck" in caplog.text


async def test_init_cannot_be_async() -> None:
    class Late:
        async def init(self) -> None:
            """Nobody would wait for it."""

        def do_filter(self, context: Context, message: StompMessage) -> None:
            """See a frame."""

    romp = Romp()
    romp.stomp_filter(Late())
    with pytest.raises(FilterStartError, match=r"it is async, and nobody would wait"):
        async with romp.lifespan():
            pytest.fail("it has started")  # pragma: no cover


def test_what_is_no_http_filter_is_an_error() -> None:
    romp = Romp()
    not_a_filter: Any = 7
    too_few: Any = lambda context: None  # noqa: E731
    with pytest.raises(
        TypeError, match="a filter is a function of context and request"
    ):
        romp.http_filter(not_a_filter)
    with pytest.raises(TypeError, match="must take two arguments, context and request"):
        romp.http(too_few)


async def test_http_filters_begin_and_end_with_each_start() -> None:
    told: list[str] = []
    romp = Romp()

    class Page(Life):
        async def close(self) -> None:  # type: ignore[override]  # may be either
            told.append("closed")

    @romp.http
    def before(context: HttpContext, request: Request) -> None:
        told.append(request.url.path)

    romp.http_filter(Page("page", told))
    for _ in range(2):
        async with romp.lifespan():
            transport = httpx.ASGITransport(romp)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test"
            ) as http:
                await http.get("/health_check")
    assert told == ["init page", "/health_check", "filter page", "closed"] * 2
