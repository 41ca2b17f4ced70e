"""What all sessions of one server share."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from romp_asgi.admin import Administration, Statistics
from romp_asgi.auth import Authenticator
from romp_asgi.broker import Broker, BrokerLimits, Clock, Message
from romp_asgi.busy_poll import BusyPoll
from romp_asgi.config import Config
from romp_asgi.filters.chain import FilterChain
from romp_asgi.message_log import LoggedBroker, MessageLog
from romp_asgi.outbox import Flusher
from romp_asgi.policies import policy
from romp_asgi.stomp import BlockCache, HeartBeat, Limits

if TYPE_CHECKING:
    from romp_asgi.session import Session

logger = logging.getLogger(__name__)

#: Seconds between two looks for what has expired.
SWEEP_INTERVAL = 1.0


class Hub:
    """The broker, and what a session needs beside it.

    Args:
        config: of the whole server; sessions get what concerns them from here.

    Raises:
        ConfigErrors: if the user file cannot be used.

    Attributes:
        administration: what admin sessions can ask.
        authenticator: tells whether a login is good.
        blocks: header blocks that came before.
        filters: the filters that frames pass; None if there are none, which costs
            nothing.
        message_log: where what is accepted is logged; None if it is not.
        sessions: those that are connected.
        connections: how many there ever were.
        statistics: what is counted.
        is_stopping: whether no more are taken.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.server = config.name
        self.limits = Limits(
            max_headers=config.max_headers,
            max_header_len=config.max_header_len,
            max_header_size=config.max_header_size,
            max_message_size=config.max_message_size,
        )
        self.login_limits = Limits(
            max_headers=config.max_headers,
            max_header_len=min(config.max_header_len, config.max_login_size),
            max_header_size=config.max_login_size,
            max_message_size=0,
        )
        self.heart_beat = HeartBeat(
            min(config.heart_beat_write_min, config.heart_beat_write_max),
            config.heart_beat_read,
        )
        self.blocks = BlockCache(config.max_known_headers)
        self.message_log: MessageLog | None = None
        make_broker: Callable[..., Broker] = Broker
        if config.message_log is not None:
            self.message_log = MessageLog(config.message_log, config)
            make_broker = partial(LoggedBroker, self.message_log)
        self.broker = make_broker(
            {key: policy(table) for key, table in config.destinations.items()},
            BrokerLimits(
                max_subs=config.max_subs,
                max_destinations=config.max_destinations,
                max_memory=config.max_memory,
                max_outbox=config.max_outbox,
                max_transactions=config.max_transactions,
                max_transaction_frames=config.max_transaction_frames,
                max_transaction_size=config.max_transaction_size,
                prefetch_count=config.prefetch_count,
            ),
            dropped=self._dropped,
            created=self._created,
            first_number=int(time.time() * 1000),
            # The loop's clock, too, is the monotonic one.
            clock=Clock(time.monotonic, time.time),
        )
        self.authenticator = Authenticator(config)
        window = config.busy_poll / 1_000_000
        busy_poll = BusyPoll(window, self.later) if window else None
        self.flusher = Flusher(busy_poll)
        self.filters: FilterChain | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.sessions: set[Session] = set()
        self.connections = 0
        self.statistics = Statistics(self)
        self.administration = Administration(self)
        self.is_stopping = False
        self._all_gone: asyncio.Event | None = None
        self._session_numbers = itertools.count(1)
        self._losses: dict[tuple[str, str], int] = {}

    def next_session_id(self) -> str:
        """The ``session`` header of CONNECTED: unique within this server."""
        return f"{self.broker.last_number}-{next(self._session_numbers)}"

    def later(self, callback: Callable[[], None]) -> None:
        """Call back in the next pass of the loop."""
        asyncio.get_running_loop().call_soon(callback)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something for a session; it is cancelled when the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sweep(self, now: float) -> None:
        """Drop what has expired, and say in the log what was lost since last time.

        And publish the statistics, if it is time for that.
        """
        count = self.broker.expire(now)
        if count:
            logger.info("expired %d messages", count)
        losses, self._losses = self._losses, {}
        for (destination, reason), count in losses.items():
            logger.warning("dropped %d messages of %s: %s", count, destination, reason)
        self.statistics.tick(now)

    def start(self) -> None:
        """Take sessions, in the loop that runs.

        Raises:
            LogFileError: if the message log cannot be opened.
        """
        self.is_stopping = False
        if self.message_log is not None:
            self.message_log.start()
        for name in self.broker.destinations:
            logger.info("created destination %s", name)

    def add(self, session: "Session") -> None:
        """A session begins."""
        self.sessions.add(session)
        self.connections += 1
        session.since = time.time()

    def remove(self, session: "Session") -> None:
        """A session has ended; again does nothing."""
        self.sessions.discard(session)
        if not self.sessions and self._all_gone is not None:
            self._all_gone.set()

    async def stop(self, seconds: float) -> None:
        """Tell the clients, write what is queued to them, and close; end the log.

        Args:
            seconds: for the clients; after it connections are cut.
        """
        self.is_stopping = True
        if self.sessions:
            logger.info("closing %d sessions", len(self.sessions))
        for session in list(self.sessions):
            session.shut_down()
        if self.sessions:
            self._all_gone = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._all_gone.wait()
        for session in list(self.sessions):
            session.abort()
        for task in self._tasks:
            task.cancel()
        if self.message_log is not None:
            await self.message_log.stop()

    def _created(self, destination: str) -> None:
        logger.debug("created destination %s", repr(destination)[1:-1])

    def _dropped(self, message: Message, reason: str) -> None:
        """Collected, so that a flood of losses is a line a second."""
        key = message.destination, reason
        if key in self._losses or len(self._losses) < 1000:
            self._losses[key] = self._losses.get(key, 0) + 1
