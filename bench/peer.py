"""A broker that is measured: how it is started, reached and stopped."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self

import psutil

from bench.errors import BenchError
from bench.scenarios import Scenario
from bench.wire import Client, Endpoint

LOOPBACK = "127.0.0.1"
#: Where scripts/bench-peers puts those that are not packages of the system.
STORE = Path(__file__).parent / ".peers"
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
_POLL = 0.005  # seconds between tries to connect: how exact a start-up time is


class Peer(ABC):
    """A broker in a process of its own, its files in a directory that goes with it.

    Attributes:
        name: What one asks for on the command line.
        endpoint: Where it listens; the ports are free ones.
        packs: Whether it can put several STOMP frames into a WebSocket message.
        needs_warmth: Whether it compiles what it runs often, and so has to have run it
            before it is measured.
        version: As it says in CONNECTED; empty before it has started.
        started_in: Seconds from the start of its process to the first CONNECTED.
    """

    name: ClassVar[str]
    packs: ClassVar[bool] = False
    needs_warmth: ClassVar[bool] = False

    def __init__(
        self, cores: frozenset[int] = frozenset(), *, packed: bool = False
    ) -> None:
        self.version = ""
        self.started_in = 0.0
        self._packed = packed
        self.endpoint = self._endpoint(free_port(), free_port())
        self._cores = cores
        self._processes: list[psutil.Popen] = []
        self._directory = tempfile.TemporaryDirectory(prefix=f"bench-{self.name}-")
        self._path = Path(self._directory.name)

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Whether this machine has it."""

    @classmethod
    def how_to_install(cls) -> str:
        """What would bring it here."""
        return "scripts/bench-peers"

    def refusal(self, scenario: Scenario) -> str:
        """Why it has no such scenario; empty if it has."""
        if scenario.websocket and self.endpoint.websocket is None:
            return "it has no WebSocket"
        if scenario.packed and not self.packs:
            return "it sends each frame in a message of its own"
        return ""

    @abstractmethod
    def _start(self) -> None:
        """Start the processes, with `_run`; the broker is the last of them."""

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        return Endpoint((LOOPBACK, tcp), (LOOPBACK, websocket))

    def __enter__(self) -> Self:
        """Start it, and wait until clients are let in by both doors."""
        try:
            self._start()
            self.version = self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and remove its files."""
        try:
            self.stop()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove its files: it was not started, or has been stopped."""
        self._directory.cleanup()

    def stop(self) -> None:
        """Stop it, if it runs: by SIGTERM, and in the end by SIGKILL."""
        for process in reversed(self._processes):
            with suppress(psutil.NoSuchProcess):
                process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                process.kill()
                process.wait()

    def destination(self, kind: str, name: str) -> str:
        """What it calls a queue or a topic."""
        return f"/{kind}/{name}"

    def cpu(self) -> float:
        """Seconds of CPU it has used so far."""
        total = 0.0
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> int:
        """Resident bytes."""
        total = 0
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def _family(self) -> list[psutil.Process]:
        broker = self._processes[-1]
        if broker.poll() is not None:
            raise BenchError(f"{self.name} has ended:\n{self.output()}")
        return [broker, *broker.children(recursive=True)]

    def output(self) -> str:
        """The end of what it has printed."""
        return (self._path / "output").read_text(errors="replace")[-2000:]

    def _named(self, server: str) -> str:
        """Its name and version, from the `server` header of its CONNECTED."""
        return server

    def _run(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a process on the broker's cores; it dies with the bench if need be."""
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        # An installed package has its bytecode, and so has ours after the first start.
        inherited = {k: v for k, v in os.environ.items() if k != _NO_BYTECODE}
        self._spawned = time.monotonic()
        with open(self._path / "output", "ab") as output, pinned(self._cores):
            process = psutil.Popen(
                [*guard, *map(str, command)],
                env={**inherited, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt is for the bench, which stops us
            )
        self._processes.append(process)

    def _wait(self) -> str:
        """Connect until it is ready, by both doors.

        Returns:
            Its version.
        """
        with self._connected(websocket=False) as client:
            self.started_in = time.monotonic() - self._spawned
            server = re.search("\nserver:(.*)", client.connected)
        if self.endpoint.websocket is not None:
            self._connected(websocket=True).socket.close()
        return self._named(server[1] if server else self.name)

    def _connected(self, *, websocket: bool) -> Client:
        """The first client that is let in.

        Raises:
            BenchError: It has ended, or does not let one in for too long.
        """
        deadline = self._spawned + _START_TIMEOUT
        while True:
            try:
                return Client(self.endpoint, websocket=websocket, timeout=5)
            except (OSError, BenchError) as exc:
                ended = self._processes[-1].poll() is not None
                if ended or time.monotonic() > deadline:
                    reason = f"{self.name} does not start: {exc}\n{self.output()}"
                    raise BenchError(reason) from exc
                time.sleep(_POLL)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server((LOOPBACK, 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Run on these cores, and so do the processes started meanwhile."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
