"""The files of a message log, as the thread that writes them sees them. Blocking."""

import contextlib
import os
import sys
from collections import deque
from typing import Final

from romp_asgi.message_log.record import END

if sys.platform != "win32":
    import fcntl

_MODE: Final = 0o640


class LogFile:
    """A file that is appended to, and the older ones beside it.

    ``path`` is written; when it is full it becomes ``path.1``, that becomes
    ``path.2``, and so on; the oldest is deleted. A record is never in two files.

    Args:
        path: the file.
        max_size: octets after which a new one is begun; 0 is never.
        max_files: how many older ones are kept.
        is_synced: whether what is written is on the disk when ``write`` returns.
    """

    def __init__(
        self, path: str, *, max_size: int, max_files: int, is_synced: bool
    ) -> None:
        self.path = path
        self._max_size = max_size
        self._max_files = max_files
        self._is_synced = is_synced
        self._fd: int | None = None

    def open(self) -> None:
        """Open the file; one whose last record is cut off is left as it is.

        Raises:
            OSError: if that is not possible, or another process writes it.
        """
        self._fd = self._opened()
        if not self._ends_well():
            self._rotate()

    def write(self, records: deque[bytes]) -> None:
        """Append records, each as a whole, and take from ``records`` what is written.

        Raises:
            OSError: if they cannot be written; those that are left are not in the file.
        """
        while records:
            if self._fd is None:
                self.open()
            assert self._fd is not None
            # Asked each time, because others may cut it off: logrotate's copytruncate.
            size = end = os.fstat(self._fd).st_size
            part: list[bytes] = []
            for record in records:
                end += len(record)
                if part and 0 < self._max_size < end:
                    break
                part.append(record)
            if size and 0 < self._max_size < size + len(part[0]):
                self._rotate()
                continue
            self._append(self._fd, b"".join(part), size)
            for _ in part:
                records.popleft()

    def sync(self) -> None:
        """Have everything on the disk.

        Raises:
            OSError: if it may not be.
        """
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file. Doing so again does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.path, flags, _MODE)
        if sys.platform != "win32":
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                os.close(fd)
                if isinstance(exc, BlockingIOError):
                    raise OSError(exc.errno, "another process writes it") from exc
                raise
        return fd

    def _ends_well(self) -> bool:
        assert self._fd is not None
        size = os.fstat(self._fd).st_size
        return not size or os.pread(self._fd, len(END), max(0, size - len(END))) == END

    def _append(self, fd: int, data: bytes, size: int) -> None:
        """Append to a file of a size; what cannot be appended whole is taken back."""
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(fd, left) :]
            if self._is_synced:
                os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)
            raise

    def _rotate(self) -> None:
        """Begin a new file."""
        self.close()
        for number in range(self._max_files, 0, -1):
            older = self.path if number == 1 else f"{self.path}.{number - 1}"
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, f"{self.path}.{number}")
        self._fd = self._opened()
