"""stompman, the asyncio client."""

import asyncio

import pytest
import stompman

from tests.program import Program

pytestmark = pytest.mark.anyio


def client(program: Program) -> stompman.Client:
    server = stompman.ConnectionParameters(
        host="127.0.0.1", port=program.tcp, login="user", passcode="pass"
    )
    return stompman.Client(servers=[server])


async def test_send_and_receive_with_bare_names(program: Program) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(frame: stompman.MessageFrame) -> None:
        await received.put(frame.body)

    async with asyncio.timeout(10), client(program) as session:
        subscription = await session.subscribe(
            "stompman", handle, on_suppressed_exception=lambda *_: None
        )
        await session.send(b"hello", "stompman")
        assert await received.get() == b"hello"
        async with session.begin() as transaction:
            await transaction.send(b"first", "stompman")
            await transaction.send(b"second", "stompman")
        assert [await received.get() for _ in range(2)] == [b"first", b"second"]
        await subscription.unsubscribe()


async def test_a_handler_that_fails_nacks_and_gets_it_again(program: Program) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def handle(frame: stompman.MessageFrame) -> None:
        await seen.put(str(frame.headers.get("redelivered")))
        if frame.headers.get("redelivered") == "false":
            raise ValueError

    async with asyncio.timeout(10), client(program) as session:
        subscription = await session.subscribe(
            "again",
            handle,
            ack="client-individual",
            on_suppressed_exception=lambda *_: None,
            suppressed_exception_classes=(ValueError,),
        )
        await session.send(b"x", "again")
        assert [await seen.get() for _ in range(2)] == ["false", "true"]
        await subscription.unsubscribe()
