"""Whether a login is good, and whose it is.

The order, where anything is configured at all:

1. At an admin listener that only this machine reaches every login is good.
2. With ``secret`` a token is the only way in, but for the admin listener.
3. The shared credential, whose user is an administrator.
4. The user file.

What is quick is done at once. Salted hashes are slow: they are computed in threads,
a few at a time.
"""

import hashlib
import hmac
import ipaddress
import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter, to_thread

from romp_asgi.auth import tokens
from romp_asgi.auth.failures import FailedLogins
from romp_asgi.auth.user import User
from romp_asgi.auth.users import Users
from romp_asgi.config import Config
from romp_asgi.errors import WrongLogin

logger = logging.getLogger(__name__)

#: How many salted hashes are computed at a time: each takes a core, of which the loop
#: needs one, and 19 MiB of memory, or whatever the file says.
_MAX_CHECKS: Final = max(1, min(4, (os.cpu_count() or 1) - 1))


class Authenticator:
    """Checks the logins of one server.

    Args:
        config: of the server.
        monotonic: the time, in seconds, for what was long ago.
        clock: the time, in seconds since the epoch, for what a token says.

    Raises:
        ConfigErrors: if the user file cannot be used.
    """

    def __init__(
        self,
        config: Config,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shared: tuple[bytes, bytes] | None = None
        if config.login is not None and config.passcode is not None:
            self._shared = _digest(config.login), _digest(config.passcode)
        self._users: Users | None = None
        if config.user_file is not None:
            self._users = Users.read(Path(config.user_file))
            logger.info("loaded %d users from %s", len(self._users), config.user_file)
        self._secret = config.secret
        self._timeout_ms = config.secret_timeout
        self._admin_is_local = _is_loopback(config.admin_address)
        self._failures = FailedLogins(
            config.max_failed_logins, config.failed_login_window
        )
        self._monotonic = monotonic
        self._clock = clock
        self._slots = CapacityLimiter(_MAX_CHECKS)

    def log_in(
        self,
        login: str | None,
        passcode: str | None,
        *,
        peer: str,
        is_admin: bool,
        is_gone: Callable[[], bool],
    ) -> User | Callable[[], Awaitable[User]]:
        """Check a login.

        Args:
            login: of CONNECT, if it has one.
            passcode: the same.
            peer: ``host:port`` of the client.
            is_admin: whether it came in at the admin listener.
            is_gone: whether nobody waits for the answer any more.

        Returns:
            Whose login it is; or, if it takes time to tell, what to call and await
            for that. Awaiting raises what this method does.

        Raises:
            WrongLogin: if it is nobody's, or not an administrator's where it must be.
            TooManyFailedLogins: if it was not looked at.
        """
        if is_admin and self._admin_is_local:
            return User(login or "", is_admin=True)
        if self._shared is None and self._users is None and self._secret is None:
            if is_admin:
                raise WrongLogin
            return User(login or "")
        with_token = self._secret is not None and not is_admin
        return self._look_up(login, passcode, peer, is_admin, is_gone, with_token)

    def identify(
        self,
        login: str | None,
        passcode: str | None,
        *,
        peer: str,
        is_gone: Callable[[], bool],
    ) -> User | Callable[[], Awaitable[User]]:
        """Whose login and passcode these are, wherever they come from.

        As `log_in`, but a login is always asked for, and a token is none.
        """
        return self._look_up(login, passcode, peer, False, is_gone, with_token=False)

    @property
    def has_admins(self) -> bool:
        """Whether anybody can be an administrator by a login."""
        return self._shared is not None or self._users is not None

    def _look_up(
        self,
        login: str | None,
        passcode: str | None,
        peer: str,
        is_admin: bool,
        is_gone: Callable[[], bool],
        with_token: bool,
    ) -> User | Callable[[], Awaitable[User]]:
        self._failures.check(peer, self._monotonic())
        if login is None or passcode is None:
            return self._decide(None, peer, is_admin)
        if with_token:
            return self._decide(self._token(login, passcode), peer, False)
        user = self._shared_user(login, passcode)
        users = self._users
        if user is None and users is not None:
            user = users.recall(login, passcode)
            if user is None and users.is_slow:
                return partial(
                    self._check, users, login, passcode, peer, is_admin, is_gone
                )
            user = user or users.check(login, passcode)
        return self._decide(user, peer, is_admin)

    async def _check(
        self,
        users: Users,
        login: str,
        passcode: str,
        peer: str,
        is_admin: bool,
        is_gone: Callable[[], bool],
    ) -> User:
        """Check a login of the user file in a thread, when it is its turn."""
        async with self._slots:
            # Much may have happened meanwhile.
            if is_gone():
                raise WrongLogin
            self._failures.check(peer, self._monotonic())
            user = users.recall(login, passcode)
            if user is None:
                # It is the slot that limits these, and not what limits all threads.
                user = await to_thread.run_sync(
                    users.check, login, passcode, limiter=CapacityLimiter(1)
                )
            if user is not None:
                users.remember(user, passcode)
            return self._decide(user, peer, is_admin)

    def _decide(self, user: User | None, peer: str, is_admin: bool) -> User:
        if user is None or (is_admin and not user.is_admin):
            self._failures.add(peer, self._monotonic())
            raise WrongLogin
        return user

    def _shared_user(self, login: str, passcode: str) -> User | None:
        if self._shared is None:
            return None
        # Both of them, always, and their digests, which are of one length.
        same_login = hmac.compare_digest(_digest(login), self._shared[0])
        same_passcode = hmac.compare_digest(_digest(passcode), self._shared[1])
        return User(login, is_admin=True) if same_login and same_passcode else None

    def _token(self, login: str, passcode: str) -> User | None:
        assert self._secret is not None
        name = tokens.user_of(
            login,
            passcode,
            secret=self._secret,
            timeout_ms=self._timeout_ms,
            now_ms=self._clock() * 1000,
        )
        # Never an administrator: who signs it may let its users choose their names.
        return None if name is None else User(name)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
