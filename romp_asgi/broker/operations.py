"""What an administrator does to destinations while the broker runs.

One that a pattern made is kept as long as its settings are not those of the pattern,
used or not. What waits is forgotten by `Destination.purge`.
"""

from dataclasses import replace
from typing import Any, Final

from romp_asgi.broker.broker import Broker
from romp_asgi.broker.destination import Destination
from romp_asgi.broker.policy import Policy, State
from romp_asgi.errors import DestinationShutDown

#: The settings that can be changed, under the names of the config keys.
CHANGEABLE: Final = (
    "max_connections",
    "max_messages",
    "max_message_size",
    "expiry",
    "write_block",
    "read_block",
    "web_write_block",
    "web_read_block",
)


def drain(destination: Destination) -> None:
    """Let a destination take no more messages; consumers empty it."""
    _set(destination, state=State.DRAINING)


def shut_down(broker: Broker, destination: Destination) -> int:
    """End the subscriptions of a destination, and forget what waits in it.

    It takes neither messages nor subscriptions then. The clients are told.

    Returns:
        How many messages were forgotten.
    """
    _set(destination, state=State.SHUT_DOWN)
    subscriptions = list(destination.subscriptions)
    broker.end(subscriptions)
    for subscription in subscriptions:
        subscription.receiver.cut_off(DestinationShutDown(destination.name))
    # After them: what they had has come back.
    return destination.purge()


def reopen(destination: Destination) -> None:
    """Undo `drain` or `shut_down`."""
    _set(destination, state=State.OPEN)


def reconfigure(
    destination: Destination, settings: Policy, keys: set[str], now: float
) -> None:
    """Change settings of a destination, for as long as the server runs.

    Nothing is dropped at once. A shorter ``expiry`` holds from now on for what is held
    already, a longer one for what comes.

    Args:
        destination: the destination.
        settings: the new values.
        keys: which of them count, all in `CHANGEABLE`.
        now: the time, in seconds.
    """
    changes = {key: getattr(settings, key) for key in CHANGEABLE if key in keys}
    _set(destination, **changes)
    if destination.policy.expiry and "expiry" in changes:
        _shorten(destination, now + destination.policy.expiry / 1000)


def _shorten(destination: Destination, latest: float) -> None:
    """Let nothing that is held live longer than what comes now.

    Or it would be in front of what is too old before it.
    """
    messages = destination.messages()
    for subscription in destination.subscriptions:
        messages += [delivery.message for delivery in subscription.unacked.values()]
    for message in messages:
        message.expires_at = min(message.expires_at or latest, latest)


def _set(destination: Destination, **changes: Any) -> None:
    policy = replace(destination.policy, **changes)
    is_as_given = policy == destination.given
    destination.policy = destination.given if is_as_given else policy
