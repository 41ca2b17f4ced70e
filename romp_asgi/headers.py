"""What the headers of SUBSCRIBE, ACK and NACK say.

Source: STOMP 1.2 § SUBSCRIBE ack Header; RabbitMQ's ``prefetch-count``.
"""

import sys

from romp_asgi.errors import HeaderError
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
