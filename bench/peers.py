"""The brokers that are measured: how each is started, reached and stopped."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Self

import psutil

from bench.errors import BenchError
from bench.wire import Client, Endpoint

_HERE = Path(__file__).parent
_LOOPBACK = "127.0.0.1"
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0


class Peer(ABC):
    """A broker in a process of its own, its files in a directory that goes with it.

    Attributes:
        name: What one asks for on the command line.
        endpoint: Where it listens; the ports are free ones.
        version: As it says in CONNECTED; empty before it has started.
    """

    name: ClassVar[str]

    def __init__(self, cores: frozenset[int] = frozenset()) -> None:
        self.version = ""
        self.endpoint = self._endpoint(free_port(), free_port())
        self._cores = cores
        self._processes: list[psutil.Popen] = []
        self._directory = tempfile.TemporaryDirectory(prefix=f"bench-{self.name}-")
        self._path = Path(self._directory.name)

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Whether this machine has it."""

    @abstractmethod
    def _start(self) -> None:
        """Start the processes, with `_run`; the broker is the last of them."""

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        return Endpoint((_LOOPBACK, tcp), (_LOOPBACK, websocket))

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
        with open(self._path / "output", "ab") as output, pinned(self._cores):
            process = psutil.Popen(
                [*guard, *map(str, command)],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt is for the bench, which stops us
            )
        self._processes.append(process)

    def _wait(self) -> str:
        """Connect until it is ready.

        Returns:
            Its version.
        """
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                with Client(self.endpoint, websocket=True, timeout=5) as client:
                    pass
                with Client(self.endpoint, websocket=False, timeout=5) as client:
                    server = re.search("\nserver:(.*)", client.connected)
            except (OSError, BenchError) as exc:
                ended = self._processes[-1].poll() is not None
                if ended or time.monotonic() > deadline:
                    reason = f"{self.name} does not start: {exc}\n{self.output()}"
                    raise BenchError(reason) from exc
                time.sleep(0.1)
            else:
                return self._named(server[1] if server else self.name)


class Romp(Peer):
    """The broker of this repository, as a user starts it."""

    name = "romp"
    _environment: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def installed(cls) -> bool:
        """Whether its command is there."""
        return importlib.util.find_spec("romp_asgi.cli") is not None

    def _named(self, server: str) -> str:
        """Also the commit: its header does not tell the version."""
        git = ["git", "-C", str(_HERE), "describe", "--always", "--dirty"]
        try:
            commit = subprocess.run(git, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return f"{server} {version('romp-asgi')}"
        return f"{server} {version('romp-asgi')} at {commit.stdout.strip()}"

    def _start(self) -> None:
        config = self._path / "romp.toml"
        port = f"ports = [{self.endpoint.tcp[1]}]"
        text = (_HERE / "romp.toml").read_text()
        config.write_text(re.sub(r"^ports = .*$", port, text, count=1, flags=re.M))
        http = str(self.endpoint.websocket[1])
        command = Path(sys.executable).with_name("romp-asgi")
        serve: list[str | Path] = [command, "serve", "--config", config]
        serve += ["--port", http]
        self._run(serve, self._environment)


class CompiledRomp(Romp):
    """The same as hatch_build.py compiles it, in build/compiled."""

    name = "romp-compiled"
    _tree: ClassVar = _HERE.parent / "build" / "compiled"
    _environment: ClassVar = {"PYTHONPATH": str(_tree)}

    @classmethod
    def installed(cls) -> bool:
        """Whether it has been compiled since the source was changed."""
        built = list(cls._tree.glob("*.so"))
        sources = (_HERE.parent / "romp_asgi").rglob("*.py")
        return bool(built) and built[0].stat().st_mtime > max(
            source.stat().st_mtime for source in sources
        )

    def _named(self, server: str) -> str:
        return f"{super()._named(server)}, compiled"


class RabbitMQ(Peer):
    """RabbitMQ with its STOMP and Web-STOMP plug-ins: a node of its own, all of it."""

    name = "rabbitmq"
    _server: ClassVar = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

    @classmethod
    def installed(cls) -> bool:
        """Whether Debian's package is there."""
        return cls._server.exists() and shutil.which("epmd") is not None

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        return Endpoint(
            (_LOOPBACK, tcp), (_LOOPBACK, websocket), "/ws", "/", "guest", "guest"
        )

    def _start(self) -> None:
        ports = {"tcp": self.endpoint.tcp[1], "websocket": self.endpoint.websocket[1]}
        config = self._path / "rabbitmq.conf"
        config.write_text((_HERE / "rabbitmq.conf").read_text().format(**ports))
        plugins = self._path / "enabled_plugins"
        plugins.write_text("[rabbitmq_stomp,rabbitmq_web_stomp].\n")
        # Erlang's name server, which a node would else start and leave behind.
        names = {"ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": _LOOPBACK}
        self._run(["epmd"], names)
        loopback_only = "-kernel inet_dist_use_interface {127,0,0,1}"
        environment = {
            **names,
            "HOME": str(self._path),  # the Erlang cookie
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self._path / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._path / "log"),
            "RABBITMQ_NODENAME": f"bench-{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback_only,
            "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the node: one pid
        }
        self._run([self._server], environment)


class Echo(Peer):
    """No broker: what is read is written (bench/echo.py). The load's own ceiling."""

    name = "echo"

    @classmethod
    def installed(cls) -> bool:
        """Always."""
        return True

    def _start(self) -> None:
        ports = str(self.endpoint.tcp[1]), str(self.endpoint.websocket[1])
        path = {"PYTHONPATH": str(_HERE.parent)}
        self._run([sys.executable, "-m", "bench.echo", *ports], path)


PEERS: tuple[type[Peer], ...] = (Romp, CompiledRomp, RabbitMQ, Echo)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server((_LOOPBACK, 0)) as sock:
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
