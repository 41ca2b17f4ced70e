"""The C library's allocator, set up for a process that holds messages.

Of glibc alone; elsewhere all of this does nothing.

Source: mallopt(3), malloc_trim(3).
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

#: Of mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

#: Blocks up to so many octets are taken from memory that was used before, of which so
#: much stays with the process.
_MAX_KEPT_BLOCK: Final = 4 << 20
_MAX_KEPT: Final = 16 << 20

#: With these somebody has set the allocator up.
_VARIABLES: Final = (
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
)

#: Seconds between two looks at what messages take.
_INTERVAL: Final = 1.0


def tune_allocator() -> None:
    """Keep the memory that large messages took for those that come next.

    Else glibc gives most of it back to the system as soon as it is free, and the pages
    of the next message are made and cleared anew: more than half of the time of one of
    256 KiB (bench/README.md). What is set in the environment stays.
    """
    libc = _glibc()
    if libc is not None and not any(name in os.environ for name in _VARIABLES):
        libc.mallopt(_M_MMAP_THRESHOLD, _MAX_KEPT_BLOCK)
        libc.mallopt(_M_TRIM_THRESHOLD, _MAX_KEPT)


async def give_memory_back(used: Callable[[], int]) -> None:
    """Give memory back to the system whenever much less of it is used than was.

    The allocator does that by itself only for what is behind all that is still used.

    Args:
        used: how many octets messages take now.
    """
    libc = _glibc()
    if libc is None:
        return
    most = 0
    while True:
        await asyncio.sleep(_INTERVAL)
        now = used()
        if most - now > _MAX_KEPT:
            libc.malloc_trim(_MAX_KEPT)
            most = now
        most = max(most, now)


def _glibc() -> Any:  # it is C: what it has is looked up when it is called
    """The C library, if it is glibc."""
    try:
        if not os.confstr("CS_GNU_LIBC_VERSION"):
            return None
        import ctypes  # not every Python has it

        return ctypes.CDLL(None)
    except (AttributeError, ImportError, OSError, ValueError):
        return None
