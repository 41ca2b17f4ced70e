"""Hashes of passcodes, of both kinds."""

import hashlib

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from romp_asgi.auth.hashes import (
    hash_passcode,
    is_hash,
    is_salted,
    random_hash,
    verify,
)

#: As cheap as they come.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SALTED = CHEAP.hash("xyzzy")
#: Of "passcode", by `echo passcode | sha256sum`.
SHA256 = "fdb8bd4bea8dc0399a2295450be8da20e1a8a91330626729dbf83ac9e1280223"
SALT = "c29tZXNhbHQ"  # somesalt


@pytest.mark.parametrize(
    ("hash", "passcode", "is_good"),
    [
        (SHA256, "passcode", True),
        (SHA256.upper(), "passcode", True),
        (SHA256, "passcode\n", False),
        (SHA256, "Passcode", False),
        (SHA256, "", False),
        (hashlib.sha256(b"\n").hexdigest(), "", True),
        (hashlib.sha256("grün\n".encode()).hexdigest(), "grün", True),
        (SALTED, "xyzzy", True),
        (SALTED, "xyzzy\n", False),
        (SALTED, "", False),
        (CHEAP.hash("p" * 10_000), "p" * 10_000, True),
        (CHEAP.hash("p" * 100), "p" * 99, False),
        (CHEAP.hash("a\0b"), "a\0c", False),
        (CHEAP.hash("grün"), "grün", True),
    ],
)
def test_verify(hash: str, passcode: str, is_good: bool) -> None:
    assert is_hash(hash)
    assert verify(hash, passcode) is is_good


def test_argon2_of_other_tools_is_verified() -> None:
    # From the tests of the reference implementation, phc-winner-argon2.
    hash = (
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ"
        "$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
    )
    assert is_hash(hash)
    assert verify(hash, "password")
    assert not verify(hash, "passwort")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hush",
        SHA256[1:],
        SHA256 + "0",
        SHA256 + "\n",
        "g" + SHA256[1:],
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$argon2",
        f"$argon2x$v=19$m=8,t=1,p=1${SALT}${SALT}",
        f"$argon2id$v=18$m=8,t=1,p=1${SALT}${SALT}",
        f"$argon2id$m=8,t=1,p=1${SALT}${SALT}",
        f"$argon2id$v=19$m=7,t=1,p=1${SALT}${SALT}",
        f"$argon2id$v=19$m=8,t=1,p=2${SALT}${SALT}",
        f"$argon2id$v=19$m=8,t=0,p=1${SALT}${SALT}",
        f"$argon2id$v=19$m=8,t=1,p=0${SALT}${SALT}",
        f"$argon2id$v=19$m=99999999999,t=1,p=1${SALT}${SALT}",
        f"$argon2id$v=19$m=8,t=1,p=1$c2FsdA${SALT}",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}$YWJj",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}$!!!!!!!!",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}$YWJjZGVmZ",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}$YWJjZGVmZx",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}${SALT}=",
        f"$argon2id$v=19$m=8,t=1,p=1${SALT}",
        SALTED + "$",
        SALTED + "\n",
    ],
)
def test_what_is_no_hash(text: str) -> None:
    assert not is_hash(text)


def test_every_argon2_hash_that_is_taken_can_be_verified() -> None:
    for part in (SALT, "YWJjZGVmZw"):
        hash = f"$argon2id$v=19$m=8,t=1,p=1${SALT}${part}"
        assert is_hash(hash)
        assert not verify(hash, "xyzzy")


def test_a_failure_to_compute_is_not_a_wrong_passcode() -> None:
    with pytest.raises(VerificationError):
        verify("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$YWJj", "xyzzy")


def test_a_new_hash_is_salted_and_costs_what_owasp_says() -> None:
    first, second = hash_passcode("xyzzy"), hash_passcode("xyzzy")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert ":" not in first
    assert is_hash(first)
    assert is_salted(first)
    assert not is_salted(SHA256)
    assert verify(first, "xyzzy")
    assert not verify(second, "plugh")


@pytest.mark.parametrize("like", [SALTED, None])
def test_a_random_hash_is_nobodys_and_costs_the_same(like: str | None) -> None:
    hash = random_hash(like)
    assert is_hash(hash)
    assert hash != random_hash(like)
    assert not verify(hash, "")
    if like is not None:
        assert hash.split("$")[:4] == like.split("$")[:4]
        assert [len(part) for part in hash.split("$")] == [
            len(part) for part in like.split("$")
        ]
