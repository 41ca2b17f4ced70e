"""``romp-asgi admin``, against servers on real sockets."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from romp_asgi import Romp
from romp_asgi.cli import main
from romp_asgi.commands import ask
from tests.admin.operator import Operator, application, operating
from tests.program import free_port, running

pytestmark = pytest.mark.anyio

ENV = {"ROMP_PASSCODE": "hush"}


def run(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """The command's exit status and output."""
    result = CliRunner().invoke(main, ["admin", *arguments], env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


async def admin(romp: Romp, *arguments: str) -> tuple[int, str]:
    """Asked as the administrator who has logged in."""
    port = romp.addresses[0].rpartition(":")[2]
    place = ["--host", "127.0.0.1", "--port", port, "--login", "boss"]
    return await asyncio.to_thread(run, *place, *arguments, env=ENV)


async def done(romp: Romp, *arguments: str) -> str:
    code, output = await admin(romp, *arguments)
    assert code == 0, output
    return output


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[Romp, Operator]]:
    tables = {
        "/queue/**": {"type": "queue", "expiry": 0},
        "t": {"type": "topic", "stats": True},
    }
    async with operating(destinations=tables) as (romp, operator):
        await operator.receipt("SUBSCRIBE\ndestination:t\nid:1\n\n^@")
        for _ in range(12):
            await operator.receipt("SEND\ndestination:/queue/orders\n\n^@")
        yield romp, operator


async def test_destinations() -> None:
    async with a_server() as (romp, _):
        lines = (await done(romp, "destinations")).splitlines()
        assert [line.split()[0] for line in lines] == ["NAME", "t", "/queue/orders"]
        assert re.fullmatch(r"t +topic +open +1 +0 +0 +0", lines[1])
        assert re.fullmatch(r"/queue/orders  queue  open +0 +12 +\d+ +12", lines[2])
        assert len({len(line) for line in lines}) == 1
        found = json.loads(await done(romp, "destinations", "--json"))
        assert [each["name"] for each in found["destinations"]] == [
            "t",
            "/queue/orders",
        ]
        output = await done(romp, "destinations", "--limit", "1")
        assert output.endswith("… 1 of 2 destinations; --limit shows more\n")


async def test_destination() -> None:
    async with a_server() as (romp, _):
        output = await done(romp, "destination", "/queue/orders")
        assert re.search(r"^waiting +12$", output, re.MULTILINE)
        assert re.search(r"^from pattern +true$", output, re.MULTILINE)
        assert re.search(r"^dead_letter +-$", output, re.MULTILINE)
        assert "changed" not in output
        found = json.loads(await done(romp, "destination", "t", "--json"))
        assert found["settings"]["stats"] is True


async def test_purge() -> None:
    async with a_server() as (romp, _):
        output = await done(romp, "purge", "/queue/orders")
        assert output == "12 messages of /queue/orders forgotten\n"
        assert json.loads(await done(romp, "purge", "t", "--json")) == {"purged": 0}
        await romp.publish("/queue/orders", "x")
        output = await done(romp, "purge", "/queue/orders")
        assert output == "1 message of /queue/orders forgotten\n"


async def test_drain() -> None:
    async with a_server() as (romp, _):
        queue = "/queue/orders"
        assert await done(romp, "drain", queue) == (
            f"{queue} is draining: 12 waiting, 0 subscribed\n"
        )
        assert await done(romp, "drain", queue, "--now") == (
            f"{queue} is shut down: 0 waiting, 0 subscribed\n"
        )
        opened = json.loads(await done(romp, "drain", queue, "--undo", "--json"))
        assert opened["state"] == "open"
        code, output = await admin(romp, "drain", queue, "--undo", "--now")
        assert code == 2
        assert "--now and --undo do not go together." in output


async def test_reconfigure() -> None:
    async with a_server() as (romp, _):
        arguments = "t", "max_messages=7", "write_block = true"
        output = await done(romp, "reconfigure", *arguments)
        assert re.search(r"^max_messages +7  \(changed\)$", output, re.MULTILINE)
        assert re.search(r"^write_block +true  \(changed\)$", output, re.MULTILINE)
        code, output = await admin(romp, "reconfigure", "t", "expiry=-1")
        assert code == 1
        assert output == (
            "romp-asgi: [destinations.t] expiry = -1: expected a whole number of "
            "milliseconds, from 0 to 10^15.\n"
        )
        for setting in ("expiry", "=1", "expiry=", "expiry=1ms"):
            code, output = await admin(romp, "reconfigure", "t", setting)
            assert code == 2
            assert "is not like max_messages=1000 or write_block=true." in output


async def test_sessions_and_close() -> None:
    async with a_server() as (romp, operator):
        lines = (await done(romp, "sessions")).splitlines()
        assert lines[0].split()[:4] == ["ID", "USER", "ADMIN", "FROM"]
        assert len(lines) == 3
        id, user, is_admin, peer, by, *_ = lines[1].split()
        assert (user, is_admin, by) == ("boss", "yes", "tcp")
        assert peer.startswith("127.0.0.1:")
        found = json.loads(await done(romp, "sessions", "--json"))
        assert found["sessions"][0]["id"] == id
        assert await done(romp, "close", id) == f"{id} is closed\n"
        assert (await operator.error()).headers["message"] == "closed"
        code, output = await admin(romp, "close", "nobody")
        assert (code, output) == (1, "romp-asgi: There is no session 'nobody'.\n")
        code, output = await admin(romp, "close", id)
        assert (code, output) == (1, f"romp-asgi: There is no session '{id}'.\n")
        other = await Operator.of(romp.addresses[0])
        id = (await other.does("sessions"))["sessions"][-1]["id"]
        assert json.loads(await done(romp, "close", id, "--json")) == {}
        await other.close()


async def test_stat() -> None:
    async with a_server() as (romp, _):
        output = await done(romp, "stat")
        assert re.search(r"^up since +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", output, re.M)
        assert re.search(r"^messages ever +12$", output, re.MULTILINE)
        assert re.search(r"^t +1 +0 +0 +0$", output, re.MULTILINE)
        found = json.loads(await done(romp, "stat", "--json"))
        assert found["cc"]["Σµ"] == 12
    async with operating() as (romp, _):
        assert "NAME" not in await done(romp, "stat")


async def test_stat_of_links() -> None:
    edge = application(login="xtomp", passcode="password")
    async with edge.lifespan():
        link = {
            "address": edge.addresses[0],
            "destinations": ["/topic/there"],
            "local_destinations": ["/topic/here"],
        }
        async with operating(downstreams={"edge": link}) as (romp, _):
            async with asyncio.timeout(5):
                # The edge knows of it when it has subscribed.
                while "/topic/there" not in edge._hub.broker.destinations:
                    await asyncio.sleep(0.001)
            output = await done(romp, "stat")
            up = rf"^edge +{link['address']} +up +[-\d]+ [:\d]+ +0 +0$"
            assert re.search(up, output, re.MULTILINE)
            async with romp.subscribe("/topic/here") as messages:
                await edge.publish("/topic/there", "x")
                assert (await anext(messages)).text == "x"
            output = await done(romp, "sessions")
            assert re.search(r" downstream edge +downstream +20", output)


async def test_names_of_others_do_not_reach_the_terminal_as_they_are() -> None:
    async with operating() as (romp, _):
        await romp.publish("/queue/\x1b[2J", "x")
        output = await done(romp, "destinations")
        assert r"/queue/\x1b[2J" in output


# Ends


@pytest.mark.parametrize("as_json", [False, True])
async def test_shutdown(tmp_path: Path, as_json: bool) -> None:
    port, more = free_port(), ["--json"] * as_json
    with running(tmp_path, "enable_admin = true\n", admin_port=port) as program:
        config = str(tmp_path / "romp.toml")
        code, output = await asyncio.to_thread(
            run, "--config", config, "shutdown", *more
        )
        assert (code, output) == (0, "{}\n" if as_json else "the server shuts down\n")
        assert await asyncio.to_thread(program.process.wait, 10) == 0


async def test_kill(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, "enable_admin = true\n", admin_port=port) as program:
        env = {"ROMP_CONF": str(tmp_path)}
        code, output = await asyncio.to_thread(run, "kill", env=env)
        assert (code, output) == (0, "the server was killed\n")
        assert await asyncio.to_thread(program.process.wait, 10) == 99


# What goes wrong


def test_no_server() -> None:
    port = str(free_port())
    code, output = run("--host", "127.0.0.1", "--port", port, "stat")
    assert code == 1
    assert output == (
        f"romp-asgi: cannot connect to the admin port 127.0.0.1:{port}: "
        "Connection refused\n"
    )


async def test_admin_is_off() -> None:
    async with operating(enable_admin=False) as (romp, _):
        for command in ("stat", "kill", "shutdown"):
            code, output = await admin(romp, command)
            assert code == 1
            assert output == (
                "romp-asgi: Admin commands are off here: enable_admin is not set.\n"
            )


async def test_a_wrong_passcode_and_none(tmp_path: Path) -> None:
    file = tmp_path / "passcode"
    file.write_text("wrong\n")
    async with operating() as (romp, _):
        port = romp.addresses[0].rpartition(":")[2]
        place = ["--host", "127.0.0.1", "--port", port]
        login = [*place, "--login", "boss"]
        code, output = await asyncio.to_thread(
            run, *login, "--passcode-file", str(file), "stat"
        )
        assert (code, output) == (
            1,
            "romp-asgi: The login or the passcode is wrong.\n",
        )
        code, output = await asyncio.to_thread(
            run, *login, "stat", env={"ROMP_PASSCODE": ""}
        )
        assert code == 2
        assert "--login needs --passcode-file or $ROMP_PASSCODE." in output
        file.write_text("hush\n")
        code, output = await asyncio.to_thread(
            run, *login, "--passcode-file", str(file), "stat"
        )
        assert code == 0, output


async def test_no_administrator() -> None:
    romp = application(login=None, passcode=None, user_file=None)
    async with romp.lifespan():
        port = romp.addresses[0].rpartition(":")[2]
        code, output = await asyncio.to_thread(
            run, "--host", "127.0.0.1", "--port", port, "stat"
        )
        assert code == 1
        assert output == (
            "romp-asgi: Admin commands need the login of an administrator.\n"
        )


@contextmanager
def speaking(*answers: bytes) -> Iterator[int]:
    """A server that answers whatever it hears, in order, then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n\0"], "the server speaks no STOMP: "),
        ([b""], "the server does not answer CONNECT"),
        ([b"RECEIPT\nreceipt-id:1\n\n\0"], "the server does not answer CONNECT"),
        ([b"ERROR\nmessage:go\n\n\0"], "go\n"),
        ([b"ERROR\n\n\0"], "an error\n"),
        ([CONNECTED, b""], "the server has closed the connection"),
        ([CONNECTED, b"RECEIPT\nreceipt-id:1\n\n\0"], "the server has closed the conn"),
    ],
)
def test_another_server(answers: list[bytes], reason: str) -> None:
    with speaking(*answers) as port:
        code, output = run("--host", "127.0.0.1", "--port", str(port), "stat")
    assert code == 1
    assert output.startswith(f"romp-asgi: {reason}"), output


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        code, output = run("--host", "127.0.0.1", "--port", port, "stat")
    assert code == 1
    assert output == "romp-asgi: the server has not answered for 0 seconds\n"


def test_a_connection_that_breaks() -> None:
    with speaking(CONNECTED) as port:
        server = ask.Server("127.0.0.1", port, "boss", "hush")
        with closing(server):
            server.wait_for_end()
            server._socket.shutdown(socket.SHUT_RDWR)
            with pytest.raises(ask.AskError, match="the connection broke: "):
                server.tell("kill", {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("admin_port = 0\n", "there is no admin port: admin_port is 0; see --host"),
        ("admin_port = -1\n", "admin_port = -1: expected a port"),
    ],
)
def test_a_config_that_does_not_say(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "romp.toml"
    file.write_text(text)
    code, output = run("--config", str(file), "stat")
    assert code == 1
    assert reason in output


def test_where_the_admin_port_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROMP_CONF", raising=False)
    assert run("stat")[0] == 1
    (tmp_path / "romp.toml").write_text(
        'admin_bind_address = "0.0.0.0"\nadmin_port = 7000\n'
    )
    assert run("stat")[0] == 1
    assert run("--host", "example.com", "stat")[0] == 1
    assert run("--port", "7001", "stat")[0] == 1
    assert asked == [
        ("127.0.0.1", 61616),
        ("127.0.0.1", 7000),
        ("example.com", 7000),
        ("127.0.0.1", 7001),
    ]
