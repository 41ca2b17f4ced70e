"""Commands of administrators, over real sockets."""

import asyncio
import contextlib
import json
import logging
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from romp_asgi import Config, Romp, process
from romp_asgi.errors import DestinationDraining, NotLogged
from romp_asgi.filters import CONTINUE, HANDLED, Context, StompMessage
from romp_asgi.filters.chain import Outcome
from romp_asgi.stomp import Command
from tests.admin.operator import LOGIN, Operator, application, operating
from tests.client import Client
from tests.program import free_port, running
from tests.test_websocket import serving

pytestmark = pytest.mark.anyio

CONFIGS = Path(__file__).parents[1] / "configs"
QUEUES = {"/queue/**": {"type": "queue"}, "t": {"type": "topic", "name": "news"}}


# The answer


async def test_the_answer_goes_to_who_asked_and_to_nobody_else() -> None:
    async with operating() as (romp, operator):
        other = await Operator.of(romp.addresses[0])
        await other.receipt("SUBSCRIBE\ndestination:/topic/answers\nid:1\n\n^@")
        await operator.receipt("SUBSCRIBE\ndestination:/topic/answers\nid:7\n\n^@")
        headers = {"reply-to": "/topic/answers", "correlation-id": "c:1"}
        operator.command("stat", receipt="r", **headers)
        frame = await operator.frame()
        assert frame.command is Command.MESSAGE
        got = dict(frame.headers)
        assert got.pop("message-id").isdigit()
        assert got == {
            "destination": "/topic/answers",
            "subscription": "7",
            "correlation-id": "c:1",
            "content-type": "application/json",
            "content-length": str(len(frame.body)),
        }
        assert frame.body.startswith(b'{"ok":true,"result":{"cc":{"sz":2,"up":')
        assert (await operator.frame()).headers == {"receipt-id": "r"}
        # What came before it would have come.
        await other.receipt("BEGIN\ntransaction:1\n\n^@")
        await other.close()


async def test_without_a_subscription_the_answer_is_to_its_destination() -> None:
    async with operating() as (_, operator):
        operator.command("sessions", **{"reply-to": "/temp-queue/a"})
        headers = (await operator.frame()).headers
        assert headers["subscription"] == headers["destination"] == "/temp-queue/a"
        assert "correlation-id" not in headers


async def test_without_reply_to_there_is_no_answer() -> None:
    async with operating(close_on_error=False) as (_, operator):
        operator.command("purge", {"name": "/queue/a"}, receipt="r")
        assert (await operator.frame()).headers == {"receipt-id": "r"}
        operator.command("purge", {"name": "nowhere/a"}, receipt="r")
        error = await operator.error()
        assert error.headers["message"] == "destination unknown"
        assert error.headers["receipt-id"] == "r"
        operator.command("purgatory")
        error = await operator.error()
        assert error.headers["message"] == "command err"
        assert error.body.startswith(b"There is no command 'purgatory'; there are clo")


async def test_a_command_is_no_part_of_a_transaction() -> None:
    async with operating() as (_, operator):
        await operator.receipt("BEGIN\ntransaction:t\n\n^@")
        operator.command("stat", transaction="t")
        assert b"not possible with a command" in (await operator.error()).body


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("purge", None, "The command purge expects name to be a string, not empty."),
        ("purge", {"name": ""}, "The command purge expects name to be a string, not"),
        ("purge", {"name": 3}, "The command purge expects name to be a string, not"),
        ("purge", {"name": "nowhere/a"}, "There is no destination nowhere/a."),
        ("purge", {"name": "/queue/**"}, "/queue/** is a pattern; name one of the"),
        ("purge", {"name": "a", "x": 1}, 'The command purge does not know "x"; it t'),
        ("stat", {"x": 1}, 'The command stat does not know "x"; it takes nothing.'),
        ("stat", [], 'The body must be a JSON object, such as {"name":"/queue/a"}.'),
        ("sessions", {"limit": 0}, "The command sessions expects limit to be an int"),
        ("close", {"id": "1-1"}, "There is no session '1-1'."),
        ("close", {"id": "x" * 99}, f"There is no session '{'x' * 40}'."),
        ("drain", {"name": "a", "undo": 1}, "The command drain expects undo to be tr"),
        (
            "drain",
            {"name": "a", "undo": True, "now": True},
            "The command drain takes undo or now, not both.",
        ),
        ("reconfigure", {"name": "a"}, "The command reconfigure expects settings to"),
        (
            "reconfigure",
            {"name": "a", "settings": {"type": "topic"}},
            "The command reconfigure cannot change type; it can change max_connections",
        ),
        (
            "reconfigure",
            {"name": "/queue/a", "settings": {"expiry": -1, "max_messages": "1"}},
            '[destinations."/queue/a"] expiry = -1: expected a whole number of ',
        ),
    ],
)
async def test_what_is_not_possible(name: str, body: Any, error: str) -> None:
    async with operating() as (_, operator):
        assert (await operator.cannot(name, body)).startswith(error)


async def test_who_does_not_read_its_answers_is_cut_off() -> None:
    tables: dict[str, Any] = {f"/topic/{n}": {} for n in range(1000)}
    async with operating(destinations=tables, max_outbox=1_000_000) as (_, operator):
        for _ in range(1000):
            operator.command("destinations", **{"reply-to": "answers"})
        answers = 0
        while (frame := await operator.frame()).command is Command.MESSAGE:
            answers += 1
        assert answers < 1000
        assert frame.headers["message"] == "slow consumer"
        assert b"Messages of answers are taken too slowly" in frame.body
        with pytest.raises(EOFError):
            await operator.frame()


async def test_a_body_that_is_no_json() -> None:
    async with operating() as (_, operator):
        for body in ("{", "[" * 100_000, "\xff"):
            frame = "SEND\ndestination:/virt/admin/stat\nreply-to:a\n\n"
            operator.send(f"{frame}{body}^@")
            answer = json.loads((await operator.frame()).body)
            assert answer["error"].startswith("The body must be JSON: "), answer


# The right


async def test_without_the_right_it_is_an_error_and_the_end() -> None:
    keys = {"user_file": str(CONFIGS / "romp.passwd"), "close_on_error": False}
    async with operating(**keys) as (romp, _):
        user = await Operator.of(romp.addresses[0], "xtomp", "passcode")
        user.command("kill", **{"reply-to": "a"})
        error = await user.error()
        assert error.headers["message"] == "auth err"
        assert error.body == b"Admin commands need the login of an administrator.\n"
        with pytest.raises(EOFError):
            await user.frame()
        # A user of the file who is one may.
        harry = await Operator.of(romp.addresses[0], "harry", "xyzzy")
        assert await harry.does("stat")
        for client in (user, harry):
            await client.close()


async def test_they_are_off_by_default() -> None:
    async with operating(enable_admin=False) as (_, operator):
        operator.command("shutdown")
        error = await operator.error()
        assert error.headers["message"] == "auth err"
        assert error.body == b"Admin commands are off here: enable_admin is not set.\n"
        with pytest.raises(EOFError):
            await operator.frame()


async def test_at_the_admin_listener_nobody_is_asked() -> None:
    romp = application(admin_port=free_port(), login="x", passcode="y")
    async with romp.lifespan():
        operator = await Operator.of(romp.admin_addresses[0], "anybody")
        (session,) = (await operator.does("sessions"))["sessions"]
        assert (session["user"], session["admin"]) == ("anybody", True)
        await operator.close()


# Beside filters


@pytest.mark.parametrize("has_filter", [False, True])
@pytest.mark.parametrize("name", ["/virt/ping", "/virt/admin", "/virt/"])
async def test_what_nobody_claims_is_unknown(name: str, has_filter: bool) -> None:
    romp = application(destinations={"**": {"type": "queue"}})
    if has_filter:
        romp.stomp(lambda context, message: CONTINUE)
    async with romp.lifespan():
        operator = await Operator.of(romp.addresses[0])
        operator.send(f"SEND\ndestination:{name}\n\n^@")
        assert (await operator.error()).headers["message"] == "destination unknown"
        await operator.close()


async def test_filters_see_commands_and_may_claim_them() -> None:
    romp, seen = application(), list[str]()

    @romp.stomp
    def claim(context: Context, message: StompMessage) -> Outcome:
        if message.command is Command.SEND:
            seen.append(message.destination or "")
            if message.destination == "/virt/admin/kill":
                return HANDLED
        return CONTINUE

    async with romp.lifespan():
        operator = await Operator.of(romp.addresses[0])
        operator.command("kill")
        operator.command("stat", receipt="r", **{"reply-to": "a"})
        assert (await operator.frame()).command is Command.MESSAGE
        assert (await operator.frame()).headers == {"receipt-id": "r"}
        assert seen == ["/virt/admin/kill", "/virt/admin/stat"]
        await operator.close()


async def test_commands_need_no_message_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    async with operating(message_log=str(path)) as (romp, operator):
        log = romp._hub.message_log
        assert log is not None
        # As when the disk is full.
        monkeypatch.setattr(type(log), "check", _not_logged)
        assert (await operator.does("stat"))["cc"]["sz"] == 1
        operator.send("SEND\ndestination:/queue/a\n\n^@")
        assert b"could not be logged" in (await operator.error()).body
    assert b"/virt/" not in path.read_bytes()


def _not_logged(log: object) -> None:
    raise NotLogged(is_accepted=False)


# Destinations


async def test_destinations() -> None:
    async with operating(destinations=QUEUES) as (_, operator):
        await operator.receipt("SEND\ndestination:/queue/a\n\nhello^@")
        subscribe = "SUBSCRIBE\ndestination:t\nid:1\nack:client\n\n^@"
        await operator.receipt(subscribe)
        found = await operator.does("destinations")
        octets = found["destinations"][1].pop("octets")
        assert 500 < octets < 700
        topic = {
            "name": "t",
            "kind": "topic",
            "state": "open",
            "subscriptions": 1,
            "waiting": 0,
            "octets": 0,
            "accepted": 0,
        }
        queue = {
            "name": "/queue/a",
            "kind": "queue",
            "state": "open",
            "subscriptions": 0,
            "waiting": 1,
            "accepted": 1,
        }
        assert found == {"destinations": [topic, queue], "total": 2}
        found = await operator.does("destinations", limit=1)
        assert found == {"destinations": [topic], "total": 2}


async def test_destination() -> None:
    async with operating(destinations=QUEUES) as (_, operator):
        await operator.receipt("SUBSCRIBE\ndestination:t\nid:1\nack:client\n\n^@")
        await operator.receipt("SEND\ndestination:/queue/a\n\nhello^@")
        operator.send("SEND\ndestination:t\n\nhello^@")
        assert (await operator.frame()).command is Command.MESSAGE
        found = await operator.does("destination", name="t")
        settings = found.pop("settings")
        assert found == {
            "name": "t",
            "kind": "topic",
            "state": "open",
            "subscriptions": 1,
            "waiting": 0,
            "octets": 0,
            "accepted": 1,
            "label": "news",
            "from_pattern": False,
            "unacknowledged": 1,
            "changed": [],
        }
        assert settings["max_messages"] == 100
        assert settings["overflow"] == "reject"
        assert "has_send_rules" not in settings
        assert (await operator.does("destination", name="/queue/a"))["from_pattern"]


async def test_purge() -> None:
    async with operating() as (_, operator):
        for _ in range(3):
            await operator.receipt("SEND\ndestination:/queue/a\n\nhello^@")
        assert await operator.does("purge", name="/queue/a") == {"purged": 3}
        assert (await operator.does("destination", name="/queue/a"))["waiting"] == 0


async def test_drain() -> None:
    async with operating(close_on_error=False) as (romp, operator):
        await operator.receipt("SEND\ndestination:/queue/a\n\nhello^@")
        drained = await operator.does("drain", name="/queue/a")
        assert (drained["state"], drained["waiting"]) == ("draining", 1)
        operator.send("SEND\ndestination:/queue/a\n\nhello^@")
        error = await operator.error()
        assert error.headers["message"] == "blocked"
        assert error.body.startswith(b"The destination /queue/a is draining: it takes")
        with pytest.raises(DestinationDraining):
            await romp.publish("/queue/a", "x")
        operator.send("SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@")
        assert (await operator.frame()).body == b"hello"
        opened = await operator.does("drain", name="/queue/a", undo=True)
        assert opened["state"] == "open"
        await romp.publish("/queue/a", "x")
        assert (await operator.frame()).body == b"x"


async def test_drain_now() -> None:
    async with operating() as (romp, operator):
        client = await Operator.of(romp.addresses[0])
        await client.receipt("SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\n\n^@")
        await romp.publish("/queue/a", "x")
        assert (await client.frame()).body == b"x"
        closed = await operator.does("drain", name="/queue/a", now=True)
        assert (closed["state"], closed["waiting"]) == ("shut down", 0)
        error = await client.error()
        assert error.headers["message"] == "general"
        assert error.body.startswith(b"The destination /queue/a is shut down: it take")
        operator.send("SUBSCRIBE\ndestination:/queue/a\nid:1\n\n^@")
        assert (await operator.error()).headers["message"] == "general"
        await client.close()


async def test_reconfigure() -> None:
    async with operating(close_on_error=False) as (_, operator):
        settings = {"max_messages": 1, "max_message_size": 3, "write_block": False}
        found = await operator.does("reconfigure", name="/queue/a", settings=settings)
        assert found["settings"]["max_messages"] == 1
        assert found["changed"] == ["max_messages", "max_message_size"]
        await operator.receipt("SEND\ndestination:/queue/a\n\nx^@")
        operator.send("SEND\ndestination:/queue/a\n\nx^@")
        assert (await operator.error()).headers["message"] == "destination flup"
        settings = {"max_messages": 100_000, "max_message_size": 0, "write_block": True}
        found = await operator.does("reconfigure", name="/queue/a", settings=settings)
        assert found["changed"] == ["write_block"]
        operator.send("SEND\ndestination:/queue/a\n\nx^@")
        assert (await operator.error()).headers["message"] == "blocked"


async def test_no_lifetime_is_longer_than_can_be_reckoned_with() -> None:
    longest = 10**15
    async with operating() as (_, operator):
        settings = {"expiry": longest + 1}
        body = {"name": "/queue/a", "settings": settings}
        error = await operator.cannot("reconfigure", body)
        assert error.endswith("milliseconds, from 0 to 10^15.")
        await operator.does(
            "reconfigure", name="/queue/a", settings={"expiry": longest}
        )
        await operator.receipt("SEND\ndestination:/queue/a\n\nx^@")


# Sessions


async def test_sessions_and_close() -> None:
    async with operating() as (romp, operator):
        client = await Operator.of(romp.addresses[0])
        await client.receipt("SUBSCRIBE\ndestination:/queue/a\nid:1\nack:client\n\n^@")
        await romp.publish("/queue/a", "x")
        await client.frame()
        found = await operator.does("sessions")
        assert found["total"] == 2
        own, other = found["sessions"]
        assert other["peer"].startswith("127.0.0.1:")
        assert other["peer"] != own["peer"]
        assert abs(other["since"] - time.time()) < 60
        assert other == {
            **own,
            "id": other["id"],
            "peer": other["peer"],
            "since": other["since"],
            "user": "boss",
            "transport": "tcp",
            "admin": True,
            "subscriptions": 1,
            "unacknowledged": 1,
            "pending_output": 0,
        }
        assert len((await operator.does("sessions", limit=1))["sessions"]) == 1
        assert await operator.does("close", id=other["id"]) == {}
        error = await client.error()
        assert error.headers["message"] == "closed"
        assert error.body == b"An administrator has closed this connection.\n"
        with pytest.raises(EOFError):
            await client.frame()
        # One's own, too: after the answer.
        assert await operator.does("close", id=own["id"]) == {}
        assert (await operator.error()).headers["message"] == "closed"
        await client.close()


async def test_commands_over_websocket() -> None:
    async with (
        serving("websockets-sansio", enable_admin=True, **LOGIN) as (url, _),
        connect(f"{url}/") as client,
    ):
        await client.send("CONNECT\nlogin:boss\npasscode:hush\n\n\0")
        await client.recv()
        await client.send("SEND\ndestination:/virt/admin/sessions\nreply-to:a\n\n\0")
        assert '"transport":"websocket"' in str(await client.recv())


# The log


async def test_what_administrators_change_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "romp_asgi.admin")
    async with operating() as (_, operator):
        await operator.does("stat")
        await operator.does("purge", name="/queue/a\nSEND usr=harry")
        await operator.answer("close", {"id": "x" * 1000})
    lines = [r.getMessage() for r in caplog.records if "admin usr" in r.getMessage()]
    assert len(lines) == 2
    assert lines[0].startswith("admin usr=boss 127.0.0.1:")
    assert lines[0].endswith(r": purge name='/queue/a\nSEND usr=harry'")
    assert len(lines[1]) < 400


async def test_no_secret_is_in_any_answer() -> None:
    keys = {"secret": "tell-nobody-this", "admin_port": free_port(), **LOGIN}
    romp = application(**keys)
    async with romp.lifespan():
        operator = await Operator.of(romp.admin_addresses[0])
        texts = [
            json.dumps(await operator.does(name))
            for name in ("stat", "sessions", "destinations")
        ]
        texts.append(json.dumps(await operator.does("destination", name="/queue/a")))
        assert not any("hush" in text or "tell-nobody" in text for text in texts)
        await operator.close()


# The end


async def test_shutdown_is_asked_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = asyncio.Event()
    monkeypatch.setattr(process, "terminate", done.set)
    async with operating() as (_, operator):
        assert await operator.answer("shutdown") == {"ok": True, "result": {}}
        await asyncio.wait_for(done.wait(), 5)


ON = 'enable_admin = true\nlogin = "boss"\npasscode = "hush"\n'


@pytest.mark.parametrize("server", ["romp-asgi", "uvicorn"])
async def test_shutdown(tmp_path: Path, server: str) -> None:
    with running(tmp_path, ON, server) as program:
        operator = await Operator.of(f"127.0.0.1:{program.tcp}")
        # As romp's own tools do: with what it takes for a body.
        operator.send("SEND\ndestination:/virt/admin/shutdown\n\nplease^@")
        assert (await operator.error()).headers["message"] == "shutdown"
        await operator.close()
        status = await asyncio.to_thread(program.process.wait, 10)
        assert status in (0, -signal.SIGTERM)
        assert server == "uvicorn" or status == 0
        assert "shutting down" in program.log.read_text()


async def test_kill(tmp_path: Path) -> None:
    with running(tmp_path, ON) as program:
        client: Client = await Operator.of(f"127.0.0.1:{program.tcp}")
        client.send("SEND\ndestination:/virt/admin/kill\nreceipt:r\n\n^@")
        with pytest.raises((EOFError, ConnectionError)):
            await client.frame()
        with contextlib.suppress(ConnectionError):
            await client.close()
        assert await asyncio.to_thread(program.process.wait, 10) == 99
        assert "admin usr=boss" in program.log.read_text()
        assert "shutting down" not in program.log.read_text()


def test_the_keys_are_off_in_the_built_in_config() -> None:
    assert not Config().enable_admin
    assert not Config().enable_console
    assert Romp(Config())._hub.config.stat_interval == 60
