"""Heart-beats: who sends them how often, and who waits for them how long.

Source: STOMP 1.2 § Heart-beating.
"""

import re
from dataclasses import dataclass

from romp_asgi.errors import HeartBeatError

_VALUE = re.compile(r"([0-9]{1,10}),([0-9]{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class HeartBeat:
    """What one side of a connection can do and wants, or what both agreed on.

    Attributes:
        send_ms: the shortest interval in which it sends; 0 is never.
        receive_ms: the interval in which it wants to hear; 0 is not at all.
    """

    send_ms: int = 0
    receive_ms: int = 0

    def __str__(self) -> str:
        return f"{self.send_ms},{self.receive_ms}"


def parse_heart_beat(value: str | None) -> HeartBeat:
    """The ``heart-beat`` header of CONNECT; without one, ``0,0``.

    Raises:
        HeartBeatError: if it is not two numbers of milliseconds.
    """
    if value is None:
        return HeartBeat()
    match = _VALUE.fullmatch(value)
    if match is None:
        raise HeartBeatError(value)
    return HeartBeat(int(match[1]), int(match[2]))


def negotiate(client: HeartBeat, server: HeartBeat) -> HeartBeat:
    """Agree on the heart-beats of one connection, as the server sees them.

    "if <cx> is 0 (the client cannot send heart-beats) or <sy> is 0 (the server does
    not want to receive heart-beats) then there will be none; otherwise, there will
    be heart-beats every MAX(<cx>,<sy>) milliseconds", and the other way round.

    Args:
        client: ``(cx, cy)`` from CONNECT.
        server: ``(sx, sy)`` that we declare in CONNECTED.
    """
    return HeartBeat(
        send_ms=_agree(server.send_ms, client.receive_ms),
        receive_ms=_agree(client.send_ms, server.receive_ms),
    )


def _agree(sender: int, receiver: int) -> int:
    return max(sender, receiver) if sender and receiver else 0
