"""The broker by itself, under any ASGI server: ``uvicorn romp_asgi:app``."""

import logging
import sys
from pathlib import Path

from starlette.types import Receive, Scope, Send

from romp_asgi.app import Romp
from romp_asgi.config import Config, find, load
from romp_asgi.errors import RompError

logger = logging.getLogger(__name__)


class StandAlone:
    """The application of ``uvicorn romp_asgi:app``: it finds its config at the start.

    Only then, so that importing the package reads no file, and so that an error in
    the config is one sentence of the server and not a traceback of the import.
    """

    def __init__(self) -> None:
        self._romp: Romp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            set_up_log()
            try:
                self._romp = romp = Romp(read_config(), stand_alone=True)
            except RompError as exc:
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(exc)})
                return
            romp.on_start = lambda: announce(romp, None)
        elif self._romp is None:
            self._romp = Romp(read_config(), stand_alone=True)
        await self._romp(scope, receive, send)


#: What ``uvicorn romp_asgi:app`` runs.
app = StandAlone()


def read_config(path: Path | None = None) -> Config:
    """The config of a file, or of the first that is found, or the built-in one.

    Raises:
        ConfigErrors: if it cannot be used.
    """
    path = path or find()
    if path is None:
        logger.warning("no romp.toml was found: built-in defaults are used")
        return Config()
    config = load(path)
    for warning in config.warnings:
        logger.warning("%s: %s", path, warning)
    return config


def announce(romp: Romp, http: str | None) -> None:
    """Say in three lines where clients can connect.

    Args:
        romp: the application, started.
        http: ``host:port`` of the ASGI server; None if only that server knows.
    """
    from romp_asgi import __version__

    path = romp.config.websocket_path or "/"
    if http is None:
        web = "on the port of the ASGI server"
    else:
        web = f"ws://{http}{path} (this server's page: http://{http}/)"
    tcp = ", ".join(romp.addresses) or "off"
    admin = ", ".join(romp.admin_addresses) or "off"
    lines = [
        f"romp-asgi {__version__} is ready: STOMP 1.0, 1.1 and 1.2",
        f"  WebSocket  {web if romp.config.websockets else 'off'}",
        f"  TCP        {tcp} (admin: {admin})",
    ]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def set_up_log() -> None:
    """Our log goes to standard error, unless somebody has set up logging already."""
    log = logging.getLogger("romp_asgi")
    if log.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
