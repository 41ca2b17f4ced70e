"""What completes later, without a loop."""

from collections.abc import Callable

from romp_asgi.errors import PeerError


class Pending:
    """The promise that something will be done.

    A producer that gets one sends nothing more until it is resolved.

    Attributes:
        done: whether there is nothing to wait for any more.
        error: why it could not be done; None as long as, or if, it could.
    """

    __slots__ = ("_callbacks", "done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: PeerError | None = None
        self._callbacks: list[Callable[[], None]] = []

    def then(self, callback: Callable[[], None]) -> None:
        """Call back once it is done; at once if it is.

        The callback must not call the broker: it schedules what comes next.
        """
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def resolve(self, error: PeerError | None = None) -> None:
        """It is done, or cannot be. Doing so again does nothing."""
        if not self.done:
            self.done, self.error = True, error
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


def all_of(pendings: list[Pending]) -> Pending | None:
    """One promise for several, with the first error of theirs; None for none."""
    waiting = [pending for pending in dict.fromkeys(pendings) if not pending.done]
    if len(waiting) < 2:
        return waiting[0] if waiting else None
    whole = Pending()
    left = len(waiting)

    def one_is_done() -> None:
        nonlocal left
        left -= 1
        if not left:
            errors = (pending.error for pending in waiting)
            whole.resolve(next(filter(None, errors), None))

    for pending in waiting:
        pending.then(one_is_done)
    return whole
