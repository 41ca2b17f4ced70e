"""Checks of logins that take as long as a test wants."""

import asyncio
import threading

import pytest

from romp_asgi.auth import User, authenticator
from romp_asgi.auth.users import Users


class Gate:
    """Holds checks back, two at a time, and counts them.

    Attributes:
        is_open: set it to let them go on.
        running: how many are held back.
        most: how many there were at a time.
        count: how many there were.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = threading.Event()
        self.running = 0
        self.most = 0
        self.count = 0
        self._lock = threading.Lock()
        self._check = Users.check
        monkeypatch.setattr(authenticator, "_MAX_CHECKS", 2)
        monkeypatch.setattr(Users, "check", lambda *call: self._wait(*call))

    async def until_running(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.running < count:
                await asyncio.sleep(0.001)

    def _wait(self, users: Users, name: str, passcode: str) -> User | None:
        assert threading.current_thread() is not threading.main_thread()
        with self._lock:
            self.count += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.is_open.wait(5)
        with self._lock:
            self.running -= 1
        return self._check(users, name, passcode)
