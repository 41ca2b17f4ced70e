"""The process that the broker runs in: its id, its limits, its service manager."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

if sys.platform != "win32":
    import resource

logger = logging.getLogger(__name__)

#: The exit status of a process that was told to end at once; romp's.
_KILLED: Final = 99


@contextlib.contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Have the process id in a file while the block lasts; if it cannot be, say so.

    At the end the file is removed, if it is still ours.

    Args:
        path: the file, which may be there; None for none.
    """
    if path is None:
        yield
        return
    file, text = Path(path), f"{os.getpid()}\n"
    try:
        file.write_text(text)
    except OSError as exc:
        logger.warning("cannot write the pid file %s: %s", path, exc.strerror or exc)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if file.read_text() == text:
                file.unlink()


def raise_open_files(wanted: int) -> None:
    """Raise the limit of open files and sockets as far as the system lets us.

    It is never lowered. What was got is logged.

    Args:
        wanted: how many.
    """
    if sys.platform == "win32":
        return
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    except (OSError, ValueError) as exc:
        logger.warning("the limit of open files stays as it is: %s", exc)
        return
    allowed = "any number" if soft == resource.RLIM_INFINITY else soft
    logger.info("open files: %s, of %d that were asked for", allowed, wanted)


def notify(state: str) -> None:
    """Tell the service manager how we are; without one that asks, nobody.

    Args:
        state: such as ``READY=1``.

    Source: sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # of the abstract namespace
        address = "\0" + address[1:]
    # Whoever started us waits for it in vain then, and says so.
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.sendto(state.encode(), address)


def terminate() -> None:
    """End the process as its service manager would: what serves it stops in order."""
    os.kill(os.getpid(), signal.SIGTERM)


def kill() -> NoReturn:
    """End the process at once, whatever it is about to do."""
    os._exit(_KILLED)
