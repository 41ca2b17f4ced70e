"""The limit of failed logins."""

import logging

import pytest

from romp_asgi.auth import failures
from romp_asgi.auth.failures import FailedLogins, TooManyFailedLogins

PEER = "192.0.2.1:50000"


def is_refused(failed: FailedLogins, now: float, peer: str = PEER) -> bool:
    try:
        failed.check(peer, now)
    except TooManyFailedLogins:
        return True
    return False


def test_what_a_client_is_told() -> None:
    error = TooManyFailedLogins()
    assert (error.message, error.fatal) == ("auth err", True)
    assert error.detail == (
        "Too many logins from this address have failed; try again later."
    )


def test_the_window_begins_with_the_first_failure_and_is_not_drawn_out() -> None:
    failed = FailedLogins(3, 60.0)
    for now in (0.0, 1.0):
        failed.add(PEER, now)
        assert not is_refused(failed, now)
    failed.add(PEER, 50.0)
    assert is_refused(failed, 50.0)
    failed.add(PEER, 59.0)  # one that was being checked already
    assert is_refused(failed, 59.9)
    assert not is_refused(failed, 60.0)
    assert len(failed) == 0
    failed.add(PEER, 60.0)
    assert not is_refused(failed, 60.0)


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    failed = FailedLogins(2, 10.0)
    for now in range(0, 1000, 10):
        failed.add(PEER, now)
        assert not is_refused(failed, now)


def test_no_limit() -> None:
    failed = FailedLogins(0, 60.0)
    for _ in range(1000):
        failed.add(PEER, 0.0)
    assert not is_refused(failed, 0.0)
    assert len(failed) == 0


@pytest.mark.parametrize(
    ("failing", "other", "are_one"),
    [
        ("192.0.2.1:1", "192.0.2.1:65535", True),
        ("192.0.2.1:1", "192.0.2.2:1", False),
        ("192.0.2.1:1", "[::ffff:192.0.2.1]:1", True),
        ("[2001:db8::1]:1", "[2001:db8::ffff:ffff:ffff:ffff]:1", True),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", False),
        ("[fe80::1%eth0]:1", "[fe80::1]:1", True),
        ("[::1]:1", "127.0.0.1:1", False),
    ],
)
def test_whose_address_it_is(failing: str, other: str, are_one: bool) -> None:
    failed = FailedLogins(1, 60.0)
    failed.add(failing, 0.0)
    assert is_refused(failed, 0.0, failing)
    assert is_refused(failed, 0.0, other) is are_one


@pytest.mark.parametrize("peer", ["None", "", ":0", "testclient:50000", "/run/x"])
def test_what_has_no_address_is_not_limited(peer: str) -> None:
    failed = FailedLogins(1, 60.0)
    failed.add(peer, 0.0)
    assert len(failed) == 0
    assert not is_refused(failed, 0.0, peer)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_MAX_ADDRESSES", 100)
    failed = FailedLogins(1, 60.0)
    peers = [f"10.0.{n // 256}.{n % 256}:1" for n in range(1000)]
    for now, peer in enumerate(peers):
        failed.add(peer, now / 1000)
        failed.add(peer, now / 1000)
    assert len(failed) == 100
    # The oldest made room.
    assert [is_refused(failed, 1.0, peer) for peer in peers[-101:-99]] == [False, True]
    assert is_refused(failed, 1.0, peers[-1])


def test_old_addresses_are_forgotten_as_new_ones_come() -> None:
    failed = FailedLogins(1, 60.0)
    for now in range(1000):
        failed.add(f"10.0.{now // 256}.{now % 256}:1", now)
        assert len(failed) <= 60


def test_the_log_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    failed = FailedLogins(2, 60.0)
    for now in (0.0, 10.0, 11.0, 12.0):
        failed.add("[2001:db8::1]:7", now)
    assert caplog.record_tuples == [
        (
            "romp_asgi.auth.failures",
            logging.WARNING,
            "refusing logins from 2001:db8::/64 for 50 s: 2 have failed",
        )
    ]
