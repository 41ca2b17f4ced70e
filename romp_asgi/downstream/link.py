"""A link to an edge server: dialled, kept up, and dialled again."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from romp_asgi.config import DownstreamConfig
from romp_asgi.downstream.backoff import Backoff
from romp_asgi.downstream.visit import TIMEOUT, LinkError, Visit, tls_context
from romp_asgi.errors import ConfigError, ConfigErrors, ProtocolError

if TYPE_CHECKING:
    from romp_asgi.hub import Hub

logger = logging.getLogger(__name__)

#: The longest first wait before dialling again, and the longest of all, in seconds.
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
#: A link that was up so long, in seconds, was a good one.
GOOD: Final = 10.0


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a link is.

    Attributes:
        name: what statistics call it.
        address: ``host:port`` of the edge server.
        is_connected: whether it is up.
        since: since when it is up, or down; seconds since the epoch.
        connects: how often it came up.
        messages: how many messages were taken.
        refused: how many were refused here, and are lost to us.
        error: why it is down, or was the last time; empty if it never was.
        is_held: whether what comes has to wait for room here.
    """

    name: str
    address: str
    is_connected: bool
    since: float
    connects: int = 0
    messages: int = 0
    refused: int = 0
    error: str = ""
    is_held: bool = False


class Link:
    """One of ``[downstreams]``.

    Args:
        hub: what takes the messages.
        config: where it goes.

    Raises:
        ConfigErrors: if ``tls_ca_file`` cannot be used.
    """

    def __init__(self, hub: Hub, config: DownstreamConfig) -> None:
        if config.tls:
            _check_tls(config)
        self._hub = hub
        self._config = config
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._visit: Visit | None = None
        self._is_connected = False
        self._since = time.time()
        self._connects = 0
        self._messages = 0
        self._refused = 0
        self._error = ""

    @property
    def state(self) -> LinkState:
        """How it is."""
        return LinkState(
            name=self._config.name,
            address=self._config.address,
            is_connected=self._is_connected,
            since=self._since,
            connects=self._connects,
            messages=self._messages,
            refused=self._refused,
            error=self._error,
            is_held=self._visit is not None and self._visit.is_held,
        )

    async def run(self) -> None:
        """Keep it up, until this is cancelled."""
        while True:
            self._visit = Visit(self._hub, self._config, self)
            reason = "internal error"
            try:
                await self._visit.run()
            except (LinkError, ProtocolError, OSError) as exc:
                reason = _reason(exc)
                if self._is_connected and time.time() - self._since >= GOOD:
                    self._backoff.reset()
                if isinstance(exc, LinkError) and exc.is_refusal:
                    self._backoff.slow()
            except Exception:
                logger.exception("internal error at downstream %s", self._config.name)
            finally:
                self._visit = None
            self._down(reason)
            await asyncio.sleep(self._backoff.next())

    # What a visit tells

    def came_up(self) -> None:
        """The edge server has let us in, and what we subscribe to is there."""
        config = self._config
        logger.info("downstream %s: connected to %s", config.name, config.address)
        self._is_connected = True
        self._since = time.time()
        self._connects += 1

    def count(self, *, is_taken: bool) -> None:
        """A message was taken, or refused for good."""
        if is_taken:
            self._messages += 1
        else:
            self._refused += 1

    def _down(self, reason: str) -> None:
        # Once, and not each time that dialling fails for the same reason.
        if self._is_connected or reason != self._error:
            config = self._config
            logger.warning("downstream %s: %s: %s", config.name, config.address, reason)
        if self._is_connected:
            self._is_connected = False
            self._since = time.time()
        self._error = reason


def _check_tls(config: DownstreamConfig) -> None:
    try:
        tls_context(config)
    except OSError as exc:
        reason = f"no certificates to trust: {_reason(exc)}"
        raise ConfigErrors(
            (ConfigError(str(config.tls_ca_file), None, None, reason),)
        ) from exc


def _reason(error: Exception) -> str:
    """Why a link is down, in a few words."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
