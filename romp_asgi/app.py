"""The ASGI application: routes, listeners and lifespan, in view.

Source: the ASGI specification, § HTTP & WebSocket, § Lifespan.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send

from romp_asgi.access_log import open_logger
from romp_asgi.broker import Client
from romp_asgi.config import Config
from romp_asgi.downstream import Link, LinkState
from romp_asgi.errors import LocalProtocolError, RompError
from romp_asgi.filters.chain import FilterChain, FilterFunction, StompFilter
from romp_asgi.filters.http import HttpFilter, HttpFilters, HttpFunction
from romp_asgi.headers import wanted
from romp_asgi.hub import SWEEP_INTERVAL, Hub
from romp_asgi.local import LocalSubscription, outgoing
from romp_asgi.plugins import install
from romp_asgi.process import pid_file, raise_open_files
from romp_asgi.routes.console import Console
from romp_asgi.routes.pages import Pages
from romp_asgi.routes.websocket import WebSocketEndpoint
from romp_asgi.stomp.spec import TO
from romp_asgi.tcp import listen, peer_name

logger = logging.getLogger(__name__)

_Filter = TypeVar("_Filter", bound=FilterFunction)
_HttpFilter = TypeVar("_HttpFilter", bound=HttpFunction)
_Endpoint = TypeVar("_Endpoint", bound=Callable[[Request], object])


class Romp:
    """A STOMP broker as an ASGI application.

    Mounted in another application, it shares that one's loop and port:

        romp = Romp()
        app = FastAPI(lifespan=romp.lifespan)
        app.mount("/romp", romp)

    Two instances share nothing.

    Args:
        config: the configuration; built-in defaults if not given. Listeners are
            opened only for ``ports`` and ``admin_port`` that it names.
        stand_alone: open the default listeners, too.

    Attributes:
        config: the configuration.
        addresses: ``host:port`` of the TCP listeners that are open.
        admin_addresses: the same of the admin listener.
        on_start: called when all listeners are open.
    """

    def __init__(
        self, config: Config | None = None, *, stand_alone: bool = False
    ) -> None:
        self.config = config or Config()
        self.addresses: list[str] = []
        self.admin_addresses: list[str] = []
        self.on_start: Callable[[], None] = lambda: None
        self._listeners = self.config.opened(embedded=not stand_alone)
        self._hub = Hub(self.config)
        open_logger(self.config.access_log)
        # The process of somebody else's application is not ours to change unasked.
        named = self.config.model_fields_set
        self._raises_limit = stand_alone or "rlimit_nofile" in named
        self._filters = FilterChain()
        self._http_filters = HttpFilters()
        self._local = Client(is_local=True)
        self._has_lifespan = False
        self._sweeper: asyncio.Task[None] | None = None
        self._links = [
            Link(self._hub, table) for table in self.config.downstreams.values()
        ]
        self._hub.statistics.links = self._links
        pages = Pages(self._hub, self.addresses)
        routes: list[Route | WebSocketRoute] = [
            Route("/", pages.home),
            Route("/health_check", pages.health_check),
            Route("/romp/health_check", pages.health_check),
        ]
        if self.config.enable_console:
            routes += Console(self._hub).routes()
        if self.config.websockets:
            path = self.config.websocket_path or "/{path:path}"
            routes.append(WebSocketRoute(path, WebSocketEndpoint(self._hub)))
        self._routes = Starlette(
            routes=routes, exception_handlers={404: pages.not_found}
        )
        for plugin in self.config.plugins:
            install(self, plugin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        if not self._has_lifespan:
            self._start_without_lifespan()
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        else:
            await self._routes(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The filters, then the routes; every answer is ours.

        And may be read by pages of any origin, unless it says that it may not.
        """

        async def send_ours(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("server", self.config.name)
                if "cross-origin-resource-policy" not in headers:
                    headers.setdefault("access-control-allow-origin", "*")
                    headers.setdefault("access-control-expose-headers", "server")
            await send(message)

        if scope["http_version"] != "1.0" and not _has_host(scope):
            refusal = PlainTextResponse("The request has no Host.\n", 400)
            await refusal(scope, receive, send_ours)
            return
        if len(self._http_filters) and scope["method"] in ("GET", "HEAD"):
            answer = await self._http_filters.answer(Request(scope, receive))
            if answer is not None:
                await answer(scope, receive, send_ours)
                return
        await self._routes(scope, receive, send_ours)

    # Life

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Open the listeners and run the timers while the block lasts.

        Give it to the application that this one is mounted in, as its ``lifespan``,
        or enter it in the lifespan that one has already.

        Args:
            app: that application; not used.

        Raises:
            FilterStartError: if a filter cannot start.
            StartError: if a listener cannot be opened.
            LogFileError: if the message log cannot be. Nothing is left open.
        """
        hub = self._hub
        self._has_lifespan = True
        servers: list[asyncio.Server] = []
        links: list[asyncio.Task[None]] = []
        try:
            if self._raises_limit:
                raise_open_files(self.config.rlimit_nofile)
            self._start_filters()
            hub.start()
            for address, port, is_admin in self._listeners:
                server = await listen(hub, address, port, is_admin=is_admin)
                servers.append(server)
                host, bound = server.sockets[0].getsockname()[:2]
                logger.info("listening on: %s:%d", host, bound)
                addresses = self.admin_addresses if is_admin else self.addresses
                addresses.append(peer_name((host, bound)))
            self._start_sweeper()
            links += (asyncio.create_task(link.run()) for link in self._links)
            with pid_file(self.config.pid_file):
                self.on_start()
                yield
        finally:
            logger.info("shutting down")
            for server in servers:
                server.close()
            for link in links:
                link.cancel()
            await asyncio.gather(*links, return_exceptions=True)
            await self.stop()
            await self._filters.stop()
            await self._http_filters.stop()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None
            self.addresses.clear()
            self.admin_addresses.clear()
            self._has_lifespan = False

    async def stop(self) -> None:
        """Take no more clients, tell those that are here, and close them.

        What is queued to them is written, within ``shutdown_timeout``. The end of the
        lifespan does so, too; doing so twice does nothing.
        """
        await self._hub.stop(self.config.shutdown_timeout)

    @property
    def memory_used(self) -> int:
        """Octets of the messages that destinations and transactions hold."""
        return self._hub.broker.memory.used

    @property
    def downstreams(self) -> list[LinkState]:
        """How the links to the edge servers of the config are."""
        return [link.state for link in self._links]

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        """The ASGI server's own lifespan events."""
        await receive()
        started = False
        try:
            async with self.lifespan():
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
                logger.info("shutdown requested")
        except Exception as exc:
            if started:
                raise
            # To let it pass is to say that there is no lifespan here, and the ASGI
            # server would serve what has not started.
            message = str(exc)
            if not isinstance(exc, RompError):
                logger.exception("the server could not start")
                message = f"{type(exc).__name__}: {exc}"
            await send({"type": "lifespan.startup.failed", "message": message})
            return
        await send({"type": "lifespan.shutdown.complete"})

    def _start_filters(self) -> None:
        self._filters.start()
        self._http_filters.start()
        self._hub.filters = self._filters if len(self._filters) else None

    def _start_without_lifespan(self) -> None:
        # First: where filters cannot start, nothing is served without them.
        self._start_filters()
        self._hub.start()
        self._has_lifespan = True
        missing = ""
        if self._listeners:
            ports = ", ".join(str(port) for _, port, _ in self._listeners)
            missing = f", no TCP listener is open (ports {ports})"
        if self._links:
            names = ", ".join(link.state.name for link in self._links)
            missing += f", no edge server is dialled ({names})"
        logger.warning(
            "romp.lifespan was not run%s, and clients are not told of a shutdown: pass "
            "lifespan=romp.lifespan to the application that romp is mounted in",
            missing,
        )
        self._start_sweeper()

    def _start_sweeper(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            self._hub.sweep(loop.time())

    # Filters

    def stomp_filter(self, filter: StompFilter | FilterFunction) -> None:
        """Add a filter that sees frames after they took effect; see docs/filters.md.

        Args:
            filter: an object with ``do_filter(context, message)`` and perhaps
                ``init()``, or a function, plain or async.

        Raises:
            TypeError: if it is no filter.
            LocalProtocolError: once the server has started.
        """
        self._filters.add(filter)

    def stomp_filter_at(self, filter: StompFilter | FilterFunction, point: int) -> None:
        """Add a filter at an insert point, such as ``PRE_SEND``."""
        self._filters.add(filter, point)

    def stomp(self, function: _Filter) -> _Filter:
        """Decorate a function that is a filter: ``@romp.stomp``."""
        self._filters.add(function)
        return function

    def http_filter(self, filter: HttpFilter | HttpFunction) -> None:
        """Add a filter that sees GET requests ahead of the routes.

        Args:
            filter: an object with ``do_filter(context, request)``, or a function,
                plain or async, that returns a response or CONTINUE.

        Raises:
            TypeError: if it is no filter.
            LocalProtocolError: once the server has started.
        """
        self._http_filters.add(filter)

    def http_filter_at(self, filter: HttpFilter | HttpFunction, point: int) -> None:
        """Add an HTTP filter at an insert point: lower ones come first."""
        self._http_filters.add(filter, point)

    def http(self, function: _HttpFilter) -> _HttpFilter:
        """Decorate a function that is an HTTP filter: ``@romp.http``."""
        self._http_filters.add(function)
        return function

    def get(self, path: str) -> Callable[[_Endpoint], _Endpoint]:
        """Decorate a Starlette endpoint that answers GET: ``@romp.get("/path")``."""

        def add(endpoint: _Endpoint) -> _Endpoint:
            self._routes.router.routes.insert(0, Route(path, endpoint))
            return endpoint

        return add

    # Application code

    async def publish(
        self,
        destination: str,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        *,
        user: str | None = None,
    ) -> None:
        """Send a message, as a client's SEND would; returns once it is accepted.

        Waits where the destination has ``overflow = "block"`` and is full.

        Args:
            destination: the name; its blocks do not hold for application code.
            body: octets, or text, which is sent as UTF-8.
            headers: more headers; those that are the server's to write are ignored.
            user: the only one to get it, by name; the destination must have
                ``sub_by_user``. It is the header ``to``.

        Raises:
            LocalProtocolError: if ``user`` is given and would not be heeded.
            UnknownDestination: if there is none of that name.
            DestinationFull: if a queue is full that does not block.
            MessageTooLarge: if the body is over a limit.
            NotLogged: if there is a message log, and it cannot be written.
        """
        if user is not None:
            if not user or not self._hub.broker.is_by_user(destination):
                raise LocalProtocolError(
                    f"a message cannot be for the user {user!r} alone: "
                    f"{destination} must have sub_by_user, and the user a name"
                )
            headers = {**(headers or {}), TO: user}
        message = outgoing(destination, body, headers)
        now = asyncio.get_running_loop().time()
        pending = self._hub.broker.send(self._local, message, now)
        if pending is not None and not pending.done:
            done = asyncio.Event()
            pending.then(done.set)
            await done.wait()
            if pending.error is not None:
                raise pending.error

    def subscribe(
        self, destination: str, *, selector: str | None = None
    ) -> LocalSubscription:
        """Receive the messages of a destination.

        Use it so:

            async with romp.subscribe("/topic/news") as messages:
                async for message in messages:
                    print(message.text)

        Args:
            destination: the name; its blocks do not hold for application code.
            selector: which of the messages; None for all. See docs/selectors.md.

        Raises:
            SelectorError: if the selector does not parse.
        """
        config = self.config
        wants = wanted(selector, None, config.max_selector_len)
        return LocalSubscription(
            self._hub.broker, destination, config.max_outbox, wants
        )


def _has_host(scope: Scope) -> bool:
    """Source: RFC 9112 § 3.2; HTTP/2 has ``:authority`` for it."""
    names = {name for name, _ in scope["headers"]}
    return b"host" in names or b":authority" in names
