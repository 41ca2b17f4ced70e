"""``romp-asgi replay``, to a real server."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from romp_asgi import Config, Romp
from romp_asgi.broker import Message
from romp_asgi.cli import main
from romp_asgi.commands import replay as command
from romp_asgi.message_log import replay as sender
from romp_asgi.message_log.record import Encoder

NOON = 1735732800.0


def run(*arguments: object, **environment: str) -> tuple[int, str]:
    words = ["replay", *(str(argument) for argument in arguments)]
    result = CliRunner().invoke(main, words, env=environment)
    return result.exit_code, result.output


def write(
    file: Path, *messages: tuple[str, bytes], first: int = 1, start: float = NOON
) -> Path:
    """A log with a message a minute."""
    encoder = Encoder()
    with file.open("ab") as output:
        for number, (destination, body) in enumerate(messages):
            message = Message(
                destination, {"destination": destination, "x": "é:"}, body
            )
            message.number = first + number
            output.write(encoder.encode(message, "harry", start + 60 * number))
    return file


class Server:
    """A server in a thread of its own, which keeps what it gets."""

    def __init__(self, romp: Romp) -> None:
        self.romp = romp
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()

        @romp.stomp
        def keep(context: Any, message: Any) -> None:
            if message.command == "SEND":
                self.bodies.append(message.body)
                self.headers.append(dict(message.headers))

    def run(self) -> None:
        async def live() -> None:
            async with self.romp.lifespan():
                self.port = int(self.romp.addresses[0].rpartition(":")[2])
                self._ready.set()
                await self._end.wait()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(live())

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.run)
        thread.start()
        assert self._ready.wait(10)
        return thread

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)


@contextmanager
def serving(**keys: Any) -> Iterator[Server]:
    server = Server(Romp(Config.from_dict({"ports": [0], **keys})))
    thread = server.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


FOUR = (("/queue/a", b"1"), ("/queue/b", b"2"), ("/topic/a", b"\0"), ("/queue/a", b"4"))


def test_all_messages_are_sent_in_order(tmp_path: Path) -> None:
    file = write(tmp_path / "mlog", *FOUR)
    with serving() as server:
        assert run(file, "--port", server.port) == (0, "sent 4 messages\n")
    assert server.bodies == [b"1", b"2", b"\0", b"4"]
    assert [headers["destination"] for headers in server.headers] == [
        d for d, _ in FOUR
    ]
    assert {headers["x"] for headers in server.headers} == {"é:"}


def test_the_files_of_a_log_may_be_named_in_any_order(tmp_path: Path) -> None:
    new = write(tmp_path / "mlog", ("/queue/a", b"3"), first=3)
    old = write(tmp_path / "mlog.1", ("/queue/a", b"1"), ("/queue/a", b"2"))
    (empty := tmp_path / "mlog.2").touch()
    with serving() as server:
        assert run(new, empty, old, "--port", server.port)[0] == 0
    assert server.bodies == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("options", "bodies"),
    [
        (["--destination", "/queue/a"], b"14"),
        (["--destination", "/queue/*"], b"124"),
        (["--destination", "/topic/**", "--destination", "/queue/b"], b"2\0"),
        (["--from", "2025-01-01T12:01:00Z"], b"2\0" + b"4"),
        (["--to", "2025-01-01T12:01:00"], b"1"),
        (["--from", "2025-01-01T14:01:00+02:00", "--to", "2025-01-01T12:02:00"], b"2"),
        (["--skip", "3"], b"4"),
        (["--skip", "1", "--destination", "/queue/a"], b"4"),
        (["--skip", "9"], b""),
    ],
)
def test_what_is_chosen(options: list[str], bodies: bytes, tmp_path: Path) -> None:
    file = write(tmp_path / "mlog", *FOUR)
    with serving() as server:
        code, output = run(file, "--port", server.port, *options)
    assert code == 0
    assert b"".join(server.bodies) == bodies
    assert output == f"sent {len(bodies)} message{'s' * (len(bodies) != 1)}\n"


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "mlog", *FOUR)
    code, output = run(file, "--dry-run", "--port", 1)
    assert code == 0
    assert output == "/queue/a  2\n/queue/b  1\n/topic/a  1\n4 messages would be sent\n"


def test_damage_is_told_and_passed_over(tmp_path: Path) -> None:
    file = write(tmp_path / "mlog", *FOUR)
    data = file.read_bytes()
    size = len(data) // 4
    file.write_bytes(data[:size] + b"X" + data[size + 1 : -1])
    with serving() as server:
        code, output = run(file, "--port", server.port)
    assert code == 0
    assert server.bodies == [b"1", b"\0"]
    assert f"{file}: damage at offset {size}, {size} octets are passed over" in output
    assert f"a record that is cut off at offset {3 * size}" in output


def test_the_login_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = write(tmp_path / "mlog", *FOUR)
    (passcode := tmp_path / "passcode").write_text("hush\n")
    with serving(login="harry", passcode="hush") as server:
        base = (file, "--port", server.port, "--login", "harry")
        assert run(*base, "--passcode-file", passcode)[0] == 0
        assert run(*base, ROMP_PASSCODE="hush")[0] == 0
        assert len(server.bodies) == 8
        code, output = run(*base, ROMP_PASSCODE="wrong")
        assert code == 1
        assert "romp-asgi: the server says 'auth err'" in output
        code, output = run(*base)
        assert code == 2
        assert "--login needs --passcode-file or $ROMP_PASSCODE" in output


def test_a_failure_says_how_to_go_on(tmp_path: Path) -> None:
    messages = [("/queue/a", b"%d" % number) for number in range(5)]
    file = write(tmp_path / "mlog", *messages)
    queue = {"type": "queue", "max_messages": 3}
    with serving(destinations={"/queue/a": queue}) as server:
        code, output = run(file, "--port", server.port, "--skip", 1)
        assert code == 1
        assert "romp-asgi: the server says 'destination flup': The dest" in output
        assert "romp-asgi: 3 messages arrived, and perhaps some of the next" in output
        assert output.endswith("repeat the command with --skip 4\n")
        assert server.bodies == [b"1", b"2", b"3"]
    with serving() as server:
        assert run(file, "--port", server.port, "--skip", 4)[1] == "sent 1 message\n"
    assert server.bodies == [b"4"]


def test_nobody_listens(tmp_path: Path) -> None:
    code, output = run(write(tmp_path / "mlog", *FOUR), "--port", 1)
    assert code == 1
    assert "romp-asgi: cannot connect to 127.0.0.1:1: " in output
    assert "0 messages arrived; to go on" in output


def test_a_rate_is_not_exceeded(tmp_path: Path) -> None:
    file = write(tmp_path / "mlog", *FOUR)
    sent: list[float] = []
    with serving() as server:

        @server.romp._filters.before.append
        def note(context: Any, message: Any) -> None:
            if message.command == "SEND":
                sent.append(server._loop.time())

        assert run(file, "--port", server.port, "--rate", 50)[0] == 0
    assert sent[-1] - sent[0] > 2.5 / 50


def test_lines_tell_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LINE_INTERVAL", 0.0)
    file = write(tmp_path / "mlog", *FOUR)
    with serving() as server:
        _, output = run(file, "--port", server.port)
    assert "sent 2 messages, up to 2025-01-01 12:01:00+00:00\n" in output


def test_a_bar_shows_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    class Bar:
        def __init__(self, length: int, **more: Any) -> None:
            self.length = length

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *exc: object) -> None:
            assert sum(steps) == self.length

        def update(self, step: int) -> None:
            steps.append(step)

    monkeypatch.setattr(command, "_is_terminal", lambda: True)
    monkeypatch.setattr("click.progressbar", Bar)
    files = [write(tmp_path / name, *FOUR) for name in ("a", "b")]
    with serving() as server:
        assert run(*files, "--port", server.port)[0] == 0
    assert len(steps) == 8


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_time_that_is_none(option: str, tmp_path: Path) -> None:
    code, output = run(write(tmp_path / "mlog", *FOUR), option, "noon")
    assert code == 2
    assert "'noon' is no time, unlike 2025-12-31T23:59:59Z" in output


# Servers that are no good


@contextmanager
def stub(*answers: bytes) -> Iterator[int]:
    """A server that answers with octets, one after each read; b"" is to be silent."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            for octets in answers:
                connection.recv(65536)
                connection.sendall(octets)
            if answers[-1]:
                connection.shutdown(socket.SHUT_WR)
            # Unread octets would reset the connection.
            while connection.recv(65536):
                pass

    thread = threading.Thread(target=answer)
    thread.start()
    with listener:
        yield listener.getsockname()[1]
        thread.join(10)


CONNECTED = b"CONNECTED\nversion:1.2\n\n\0"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"RECEIPT\nreceipt-id:1\n\n\0"], "sent a receipt for '1'"),
        ([b"MESSAGE\nx:y\n\n\0"], "answers CONNECT by MESSAGE"),
        ([b"nonsense\n"], "the connection broke"),
        ([CONNECTED, b"\n"], "the server has closed the connection"),
        ([CONNECTED, b"RECEIPT\n\n\0"], "sent a receipt for None"),
        ([CONNECTED, b""], "has not answered for 0 seconds"),
    ],
)
def test_a_server_that_is_no_good(
    answers: list[bytes],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not answers[-1]:
        monkeypatch.setattr(sender, "_TIMEOUT", 0.3)
    file = write(tmp_path / "mlog", *FOUR)
    with stub(*answers) as port:
        code, output = run(file, "--port", port)
    assert code == 1
    assert reason in output


def test_no_more_wait_for_receipts_than_a_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_WINDOW", 2)
    monkeypatch.setattr(sender, "_TIMEOUT", 0.3)
    file = write(tmp_path / "mlog", *FOUR)
    with stub(CONNECTED, b"") as port:
        _, output = run(file, "--port", port)
    assert "0 messages arrived, and perhaps some of the next 2;" in output
    with serving() as server:
        assert run(file, "--port", server.port)[0] == 0
    assert len(server.bodies) == 4
