"""A link to RabbitMQ, started privately where Debian's package is installed."""

import asyncio
import os
from collections.abc import Iterator

import pytest
import stomp

from bench.peers import RabbitMQ
from romp_asgi import Config, Romp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMQ]:
    if not RabbitMQ.installed() and not os.environ.get("ROMP_NOTHING_SKIPPED"):
        pytest.skip("RabbitMQ is not installed: Debian's package rabbitmq-server")
    with RabbitMQ() as peer:
        yield peer


def server(rabbitmq: RabbitMQ) -> Romp:
    host, port = rabbitmq.endpoint.tcp
    table = {
        "destinations": {"/queue/**": {"type": "queue"}},
        "downstreams": {
            "rabbit": {
                "address": f"{host}:{port}",
                "host": "/",
                "login": "guest",
                "passcode": "guest",
                "destinations": ["/queue/out"],
                "local_destinations": ["/queue/in"],
                "prefetch_count": 10,
            }
        },
    }
    return Romp(Config.from_dict(table))


def publish(rabbitmq: RabbitMQ, *bodies: str) -> None:
    connection = stomp.Connection12([rabbitmq.endpoint.tcp], vhost="/")
    connection.connect("guest", "guest", wait=True)
    for body in bodies:
        connection.send("/queue/out", body, headers={"colour": "blue"})
    connection.disconnect()


async def test_what_is_sent_to_rabbitmq_arrives_here(rabbitmq: RabbitMQ) -> None:
    sent = [str(number) for number in range(100)]
    await asyncio.to_thread(publish, rabbitmq, *sent)
    romp = server(rabbitmq)
    async with romp.lifespan(), romp.subscribe("/queue/in") as messages:
        async with asyncio.timeout(30):
            got = [await anext(messages) for _ in sent]
        assert [message.text for message in got] == sent
        assert got[0].headers["colour"] == "blue"
        assert got[0].headers["orig-id"]
