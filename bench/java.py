"""The brokers that run on Java: ActiveMQ Classic and ActiveMQ Artemis."""

import shutil
from pathlib import Path
from typing import ClassVar

from bench.peer import LOOPBACK, STORE, Peer
from bench.wire import Endpoint

_HERE = Path(__file__).parent
_HEAP = ("-Xms512m", "-Xmx2g")
_DEBIAN = Path("/usr/share/activemq")  # without WebSocket


class _JavaPeer(Peer):
    """A broker whose home is where it was unpacked.

    Attributes:
        homes: Where it may be, the best first.
    """

    needs_warmth = True
    homes: ClassVar[tuple[Path, ...]]

    @classmethod
    def home(cls) -> Path | None:
        """Where it is."""
        return next((home for home in cls.homes if home.is_dir()), None)

    @classmethod
    def installed(cls) -> bool:
        """Whether it is there, and Java."""
        return cls.home() is not None and shutil.which("java") is not None

    def _filled(self, template: str) -> str:
        """A config with the ports in it."""
        websocket = self.endpoint.websocket or self.endpoint.tcp
        ports = {"tcp": self.endpoint.tcp[1], "websocket": websocket[1]}
        text = (_HERE / template).read_text()
        return text.format(**ports, directory=self._path)


class ActiveMQ(_JavaPeer):
    """ActiveMQ Classic: the one of Maven Central, or Debian's package."""

    name = "activemq"
    homes = (STORE / "activemq", _DEBIAN)

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        debian = self.home() == _DEBIAN
        return Endpoint(
            (LOOPBACK, tcp),
            None if debian else (LOOPBACK, websocket),
            prefetch="activemq.prefetchSize",
        )

    def _start(self) -> None:
        home = self.home()
        text = self._filled("activemq.xml")
        if self.endpoint.websocket is None:
            lines = text.splitlines()
            text = "\n".join(line for line in lines if "ws://" not in line)
        config = self._path / "activemq.xml"
        config.write_text(text)
        places = [f"-Dactivemq.home={home}"]
        places += [f"-Dactivemq.{each}={self._path}" for each in ("base", "conf")]
        jar = f"{home}/bin/activemq.jar"
        start = ("start", f"xbean:file:{config}")
        self._run(["java", *_HEAP, *places, "-jar", jar, *start])


class Artemis(_JavaPeer):
    """ActiveMQ Artemis, from Maven Central."""

    name = "artemis"
    homes = (STORE / "artemis",)

    def _endpoint(self, tcp: int, websocket: int) -> Endpoint:
        # One port takes both. Its credit is in octets of its own form of a message.
        return Endpoint(
            (LOOPBACK, tcp),
            (LOOPBACK, tcp),
            prefetch="consumer-window-size",
            prefetch_unit=400,
        )

    def _start(self) -> None:
        home = self.home()
        etc = self._path / "etc"
        etc.mkdir()
        (etc / "broker.xml").write_text(self._filled("artemis.xml"))
        schema = 'xmlns="http://activemq.apache.org/schema"'
        (etc / "management.xml").write_text(f"<management-context {schema}/>")
        (etc / "bootstrap.xml").write_text(
            f'<broker {schema}><jaas-security domain="activemq"/>'
            f'<server configuration="file:{etc}/broker.xml"/></broker>'
        )
        places = {
            "artemis.home": home,
            "artemis.instance": self._path,
            "artemis.instance.etc": etc,
            "data.dir": self._path / "data",
        }
        options = [f"-D{name}={place}" for name, place in places.items()]
        boot = "org.apache.activemq.artemis.boot.Artemis"
        start = ("-cp", f"{home}/lib/artemis-boot.jar", boot, "run")
        self._run(["java", *_HEAP, *options, *start, f"xml:{etc}/bootstrap.xml"])
