"""What the broker makes of a destination's table."""

from romp_asgi.broker import Kind, Overflow, Policy, SlowConsumerPolicy
from romp_asgi.config import DestinationConfig


def policy(config: DestinationConfig) -> Policy:
    """The broker's view of a destination's table."""
    return Policy(
        kind=Kind(config.kind),
        name=config.name,
        max_connections=config.max_connections,
        max_messages=config.max_messages,
        max_message_size=config.max_message_size or None,
        expiry=config.expiry,
        pedantic_expiry=config.pedantic_expiry,
        filter=config.filter,
        auto_ack=config.auto_ack,
        filter_self=config.filter_self,
        sub_by_user=config.sub_by_user,
        min_delivery=config.min_delivery,
        overflow=Overflow(config.overflow),
        slow_consumer=SlowConsumerPolicy(config.slow_consumer),
        max_deliveries=config.max_deliveries,
        dead_letter=config.dead_letter,
        write_block=config.write_block,
        read_block=config.read_block,
        web_write_block=config.web_write_block,
        web_read_block=config.web_read_block,
        stats=config.stats,
    )
