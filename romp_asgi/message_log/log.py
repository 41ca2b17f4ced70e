"""The message log of a server, as its loop sees it.

What is accepted in one pass of the loop is handed over to the writer in one batch;
while that writes, the next one grows. So nothing here waits for the disk, and there
are no locks.

A sender waits as long as more than ``message_log_buffer`` octets are not written; one
that asked for a receipt, until its message is. When the disk fails, what was accepted
is kept and tried again, every sender is told, and nothing more is accepted until it
has been written.
"""

import asyncio
import logging
import time
from typing import Final

from romp_asgi.broker import Message, Pending
from romp_asgi.config import Config
from romp_asgi.errors import LogFileError, NotLogged
from romp_asgi.message_log.file import LogFile
from romp_asgi.message_log.record import Encoder
from romp_asgi.message_log.writer import Batch, Writer

logger = logging.getLogger(__name__)

#: Seconds between two attempts to write what could not be written.
_RETRY_INTERVAL: Final = 1.0

#: Seconds for the disk to take what is left when the server stops.
_STOP_TIMEOUT: Final = 30.0


class MessageLog:
    """Everything that is accepted, on its way into a file.

    Args:
        path: the file.
        config: of the server.
    """

    def __init__(self, path: str, config: Config) -> None:
        self.path = path
        self._file = LogFile(
            path,
            max_size=config.message_log_max_size,
            max_files=config.message_log_files,
            is_synced=config.message_log_sync == "always",
        )
        self._syncs = config.message_log_sync == "second"
        self._max_size = config.message_log_buffer
        self._encoder = Encoder()
        self._writer: Writer | None = None
        # What comes next, and octets of all that is not written.
        self._batch = Batch()
        self._size = 0
        self._room: Pending | None = None
        # What the writer has, and what it failed at.
        self._written: Batch | None = None
        self._has_failed = False
        self._retry_timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._at_rest: asyncio.Event | None = None

    # Life

    def start(self) -> None:
        """Open the file and start the writer, in the loop that runs.

        Raises:
            LogFileError: if the file cannot be written.
        """
        if self._writer is not None:
            return
        try:
            self._file.open()
        except OSError as exc:
            raise LogFileError(self.path, exc.strerror or str(exc)) from exc
        loop = self._loop = asyncio.get_running_loop()
        self._has_failed = self._is_stopping = False

        def tell(batch: Batch | None, error: OSError | None) -> None:
            loop.call_soon_threadsafe(self._told, batch, error)

        self._writer = Writer(self._file, syncs=self._syncs, tell=tell)
        self._writer.start()

    async def stop(self) -> None:
        """Write what is left, and close the file. Doing so again does nothing."""
        writer = self._writer
        if writer is None or self._is_stopping:
            return
        self._is_stopping = True
        if self._retry_timer is not None:  # once more, and at once
            self._retry_timer.cancel()
            self._retry()
        self._hand_over()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                if self._written is not None:
                    self._at_rest = asyncio.Event()
                    await self._at_rest.wait()
        except TimeoutError:
            logger.error("the message log %s does not take what is left", self.path)
        writer.end()
        await asyncio.to_thread(writer.join, _STOP_TIMEOUT)
        self._writer = None
        if self._size:
            logger.error(
                "%d octets of messages that were accepted are missing from the message "
                "log %s",
                self._size,
                self.path,
            )

    # Messages

    def check(self) -> None:
        """Whether another message may be accepted.

        Raises:
            NotLogged: if it could not be written.
        """
        if self._has_failed or self._writer is None:
            raise NotLogged(is_accepted=False)

    def add(self, message: Message, user: str, *, waits: bool) -> Pending | None:
        """Log a message that was accepted.

        Args:
            message: the message.
            user: who sent it.
            waits: whether its sender wants to know that it is written.

        Returns:
            What the sender has to wait for, if anything.
        """
        record = self._encoder.encode(message, user, time.time())
        batch = self._batch
        if not batch.records and self._written is None:
            self._loop.call_soon(self._hand_over)
        batch.records.append(record)
        batch.size += len(record)
        self._size += len(record)
        if waits:
            pending = Pending()
            batch.promises.append(pending)
            return pending
        if self._size <= self._max_size:
            return None
        if self._room is None:
            self._room = Pending()
        return self._room

    # The writer

    def _hand_over(self) -> None:
        if self._written is None and self._batch.records and self._writer is not None:
            self._written, self._batch = self._batch, Batch()
            self._writer.put(self._written)

    def _told(self, batch: Batch | None, error: OSError | None) -> None:
        """The writer has done what it could."""
        if batch is None:
            logger.error(
                "the message log %s may not be on the disk: %s", self.path, error
            )
        elif error is not None:
            self._failed(batch, error)
        else:
            self._succeeded(batch)

    def _succeeded(self, batch: Batch) -> None:
        if self._has_failed:
            self._has_failed = False
            logger.warning("the message log %s is written again", self.path)
        self._written = None
        self._size -= batch.size
        for promise in batch.promises:
            promise.resolve()
        self._make_room()
        self._hand_over()
        self._rest()

    def _make_room(self) -> None:
        if self._room is not None and self._size <= self._max_size // 2:
            room, self._room = self._room, None
            room.resolve()

    def _failed(self, batch: Batch, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            logger.error(
                "the message log %s cannot be written, and no SEND is accepted until "
                "it can be: %s",
                self.path,
                error.strerror or error,
            )
        promises = [*batch.promises, *self._batch.promises]
        batch.promises, self._batch.promises = [], []
        if self._room is not None:
            promises.append(self._room)
            self._room = None
        for promise in promises:
            promise.resolve(NotLogged(is_accepted=True))
        if self._is_stopping:
            self._rest()
            return
        self._retry_timer = self._loop.call_later(_RETRY_INTERVAL, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        assert self._writer is not None
        assert self._written is not None
        self._writer.put(self._written)

    def _rest(self) -> None:
        if self._at_rest is not None and (self._has_failed or self._written is None):
            self._at_rest.set()
