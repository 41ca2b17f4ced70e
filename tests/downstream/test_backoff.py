"""How long a link waits."""

from romp_asgi.downstream import Backoff


def test_the_limit_doubles_and_ends() -> None:
    backoff = Backoff(1, 6, chance=lambda: 1.0)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 6, 6]
    backoff.reset()
    assert backoff.next() == 1
    backoff.slow()
    assert backoff.next() == 6


def test_any_wait_up_to_the_limit_is_as_likely() -> None:
    backoff = Backoff(1, 60, chance=lambda: 0.25)
    assert [backoff.next() for _ in range(3)] == [0.25, 0.5, 1.0]
    waits = [Backoff(1, 60).next() for _ in range(50)]
    assert len(set(waits)) > 1
    assert 0 <= min(waits) <= max(waits) <= 1
