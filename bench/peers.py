"""The brokers that are measured, and the stand-in that shows the load's own ceiling."""

import importlib.util
import itertools
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from bench.errors import BenchError
from bench.java import ActiveMQ, Artemis
from bench.peer import LOOPBACK, STORE, Peer, free_port
from bench.scenarios import Flow, Scenario
from bench.wire import Endpoint

_HERE = Path(__file__).parent


class Romp(Peer):
    """The broker of this repository, as a user starts it."""

    name = "romp"
    packs = True
    _environment: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def installed(cls) -> bool:
        """Whether its command is there."""
        return importlib.util.find_spec("romp_asgi.cli") is not None

    def _named(self, server: str) -> str:
        """Also the commit: its header does not tell the version."""
        git = ["git", "-C", str(_HERE.parent)]
        describe = [*git, "describe", "--always"]
        # Results that are written meanwhile change no broker.
        changes = [*git, "diff", "--quiet", "HEAD", "--", "romp_asgi"]
        try:
            commit = subprocess.run(
                describe, capture_output=True, text=True, check=True
            )
            is_changed = subprocess.run(changes, check=False).returncode != 0
        except (OSError, subprocess.CalledProcessError):
            return f"{server} {version('romp-asgi')}"
        dirty = "-dirty" if is_changed else ""
        return f"{server} {version('romp-asgi')} at {commit.stdout.strip()}{dirty}"

    def _start(self) -> None:
        config = self._path / "romp.toml"
        port = f"ports = [{self.endpoint.tcp[1]}]"
        text = (_HERE / "romp.toml").read_text()
        text = re.sub(r"^ports = .*$", port, text, count=1, flags=re.M)
        if self._packed:
            text = f"websocket_coalesce = true\n{text}"
        config.write_text(text)
        assert self.endpoint.websocket is not None
        http = str(self.endpoint.websocket[1])
        command = Path(sys.executable).with_name("romp-asgi")
        serve: list[str | Path] = [command, "serve", "--config", config]
        serve += ["--port", http]
        self._run(serve, self._environment)


class CompiledRomp(Romp):
    """The same as hatch_build.py compiles it, in build/compiled.

    Attributes:
        tree: Where that is.
    """

    name = "romp-compiled"
    tree: ClassVar = _HERE.parent / "build" / "compiled"
    _environment: ClassVar = {"PYTHONPATH": str(tree)}

    @classmethod
    def how_to_install(cls) -> str:
        """What would bring it here."""
        return ".venv/bin/python hatch_build.py build/compiled"

    @classmethod
    def installed(cls) -> bool:
        """Whether it has been compiled since the source was changed."""
        built = list(cls.tree.glob("*.so"))
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
            (LOOPBACK, tcp),
            (LOOPBACK, websocket),
            path="/ws",
            host="/",
            login="guest",
            passcode="guest",
        )

    def _start(self) -> None:
        assert self.endpoint.websocket is not None
        ports = {"tcp": self.endpoint.tcp[1], "websocket": self.endpoint.websocket[1]}
        config = self._path / "rabbitmq.conf"
        config.write_text((_HERE / "rabbitmq.conf").read_text().format(**ports))
        plugins = self._path / "enabled_plugins"
        plugins.write_text("[rabbitmq_stomp,rabbitmq_web_stomp].\n")
        # Erlang's name server, which a node would else start and leave behind.
        names = {"ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": LOOPBACK}
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


class _Stored(Peer):
    """A broker that scripts/bench-peers puts into the store.

    Attributes:
        _server: Its program.
    """

    _server: ClassVar[Path]

    @classmethod
    def installed(cls) -> bool:
        """Whether scripts/bench-peers has installed it."""
        return cls._server.exists()


class RustRomp(_Stored):
    """romp, the server in Rust whose config files ours loads.

    It knows no patterns, so all its destinations are in its config, and what one asks
    for is one of these that nobody has used before.
    """

    name = "romp-rust"
    _server: ClassVar = STORE / "romp-rust" / "bin" / "romp"
    _destinations: ClassVar = 12_000  # of each kind
    #: Without it its stack is too small for what comes in one go.
    _stack: ClassVar = str(256 * 1024 * 1024)

    def __init__(
        self, cores: frozenset[int] = frozenset(), *, packed: bool = False
    ) -> None:
        super().__init__(cores, packed=packed)
        self._numbers = itertools.count()

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        return Endpoint(
            (LOOPBACK, tcp),
            (LOOPBACK, websocket),
            subprotocol="stomp",  # it knows no other
        )

    def refusal(self, scenario: Scenario) -> str:
        """Why it has no such scenario; empty if it has."""
        if isinstance(scenario, Flow) and scenario.prefetch:
            return "it answers no ACK with a receipt"
        return super().refusal(scenario)

    def _named(self, server: str) -> str:
        """Also its version, which only cargo knows."""
        notes = self._server.parents[1] / ".crates.toml"
        packages = tomllib.loads(notes.read_text())["v1"]
        return next((name.rpartition(" ")[0] for name in packages), server)

    def destination(self, kind: str, name: str) -> str:
        """One of those in its config.

        Raises:
            BenchError: There is none left.
        """
        number = next(self._numbers)
        if number >= self._destinations:
            raise BenchError(f"its config has {self._destinations:,} destinations")
        return f"/{kind}/{number:05}"

    def _start(self) -> None:
        assert self.endpoint.websocket is not None
        text = (_HERE / "romp-rust.toml").read_text()
        text = text.format(
            tcp=self.endpoint.tcp[1],
            websocket=self.endpoint.websocket[1],
            admin=free_port(),
            pid_file=self._path / "pid",
            open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        )
        tables = [
            f'[destinations."/{kind}/{number:05}"]\nmin_delivery = {deliveries}\n'
            "max_messages = 1000000\n"
            for kind, deliveries in (("queue", 1), ("topic", 0))
            for number in range(self._destinations)
        ]
        (self._path / "romp.toml").write_text(text + "\n".join(tables))
        environment = {"ROMP_CONF": str(self._path), "RUST_MIN_STACK": self._stack}
        self._run([self._server], environment)


class CoilMQ(_Stored):
    """CoilMQ, the other broker in Python, in a virtual environment of its own."""

    name = "coilmq"
    _server: ClassVar = STORE / "coilmq" / "bin" / "coilmq"

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        return Endpoint(
            (LOOPBACK, tcp),
            None,
            host=socket.getfqdn(),  # it refuses any other
            ack="client",  # it knows no other; one message at a time is under way
            ack_header=b"message-id",
            ack_frame=b"ACK\nid:0\nmessage-id:",
            most_ahead=4096,  # it breaks when a frame comes in two of its reads
        )

    def _start(self) -> None:
        port = str(self.endpoint.tcp[1])
        self._run([self._server, "--host", LOOPBACK, "--port", port])


class Echo(Peer):
    """No broker: what is read is written (bench/echo.py). The load's own ceiling."""

    name = "echo"
    packs = True

    @classmethod
    def installed(cls) -> bool:
        """Always."""
        return True

    def _start(self) -> None:
        assert self.endpoint.websocket is not None
        ports = str(self.endpoint.tcp[1]), str(self.endpoint.websocket[1])
        options = ["--packed"] if self._packed else []
        path = {"PYTHONPATH": str(_HERE.parent)}
        self._run([sys.executable, "-m", "bench.echo", *ports, *options], path)


#: In the order of a round. Ours are the first.
PEERS: tuple[type[Peer], ...] = (
    Romp,
    CompiledRomp,
    RabbitMQ,
    ActiveMQ,
    Artemis,
    CoilMQ,
    RustRomp,
    Echo,
)
