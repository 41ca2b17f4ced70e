"""The thread that writes a message log."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from romp_asgi.broker import Pending
from romp_asgi.message_log.file import LogFile

#: Seconds between two syncs of ``message_log_sync = "second"``.
_SYNC_INTERVAL: Final = 1.0


class Batch:
    """Records that are written together.

    Attributes:
        records: those that are not written yet, in order.
        size: octets of all of them.
        promises: resolved once they are written.
    """

    __slots__ = ("promises", "records", "size")

    def __init__(self) -> None:
        self.records: deque[bytes] = deque()
        self.size = 0
        self.promises: list[Pending] = []


#: Told, in the writer's thread, of a batch and why it could not be written, if so; of
#: None and why what was written before may not be on the disk.
Told = Callable[[Batch | None, OSError | None], None]


class Writer(threading.Thread):
    """Writes batches, one after the other.

    It is a daemon: only a loop that ended without telling it leaves it running.

    Args:
        file: open.
        syncs: whether to have what is written on the disk within a second.
        tell: called after every batch. It may raise RuntimeError: nobody listens.
    """

    def __init__(self, file: LogFile, *, syncs: bool, tell: Told) -> None:
        super().__init__(name="romp-message-log", daemon=True)
        self._file = file
        self._syncs = syncs
        self._listener = tell
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        # When the first octet was written that is not known to be on the disk.
        self._dirty_since: float | None = None

    def put(self, batch: Batch) -> None:
        """Write a batch."""
        self._batches.put(batch)

    def end(self) -> None:
        """End after what has been put."""
        self._batches.put(None)

    def run(self) -> None:
        """The thread."""
        while True:
            try:
                batch = self._batches.get(timeout=self._patience())
            except queue.Empty:
                self._sync()
                continue
            if batch is None:
                break
            self._tell(batch, self._write(batch))
        self._sync()
        self._file.close()

    def _tell(self, batch: Batch | None, error: OSError | None) -> None:
        with contextlib.suppress(RuntimeError):
            self._listener(batch, error)

    def _patience(self) -> float | None:
        """Seconds until the next sync; None if there is nothing to sync."""
        if self._dirty_since is None:
            return None
        return max(0.0, self._dirty_since + _SYNC_INTERVAL - time.monotonic())

    def _write(self, batch: Batch) -> OSError | None:
        try:
            self._file.write(batch.records)
        except OSError as exc:
            return exc
        if self._syncs:
            if self._dirty_since is None:
                self._dirty_since = time.monotonic()
            elif not self._patience():
                self._sync()
        return None

    def _sync(self) -> None:
        if self._dirty_since is None:
            return
        self._dirty_since = None
        try:
            self._file.sync()
        except OSError as exc:
            self._tell(None, exc)
