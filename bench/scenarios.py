"""What is measured: one row a scenario."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Scenario:
    """One publisher over TCP, and the subscribers it feeds.

    Attributes:
        name: What one asks for on the command line.
        kind: What the destination is.
        subscribers: Subscriptions, each on a connection of its own.
        receivers: Processes that share the subscribers.
        window: Messages the publisher may be ahead of the slowest subscriber, for every
            peer the same.
        body_size: Octets of a body.
        prefetch: The `prefetch-count` of a client-individual subscription; without it
            the subscription is `ack:auto`.
        varied: Each message has a header that no other has.
        websocket: The subscribers come through WebSocket.
    """

    name: str
    kind: Literal["queue", "topic"]
    subscribers: int
    window: int
    receivers: int = 1
    body_size: int = 100
    prefetch: int | None = None
    varied: bool = False
    websocket: bool = False

    @property
    def copies(self) -> int:
        """Deliveries that a message makes."""
        return self.subscribers if self.kind == "topic" else 1


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("queue-1-1", "queue", subscribers=1, window=2_000),
        # The row above, but a broker that remembers header blocks gains nothing here.
        Scenario("queue-1-1-varied", "queue", 1, window=2_000, varied=True),
        Scenario("topic-1-50", "topic", subscribers=50, window=2_000),
        Scenario("ack-100", "queue", subscribers=1, window=2_000, prefetch=100),
        Scenario("ack-1000", "queue", subscribers=1, window=2_000, prefetch=1000),
        Scenario("ws-topic-1-50", "topic", 50, window=2_000, websocket=True),
    )
}
