"""``[destinations.<key>]``: what a destination is and how it behaves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from romp_asgi.config.table import NamedTable
from romp_asgi.config.values import (
    Count,
    CountOrZero,
    Expected,
    Flag,
    Milliseconds,
    OctetsOrZero,
    Text,
)


class DestinationConfig(NamedTable):
    """One destination, or what a pattern gives to the names that match it.

    What each key means, with its unit, is written in etc/romp.toml.
    """

    type: (
        Annotated[Literal["topic", "queue"], Expected('"topic" or "queue"')] | None
    ) = None
    max_connections: Count = 1_000_000
    max_messages: Count = 100
    #: None for the server's, as which romp's 0 is read.
    max_message_size: Annotated[
        OctetsOrZero | None, AfterValidator(lambda size: size or None)
    ] = None
    expiry: Milliseconds = 120_000
    pedantic_expiry: Flag = False
    overflow: Annotated[
        Literal["reject", "drop-oldest", "block"],
        Expected('"reject", "drop-oldest" or "block"'),
    ] = "reject"
    slow_consumer: Annotated[
        Literal["disconnect", "drop", "block"],
        Expected('"disconnect", "drop" or "block"'),
    ] = "disconnect"
    max_deliveries: Count = 10
    dead_letter: Text | None = None
    auto_ack: Flag = False
    filter: Flag = True
    filter_self: Flag = False
    sub_by_user: Flag = False
    min_delivery: CountOrZero = 0
    write_block: Flag = False
    read_block: Flag = False
    web_write_block: Flag = False
    web_read_block: Flag = False
    stats: Flag = False

    @property
    def kind(self) -> Literal["topic", "queue", "counted"]:
        """What it is: its type, or without one what romp makes of min_delivery."""
        if self.type is not None:
            return self.type
        return "counted" if self.min_delivery else "topic"


_BUILT_IN_QUEUE: Final = DestinationConfig(type="queue", max_messages=100_000, expiry=0)

#: The destinations of a config without any table of them, patterns all. ``*`` is for
#: names without a slash, such as DLQ.
BUILT_IN_DESTINATIONS: Final[Mapping[str, DestinationConfig]] = MappingProxyType(
    {
        "/queue/**": _BUILT_IN_QUEUE.model_copy(update={"name": "/queue/**"}),
        "/topic/**": DestinationConfig(name="/topic/**", type="topic"),
        "*": _BUILT_IN_QUEUE.model_copy(update={"name": "*"}),
    }
)
