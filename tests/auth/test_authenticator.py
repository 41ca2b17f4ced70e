"""Who may come in, by what, and in which order."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from romp_asgi.auth import Authenticator, TooManyFailedLogins, User
from romp_asgi.auth.tokens import sign
from romp_asgi.auth.users import Users
from romp_asgi.config import Config
from romp_asgi.errors import ConfigErrors, WrongLogin
from tests.auth.gate import Gate

pytestmark = pytest.mark.anyio

CONFIGS = Path(__file__).parents[1] / "configs"
SECRET = "XIxoIl6ngolYKQOrXpunRLCMWxR6O0lDI+HycNN4Ffo="
NOW = 1_800_000_000
PEER = "192.0.2.1:50000"

SHARED = {"login": "boss", "passcode": "hush"}
FILE = {"user_file": str(CONFIGS / "romp.passwd")}
SLOW_FILE = {"user_file": str(CONFIGS / "mixed.passwd")}
TOKENS = {"secret": SECRET}
ELSEWHERE = {"admin_bind_address": "192.0.2.9"}

BOSS = User("boss", is_admin=True)
LOGIN = f"harry {NOW} rand"
TOKEN = LOGIN, sign(LOGIN, SECRET)

Credentials = tuple[str | None, str | None]


class Door:
    """An authenticator, and the time."""

    def __init__(self, **keys: Any) -> None:
        self.now = 100.0
        self.authenticator = Authenticator(
            Config.from_dict(keys), monotonic=lambda: self.now, clock=lambda: NOW
        )

    async def __call__(
        self,
        credentials: Credentials,
        *,
        peer: str = PEER,
        is_admin: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> User:
        user = self.begin(credentials, peer=peer, is_admin=is_admin, is_gone=is_gone)
        return user if isinstance(user, User) else await user()

    def begin(
        self,
        credentials: Credentials,
        *,
        peer: str = PEER,
        is_admin: bool = False,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Any:
        return self.authenticator.log_in(
            *credentials, peer=peer, is_admin=is_admin, is_gone=is_gone
        )


#: What is configured, what a client says, and who that is.
AT_OTHER_LISTENERS: list[tuple[dict[str, str], Credentials, User | None]] = [
    # Nothing
    ({}, (None, None), User("")),
    ({}, ("anyone", "anything"), User("anyone")),
    ({"login": "boss"}, ("boss", None), User("boss")),
    # The shared credential
    (SHARED, ("boss", "hush"), BOSS),
    (SHARED, ("boss", "wrong"), None),
    (SHARED, ("boss", ""), None),
    (SHARED, ("Boss", "hush"), None),
    (SHARED, ("boss ", "hush"), None),
    (SHARED, ("", "hush"), None),
    (SHARED, ("boss", None), None),
    (SHARED, (None, "hush"), None),
    (SHARED, (None, None), None),
    ({"login": "größe", "passcode": "grün"}, ("größe", "grün"), User("größe", True)),
    # The user file
    (FILE, ("xtomp", "passcode"), User("xtomp")),
    (FILE, ("harry", "xyzzy"), User("harry", is_admin=True)),
    (FILE, ("harry", "wrong"), None),
    (FILE, ("nobody", "xyzzy"), None),
    (FILE, ("guest", ""), User("guest")),
    (FILE, ("guest", None), None),
    (FILE, (None, None), None),
    (SLOW_FILE, ("harry", "xyzzy"), User("harry")),
    (SLOW_FILE, ("the boss", "plugh"), User("the boss", is_admin=True)),
    (SLOW_FILE, ("romp", "passcode"), User("romp")),
    (SLOW_FILE, ("romp", "wrong"), None),
    (SLOW_FILE, ("nobody", "wrong"), None),
    (SLOW_FILE, (None, "wrong"), None),
    # The one, then the other
    ({**SHARED, **FILE}, ("boss", "hush"), BOSS),
    ({**SHARED, **FILE}, ("harry", "xyzzy"), User("harry", is_admin=True)),
    ({**SHARED, **FILE}, ("boss", "xyzzy"), None),
    ({**SHARED, **SLOW_FILE}, ("boss", "hush"), BOSS),
    ({**SHARED, **SLOW_FILE}, ("harry", "xyzzy"), User("harry")),
    (
        {"login": "xtomp", "passcode": "other", **FILE},
        ("xtomp", "other"),
        User("xtomp", is_admin=True),
    ),
    (
        {"login": "xtomp", "passcode": "other", **FILE},
        ("xtomp", "passcode"),
        User("xtomp"),
    ),
    # Tokens
    (TOKENS, TOKEN, User("harry")),
    (TOKENS, (LOGIN, "wrong"), None),
    (TOKENS, ("harry 1 rand", sign("harry 1 rand", SECRET)), None),
    (TOKENS, (LOGIN, None), None),
    (TOKENS, (None, None), None),
    (
        {**TOKENS, "secret_timeout": "0"},
        (f"harry {NOW} x", sign(f"harry {NOW} x", SECRET)),
        None,
    ),
    # … are the only way in, and no way to an administrator's rights
    ({**TOKENS, **SHARED, **FILE}, ("boss", "hush"), None),
    ({**TOKENS, **SHARED, **FILE}, ("xtomp", "passcode"), None),
    ({**TOKENS, **SHARED, **SLOW_FILE}, ("romp", "passcode"), None),
    ({**TOKENS, **SHARED, **FILE}, TOKEN, User("harry")),
]

AT_THE_ADMIN_LISTENER: list[tuple[dict[str, str], Credentials, User | None]] = [
    # Nobody else gets there
    ({}, (None, None), User("", is_admin=True)),
    (SHARED, (None, None), User("", is_admin=True)),
    (SHARED, ("boss", "wrong"), User("boss", is_admin=True)),
    ({**FILE, "admin_bind_address": "localhost"}, ("a", "b"), User("a", is_admin=True)),
    ({**TOKENS, "admin_bind_address": "::1"}, ("a", "b"), User("a", is_admin=True)),
    # Others do
    (ELSEWHERE, (None, None), None),
    (ELSEWHERE, ("a", "b"), None),
    ({**ELSEWHERE, **SHARED}, ("boss", "hush"), BOSS),
    ({**ELSEWHERE, **SHARED}, ("boss", "wrong"), None),
    ({**ELSEWHERE, **FILE}, ("harry", "xyzzy"), User("harry", is_admin=True)),
    ({**ELSEWHERE, **FILE}, ("xtomp", "passcode"), None),
    ({**ELSEWHERE, **SLOW_FILE}, ("the boss", "plugh"), User("the boss", True)),
    ({**ELSEWHERE, **SLOW_FILE}, ("harry", "xyzzy"), None),
    ({**ELSEWHERE, **TOKENS}, TOKEN, None),
    ({**ELSEWHERE, **TOKENS, **SHARED}, ("boss", "hush"), BOSS),
    ({**ELSEWHERE, **TOKENS, **FILE}, ("harry", "xyzzy"), User("harry", True)),
    ({"admin_bind_address": "admin.example.com"}, (None, None), None),
]


@pytest.mark.parametrize(
    ("is_admin", "keys", "credentials", "user"),
    [
        *((False, *row) for row in AT_OTHER_LISTENERS),
        *((True, *row) for row in AT_THE_ADMIN_LISTENER),
    ],
)
async def test_log_in(
    is_admin: bool, keys: dict[str, Any], credentials: Credentials, user: User | None
) -> None:
    if "secret_timeout" in keys:
        keys = {**keys, "secret_timeout": int(keys["secret_timeout"])}
    door = Door(**keys)
    for _ in range(2):  # what was good is good again, and the other way round
        try:
            found = await door(credentials, is_admin=is_admin)
        except WrongLogin:
            found = None
        assert found == user


async def test_what_is_quick_is_told_at_once() -> None:
    door = Door(**SHARED, **FILE)
    assert door.begin(("boss", "hush")) == BOSS
    assert door.begin(("xtomp", "passcode")) == User("xtomp")
    with pytest.raises(WrongLogin):
        door.begin(("nobody", "hush"))
    slow = Door(**SHARED, **SLOW_FILE)
    assert slow.begin(("boss", "hush")) == BOSS
    assert callable(slow.begin(("harry", "xyzzy")))
    await slow(("harry", "xyzzy"))
    assert slow.begin(("harry", "xyzzy")) == User("harry")


async def test_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    door = Door(**FILE)
    await door(("xtomp", "passcode"))
    with pytest.raises(WrongLogin):
        await door(("xtomp", "wrong"))
    assert [message for *_, message in caplog.record_tuples] == [
        f"loaded 4 users from {FILE['user_file']}"
    ]


def test_a_user_file_that_is_not_good() -> None:
    with pytest.raises(ConfigErrors, match=r"mistakes\.passwd: line 5: "):
        Door(user_file=str(CONFIGS / "mistakes.passwd"))


# Too many failures


@pytest.mark.parametrize("file", [FILE, SLOW_FILE])
async def test_too_many_failures_refuse_even_the_right_login(
    monkeypatch: pytest.MonkeyPatch, file: dict[str, Any]
) -> None:
    door = Door(**file, max_failed_logins=3, failed_login_window=60.0)
    right = "romp" if file is SLOW_FILE else "xtomp", "passcode"
    for _ in range(3):
        with pytest.raises(WrongLogin):
            await door((right[0], "wrong"))
    with monkeypatch.context() as patch:
        patch.delattr(Users, "check")  # "without checking"
        patch.delattr(Users, "recall")
        with pytest.raises(TooManyFailedLogins):
            door.begin(right)
    assert await door(right, peer="192.0.2.2:50000") == User(right[0])
    assert await door((None, None), is_admin=True) == User("", is_admin=True)
    door.now += 60
    assert await door(right) == User(right[0])


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        (SHARED, ("boss", "wrong")),
        (SHARED, (None, None)),
        (TOKENS, ("boss", "wrong")),
        ({**FILE, **ELSEWHERE}, ("xtomp", "passcode")),
    ],
)
async def test_whatever_is_refused_counts(
    keys: dict[str, Any], wrong: Credentials
) -> None:
    door = Door(**keys, max_failed_logins=1)
    is_admin = "admin_bind_address" in keys
    with pytest.raises(WrongLogin):
        await door(wrong, is_admin=is_admin)
    with pytest.raises(TooManyFailedLogins):
        await door(wrong, is_admin=is_admin)


async def test_good_logins_are_neither_counted_nor_do_they_wipe_out() -> None:
    door = Door(**SHARED, max_failed_logins=2)
    for _ in range(2):
        await door(("boss", "hush"))
        await door(("boss", "hush"))
        with pytest.raises(WrongLogin):
            await door(("boss", "wrong"))
    with pytest.raises(TooManyFailedLogins):
        await door(("boss", "hush"))


# In threads


async def test_checks_run_in_threads_a_few_at_a_time(gate: Gate) -> None:
    door = Door(**SLOW_FILE, max_failed_logins=0)
    tasks = [
        asyncio.create_task(door(("harry", f"wrong {n}")), name=str(n))
        for n in range(10)
    ]
    await gate.until_running(2)
    await asyncio.sleep(0.01)  # the loop runs on meanwhile
    gate.is_open.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [WrongLogin] * 10
    assert (gate.count, gate.most) == (10, 2)


async def test_of_many_logins_of_one_user_few_are_computed(gate: Gate) -> None:
    door = Door(**SLOW_FILE)
    tasks = [asyncio.create_task(door(("harry", "xyzzy"))) for _ in range(50)]
    await gate.until_running(2)
    gate.is_open.set()
    assert await asyncio.gather(*tasks) == [User("harry")] * 50
    assert gate.count == 2


async def test_guesses_that_come_all_at_once_are_limited_too(gate: Gate) -> None:
    door = Door(**SLOW_FILE, max_failed_logins=3)
    tasks = [asyncio.create_task(door(("harry", f"{n}"))) for n in range(50)]
    await gate.until_running(2)
    gate.is_open.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    # One more than the limit may be on its way when it is reached.
    assert kinds.count(WrongLogin) == gate.count <= 4
    assert kinds.count(TooManyFailedLogins) == 50 - gate.count


async def test_a_client_that_has_left_is_not_computed_for(gate: Gate) -> None:
    door = Door(**SLOW_FILE, max_failed_logins=3)
    is_gone = False
    running = [asyncio.create_task(door(("harry", f"{n}"))) for n in range(2)]
    await gate.until_running(2)
    waiting = [
        asyncio.create_task(door(("harry", "x"), is_gone=lambda: is_gone))
        for _ in range(10)
    ]
    await asyncio.sleep(0)
    is_gone = True
    gate.is_open.set()
    await asyncio.gather(*running, *waiting, return_exceptions=True)
    assert gate.count == 2
    # Nor is it counted as a failure.
    assert await door(("harry", "xyzzy")) == User("harry")


async def test_a_check_that_fails_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(users: Users, name: str, passcode: str) -> User | None:
        raise MemoryError

    door = Door(**SLOW_FILE)
    with monkeypatch.context() as patch:
        patch.setattr(Users, "check", fail)
        with pytest.raises(MemoryError):
            await door(("harry", "xyzzy"))
    assert await door(("harry", "xyzzy")) == User("harry")


def test_one_authenticator_outlives_a_loop(gate: Gate) -> None:
    gate.is_open.set()
    door = Door(**SLOW_FILE, max_failed_logins=0)

    async def storm() -> None:
        logins = (door(("harry", f"{n}")) for n in range(5))
        outcomes = await asyncio.gather(*logins, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {WrongLogin}

    for _ in range(2):
        asyncio.run(storm())
