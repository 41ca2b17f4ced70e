"""What waits in a destination, in the order in which it came."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from romp_asgi.broker.message import Memory, Message, Run
from romp_asgi.broker.subscription import Delivery

if TYPE_CHECKING:
    from romp_asgi.broker.subscription import Subscription

#: What stands where a delivery was taken from the front, until the place is reused.
_TAKEN: Final = Delivery(Message("", {}, b""), 0)

#: Places that may stay free at the front of a short backlog.
_MAX_FREE: Final = 64

#: How many are given out in one go.
_MANY: Final = 256

#: Up to so many come back one by one; more are sorted in.
_FEW: Final = 64


@mypyc_attr(allow_interpreted_subclasses=True)
class Backlog:
    """Held messages that wait for a consumer, in the order of their numbers.

    What comes back takes its old place: in front of all that came after it.

    Args:
        memory: where what is held is counted.

    Attributes:
        octets: of all that waits.
    """

    __slots__ = ("_deliveries", "_first", "_memory", "octets")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        # Those before the first one have been taken.
        self._deliveries: list[Delivery] = []
        self._first = 0
        self.octets = 0

    def __len__(self) -> int:
        return len(self._deliveries) - self._first

    def append(self, delivery: Delivery) -> None:
        """Add what is newer than all the others."""
        self._deliveries.append(delivery)
        self.octets += delivery.size

    def append_run(self, run: Run) -> None:
        """Hold messages that are newer than all the others, and add them."""
        messages = run.messages
        # Only their bodies differ.
        others = messages[0].size - len(messages[0].body)
        deliveries = [Delivery(each, others + len(each.body)) for each in messages]
        size = sum([delivery.size for delivery in deliveries])
        self._deliveries += deliveries
        self.octets += size
        self._memory.used += size

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Add what has been here before."""
        returned = list(deliveries)
        self.octets += sum(delivery.size for delivery in returned)
        if len(returned) > _FEW:
            self._tidy()
            self._deliveries[:0] = returned
            self._deliveries.sort(key=_number)
            return
        for delivery in returned:
            waiting, first = self._deliveries, self._first
            number = delivery.message.number
            place = bisect_left(waiting, number, first, key=_number)
            if place == first > 0:
                self._first = first - 1
                waiting[first - 1] = delivery
            else:
                waiting.insert(place, delivery)

    def pop(self) -> Delivery:
        """Take the oldest."""
        waiting, first = self._deliveries, self._first
        delivery = waiting[first]
        waiting[first] = _TAKEN
        self._first = first = first + 1
        if first >= _MAX_FREE and 2 * first >= len(waiting):
            self._tidy()
        self.octets -= delivery.size
        return delivery

    def pop_wanted(self, subscription: Subscription) -> Delivery | None:
        """Take the oldest that a subscription wants, if there is one.

        What it was asked about once it is not asked about again: its cursor is behind
        it, and has to be set back for what comes back.
        """
        wants = subscription.wants
        if wants is None:
            return self.pop() if len(self) else None
        waiting = self._deliveries
        place = bisect_right(waiting, subscription.cursor, self._first, key=_number)
        for index in range(place, len(waiting)):
            delivery = waiting[index]
            if wants(delivery.message):
                subscription.cursor = delivery.message.number
                if index == self._first:
                    return self.pop()
                del waiting[index]
                self.octets -= delivery.size
                return delivery
        if waiting:
            subscription.cursor = max(subscription.cursor, waiting[-1].message.number)
        return None

    def oldest(self, count: int) -> list[Delivery]:
        """So many of the oldest or fewer, a good number at a time; they stay."""
        first = self._first
        return self._deliveries[first : first + min(count, _MANY)]

    def drop(self, count: int, *, is_done: bool) -> None:
        """Take so many of the oldest, and let go of them if they are done with."""
        waiting, first = self._deliveries, self._first
        end = first + count
        size = 0
        for delivery in waiting[first:end]:
            size += delivery.size
        self.octets -= size
        if is_done:
            self._memory.release(size)
        waiting[first:end] = [_TAKEN] * count
        self._first = end
        if end >= _MAX_FREE and 2 * end >= len(waiting):
            self._tidy()

    def peek(self) -> Message | None:
        """The oldest, which stays."""
        return self._deliveries[self._first].message if len(self) else None

    def messages(self) -> list[Message]:
        """All of them, oldest first."""
        return [delivery.message for delivery in self._deliveries[self._first :]]

    def clear(self) -> int:
        """Let go of all of them; return how many they were."""
        count = len(self)
        while len(self):
            self.let_go(self.pop())
        return count

    def take_out(self, messages: set[Message]) -> list[Delivery]:
        """Take some, wherever they are, oldest first. Looks through all."""
        self._tidy()
        taken = [d for d in self._deliveries if d.message in messages]
        self._deliveries = [d for d in self._deliveries if d.message not in messages]
        self.octets -= sum(delivery.size for delivery in taken)
        return taken

    def hold(self, message: Message) -> Delivery:
        """Count a message as held, wherever it is, until it is let go."""
        delivery = Delivery(message, message.size)
        self._memory.used += delivery.size
        return delivery

    def let_go(self, delivery: Delivery) -> None:
        """The message is done with."""
        self._memory.release(delivery.size)

    def _tidy(self) -> None:
        """Give up the free places."""
        del self._deliveries[: self._first]
        self._first = 0


def _number(delivery: Delivery) -> int:
    return delivery.message.number
