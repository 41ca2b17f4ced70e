"""What completes later."""

from romp_asgi.broker import Pending
from romp_asgi.broker.pending import all_of
from tests.broker.world import is_done


def test_callbacks_come_once_and_in_order() -> None:
    pending = Pending()
    calls: list[str] = []
    pending.then(lambda: calls.append("a"))
    pending.then(lambda: calls.append("b"))
    assert not is_done(pending)
    assert calls == []
    pending.resolve()
    assert is_done(pending)
    assert calls == ["a", "b"]
    pending.resolve()
    assert calls == ["a", "b"]


def test_what_is_done_calls_back_at_once() -> None:
    pending = Pending()
    pending.resolve()
    calls: list[str] = []
    pending.then(lambda: calls.append("a"))
    assert calls == ["a"]


def test_it_is_done_when_it_calls_back() -> None:
    pending = Pending()
    calls: list[bool] = []
    # One that asks for more, and one that asks again.
    pending.then(lambda: pending.then(lambda: calls.append(pending.done)))
    pending.then(pending.resolve)
    pending.resolve()
    assert calls == [True]


def test_nothing_to_wait_for_is_none() -> None:
    done = Pending()
    done.resolve()
    assert all_of([]) is None
    assert all_of([done]) is None


def test_one_to_wait_for_is_itself() -> None:
    done, waiting = Pending(), Pending()
    done.resolve()
    assert all_of([waiting]) is waiting
    assert all_of([done, waiting, waiting]) is waiting


def test_several_are_done_when_the_last_one_is() -> None:
    first, second = Pending(), Pending()
    whole = all_of([first, second, first])
    second.resolve()
    assert not is_done(whole)
    first.resolve()
    assert is_done(whole)
