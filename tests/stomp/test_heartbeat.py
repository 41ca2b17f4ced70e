"""Source: STOMP 1.2 § Heart-beating."""

import pytest

from romp_asgi.errors import HeartBeatError
from romp_asgi.stomp import HeartBeat, negotiate
from romp_asgi.stomp.heartbeat import parse_heart_beat


@pytest.mark.parametrize(
    ("value", "heart_beat"),
    [
        ("0,0", HeartBeat(0, 0)),
        ("10000,20000", HeartBeat(10000, 20000)),
        ("0,1", HeartBeat(0, 1)),
        ("007,0", HeartBeat(7, 0)),
        ("9999999999,9999999999", HeartBeat(9999999999, 9999999999)),
        (None, HeartBeat(0, 0)),  # "treated the same way as a heart-beat:0,0 header"
    ],
)
def test_parse(value: str | None, heart_beat: HeartBeat) -> None:
    assert parse_heart_beat(value) == heart_beat


@pytest.mark.parametrize(
    "value",
    [
        "",
        "10000",
        "10000,",
        ",10000",
        "1,2,3",
        "-1,0",
        "+1,0",
        "1.5,0",
        "1e3,0",
        "1000, 1000",
        " 1000,1000",
        "1000,1000\n",
        "1_000,0",
        "\u0663,0",
        "\uff13,0",
        "10000000000,0",
        "often,never",
    ],
)
def test_not_two_numbers(value: str) -> None:
    with pytest.raises(HeartBeatError) as caught:
        parse_heart_beat(value)
    assert caught.value.value == value


def test_as_the_header_says_it() -> None:
    assert str(HeartBeat(send_ms=10000, receive_ms=20000)) == "10000,20000"
    assert parse_heart_beat(str(HeartBeat(1, 2))) == HeartBeat(1, 2)


@pytest.mark.parametrize(
    ("client", "server", "agreed"),
    [
        # "if <cx> is 0 … or <sy> is 0 … then there will be none"
        ("0,0", "10,10", "0,0"),
        ("10,10", "0,0", "0,0"),
        ("0,10", "0,10", "0,0"),
        ("10,0", "10,0", "0,0"),
        # "otherwise, … every MAX(<cx>,<sy>) milliseconds", and the other way round.
        ("10,20", "30,40", "30,40"),
        ("50,60", "30,40", "60,50"),
        ("5,0", "30,40", "0,40"),
        ("0,50", "30,40", "50,0"),
    ],
)
def test_negotiate(client: str, server: str, agreed: str) -> None:
    """What is agreed on is what the server sends, and what it receives."""
    assert str(negotiate(parse_heart_beat(client), parse_heart_beat(server))) == agreed
