"""A subscription, and the deliveries made to it.

Source: STOMP 1.2 § SUBSCRIBE ack Header, § ACK, § NACK.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from romp_asgi.broker.message import Message, Run
from romp_asgi.errors import PeerError
from romp_asgi.stomp.spec import AckMode

if TYPE_CHECKING:
    from romp_asgi.broker.backlog import Backlog
    from romp_asgi.broker.client import Client
    from romp_asgi.broker.destination import Destination


#: The ``unacked`` of all that acknowledge nothing: one object, however many there are.
_NOTHING: Final[dict[int, Delivery]] = {}


class Receiver(Protocol):
    """Where the messages of a subscription go.

    Calls nothing of the broker and raises nothing: it is in the middle of a change.
    """

    def deliver(self, message: Message, tag: int, redelivered: bool) -> bool:
        """Take a message.

        Args:
            message: the message.
            tag: what an acknowledgement names it by; 0 if none is awaited.
            redelivered: whether it was given out before.

        Returns:
            Whether there is room for more; if not, `Broker.resume` tells when.
        """
        ...

    def deliver_only(self, message: Message) -> bool:
        """Take a message that nobody else gets, and nobody got before.

        No acknowledgement is awaited.

        Returns:
            As ``deliver``.
        """
        ...

    def deliver_run(self, run: Run) -> bool:
        """Take messages of which none awaits an acknowledgement.

        Returns:
            As ``deliver``.
        """
        ...

    def overrun(self) -> bool:
        """Whether so much is waiting that a topic must not wait longer."""
        ...

    def cut_off(self, error: PeerError) -> None:
        """End the client, soon, telling it why."""
        ...


class Delivery:
    """A message that a destination holds, and to whom it was given.

    Args:
        message: the message.
        size: octets it takes while it is held.

    Attributes:
        count: how often it was given out.
        tag: its number among the deliveries of the client that has it now.
        subscription: the one that has it now.
    """

    __slots__ = ("count", "message", "size", "subscription", "tag")

    def __init__(self, message: Message, size: int) -> None:
        self.message = message
        self.size = size
        self.count = 0
        self.tag = 0
        self.subscription: Subscription | None = None


class Subscription:
    """One SUBSCRIBE of one client.

    Args:
        client: whose it is.
        id: unique among the client's.
        destination: what it subscribes to.
        receiver: where its messages go.
        ack: whether and how messages are acknowledged.
        prefetch: how many may wait for an acknowledgement at a time.
        wants: whether it is to get a message; None for every message.

    Attributes:
        acknowledges: whether messages are acknowledged: ``ack`` is not "auto".
        unacked: what it was given and has not acknowledged, oldest first, by tag.
        ready: whether its receiver had room when it was last given something.
        has_turn: whether it is among the consumers of a queue that take turns.
        backlog: what waits for its credit, where the destination keeps that for
            each subscription.
        cursor: the number of the last message that it was offered or asked about,
            where the destination does so once for each.
    """

    __slots__ = (
        "_tags",
        "ack",
        "acknowledges",
        "backlog",
        "client",
        "cursor",
        "destination",
        "has_turn",
        "id",
        "prefetch",
        "ready",
        "receiver",
        "unacked",
        "wants",
    )

    def __init__(
        self,
        client: Client,
        id: str,
        destination: Destination,
        receiver: Receiver,
        ack: AckMode,
        prefetch: int,
        wants: Callable[[Message], bool] | None = None,
    ) -> None:
        self.client = client
        self.id = id
        self.destination = destination
        self.receiver = receiver
        self.ack = ack
        self.acknowledges = ack is not AckMode.AUTO
        self.prefetch = prefetch
        self.ready = True
        self.has_turn = False
        self.unacked = {} if self.acknowledges else _NOTHING
        # "client": the keys of unacked once more, because the oldest key of a dict is
        # found the slower the more of them were removed before it.
        self._tags: deque[int] | None = deque() if ack is AckMode.CLIENT else None
        self.backlog: Backlog | None = None
        self.cursor = 0
        self.wants = wants

    @property
    def credit(self) -> int:
        """How many messages it can be given, as long as its receiver has room."""
        return self.prefetch - len(self.unacked)

    @property
    def has_credit(self) -> bool:
        """Whether it can be given a message now."""
        return self.ready and len(self.unacked) < self.prefetch

    def give(self, delivery: Delivery) -> bool:
        """Hand a message over; return whether it can be given one more."""
        redelivered = delivery.count > 0
        delivery.count += 1
        if not self.acknowledges:
            self.ready = self.receiver.deliver(delivery.message, 0, redelivered)
            return self.ready
        client = self.client
        tag = client.last_tag = client.last_tag + 1
        delivery.tag = tag
        delivery.subscription = self
        self.unacked[tag] = client.unacked[tag] = delivery
        if self._tags is not None:
            self._tags.append(tag)
        self.ready = self.receiver.deliver(delivery.message, tag, redelivered)
        return self.ready and len(self.unacked) < self.prefetch

    def give_all(self, deliveries: list[Delivery]) -> tuple[int, bool]:
        """Hand messages over, no more than its credit.

        Returns:
            How many the receiver had room for, and whether it can be given more.
        """
        if not self.acknowledges:
            count = 0
            for delivery in deliveries:
                count += 1
                if not self.give(delivery):
                    break
            return count, self.ready
        client, tags = self.client, self._tags
        unacked, of_client = self.unacked, client.unacked
        deliver = self.receiver.deliver
        first = tag = client.last_tag
        for delivery in deliveries:
            tag += 1
            client.last_tag = delivery.tag = tag
            delivery.subscription = self
            delivery.count = count = delivery.count + 1
            unacked[tag] = of_client[tag] = delivery
            if tags is not None:
                tags.append(tag)
            if not deliver(delivery.message, tag, count > 1):
                self.ready = False
                break
        return tag - first, self.has_credit

    def take(self, tag: int, deliveries: list[Delivery]) -> None:
        """Add what an acknowledgement covers, which waits for none any more.

        "client": the one named and all before it. "client-individual": only that.
        """
        unacked, of_client, tags = self.unacked, self.client.unacked, self._tags
        if tags is None:
            del of_client[tag]
            deliveries.append(unacked.pop(tag))
            return
        while tags and tags[0] <= tag:
            oldest = tags.popleft()
            del of_client[oldest]
            deliveries.append(unacked.pop(oldest))

    def take_all(self) -> list[Delivery]:
        """All deliveries that are not acknowledged, oldest first."""
        for tag in self.unacked:
            del self.client.unacked[tag]
        deliveries = list(self.unacked.values())
        self.unacked.clear()
        if self._tags is not None:
            self._tags.clear()
        return deliveries


def but_own(
    client: Client, wants: Callable[[Message], bool] | None
) -> Callable[[Message], bool]:
    """What a subscription wants that is not to get its own client's messages.

    Args:
        client: whose it is.
        wants: what it wants beside that.
    """

    def wants_others(message: Message) -> bool:
        # A dead letter has no sender.
        is_own = getattr(message, "sender", None) is client
        return not is_own and (wants is None or wants(message))

    return wants_others
