"""The broker as a program: ``romp-asgi serve``, which is uvicorn in our way."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from romp_asgi.allocator import give_memory_back, tune_allocator
from romp_asgi.app import Romp
from romp_asgi.config import Config
from romp_asgi.process import notify
from romp_asgi.stand_alone import announce, set_up_log
from romp_asgi.tcp import peer_name, start_error

logger = logging.getLogger(__name__)

_BACKLOG: Final = 2048


class Server(uvicorn.Server):
    """uvicorn, ended in our way.

    uvicorn closes WebSockets at once; here the broker does so before, after it has
    told the clients and written what is queued to them.
    """

    def __init__(self, config: uvicorn.Config, romp: Romp) -> None:
        super().__init__(config)
        self._romp = romp

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where."""
        await super().startup(sockets)
        assert sockets is not None
        address = peer_name(sockets[0].getsockname())
        logger.info("listening on: %s", address)
        announce(self._romp, address)
        notify("READY=1")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more clients, end those that are here, then stop."""
        logger.info("shutdown requested")
        notify("STOPPING=1")
        for server in self.servers:
            server.close()
        await self._romp.stop()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the server, and the program with status 0."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def serve(config: Config, host: str | None = None, port: int | None = None) -> None:
    """Run the broker until a signal ends it.

    Args:
        config: the configuration.
        host: the address for HTTP and WebSocket; ``bind_address`` if not given.
        port: its port; the first web port of ``ports`` if not given.

    Raises:
        StartError: if a listener cannot be opened.
    """
    set_up_log()
    romp = Romp(config, stand_alone=True)
    listener = _bind(
        host or config.bind_address, config.http_port if port is None else port
    )
    settings = uvicorn.Config(
        romp,
        ws="romp_asgi.uvicorn_ws:StandAloneProtocol",
        ws_max_size=config.max_message_size + config.max_header_size + 1024,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    tune_collector()
    tune_allocator()

    async def run() -> None:
        async with romp.lifespan():
            trimming = asyncio.create_task(give_memory_back(lambda: romp.memory_used))
            await Server(settings, romp).serve(sockets=[listener])
            trimming.cancel()

    with (
        contextlib.closing(listener),
        asyncio.Runner(loop_factory=settings.get_loop_factory()) as runner,
    ):
        runner.run(run())


def tune_collector() -> None:
    """Let the garbage collector look seldom, and not at what stays for good.

    Messages are freed by their counts. Many are held at a time, though, and each look
    at all of them costs as much as many deliveries (bench/README.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise start_error(host, port, exc) from exc
    return listener
