"""Queues that look at the time when they deliver: ``pedantic_expiry``."""

from mypy_extensions import mypyc_attr
from typing_extensions import override

from romp_asgi.broker.clock import STOPPED, Clock
from romp_asgi.broker.destination import Dropped
from romp_asgi.broker.lifetimes import is_late
from romp_asgi.broker.message import Memory, Message
from romp_asgi.broker.pending import Pending
from romp_asgi.broker.policy import Policy
from romp_asgi.broker.queue import Queue
from romp_asgi.broker.subscription import Subscription
from romp_asgi.stomp.spec import EXPIRES


@mypyc_attr(allow_interpreted_subclasses=True)
class PedanticQueue(Queue):
    """A queue that delivers nothing that is too old.

    What it finds so leaves it at once, and is told of at the next `expire`.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        memory: Memory,
        dropped: Dropped,
        *,
        is_dynamic: bool = False,
        clock: Clock = STOPPED,
    ) -> None:
        super().__init__(
            name, policy, memory, dropped, is_dynamic=is_dynamic, clock=clock
        )
        self._late: list[Message] = []

    @property
    @override
    def is_unused(self) -> bool:
        return super().is_unused and not self._late

    @override
    def accept(self, message: Message, *, force: bool = False) -> Pending | None:
        if EXPIRES in message.headers:
            self._note(message)
            if is_late(message, self._clock.now()):
                self._late.append(message)
                self.accepted += 1
                return None
        return super().accept(message, force=force)

    @override
    def expire(self, now: float) -> list[Message]:
        late, self._late = self._late, []
        return late + super().expire(now)

    @override
    def resume(self, subscription: Subscription) -> None:
        if not subscription.has_turn and subscription.has_credit:
            self._set_late_aside()
            super().resume(subscription)

    @override
    def _pump(self) -> None:
        self._set_late_aside()
        super()._pump()

    def _set_late_aside(self) -> None:
        # What comes later than this line is a matter of microseconds.
        self._late += self._take_out_late(self._clock.now())
