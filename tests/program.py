"""The real program as a process, for tests of the whole."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.marks import is_compiled

SECONDS = 15.0


def free_port() -> int:
    """A port that is free now, below those that clients get."""
    for port in range(_first_port, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no port is free")


_given: set[int] = set()
# Source and machine code may be tested at the same time.
_first_port = 20000 + 6000 * is_compiled + os.getpid() % 4000


@dataclass
class Program:
    """A running server.

    Attributes:
        http: the port of HTTP and WebSocket.
        tcp: the port of STOMP over TCP.
        process: the process.
        log: what it writes.
    """

    http: int
    tcp: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.http}/"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def command(server: str, http: int) -> list[str]:
    """How a server is started: ours, or an ASGI server with ``romp_asgi:app``."""
    python = [sys.executable, "-m"]
    match server:
        case "romp-asgi":
            return [*python, "romp_asgi", "serve", "--port", str(http)]
        case "talkative":  # everything that anybody logs, whoever it is
            code = "import logging; logging.basicConfig(level=1); from romp_asgi import"
            code += " cli; cli.main()"
            return [sys.executable, "-c", code, "serve", "--port", str(http)]
        case "uvicorn":
            return [*python, "uvicorn", "romp_asgi:app", "--port", str(http)]
        case "hypercorn":
            return [*python, "hypercorn", "romp_asgi:app", "-b", f"127.0.0.1:{http}"]
        case _:
            granian = [*python, "granian", "--interface", "asgi"]
            return [*granian, "--port", str(http), "romp_asgi:app"]


@contextmanager
def running(
    folder: Path, config: str = "", server: str = "romp-asgi", admin_port: int = 0
) -> Iterator[Program]:
    """A server with a config, ready; stopped at the end, if it still runs."""
    http, tcp = free_port(), free_port()
    file = folder / "romp.toml"
    file.write_text(f"ports = [{tcp}]\nadmin_port = {admin_port}\n{config}")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(server, http),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "ROMP_CONF": str(file)},
        )
    program = Program(http, tcp, process, log)
    try:
        wait_until_ready(program)
        yield program
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


def wait_until_ready(program: Program, path: str = "/health_check") -> None:
    """Wait until both doors are open."""
    deadline = time.monotonic() + SECONDS
    url = f"http://127.0.0.1:{program.http}{path}"
    while time.monotonic() < deadline and program.process.poll() is None:
        try:
            httpx.get(url).raise_for_status()
            socket.create_connection(("127.0.0.1", program.tcp)).close()
        except (httpx.HTTPError, OSError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server did not start: {program.log.read_text()}")


def need(name: str) -> str:
    """The path of a program that a test needs; skipped without it, but not in CI."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed"
        if os.environ.get("ROMP_NOTHING_SKIPPED"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def plain(text: str) -> str:
    """A log without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
