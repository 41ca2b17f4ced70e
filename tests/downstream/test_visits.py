"""What a link makes of edge servers, and edge servers of it, frame by frame."""

import asyncio
import logging
import re
import socket
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from romp_asgi.broker import operations
from romp_asgi.downstream import link, visit
from romp_asgi.errors import NotLogged
from romp_asgi.filters import (
    HANDLED,
    PRE_SEND,
    Context,
    FilterError,
    Outcome,
    StompMessage,
)
from romp_asgi.stomp.spec import Command
from tests.downstream.edges import (
    DESTINATIONS,
    FakeEdge,
    edge,
    playing,
    server,
    state,
    unacked,
    until,
)

pytestmark = pytest.mark.anyio


def message(number: int, body: str = "x", headers: str = "") -> str:
    return (
        f"MESSAGE\nsubscription:link-0\nmessage-id:m-{number}\nack:a-{number}\n"
        f"destination:/queue/a\n{headers}\n{body}^@"
    )


def records(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.message for record in caplog.records)


async def test_what_a_link_says() -> None:
    frames: list[str] = []

    async def play(edge: FakeEdge) -> None:
        connect = await edge.frame()
        edge.send("CONNECTED\nversion:1.2\n\n^@")
        frames.extend([connect, await edge.frame(), await edge.frame()])
        edge.send("RECEIPT\nreceipt-id:subscribed\n\n^@", message(1))
        frames.extend([await edge.frame(), await edge.frame()])

    async with playing(play) as address:
        here = server(
            address,
            destinations=["/queue/a", "/topic/b"],
            host="/",
            login="me",
            prefetch_count=7,
            heart_beat=0,
        )
        async with here.lifespan():
            await until(lambda: len(frames) == 3)
            await until(lambda: state(here).messages == 1)
        await until(lambda: len(frames) == 5)
    login = "login:me\npasscode:password\n"
    ack = "ack:client-individual\nprefetch-count:7\n"
    assert frames == [
        f"CONNECT\naccept-version:1.0,1.1,1.2\nhost:/\nheart-beat:0,0\n{login}\n",
        f"SUBSCRIBE\nid:link-0\ndestination:/queue/a\n{ack}\n",
        f"SUBSCRIBE\nid:link-1\ndestination:/topic/b\n{ack}receipt:subscribed\n\n",
        "ACK\nid:a-1\n\n",
        # And it waits until that was read.
        "DISCONNECT\n\n",
    ]


async def test_it_is_up_when_what_it_subscribes_to_is_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "LONGEST_WAIT", 0.01)
    there = edge(destinations={"/queue/b": {"type": "queue"}})
    caplog.set_level(logging.INFO)
    async with there.lifespan():
        here = server(there.addresses[0])
        async with here.lifespan():
            await until(lambda: records(caplog, "closing 127.0.0.1") > 3)
            assert state(here).connects == 0
            assert state(here).error.startswith("destination unknown: ")
    assert records(caplog, "downstream edge: ") == 1


async def test_a_link_that_subscribes_to_nothing_is_up() -> None:
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], destinations=[])
        async with here.lifespan():
            await until(lambda: state(here).is_connected)


async def test_an_edge_of_ipv6() -> None:
    if not socket.has_ipv6:  # pragma: no cover  # where the tests run
        pytest.skip("there is no IPv6")

    async def play(edge: FakeEdge) -> None:
        await edge.welcome()
        await edge.end()

    async with playing(play, "::1") as address:
        here = server(address)
        async with here.lifespan():
            await until(lambda: state(here).is_connected)


async def test_an_address_that_is_silent_is_not_in_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name often has one of IPv6 that leads nowhere."""
    monkeypatch.setattr(visit, "TIMEOUT", 0.1)
    loop = asyncio.get_running_loop()

    async def play(edge: FakeEdge) -> None:
        await edge.welcome()
        await edge.end()

    async with playing(play) as address:
        port = int(address.rpartition(":")[2])

        async def look_up(host: str, port: int, **more: Any) -> list[Any]:
            kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
            hosts = "127.0.0.2", "127.0.0.3", "127.0.0.1"
            return [(*kind, (each, port)) for each in hosts]

        with silent("127.0.0.2", port), monkeypatch.context() as patch:
            patch.setattr(loop, "getaddrinfo", look_up)
            here = server(f"edge.test:{port}")
            async with here.lifespan():
                await until(lambda: state(here).is_connected)
                assert state(here).error == ""


@contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """An address where nobody answers: those who wait at it are too many already."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        yield


async def test_an_edge_writes_only_where_it_is_linked_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Outsiders reach it, so it may be theirs."""
    answers: list[str] = []
    secret = message(1).replace("link-0", "mine").replace("/queue/a", "/queue/secret")

    async def play(edge: FakeEdge) -> None:
        await edge.welcome()
        edge.send(secret, secret, message(2))
        answers.extend([await edge.frame() for _ in range(3)])
        await edge.end()

    async with playing(play) as address:
        here = server(address)
        async with here.lifespan(), here.subscribe("/queue/a") as messages:
            assert (await anext(messages)).headers["orig-id"] == "m-2"
            await until(lambda: state(here).messages == 1)
            assert state(here).refused == 2
            assert "/queue/secret" not in here._hub.broker.destinations
    assert sorted(answers) == [
        "ACK\nid:a-2\n\n",
        *["NACK\nid:a-1\nrequeue:false\n\n"] * 2,
    ]
    assert records(caplog, "a message for /queue/secret was refused: it is of no") == 1


#: What an edge of STOMP 1.0 sends: to which queue, and the body.
MESSAGES = (("b", "B"), ("a", "A"), ("a", "!"), ("b", "C"))


async def test_an_edge_of_stomp_1_0() -> None:
    """As romp is: every subscription is 0."""
    acks: list[str] = []

    async def play(edge: FakeEdge) -> None:
        assert "login:xtomp\npasscode:password\n" in await edge.frame()
        edge.send("CONNECTED\nserver:romp\nversion:1.0\n\n^@")
        for name in "ab":
            subscribe = await edge.frame()
            assert f"destination:/queue/{name}\nack:client\n" in subscribe
        edge.send("RECEIPT\nreceipt-id:subscribed\n\n^@")
        for number, (name, text) in enumerate(MESSAGES):
            edge.send(
                f"MESSAGE\nmessage-id:{number}\nsubscription:0\n"
                f"destination:/queue/{name}\n\n{text}^@"
            )
            acks.append(await edge.frame())
        await edge.end()

    tables = {"/queue/x": {"type": "queue"}, "/queue/y": {"type": "queue"}}
    async with playing(play) as address:
        here = server(
            address,
            tables,
            destinations=["/queue/a", "/queue/b"],
            local_destinations=["/queue/x", "/queue/y"],
        )

        @here.stomp
        def refuse(context: Context, message: StompMessage) -> None:
            if message.body == b"!":
                # Not the broker's own word, which would mean: later.
                raise FilterError("destination flup")

        async with here.lifespan(), here.subscribe("/queue/y") as messages:
            assert [(await anext(messages)).text for _ in range(2)] == ["B", "C"]
            async with here.subscribe("/queue/x") as others:
                first = await anext(others)
                assert (first.text, first.headers["orig-id"]) == ("A", "1")
            await until(lambda: state(here).messages == 3)
            assert state(here).refused == 1
    # There is no NACK, and what is neither would be in the way.
    assert [re.findall("^(ACK)\nmessage-id:(.)$", ack, re.M) for ack in acks] == [
        [("ACK", str(number))] for number in range(4)
    ]


async def test_an_edge_may_send_more_than_is_allowed_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what is too much by far ends the link; the rest costs the message."""
    # A second visit would count the same messages again.
    monkeypatch.setattr(link, "FIRST_WAIT", 1000.0)
    monkeypatch.setattr(link, "LONGEST_WAIT", 1000.0)
    answers: list[str] = []
    many = "".join(f"h{number}:{number}\n" for number in range(100))
    line = f"long:{'x' * 10_000}\n"

    async def play(edge: FakeEdge) -> None:
        if answers:  # it has been here
            return
        await edge.welcome()
        edge.send(message(1, headers=many), message(2, headers=line))
        edge.send(message(3, body="x" * 2000), message(4))
        answers.extend([await edge.frame() for _ in range(4)])
        edge.send(message(5, body="x" * 17_000))
        await edge.end()

    async with playing(play) as address:
        here = server(address, keys={"max_message_size": 1000})
        async with here.lifespan(), here.subscribe("/queue/a") as messages:
            assert (await anext(messages)).headers["h99"] == "99"
            assert len((await anext(messages)).headers["long"]) == 10_000
            assert (await anext(messages)).headers["orig-id"] == "m-4"
            await until(lambda: state(here).error)
            assert (state(here).messages, state(here).refused) == (3, 1)
    assert answers == [
        "ACK\nid:a-1\n\n",
        "ACK\nid:a-2\n\n",
        "NACK\nid:a-3\nrequeue:false\n\n",
        "ACK\nid:a-4\n\n",
    ]


@pytest.mark.parametrize("close_on_error", [True, False])
async def test_a_full_destination_holds_the_link_back(
    close_on_error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that refuses what does not fit: the edge has room for it."""
    small = {"/queue/a": {"type": "queue", "max_messages": 3, "overflow": "reject"}}
    there = edge()
    async with there.lifespan():
        keys = {"close_on_error": close_on_error}
        here = server(there.addresses[0], small, keys, prefetch_count=10)
        sent = [str(number) for number in range(50)]
        for body in sent:
            await there.publish("/queue/a", body)
        async with here.lifespan():
            await until(lambda: state(here).is_held)
            assert state(here).messages == 3
            assert unacked(there) <= 10
            await asyncio.sleep(0.1)  # it is tried several times
            assert (state(here).messages, state(here).refused) == (3, 0)
            async with here.subscribe("/queue/a") as messages:
                texts = [(await anext(messages)).text for _ in sent]
            assert texts == sent
            await until(lambda: unacked(there) == 0)
            assert not state(here).is_held
            now = state(here)
            assert (now.messages, now.refused, now.connects) == (50, 0, 1)
    assert records(caplog, "has to wait: destination flup") == 1


async def test_a_link_that_is_held_back_leaves_what_waits_at_the_edge() -> None:
    small = {"/queue/a": {"type": "queue", "max_messages": 1}}
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], small)
        for body in "abc":
            await there.publish("/queue/a", body)
        async with here.lifespan():
            await until(lambda: state(here).is_held)
        await until(lambda: unacked(there) == 0)
        assert len(there._hub.broker.destinations["/queue/a"]) == 2
        assert not state(here).is_held


async def test_an_edge_of_stomp_1_1() -> None:
    answers: list[str] = []

    async def play(edge: FakeEdge) -> None:
        await edge.welcome("version:1.1\n")
        edge.send(message(1), message(2))
        answers.extend([await edge.frame(), await edge.frame()])
        await edge.end()
        edge.send(message(3))  # too late

    async with playing(play) as address:
        here = server(address)

        @here.stomp
        def refuse(context: Context, message: StompMessage) -> None:
            if message.headers.get("orig-id") == "m-2":
                raise FilterError("no")

        async with here.lifespan():
            await until(lambda: len(answers) == 2)
    assert answers == [
        "ACK\nmessage-id:m-1\nsubscription:link-0\n\n",
        "NACK\nmessage-id:m-2\nsubscription:link-0\nrequeue:false\n\n",
    ]


async def test_a_drained_destination_holds_the_link_back() -> None:
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], {"/queue/a": {"type": "queue"}})
        queue = here._hub.broker.destinations["/queue/a"]
        operations.drain(queue)
        async with here.lifespan():
            await there.publish("/queue/a", "x")
            await until(lambda: state(here).is_held)
            assert len(queue) == 0
            operations.reopen(queue)
            await until(lambda: state(here).messages == 1)
            assert (len(queue), state(here).refused) == (1, 0)


async def test_a_message_that_its_destination_has_is_not_offered_again() -> None:
    """Not even if a filter finds another one full after that."""
    tables = {
        "/queue/a": {"type": "queue"},
        "/queue/b": {"type": "queue", "max_messages": 1, "overflow": "reject"},
    }
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0], tables)

        @here.stomp
        async def copy(context: Context, message: StompMessage) -> None:
            if message.command is Command.SEND:
                await here.publish("/queue/b", message.body)

        async with here.lifespan():
            for body in "xy":
                await there.publish("/queue/a", body)
            await until(lambda: unacked(there) == 0 and state(here).refused == 1)
            assert len(here._hub.broker.destinations["/queue/a"]) == 2
            assert state(here).messages == 1


async def test_a_message_log_that_takes_nothing_holds_the_link_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = edge()
    async with there.lifespan():
        keys = {"message_log": str(tmp_path / "log")}
        here = server(there.addresses[0], keys=keys)
        log = here._hub.message_log
        assert log is not None

        def refuse() -> None:
            raise NotLogged(is_accepted=False)

        async with here.lifespan():
            with monkeypatch.context() as patch:
                patch.setattr(log, "check", refuse)
                await there.publish("/queue/a", "x")
                await until(lambda: state(here).is_held)
            await until(lambda: state(here).messages == 1)
            assert state(here).refused == 0


async def test_a_message_that_is_taken_but_not_logged_is_acknowledged() -> None:
    answers: list[str] = []

    async def play(edge: FakeEdge) -> None:
        await edge.welcome()
        edge.send(message(1))
        answers.append(await edge.frame())
        await edge.end()

    async with playing(play) as address:
        here = server(address)

        def fail(context: Context, message: StompMessage) -> None:
            if message.command is Command.SEND:
                raise NotLogged(is_accepted=True)

        here.stomp_filter_at(fail, PRE_SEND)

        async with here.lifespan():
            await until(lambda: state(here).messages == 1)
    assert answers == ["ACK\nid:a-1\n\n"]


@pytest.mark.parametrize("way", ["refuse", "kill"])
async def test_a_session_that_ends_at_once_takes_the_link_down(way: str) -> None:
    """Else it would be tried for ever, without a pause."""
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0])
        tries: list[object] = []

        @here.stomp
        def deny(context: Context, message: StompMessage) -> Outcome | None:
            if way == "refuse" and message.command is Command.CONNECT:
                tries.append(context)
                raise FilterError("no links", fatal=True)
            if way == "kill" and message.command is Command.SEND:
                tries.append(context)
                context.session.kill()
            return HANDLED

        async with here.lifespan():
            await there.publish("/queue/a", "x")
            await until(lambda: len(tries) >= 2)
            await until(lambda: not state(here).is_connected)
            words = "filter: no links" if way == "refuse" else "it was closed"
            assert state(here).error.startswith(f"the session here has ended: {words}")
            assert state(here).connects >= len(tries) - 1


async def test_a_message_that_ends_the_session_is_not_in_the_way_of_others() -> None:
    """Those behind it, which waited in the session, go on in another, once each."""
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0])
        gates = {b"first": asyncio.Event(), b"third": asyncio.Event()}

        async def wait(body: bytes) -> None:
            await gates[body].wait()

        def judge(
            context: Context, message: StompMessage
        ) -> Coroutine[Any, Any, None] | None:
            if message.body.startswith(b"bad"):
                raise FilterError("bad", fatal=True)
            return wait(message.body) if message.body in gates else None

        here.stomp_filter_at(judge, PRE_SEND)
        async with here.lifespan(), here.subscribe("/queue/a") as messages:
            for body in ("first", "bad 1", "bad 2", "third", "fourth"):
                await there.publish("/queue/a", body)
            await until(lambda: unacked(there) == 5 and state(here).is_held)
            gates[b"first"].set()
            assert (await anext(messages)).text == "first"
            await until(lambda: state(here).refused == 2)
            for _ in range(10):
                await asyncio.sleep(0)
            gates[b"third"].set()
            await there.publish("/queue/a", "last")
            texts = [(await anext(messages)).text for _ in range(3)]
            assert texts == ["third", "fourth", "last"]
            await until(lambda: unacked(there) == 0)
            assert (state(here).messages, state(here).connects) == (4, 1)


async def test_a_stop_of_the_broker_alone_ends_the_link() -> None:
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0])
        async with here.lifespan():
            await until(lambda: state(here).is_connected)
            await here.stop()
            await there.publish("/queue/a", "x")
            await until(lambda: "shutdown" in state(here).error)
        await until(lambda: unacked(there) == 0)
        assert len(there._hub.broker.destinations["/queue/a"]) == 1


async def test_a_bug_of_ours_is_told_and_the_link_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = edge()
    async with there.lifespan():
        here = server(there.addresses[0])
        with monkeypatch.context() as patch:

            async def fail(self: object) -> None:
                raise ZeroDivisionError

            patch.setattr(visit.Visit, "run", fail)
            life = here.lifespan()
            await life.__aenter__()
            await until(lambda: state(here).error == "internal error")
        await until(lambda: state(here).is_connected)
        await life.__aexit__(None, None, None)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("good", "waits"), [(0.0, "short"), (1000.0, "long")])
async def test_a_link_that_held_begins_again_with_short_waits(
    good: float, waits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "GOOD", good)
    monkeypatch.setattr(link, "LONGEST_WAIT", 0.16)
    there = edge()

    async def play(edge: FakeEdge) -> None:
        await edge.welcome()

    async with playing(play) as address:
        here = server(address)
        async with here.lifespan():
            await until(lambda: state(here).connects >= 5 and state(here).error)
            limit = here._links[0]._backoff._limit
    assert there.addresses == []
    assert (limit <= 0.04) == (waits == "short")


async def test_an_edge_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "TIMEOUT", 0.05)

    async def play(edge: FakeEdge) -> None:
        await edge.frame()
        await edge.end()

    async with playing(play) as address:
        here = server(address)
        async with here.lifespan():
            await until(lambda: state(here).error)
            assert state(here).error.startswith("no answer within ")


async def test_a_link_that_may_not_leave_in_peace_leaves_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visit, "_LEAVE_TIMEOUT", 0.05)
    gate = asyncio.Event()

    async def play(edge: FakeEdge) -> None:
        await edge.welcome()
        await gate.wait()

    async with playing(play) as address:
        here = server(address)
        async with here.lifespan():
            await until(lambda: state(here).is_connected)
        gate.set()


async def test_an_application_without_lifespan_is_told_that_links_are_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/health_check",
        "raw_path": b"/health_check",
        "query_string": b"",
        "headers": [(b"host", b"x")],
    }
    here = server("127.0.0.1:1", DESTINATIONS)
    await here(scope, sent.append, send)  # type: ignore[arg-type]  # it has no body
    assert "no edge server is dialled (edge)" in caplog.text
    await here.stop()
    assert here._sweeper is not None
    here._sweeper.cancel()
