"""Filters: order, outcomes, errors, and whom they cost something."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from romp_asgi import Config, Romp
from romp_asgi.errors import LocalProtocolError
from romp_asgi.filters import (
    CONTINUE,
    DEFAULT,
    HANDLED,
    PRE_SEND,
    Context,
    FilterError,
    HttpContext,
    Outcome,
    StompMessage,
)
from romp_asgi.stomp.spec import Command
from tests.client import running

pytestmark = pytest.mark.anyio

SEND = "SEND\ndestination:/topic/a\nreceipt:r\n\n^@"


def application(**keys: Any) -> Romp:
    return Romp(Config(ports=[0], **keys))


async def test_order_of_insert_points_and_of_registration() -> None:
    romp, seen = application(), list[str]()

    def named(name: str) -> Any:
        def see(context: Context, message: StompMessage) -> None:
            if message.command is Command.SEND:
                seen.append(name)

        return see

    romp.stomp_filter(named("default 1"))
    romp.stomp_filter_at(named("pre 1"), PRE_SEND)
    romp.stomp_filter_at(named("last"), DEFAULT + 1)
    romp.stomp_filter(named("default 2"))
    romp.stomp_filter_at(named("first"), PRE_SEND - 1)
    romp.stomp_filter_at(named("pre 2"), PRE_SEND)
    async with running(romp) as (client,):
        client.send(SEND)
        assert (await client.frame()).command is Command.RECEIPT
    assert seen == ["first", "pre 1", "pre 2", "default 1", "default 2", "last"]


async def test_a_filter_reads_the_flags_of_the_server() -> None:
    romp, seen = application(server_flags=("edge", "eu")), list[object]()
    romp.stomp_filter(lambda context, message: seen.append(context.server_flags))
    async with running(romp):
        assert seen == [("edge", "eu")]
    assert romp.config.server_flags == ("edge", "eu")


async def test_a_send_is_with_its_destination_before_a_default_filter_sees_it() -> None:
    romp, seen = application(), list[int]()

    @romp.stomp
    def after(context: Context, message: StompMessage) -> None:
        if message.command is Command.SEND:
            seen.append(context.session.pending_output)

    async with running(romp) as (client,):
        client.send("SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@", SEND)
        assert (await client.frame()).command is Command.MESSAGE
    assert seen[0] > 0


async def test_handled_before_send_keeps_it_from_its_destination() -> None:
    romp = application()

    def handle(context: Context, message: StompMessage) -> Outcome:
        return HANDLED if message.headers.get("mine") else CONTINUE

    romp.stomp_filter_at(handle, PRE_SEND)
    async with running(romp) as (client,):
        client.send(
            "SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@",
            "SEND\ndestination:/topic/a\nmine:1\nreceipt:1\n\none^@",
            "SEND\ndestination:/topic/a\nreceipt:2\n\ntwo^@",
        )
        assert (await client.frame()).body == b"two"
        assert (await client.frame()).headers["receipt-id"] == "2"


async def test_what_a_filter_spoils_is_its_senders_error() -> None:
    romp = application()

    def spoil(context: Context, message: StompMessage) -> None:
        if message.body == b"header":
            message.headers["mark"] = "\ud800"
        if message.body == b"type":
            wrong: Any = 7
            message.body = wrong

    romp.stomp_filter_at(spoil, PRE_SEND)
    async with running(romp, 4) as (subscriber, *senders):
        subscriber.send("SUBSCRIBE\ndestination:/topic/a\nid:1\nreceipt:1\n\n^@")
        await subscriber.frame()
        for sender, body in zip(senders, ["header", "type", "good"], strict=True):
            sender.send(f"SEND\ndestination:/topic/a\nreceipt:2\n\n{body}^@")
        for sender in senders[:2]:
            error = await sender.frame()
            assert error.headers["message"] == "internal error"
            assert error.headers["receipt-id"] == "2"
        assert (await senders[2].frame()).headers == {"receipt-id": "2"}
        assert (await subscriber.frame()).body == b"good"


async def test_an_async_filter_holds_back_only_its_client() -> None:
    romp, gate = application(), asyncio.Event()

    @romp.stomp
    async def wait(context: Context, message: StompMessage) -> None:
        if message.headers.get("slow"):
            await gate.wait()

    async with running(romp, clients=2) as (slow, fast):
        slow.send(
            "SEND\ndestination:/topic/a\nslow:1\nreceipt:1\n\n^@",
            "SEND\ndestination:/topic/a\nreceipt:2\n\n^@",
        )
        fast.send(SEND)
        assert (await fast.frame()).headers["receipt-id"] == "r"
        gate.set()
        assert (await slow.frame()).headers["receipt-id"] == "1"
        assert (await slow.frame()).headers["receipt-id"] == "2"


async def test_a_client_may_leave_while_a_filter_waits() -> None:
    romp, gate, done = application(), asyncio.Event(), asyncio.Event()

    @romp.stomp
    async def wait(context: Context, message: StompMessage) -> None:
        if message.command is Command.SEND:
            await gate.wait()
            done.set()

    async with running(romp, clients=2) as (leaving, staying):
        leaving.send(SEND)
        await leaving.close()
        gate.set()
        await asyncio.wait_for(done.wait(), 5)
        staying.send("BEGIN\ntransaction:1\nreceipt:x\n\n^@")
        assert (await staying.frame()).headers["receipt-id"] == "x"


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_filter_that_raises_costs_its_sender_alone(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    romp = application()

    def fail(context: Context, message: StompMessage) -> None:
        if message.headers.get("bad"):
            raise ValueError("a bug")

    async def fail_later(context: Context, message: StompMessage) -> None:
        await asyncio.sleep(0)
        fail(context, message)

    romp.stomp_filter(fail_later if is_async else fail)
    async with running(romp, clients=2) as (bad, good):
        bad.send("SEND\ndestination:/topic/a\nbad:1\nreceipt:7\n\n^@")
        error = await bad.frame()
        assert error.headers["message"] == "internal error"
        assert error.headers["receipt-id"] == "7"
        assert b"bug" not in error.body
        with pytest.raises(EOFError):
            await bad.frame()
        good.send(SEND)
        assert (await good.frame()).command is Command.RECEIPT
    assert "ValueError: a bug" in caplog.text


@pytest.mark.parametrize(
    ("error", "reply", "closes"),
    [
        (FilterError("no"), "no", False),
        (FilterError("no", "logged"), "no", False),
        (FilterError("no", fatal=True), "no", True),
        (FilterError(log_message="logged"), None, False),
        (FilterError(fatal=True), None, True),
    ],
)
async def test_filter_error(
    error: FilterError,
    reply: str | None,
    closes: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    romp = application()

    @romp.stomp
    def refuse(context: Context, message: StompMessage) -> None:
        if message.headers.get("bad"):
            raise error

    async with running(romp) as (client,):
        client.send("SEND\ndestination:/topic/a\nbad:1\n\n^@")
        if reply is not None:
            assert (await client.frame()).headers["message"] == reply
        if closes:
            with pytest.raises(EOFError):
                await client.frame()
        else:
            client.send(SEND)
            assert (await client.frame()).command is Command.RECEIPT
    assert ("logged" in caplog.text) == (error.log_message is not None)


async def test_close_on_error_false_keeps_open_where_romp_did() -> None:
    async with running(application(close_on_error=False)) as (client,):
        client.send("SEND\ndestination:/nowhere\n\n^@", "SEND\n\n^@", "ACK\nid:9\n\n^@")
        words = [(await client.frame()).headers["message"] for _ in range(3)]
        assert words == ["destination unknown", "syntax", "ack err"]
        client.send("NONSENSE\n\n^@")
        assert (await client.frame()).headers["message"] == "syntax"
        with pytest.raises(EOFError):
            await client.frame()


async def test_what_a_session_can_do() -> None:
    romp, seen = application(), list[Any]()

    @romp.stomp
    def act(context: Context, message: StompMessage) -> Outcome:
        session = context.session
        match message.destination:
            case "/virt/look":
                seen.extend([session.subscriptions, bool(session.id), session.peer])
                seen.extend([context.is_admin, context.is_web_sockets])
                seen.append(set(session.flags))
            case "/virt/ack":
                session.ack(message.text)
            case "/virt/unsubscribe":
                session.unsubscribe(message.text)
            case "/virt/unsubscribe-all":
                session.unsubscribe_all()
            case "/virt/error":
                session.send_error("careful", fatal=False)
            case "/virt/fatal":
                session.send_error("over", fatal=True)
            case _:
                return CONTINUE
        return HANDLED

    async with running(romp) as (client,):
        client.send(
            "SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\nprefetch-count:1\n\n^@",
            "SUBSCRIBE\ndestination:/topic/b\nid:2\n\n^@",
            "SUBSCRIBE\ndestination:/topic/c\nid:3\n\n^@",
            "SEND\ndestination:/virt/look\n\n^@",
            "SEND\ndestination:/queue/a\n\none^@",
            "SEND\ndestination:/queue/a\n\ntwo^@",
        )
        assert (await client.frame()).body == b"one"
        client.send("SEND\ndestination:/virt/ack\n\n1^@")
        assert (await client.frame()).body == b"two"
        client.send(
            "SEND\ndestination:/virt/unsubscribe\n\n2^@",
            "SEND\ndestination:/topic/b\n\n^@",
            "SEND\ndestination:/virt/unsubscribe-all\n\n^@",
            "SEND\ndestination:/topic/c\n\n^@",
            "SEND\ndestination:/virt/error\n\n^@",
            "SEND\ndestination:/virt/fatal\n\n^@",
        )
        words = [(await client.frame()).headers["message"] for _ in range(2)]
        assert words == ["careful", "over"]
    assert seen[0] == ("1", "2", "3")
    assert seen[1] is True
    assert seen[2].startswith("127.0.0.1:")
    assert seen[3:] == [False, False, set()]


@pytest.mark.parametrize("way", ["shutdown", "kill"])
async def test_a_filter_ends_a_session(way: str) -> None:
    romp = application()

    @romp.stomp
    def end(context: Context, message: StompMessage) -> Outcome | None:
        if message.destination != "/virt/end":
            return None
        context.session.send_message("/virt/end", "bye")
        getattr(context.session, way)()
        return HANDLED

    async with running(romp) as (client,):
        client.send("SEND\ndestination:/virt/end\n\n^@")
        if way == "shutdown":
            assert (await client.frame()).body == b"bye"
        with pytest.raises((EOFError, ConnectionError)):
            await client.frame()


async def test_disconnect_passes_the_filters_and_then_ends() -> None:
    romp, seen = application(), list[str]()

    @romp.stomp
    def see(context: Context, message: StompMessage) -> None:
        seen.append(message.command)

    async with running(romp) as (client,):
        client.send("DISCONNECT\nreceipt:1\n\n^@")
        assert (await client.frame()).headers["receipt-id"] == "1"
        with pytest.raises(EOFError):
            await client.frame()
    assert seen == ["CONNECT", "DISCONNECT"]


async def test_no_filter_is_added_after_the_start() -> None:
    romp = application()
    async with romp.lifespan():
        with pytest.raises(LocalProtocolError, match="after the start"):
            romp.stomp_filter(lambda context, message: None)
        with pytest.raises(LocalProtocolError, match="after the start"):
            romp.http_filter(lambda context, request: None)


async def test_what_is_no_filter_is_an_error() -> None:
    romp = application()
    not_a_filter: Any = 7
    too_few: Any = lambda context: None  # noqa: E731
    with pytest.raises(TypeError, match="a filter is a function"):
        romp.stomp_filter(not_a_filter)
    with pytest.raises(TypeError, match="must take two arguments"):
        romp.stomp_filter(too_few)
    with pytest.raises(TypeError, match="a filter is a function of context and requ"):
        romp.http_filter(not_a_filter)
    with pytest.raises(TypeError, match="two arguments, context and request"):
        romp.http(too_few)


async def test_a_filter_that_returns_something_else_is_a_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    romp = application()
    wrong: Any = lambda context, message: True  # noqa: E731
    romp.stomp_filter(wrong)
    async with romp.lifespan():
        host, port = romp.addresses[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"CONNECT\naccept-version:1.2\n\n\0")
        await reader.readuntil(b"internal error")
        writer.close()
        await writer.wait_closed()
    assert "must return CONTINUE, HANDLED or None, not True" in caplog.text


async def test_order_of_http_filters() -> None:
    romp, seen = application(), list[str]()

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def do_filter(self, context: HttpContext, request: Request) -> None:
            seen.append(self.name)

        async def close(self) -> None:
            seen.append(f"close {self.name}")

    romp.http_filter(Named("one"))
    romp.http_filter_at(Named("first"), 1)
    romp.http_filter(Named("two"))
    romp.http_filter_at(Named("last"), DEFAULT + 1)
    transport = httpx.ASGITransport(romp)
    async with (
        romp.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        assert (await http.get("/health_check")).status_code == 200
        assert seen == ["first", "one", "two", "last"]
        seen.clear()
    assert seen == ["close last", "close two", "close first", "close one"]


async def test_a_close_that_fails_is_logged_and_the_others_follow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    romp, seen = application(), list[str]()

    class Closing:
        def __init__(self, is_good: bool) -> None:
            self.is_good = is_good

        def do_filter(self, context: Context, message: StompMessage) -> None:
            """See nothing."""

        def close(self) -> None:
            if not self.is_good:
                raise ValueError("a bug")
            seen.append("closed")

    for is_good in (True, False, True):
        romp.stomp_filter(Closing(is_good))
    async with romp.lifespan():
        pass
    assert seen == ["closed", "closed"]
    assert "ValueError: a bug" in caplog.text


async def test_http_filters(caplog: pytest.LogCaptureFixture) -> None:
    romp, inits = application(), list[str]()

    class Stateful:
        def init(self) -> None:
            inits.append("init")

        async def do_filter(self, context: HttpContext, request: Request) -> Response:
            match request.url.path:
                case "/bug":
                    raise ValueError("a bug")
                case "/refused":
                    raise FilterError(log_message="because")
                case _:
                    pass
            return PlainTextResponse(context.attributes["romp.uri"])

    @romp.http
    def first(context: HttpContext, request: Request) -> Outcome | None:
        return HANDLED if request.url.path == "/nothing" else None

    romp.http_filter(Stateful())
    transport = httpx.ASGITransport(romp)
    async with (
        romp.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        assert inits == ["init"]
        answer = await http.get("/x?y=1")
        assert answer.text == "/x?y=1"
        assert answer.headers["server"] == "romp"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "server"
        assert (await http.get("/nothing")).status_code == 204
        assert (await http.get("/bug")).status_code == 500
        assert (await http.get("/refused")).status_code == 500
        assert (await http.post("/x")).status_code == 404
    assert "ValueError: a bug" in caplog.text
    assert "because" in caplog.text
