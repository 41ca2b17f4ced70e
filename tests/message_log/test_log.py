"""The message log of a running server."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from romp_asgi import Config, Romp
from romp_asgi.broker import Message, Pending
from romp_asgi.broker.pending import all_of
from romp_asgi.errors import LogFileError, NotLogged, StartError
from romp_asgi.message_log import MessageLog, Record, log as log_module, read, writer
from romp_asgi.message_log.file import LogFile
from romp_asgi.stomp import Command
from tests.client import Client, running

pytestmark = pytest.mark.anyio


def romp(folder: Path, **keys: Any) -> Romp:
    log = str(folder / "romp.mlog")
    return Romp(Config.from_dict({"ports": [0], "message_log": log, **keys}))


def records(folder: Path) -> list[Record]:
    found = list(read(folder / "romp.mlog"))
    assert all(isinstance(part, Record) for part in found)
    return [part for part in found if isinstance(part, Record)]


def bodies(folder: Path) -> list[bytes]:
    return [record.body for record in records(folder)]


def writers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if isinstance(each, writer.Writer)]


def send(
    body: str, receipt: str = "", destination: str = "/topic/a", **more: str
) -> str:
    headers = {"destination": destination, **more}
    if receipt:
        headers["receipt"] = receipt
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"SEND\n{lines}\n{body}^@"


class Disk:
    """Stands between the log and its file: it can be full, or stand still."""

    def __init__(self) -> None:
        self.is_full = False
        self.runs = threading.Event()
        self.runs.set()
        self.writes = 0
        self.syncs = 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    write, sync = LogFile.write, LogFile.sync

    def slow_write(self: LogFile, records: deque[bytes]) -> None:
        disk.runs.wait(10)
        disk.writes += 1
        if disk.is_full:
            raise OSError(28, "No space left on device")
        write(self, records)

    def counted_sync(self: LogFile) -> None:
        disk.syncs += 1
        if disk.is_full:
            raise OSError(5, "Input/output error")
        sync(self)

    monkeypatch.setattr(LogFile, "write", slow_write)
    monkeypatch.setattr(LogFile, "sync", counted_sync)
    monkeypatch.setattr(log_module, "_RETRY_INTERVAL", 0.02)
    yield disk
    disk.runs.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@contextmanager
def lines_of(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    lines: list[str] = []
    yield lines
    lines += [
        record.message for record in caplog.records if "message log" in record.message
    ]


# What is logged


async def test_a_message_is_in_the_file_when_its_receipt_comes(tmp_path: Path) -> None:
    server = romp(tmp_path, login="harry", passcode="secret")
    async with server.lifespan():
        host, port = server.addresses[0].rsplit(":", 1)
        client = Client(*await asyncio.open_connection(host, int(port)))
        client.send(
            "CONNECT\naccept-version:1.2\nhost:x\nlogin:harry\npasscode:secret\n\n^@",
            send("one"),
            send("two", "r", colour="red"),
        )
        assert (await client.frame()).command is Command.CONNECTED
        assert (await client.frame()).headers == {"receipt-id": "r"}
        one, two = records(tmp_path)
        assert (one.user, one.body, one.destination) == ("harry", b"one", "/topic/a")
        assert two.headers == {"destination": "/topic/a", "colour": "red"}
        assert two.id == one.id + 1
        await client.close()
    assert b"secret" not in (tmp_path / "romp.mlog").read_bytes()


async def test_what_is_refused_is_not_logged(tmp_path: Path) -> None:
    server = romp(tmp_path, destinations={"/topic/a": {}}, close_on_error=False)
    async with running(server) as (client,):
        client.send(send("no", "1", "/topic/b"), send("yes", "2"))
        assert (await client.frame()).headers["message"] == "destination unknown"
        assert (await client.frame()).headers == {"receipt-id": "2"}
    assert bodies(tmp_path) == [b"yes"]


async def test_a_transaction_is_logged_when_it_is_committed(tmp_path: Path) -> None:
    async with running(romp(tmp_path)) as (client,):
        client.send(
            *(f"BEGIN\ntransaction:{name}\n\n^@" for name in "abc"),
            send("1", transaction="a"),
            send("2", transaction="b"),
            send("3", transaction="a"),
            send("4"),
            "ABORT\ntransaction:b\n\n^@",
            "COMMIT\ntransaction:a\nreceipt:r\n\n^@",
            "COMMIT\ntransaction:c\nreceipt:s\n\n^@",
        )
        assert (await client.frame()).headers == {"receipt-id": "r"}
        assert bodies(tmp_path) == [b"4", b"1", b"3"]
        assert (await client.frame()).headers == {"receipt-id": "s"}


async def test_what_application_code_publishes_is_logged(tmp_path: Path) -> None:
    server = romp(tmp_path)
    async with server.lifespan():
        await server.publish("/topic/a", "news", {"x": "y"})
        (record,) = records(tmp_path)
    assert (record.user, record.body, record.headers["x"]) == ("", b"news", "y")


async def test_dead_letters_are_not_logged(tmp_path: Path) -> None:
    queue = {"type": "queue", "max_deliveries": 1, "dead_letter": "/dead"}
    server = romp(
        tmp_path, destinations={"/queue/a": queue, "/dead": {"type": "queue"}}
    )
    async with running(server) as (client,):
        client.send(
            send("letter", destination="/queue/a"),
            "SUBSCRIBE\nid:1\nack:client\ndestination:/queue/a\n\n^@",
        )
        ack = (await client.frame()).headers["ack"]
        client.send(f"NACK\nid:{ack}\n\n^@", "SUBSCRIBE\nid:2\ndestination:/dead\n\n^@")
        assert (await client.frame()).body == b"letter"
    assert bodies(tmp_path) == [b"letter"]


async def test_all_is_written_at_the_end_and_files_are_rotated(tmp_path: Path) -> None:
    server = romp(tmp_path, message_log_max_size=10_000, message_log_files=50)
    async with running(server) as (client,):
        client.send(*(send(f"{number:0100}") for number in range(500)), send("", "r"))
        await client.frame()
        client.send(send("last"), "DISCONNECT\nreceipt:bye\n\n^@")
        await client.frame()
    files = list(Path.iterdir(tmp_path))
    assert len(files) > 10
    assert all(file.stat().st_size <= 10_000 for file in files)
    ids = {part.id for file in files for part in read(file) if isinstance(part, Record)}
    assert len(ids) == max(ids) - min(ids) + 1 == 502


async def test_a_second_start_goes_on_with_the_file(tmp_path: Path) -> None:
    server = romp(tmp_path)
    for body in ("one", "two"):
        async with server.lifespan():
            await server.publish("/topic/a", body)
    assert bodies(tmp_path) == [b"one", b"two"]
    with pytest.raises(NotLogged, match="not accepted"):
        await server.publish("/topic/a", "late")
    assert not writers()


async def test_without_the_key_there_is_nothing(tmp_path: Path) -> None:
    server = Romp(Config.from_dict({"ports": [0]}))
    async with running(server):
        assert server._hub.message_log is None
        assert not writers()


def test_without_lifespan_it_is_opened_by_the_first_client(tmp_path: Path) -> None:
    server = romp(tmp_path)
    client = TestClient(server)
    with client.websocket_connect("/") as websocket:
        websocket.send_text("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
        websocket.receive_text()
        websocket.send_text(send("x", "r").replace("^@", "\0"))
        assert websocket.receive_text().startswith("RECEIPT")
    assert bodies(tmp_path) == [b"x"]
    (thread,) = writers()
    assert isinstance(thread, writer.Writer)
    thread.end()
    thread.join(5)


# A file that cannot be opened


async def test_a_file_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    server = romp(tmp_path / "missing")
    path = tmp_path / "missing" / "romp.mlog"
    with pytest.raises(LogFileError) as caught:
        async with server.lifespan():
            pass
    sentence = f"cannot write the message log {path}: No such file or directory"
    assert str(caught.value) == sentence
    assert server.addresses == []


async def test_a_start_that_fails_later_lets_go_of_the_file(tmp_path: Path) -> None:
    async with running(Romp(Config.from_dict({"ports": [0]}))) as (client,):
        port = int(client._writer.get_extra_info("peername")[1])
        for _ in range(2):
            with pytest.raises(StartError):
                async with romp(tmp_path, ports=[port]).lifespan():
                    pass


# A disk that is slow, or full


async def test_a_slow_disk_holds_up_senders_and_nobody_else(
    tmp_path: Path, disk: Disk
) -> None:
    server = romp(tmp_path, message_log_buffer=2000, message_log_sync="never")
    async with running(server, clients=2) as (sender, other):
        other.send("SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:s\n\n^@")
        await other.frame()
        disk.runs.clear()
        sender.send(*(send(f"{number:0100}") for number in range(50)))
        sender.send(send("end", "r"))
        log = server._hub.message_log
        assert log is not None
        await until(lambda: log._size > 2000)
        # The loop goes on, and so do those that send nothing.
        other.send("UNSUBSCRIBE\nid:1\nreceipt:x\n\n^@")
        frames = [await other.frame()]
        while frames[-1].command is Command.MESSAGE:
            frames.append(await other.frame())
        assert frames[-1].headers == {"receipt-id": "x"}
        assert len(frames) - 1 < 20
        assert log._size < 2300  # one message above what may wait
        disk.runs.set()
        assert (await sender.frame()).headers == {"receipt-id": "r"}
        assert len(bodies(tmp_path)) == 51


async def test_a_full_disk_is_told_to_senders_and_nothing_is_lost(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    server = romp(tmp_path, close_on_error=False)
    async with running(server, clients=2) as (one, other):
        disk.is_full = True
        with lines_of(caplog) as lines:
            one.send(send("accepted", "1"))
            error = await one.frame()
            assert (error.command, error.headers["receipt-id"]) == (Command.ERROR, "1")
            assert b"was accepted, but could not be written" in error.body
            other.send(send("refused", "2"), "BEGIN\ntransaction:t\n\n^@")
            error = await other.frame()
            assert error.headers["message"] == "log flup"
            assert b"The message was not accepted" in error.body
            other.send("COMMIT\ntransaction:t\nreceipt:3\n\n^@")
            assert (await other.frame()).headers["receipt-id"] == "3"
            with pytest.raises(NotLogged):
                await server.publish("/topic/a", "refused")
            writes = disk.writes
            await until(lambda: disk.writes > writes + 2)
            disk.is_full = False
            log = server._hub.message_log
            assert log is not None
            await until(lambda: not log._has_failed)
            one.send(send("again", "4"))
            assert (await one.frame()).headers == {"receipt-id": "4"}
        path = tmp_path / "romp.mlog"
        first, second = lines
        assert first.startswith(
            f"the message log {path} cannot be written, and no SEND"
        )
        assert first.endswith("is accepted until it can be: No space left on device")
        assert second == f"the message log {path} is written again"
    assert bodies(tmp_path) == [b"accepted", b"again"]


async def test_a_failure_reaches_those_who_wait_for_room(
    tmp_path: Path, disk: Disk
) -> None:
    server = romp(tmp_path, message_log_buffer=100)
    async with running(server, clients=2) as (one, two):
        disk.runs.clear()
        disk.is_full = True
        one.send(send("a" * 200))
        await until(lambda: server._hub.broker.last_number and _held(server) == 1)
        two.send(send("b" * 200, "r"))
        await until(lambda: _held(server) == 2)
        disk.runs.set()
        for client in (one, two):
            assert (await client.frame()).headers["message"] == "not logged"
            with pytest.raises(EOFError):
                await client.frame()
        disk.is_full = False
    assert [body[:1] for body in bodies(tmp_path)] == [b"a", b"b"]


def _held(server: Romp) -> int:
    return sum(session._is_waiting() for session in server._hub.sessions)


async def test_publish_tells_of_a_message_that_is_not_logged_yet(
    tmp_path: Path, disk: Disk
) -> None:
    server = romp(tmp_path)
    async with server.lifespan():
        disk.is_full = True
        with pytest.raises(NotLogged, match="was accepted"):
            await server.publish("/topic/a", "x")
        disk.is_full = False
    assert bodies(tmp_path) == [b"x"]  # the last attempt


async def test_what_is_lost_at_the_end_is_said(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    server = romp(tmp_path)
    async with server.lifespan():
        disk.is_full = True
        with pytest.raises(NotLogged):
            await server.publish("/topic/a", "x")
    assert "octets of messages that were accepted are missing from the" in caplog.text
    assert bodies(tmp_path) == []


async def test_a_disk_that_stands_still_does_not_hold_up_the_end(
    tmp_path: Path,
    disk: Disk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_module, "_STOP_TIMEOUT", 0.05)
    async with running(romp(tmp_path)) as (client,):
        disk.runs.clear()
        client.send(send("x"), "SUBSCRIBE\nid:1\ndestination:/a\nreceipt:r\n\n^@")
        await client.frame()
        (thread,) = writers()
    disk.runs.set()
    thread.join(5)
    assert "does not take what is left" in caplog.text
    assert "are missing from the message log" in caplog.text


# When it is on the disk


async def test_every_second_it_is_synced(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_SYNC_INTERVAL", 0.02)
    server = romp(tmp_path)
    async with server.lifespan():
        assert disk.syncs == 0
        await server.publish("/topic/a", "x")
        await until(lambda: disk.syncs == 1)
        # Under load, too, when the thread never rests.
        while disk.syncs < 3:
            await server.publish("/topic/a", "x")
    assert disk.syncs in (3, 4)


async def test_never_is_never(tmp_path: Path, disk: Disk) -> None:
    server = romp(tmp_path, message_log_sync="never")
    async with server.lifespan():
        await server.publish("/topic/a", "x")
    assert disk.syncs == 0


async def test_always_is_before_the_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    server = romp(tmp_path, message_log_sync="always")
    async with server.lifespan():
        await server.publish("/topic/a", "x")
        assert len(synced) == 1


async def test_a_sync_that_fails_is_logged(
    tmp_path: Path,
    disk: Disk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "_SYNC_INTERVAL", 0.02)
    caplog.set_level(logging.ERROR)
    server = romp(tmp_path)
    async with server.lifespan():
        await server.publish("/topic/a", "x")
        disk.is_full = True
        await until(lambda: "may not be on the disk" in caplog.text)
        disk.is_full = False


def test_a_loop_that_is_gone_leaves_the_file_whole(tmp_path: Path) -> None:
    config = Config.from_dict({})
    path = tmp_path / "romp.mlog"
    log = MessageLog(str(path), config)

    async def lose() -> None:
        log.start()
        log.start()
        message = Message("/a", {"destination": "/a"}, b"x")
        log.add(message, "", waits=False)
        await asyncio.sleep(0)

    asyncio.run(lose())
    assert log._writer is not None
    log._writer.end()
    log._writer.join(5)
    assert bodies(tmp_path) == [b"x"]


# Promises that fail


def test_one_promise_of_several_has_their_first_error() -> None:
    pendings = [Pending(), Pending(), Pending()]
    whole = all_of(pendings)
    assert whole is not None
    error = NotLogged(is_accepted=True)
    for pending, reason in zip(pendings, (None, error, None), strict=True):
        assert not whole.done
        pending.resolve(reason)
    assert whole.done
    assert whole.error is error


def test_a_promise_is_resolved_once() -> None:
    pending = Pending()
    pending.resolve()
    pending.resolve(NotLogged(is_accepted=True))
    assert pending.error is None
