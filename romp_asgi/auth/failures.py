"""How often logins of one address have failed of late."""

import ipaddress
import logging
from typing import Final, NamedTuple

from romp_asgi.errors import AuthError

logger = logging.getLogger(__name__)

#: How many addresses are remembered; the one that would be forgotten next makes room.
_MAX_ADDRESSES: Final = 10_000

#: A network of IPv6 that one party is given as a matter of course.
_IPV6_PREFIX: Final = 64


class TooManyFailedLogins(AuthError):
    """A login that was not looked at, because too many of its address failed."""

    def __str__(self) -> str:
        return "Too many logins from this address have failed; try again later."


class _Window(NamedTuple):
    """How many logins of an address have failed, and when they are forgotten."""

    failed: int
    end: float


class FailedLogins:
    """Counts failed logins by address, each address for a window of time.

    The window begins with the first failure and is not drawn out by more of them.

    Args:
        max_failed: how many there may be within the window; 0 for any number.
        window: its length, in seconds.
    """

    def __init__(self, max_failed: int, window: float) -> None:
        self._max_failed = max_failed
        self._window = window
        # In the order in which they end, which is that in which they began.
        self._windows: dict[str, _Window] = {}

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._windows)

    def check(self, peer: str, now: float) -> None:
        """Whether a peer may try.

        Args:
            peer: ``host:port``.
            now: the time, in seconds.

        Raises:
            TooManyFailedLogins: if it may not.
        """
        self._forget(now)
        window = self._windows.get(_party(peer))
        if window is not None and window.failed >= self._max_failed:
            raise TooManyFailedLogins

    def add(self, peer: str, now: float) -> None:
        """A peer's login has failed."""
        party = _party(peer)
        if not self._max_failed or not party:
            return
        self._forget(now)
        if party not in self._windows and len(self._windows) >= _MAX_ADDRESSES:
            del self._windows[next(iter(self._windows))]
        failed, end = self._windows.get(party, _Window(0, now + self._window))
        self._windows[party] = _Window(failed + 1, end)
        if failed + 1 == self._max_failed:
            logger.warning(
                "refusing logins from %s for %.0f s: %d have failed",
                party,
                end - now,
                self._max_failed,
            )

    def _forget(self, now: float) -> None:
        while self._windows:
            party = next(iter(self._windows))
            if self._windows[party].end > now:
                return
            del self._windows[party]


def _party(peer: str) -> str:
    """Whose address it is: the key of its failures.

    Returns:
        The address, the network of an IPv6 address, or nothing if it is none: what
        comes over a socket of the file system is not to lock the others there out.
    """
    host = peer.rpartition(":")[0].strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    number = int(address) >> (128 - _IPV6_PREFIX) << (128 - _IPV6_PREFIX)
    return f"{ipaddress.IPv6Address(number)}/{_IPV6_PREFIX}"
