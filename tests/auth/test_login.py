"""Logins over real sockets."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from romp_asgi import Config, Romp
from romp_asgi.auth import User
from romp_asgi.auth.tokens import sign
from romp_asgi.auth.users import Users
from romp_asgi.errors import ConfigErrors
from romp_asgi.filters import Context, StompMessage
from romp_asgi.session import Session
from romp_asgi.stomp import Command, Frame
from tests.auth.gate import Gate
from tests.client import Client

pytestmark = pytest.mark.anyio

CONFIGS = Path(__file__).parents[1] / "configs"
SECRET = "XIxoIl6ngolYKQOrXpunRLCMWxR6O0lDI+HycNN4Ffo="
FILE = str(CONFIGS / "romp.passwd")
SLOW_FILE = str(CONFIGS / "mixed.passwd")
SEND = "SEND\ndestination:/queue/a\nreceipt:{}\n\nhello^@"


def connect(login: str, passcode: str) -> str:
    return (
        "CONNECT\naccept-version:1.2\nhost:x\n"
        f"login:{login}\npasscode:{passcode}\nreceipt:no\n\n^@"
    )


@asynccontextmanager
async def server(**keys: Any) -> AsyncIterator[Romp]:
    romp = Romp(Config.from_dict({"ports": [0], **keys}))
    async with romp.lifespan():
        yield romp


@asynccontextmanager
async def client(
    romp: Romp, *frames: str, admin: bool = False
) -> AsyncIterator[Client]:
    """A client that has sent something, but not read anything yet."""
    (address,) = romp.admin_addresses if admin else romp.addresses
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    opened = Client(reader, writer)
    opened.send(*frames)
    try:
        yield opened
    finally:
        writer.transport.abort()


async def answer(romp: Romp, *frames: str, admin: bool = False) -> Frame:
    async with client(romp, *frames, admin=admin) as opened:
        return await opened.frame()


def is_auth_err(frame: Frame) -> bool:
    return frame.command is Command.ERROR and frame.headers["message"] == "auth err"


async def only_session(romp: Romp) -> Session:
    """The one session that there is, once there is."""
    async with asyncio.timeout(5):
        while len(romp._hub.sessions) != 1:
            await asyncio.sleep(0.001)
    (session,) = romp._hub.sessions
    return session


async def until_idle(romp: Romp) -> None:
    """Until nobody is connected and nothing is waited for."""
    async with asyncio.timeout(5):
        while romp._hub.sessions or romp._hub._tasks:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("file", "login", "passcode", "user"),
    [
        (FILE, "xtomp", "passcode", User("xtomp")),
        (FILE, "harry", "xyzzy", User("harry", is_admin=True)),
        (SLOW_FILE, "harry", "xyzzy", User("harry")),
        (SLOW_FILE, "the boss", "plugh", User("the boss", is_admin=True)),
        (SLOW_FILE, "shared", "hush", User("shared", is_admin=True)),
    ],
)
async def test_a_session_has_its_user(
    file: str, login: str, passcode: str, user: User
) -> None:
    keys = {"user_file": file, "login": "shared", "passcode": "hush"}
    async with (
        server(**keys) as romp,
        client(romp, connect(login, passcode), SEND.format(1)) as opened,
    ):
        session = await only_session(romp)
        frame = await opened.frame()
        assert frame.command is Command.CONNECTED
        assert "user-name" not in frame.headers
        assert (await opened.frame()).headers == {"receipt-id": "1"}
        assert session.user == user
        assert session.is_admin is user.is_admin


async def test_before_a_login_there_is_no_user() -> None:
    async with server(user_file=FILE) as romp, client(romp):
        session = await only_session(romp)
        assert session.user is None
        assert not session.is_admin


@pytest.mark.parametrize("file", [FILE, SLOW_FILE])
@pytest.mark.parametrize(
    "frame",
    [
        connect("xtomp", "wrong"),
        connect("nobody", "xyzzy"),
        "CONNECT\naccept-version:1.2\nhost:x\n\n^@",
        "STOMP\naccept-version:1.2\nhost:x\nlogin:harry\n\n^@",
    ],
)
async def test_a_wrong_login_is_told_and_closed(file: str, frame: str) -> None:
    async with server(user_file=file) as romp:
        async with client(romp, frame, SEND.format(1)) as opened:
            error = await opened.frame()
            assert is_auth_err(error)
            assert error.body == b"The login or the passcode is wrong.\n"
            with pytest.raises(EOFError):
                await opened.frame()
        await until_idle(romp)
        assert romp._hub.broker.memory.used == 0


async def test_the_admin_listener() -> None:
    async with server(user_file=SLOW_FILE, admin_port=free_port()) as romp:
        frame = await answer(romp, connect("harry", "wrong"), admin=True)
        assert frame.command is Command.CONNECTED
        assert is_auth_err(await answer(romp, connect("harry", "wrong")))


async def test_the_admin_listener_where_others_reach_it() -> None:
    keys = {"admin_port": free_port(), "admin_bind_address": "0.0.0.0"}
    async with server(user_file=SLOW_FILE, secret=SECRET, **keys) as romp:
        for login, passcode, is_good in (
            ("the boss", "plugh", True),
            ("harry", "xyzzy", False),
            ("the boss", "wrong", False),
        ):
            frame = await answer(romp, connect(login, passcode), admin=True)
            assert is_auth_err(frame) is not is_good


def free_port() -> int:
    from tests.program import free_port

    return free_port()


async def test_tokens() -> None:
    def token(seconds: float, secret: str = SECRET) -> str:
        login = f"harry {time.time() + seconds:.0f} rand"
        return connect(login, sign(login, secret))

    async with server(secret=SECRET, user_file=FILE) as romp:
        for frame, is_good in (
            (token(0), True),
            (token(-50), True),
            (token(-70), False),
            (token(10), True),
            (token(60), False),
            (token(0, "another"), False),
            (connect("harry", "xyzzy"), False),
        ):
            assert is_auth_err(await answer(romp, frame)) is not is_good
        good = token(0)
        for _ in range(2):
            async with client(romp, good) as opened:
                assert (await opened.frame()).command is Command.CONNECTED
                assert (await only_session(romp)).user == User("harry")
            await until_idle(romp)


async def test_too_many_failures(caplog: pytest.LogCaptureFixture) -> None:
    keys = {"max_failed_logins": 2, "failed_login_window": 0.3}
    async with server(user_file=SLOW_FILE, **keys) as romp:
        for _ in range(2):
            error = await answer(romp, connect("harry", "wrong"))
            assert error.body == b"The login or the passcode is wrong.\n"
        error = await answer(romp, connect("harry", "xyzzy"))
        assert is_auth_err(error)
        assert error.body.startswith(b"Too many logins from this address have failed")
        assert "refusing logins from 127.0.0.1 for 0 s: 2 have failed" in caplog.text
        async with asyncio.timeout(5):
            while is_auth_err(await answer(romp, connect("harry", "xyzzy"))):
                await asyncio.sleep(0.02)


async def test_a_user_file_that_is_not_good_keeps_the_server_from_starting() -> None:
    with pytest.raises(ConfigErrors, match=r"mistakes\.passwd: line 5: "):
        Romp(Config(user_file=str(CONFIGS / "mistakes.passwd")))


# While a login is checked


async def test_further_frames_wait_for_the_login(gate: Gate) -> None:
    async with (
        server(user_file=SLOW_FILE) as romp,
        client(romp, connect("harry", "xyzzy"), SEND.format(1)) as opened,
    ):
        await gate.until_running(1)
        opened.send(SEND.format(2))
        await asyncio.sleep(0.02)
        assert romp._hub.broker.memory.used == 0
        gate.is_open.set()
        assert (await opened.frame()).command is Command.CONNECTED
        assert [(await opened.frame()).headers["receipt-id"] for _ in "12"] == [
            "1",
            "2",
        ]


async def test_other_clients_do_not_wait(gate: Gate) -> None:
    keys = {"user_file": SLOW_FILE, "login": "a", "passcode": "b"}
    async with server(**keys) as romp, client(romp, connect("harry", "xyzzy")) as slow:
        await gate.until_running(1)
        async with client(romp, connect("a", "b"), SEND.format(1)) as fast:
            assert (await fast.frame()).command is Command.CONNECTED
            assert (await fast.frame()).command is Command.RECEIPT
        gate.is_open.set()
        assert (await slow.frame()).command is Command.CONNECTED


async def test_a_login_that_waits_too_long_is_timed_out(gate: Gate) -> None:
    keys = {"user_file": SLOW_FILE, "connect_timeout": 0.05}
    async with server(**keys) as romp:
        async with client(romp, connect("harry", "xyzzy")) as opened:
            error = await opened.frame()
            assert error.headers["message"] == "timeout"
            with pytest.raises(EOFError):
                await opened.frame()
        gate.is_open.set()
        await until_idle(romp)


async def test_a_client_may_leave_meanwhile(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    keys = {"user_file": SLOW_FILE, "connect_timeout": 0.05}
    async with server(**keys) as romp:
        async with client(romp, connect("harry", "xyzzy"), SEND.format(1)):
            await gate.until_running(1)
        gate.is_open.set()
        await until_idle(romp)
        assert romp._hub.broker.memory.used <= 1000
    assert caplog.records == []


async def test_those_that_have_left_are_not_checked(gate: Gate) -> None:
    keys = {"user_file": SLOW_FILE, "connect_timeout": 0.05}
    async with server(**keys) as romp:
        for n in range(2):
            async with client(romp, connect("harry", f"wrong {n}")):
                await gate.until_running(n + 1)
        for n in range(5):
            async with client(romp, connect("harry", f"wrong, too {n}")) as late:
                assert (await late.frame()).headers["message"] == "timeout"
        gate.is_open.set()
        await until_idle(romp)
    assert gate.count == 2


async def test_a_client_may_close_its_half_meanwhile(gate: Gate) -> None:
    async with server(user_file=SLOW_FILE) as romp:
        frames = connect("harry", "xyzzy"), SEND.format(1)
        async with client(romp, *frames) as opened:
            await gate.until_running(1)
            opened._writer.write_eof()
            gate.is_open.set()
            assert (await opened.frame()).command is Command.CONNECTED
            assert (await opened.frame()).command is Command.RECEIPT
            with pytest.raises(EOFError):
                await opened.frame()


async def test_the_server_may_stop_meanwhile(gate: Gate) -> None:
    async with server(user_file=SLOW_FILE, shutdown_timeout=0.1) as romp:
        async with client(romp, connect("harry", "xyzzy")) as opened:
            await gate.until_running(1)
            await romp.stop()
            assert (await opened.frame()).headers["message"] == "shutdown"
        gate.is_open.set()
        await until_idle(romp)


async def test_a_check_that_fails_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(users: Users, name: str, passcode: str) -> User | None:
        raise MemoryError

    monkeypatch.setattr(Users, "check", fail)
    async with server(user_file=SLOW_FILE) as romp:
        error = await answer(romp, connect("harry", "xyzzy"))
        assert error.headers["message"] == "internal error"
    assert "MemoryError" in caplog.text
    assert "xyzzy" not in caplog.text


@pytest.mark.parametrize("passcode", ["xyzzy", "wrong"])
async def test_filters_see_a_connect_after_its_login(passcode: str) -> None:
    romp = Romp(Config(ports=[0], user_file=SLOW_FILE))
    seen: list[tuple[Command, bool]] = []

    @romp.stomp
    async def look(context: Context, message: StompMessage) -> None:
        await asyncio.sleep(0)
        seen.append((message.command, context.is_admin))

    async with romp.lifespan():
        frames = connect("the boss", passcode), SEND.format(1)
        async with client(romp, *frames) as opened:
            assert is_auth_err(await opened.frame())
        frames = connect("the boss", "plugh"), SEND.format(1)
        async with client(romp, *frames) as opened:
            assert (await opened.frame()).command is Command.CONNECTED
            assert (await opened.frame()).command is Command.RECEIPT
    assert seen == [(Command.CONNECT, True), (Command.SEND, True)]
