"""What a destination is and how it behaves: its part of the config."""

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a destination does with a message."""

    #: Every subscription gets it; nothing is stored.
    TOPIC = "topic"
    #: One subscription gets it; it is kept until then.
    QUEUE = "queue"
    #: Every subscription gets it; it is kept until it was delivered often enough.
    COUNTED = "counted"


class Overflow(StrEnum):
    """What a full queue does with one more message."""

    REJECT = "reject"
    DROP_OLDEST = "drop-oldest"
    BLOCK = "block"


class SlowConsumerPolicy(StrEnum):
    """What a topic does when a subscriber does not keep up."""

    DISCONNECT = "disconnect"
    DROP = "drop"
    BLOCK = "block"


class State(StrEnum):
    """Whether a destination takes messages and subscriptions."""

    OPEN = "open"
    #: No messages from anybody; consumers empty it.
    DRAINING = "draining"
    #: No messages and no subscriptions.
    SHUT_DOWN = "shut down"


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of one destination, under the names of the config keys.

    ``expiry`` is in milliseconds, 0 for never; ``max_message_size`` in octets, None
    for no limit of its own; ``min_delivery`` is of counted destinations.

    Attributes:
        state: whether it is open; not of the config, but an administrator's.
        has_send_rules: whether there is anything to do at SEND but to accept it.
        allows_runs: whether SENDs in a row need not be looked at one by one.
    """

    kind: Kind = Kind.TOPIC
    name: str = ""
    max_connections: int = 1_000_000
    max_messages: int = 100
    max_message_size: int | None = None
    expiry: int = 120_000
    pedantic_expiry: bool = False
    filter: bool = True
    auto_ack: bool = False
    filter_self: bool = False
    sub_by_user: bool = False
    min_delivery: int = 1
    overflow: Overflow = Overflow.REJECT
    slow_consumer: SlowConsumerPolicy = SlowConsumerPolicy.DISCONNECT
    max_deliveries: int = 10
    dead_letter: str | None = None
    write_block: bool = False
    read_block: bool = False
    web_write_block: bool = False
    web_read_block: bool = False
    stats: bool = False
    state: State = State.OPEN
    has_send_rules: bool = field(init=False)
    allows_runs: bool = field(init=False)

    def __post_init__(self) -> None:
        rules = (
            self.write_block
            or self.web_write_block
            or self.filter_self
            or self.sub_by_user
            or self.state is not State.OPEN
        )
        object.__setattr__(self, "has_send_rules", rules)
        looks = rules or self.max_message_size is not None or self.pedantic_expiry
        object.__setattr__(self, "allows_runs", not looks)
