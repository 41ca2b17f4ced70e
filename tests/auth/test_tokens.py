"""SHA tokens."""

import pytest

from romp_asgi.auth.tokens import MAX_SKEW_MS, sign, user_of

SECRET = "XIxoIl6ngolYKQOrXpunRLCMWxR6O0lDI+HycNN4Ffo="
LOGIN, PASSCODE = "harry 0 rand", "9hdbYaisq45xkYhCJQCubqzxBZU="


def user(login: str, now_ms: float, passcode: str | None = None) -> str | None:
    if passcode is None:
        passcode = sign(login, SECRET)
    return user_of(login, passcode, secret=SECRET, timeout_ms=60_000, now_ms=now_ms)


def test_vector_of_romp() -> None:
    assert sign(LOGIN, SECRET) == PASSCODE
    assert user(LOGIN, 0, PASSCODE) == "harry"
    assert user(LOGIN, 60_001, PASSCODE) is None


@pytest.mark.parametrize(
    ("begins", "now_ms", "is_good"),
    [
        (1_800_000_000, 1_800_000_000_000, True),
        (1_800_000_000, 1_800_000_059_999, True),
        (1_800_000_000, 1_800_000_059_999.9, True),
        (1_800_000_000, 1_800_000_060_000, False),
        (1_800_000_000, 1_800_000_000_000 - MAX_SKEW_MS, True),
        (1_800_000_000, 1_800_000_000_000 - MAX_SKEW_MS - 1, False),
        (999_999_999_999_999, 1_800_000_000_000, False),
        (0, 1_800_000_000_000, False),
    ],
)
def test_window(begins: int, now_ms: float, is_good: bool) -> None:
    assert user(f"harry {begins} x", now_ms) == ("harry" if is_good else None)


@pytest.mark.parametrize(
    "passcode",
    [
        "",
        PASSCODE[:-1],
        PASSCODE.lower(),
        f"{PASSCODE} ",
        "grün",
        SECRET,
        sign(LOGIN, ""),
        sign("harry 0 ran", SECRET),
        sign("harry", SECRET),
    ],
)
def test_passcode_that_is_not_the_tokens(passcode: str) -> None:
    assert user(LOGIN, 0, passcode) is None


@pytest.mark.parametrize(
    ("login", "name"),
    [
        ("harry 0 ", "harry"),
        ("the boss 0 x", "the boss"),
        ("größe 000 x", "größe"),
        ("", None),
        ("harry", None),
        ("harry 0", None),
        (" 0 x", None),
        ("harry  0 x", None),
        (" harry 0 x", None),
        ("har:ry 0 x", None),
        ("harry -0 x", None),
        ("harry +0 x", None),
        ("harry 0.0 x", None),
        ("harry 0x0 x", None),
        ("harry \u0660 x", None),
        ("harry \u00b2 x", None),
        ("harry 0000000000000000 x", None),
        (f"harry {'9' * 100_000} x", None),
    ],
)
def test_form(login: str, name: str | None) -> None:
    assert user(login, 0) == name
