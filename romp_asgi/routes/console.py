"""The console: what runs here and how it does, for administrators, over HTTP.

``/romp/ngin-config/``, ``/romp/ngin-info/`` and ``/romp/destination-info/`` are romp's,
and answer in its words; ``/romp/console`` is a page for people. All of them take the
login and passcode of an administrator, and none is for pages of other origins.

Source: RFC 7617 (Basic), RFC 9110 § 11.6.1 (WWW-Authenticate).
"""

import base64
import binascii
import hashlib
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from romp_asgi.admin.json import encode
from romp_asgi.admin.reports import Report, destinations, sessions
from romp_asgi.auth import User
from romp_asgi.auth.failures import TooManyFailedLogins
from romp_asgi.errors import AuthError, UnknownDestination
from romp_asgi.hub import Hub
from romp_asgi.tcp import peer_name

#: How many destinations and sessions the page shows.
_SHOWN: Final = 200

#: What of a destination's table ``ngin-config`` shows, beside its name; romp's choice.
_SHOWN_KEYS: Final = (
    "filter",
    "max_connections",
    "max_messages",
    "stats",
    "web_write_block",
    "web_read_block",
    "max_message_size",
)

_PAGE: Final = Path(__file__).with_name("console.html").read_text(encoding="utf-8")


def _source(tag: str) -> str:
    """What the Content-Security-Policy calls the one script or style of the page."""
    found = re.search(f"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    assert found is not None
    digest = hashlib.sha256(found[1].encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


#: Of every answer: it is for who asked, and for pages of this server alone.
_PRIVATE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cache-control": "no-store",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "content-security-policy": (
            f"default-src 'none'; script-src {_source('script')}; "
            f"style-src {_source('style')}; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "referrer-policy": "no-referrer",
    }
)

_Answer = Callable[[Request], Response]


class Console:
    """The endpoints of the console.

    Args:
        hub: what all sessions share.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them, each behind the login."""
        return [
            Route("/romp/ngin-config/", self._guarded(self._config)),
            Route("/romp/ngin-info/", self._guarded(self._info)),
            Route("/romp/destination-info/", self._guarded(self._destination)),
            Route("/romp/console", self._guarded(self._page)),
            Route("/romp/console/data", self._guarded(self._data)),
        ]

    # Who may

    def _guarded(self, answer: _Answer) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that answers administrators."""

        async def endpoint(request: Request) -> Response:
            response = await self._refusal(request) or answer(request)
            for name, value in _PRIVATE.items():
                response.headers[name] = value
            return response

        return endpoint

    async def _refusal(self, request: Request) -> Response | None:
        """Why a request is not answered; None if it is."""
        if not self._hub.authenticator.has_admins:
            text = "Nobody can be an administrator here: set login and passcode, or "
            return PlainTextResponse(f"{text}a user_file, in romp.toml.\n", 403)
        login, passcode = _credentials(request)
        try:
            user = await self._user(request, login, passcode)
        except TooManyFailedLogins as exc:
            return PlainTextResponse(f"{exc}\n", 429)
        except AuthError:
            return PlainTextResponse(
                "This takes the login and passcode of an administrator.\n",
                401,
                {"www-authenticate": 'Basic realm="romp", charset="UTF-8"'},
            )
        if not user.is_admin:
            return PlainTextResponse("This is for administrators.\n", 403)
        return None

    async def _user(
        self, request: Request, login: str | None, passcode: str | None
    ) -> User:
        client = request.client
        peer = "" if client is None else peer_name((client.host, client.port))
        if login is None:
            # A browser asks first without: that is no failure.
            raise AuthError
        user = self._hub.authenticator.identify(
            login, passcode, peer=peer, is_gone=lambda: False
        )
        return user if isinstance(user, User) else await user()

    # romp's endpoints

    def _config(self, request: Request) -> Response:
        config, broker = self._hub.config, self._hub.broker
        listed: list[Report] = []
        for key, table in config.destinations.items():
            live = broker.destinations.get(key)
            settings = table if live is None else live.policy
            report = {name: getattr(settings, name) for name in _SHOWN_KEYS}
            report["max_message_size"] = (
                settings.max_message_size or config.max_message_size
            )
            listed.append({"name": table.name, **report})
        return _json(
            {
                "listen": list(config.ports),
                "timeout": config.heart_beat_read,
                "websockets": config.websockets,
                "destinations": listed,
            }
        )

    def _info(self, request: Request) -> Response:
        return _json(
            {
                "pid": os.getpid(),
                "cmdline": _cmdline(),
                "sock": _sockets(),
                "proc": _memory(),
                "cc": {**self._hub.statistics.server(), "lastmod": int(time.time())},
            }
        )

    def _destination(self, request: Request) -> Response:
        name = request.query_params.get("destination", "")
        try:
            destination = self._hub.broker.find(name)
        except UnknownDestination as exc:
            return PlainTextResponse(f"{exc}\n", 404)
        return _json(self._hub.statistics.destination(destination))

    # The page

    def _page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE)

    def _data(self, request: Request) -> Response:
        hub, memory = self._hub, self._hub.broker.memory
        return _json(
            {
                "server": hub.config.name,
                "now": int(time.time()),
                "cc": hub.statistics.server(),
                "memory": {"used": memory.used, "limit": memory.limit},
                "downstreams": hub.statistics.downstreams(),
                "destinations": destinations(hub, _SHOWN),
                "sessions": sessions(hub, _SHOWN),
            }
        )


def _credentials(request: Request) -> tuple[str | None, str | None]:
    """The login and passcode of the Authorization header, if it has any."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    login, _, passcode = text.partition(":")
    return login, passcode


def _json(value: object) -> Response:
    return Response(encode(value), media_type="application/json")


def _cmdline() -> str:
    """How the process was started."""
    octets = _read("/proc/self/cmdline")
    return octets.replace("\0", " ").strip() or " ".join(sys.argv)


def _memory() -> Report:
    """What Linux says of the memory of the process: VmPeak, VmSize and so on."""
    return {
        name: value
        for name, value in _lines("/proc/self/status")
        if name.startswith("Vm")
    }


def _sockets() -> Report:
    """What Linux says of the sockets of the machine."""
    lines = dict(_lines("/proc/net/sockstat"))
    return {"sockets": lines.get("sockets", ""), "tcp": lines.get("TCP", "")}


def _lines(path: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in _read(path).splitlines())
    return [(name, value.strip()) for name, _, value in pairs]


def _read(path: str) -> str:
    """A file of the system's; empty where there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
