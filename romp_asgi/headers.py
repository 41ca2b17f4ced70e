"""What the headers of SUBSCRIBE, ACK and NACK say.

Source: STOMP 1.2 § SUBSCRIBE ack Header; RabbitMQ's ``prefetch-count``.
"""

import sys
from collections.abc import Callable, Mapping

from romp_asgi.broker import Message
from romp_asgi.errors import HeaderError
from romp_asgi.selector import Matcher, parse_filter, parse_selector
from romp_asgi.stomp import Frame, spec
from romp_asgi.stomp.spec import AckMode

_MAX_DIGITS = 18


def whole_number(text: str) -> int:
    """The number that a text of a few ASCII digits is, or -1."""
    if len(text) <= _MAX_DIGITS and text.isdigit() and text.isascii():
        return int(text)
    return -1


def ack_mode(frame: Frame) -> AckMode:
    """The ``ack`` header of SUBSCRIBE.

    Raises:
        HeaderError: if it is none of the three.
    """
    value = frame.headers.get(spec.ACK, AckMode.AUTO)
    try:
        return AckMode(value)
    except ValueError:
        reason = f"must be auto, client or client-individual, not {value[:40]!r}"
        raise HeaderError(frame.command, spec.ACK, reason) from None


def prefetch_count(frame: Frame) -> int | None:
    """The ``prefetch-count`` of SUBSCRIBE, or None.

    Raises:
        HeaderError: if it is no number.
    """
    value = frame.headers.get(spec.PREFETCH_COUNT)
    if value is None:
        return None
    count = whole_number(value)
    if count < 0:
        reason = f"must be a number of messages, not {value[:40]!r}"
        raise HeaderError(frame.command, spec.PREFETCH_COUNT, reason)
    # RabbitMQ's and AMQP's meaning of 0: no limit. Memory still is one.
    return count or sys.maxsize


def wanted(
    selector: str | None, filter: str | None, max_selector_len: int
) -> Callable[[Message], bool] | None:
    """Which messages the ``selector`` and ``filter`` of SUBSCRIBE let through.

    Args:
        selector: the one; None, and blank, for every message.
        filter: the other; None for every message.
        max_selector_len: how many characters the selector may have.

    Returns:
        Whether both let a message through; None if that is every message.

    Raises:
        SelectorError: if one does not parse.
    """
    matchers = []
    if selector is not None and not selector.isspace() and selector:
        matches = parse_selector(selector, max_selector_len)
        matchers.append(_of_messages(selector, matches))
    if filter is not None:
        matchers.append(_of_messages(filter, parse_filter(filter)))
    match matchers:
        case []:
            return None
        case [matches]:
            return lambda message: matches(message.headers)
        case _:
            first, second = matchers
            return lambda message: first(message.headers) and second(message.headers)


def _of_messages(text: str, matches: Matcher) -> Matcher:
    """What ``matches`` says of a message, which has no ``receipt``: its SEND has.

    Args:
        text: what it was parsed from; most name no receipt.
        matches: the matcher.
    """
    if spec.RECEIPT not in text:
        return matches

    def matches_without(headers: Mapping[str, str]) -> bool:
        return matches({k: v for k, v in headers.items() if k != spec.RECEIPT})

    return matches_without
