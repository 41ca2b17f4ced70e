"""What is counted, and published."""

import asyncio
import json
import logging
import sys
import time
from typing import Any

import pytest

from romp_asgi import Config, Romp
from romp_asgi.stomp import Command, Frame
from tests.admin.operator import Operator, operating
from tests.program import free_port

pytestmark = pytest.mark.anyio

STATS: dict[str, dict[str, Any]] = {
    "/xtomp/stat": {},
    "/romp/stat": {"write_block": True},
    "q": {"type": "queue", "stats": True, "name": "the queue"},
    "/topic/**": {"type": "topic", "stats": True},
    "silent": {},
}


def body(frame: Frame) -> Any:
    assert frame.command is Command.MESSAGE, frame
    assert frame.headers["content-type"] == "application/json"
    return json.loads(frame.body)


def publish(romp: Romp) -> None:
    romp._hub.statistics.publish(asyncio.get_running_loop().time())


@pytest.mark.parametrize("name", ["/xtomp/stat", "/romp/stat"])
async def test_statistics_are_messages(name: str) -> None:
    async with operating(destinations=STATS) as (romp, client):
        await client.receipt(f"SUBSCRIBE\ndestination:{name}\nid:1\n\n^@")
        other = await Operator.of(romp.addresses[0])
        await other.receipt("SEND\ndestination:q\n\nx^@")
        await other.receipt("SEND\ndestination:q\n\nx^@")
        await other.receipt("SEND\ndestination:silent\n\nx^@")
        await other.receipt("SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@")
        publish(romp)
        frame = await client.frame()
        found = body(frame)
        assert found.keys() == {"cc"}
        assert abs(found["cc"].pop("up") - time.time()) < 60
        assert found["cc"] == {"sz": 2, "Σ": 2, "Σµ": 3, "m": 0}
        assert list(json.loads(frame.body)["cc"]) == ["sz", "up", "Σ", "Σµ", "m"]
        frame = await client.frame()
        assert frame.body.decode() == '{"dest":"the queue","sz":0,"q":2,"Δ":2,"Σ":2}'
        frame = await client.frame()
        assert frame.body.decode() == '{"dest":"/topic/a","sz":1,"q":0,"Δ":0,"Σ":0}'
        # Reading them is not what resets them, and being told of them is.
        await other.close()
        await client.receipt("SEND\ndestination:q\n\nx^@")
        for _ in range(2):
            stat = await client.does("stat")
            assert stat["destinations"][0]["Δ"] == 1
        publish(romp)
        await client.frame()
        assert body(await client.frame())["Δ"] == 1
        publish(romp)
        await client.frame()
        assert body(await client.frame()) == {
            "dest": "the queue",
            "sz": 0,
            "q": 3,
            "Δ": 0,
            "Σ": 3,
        }


async def test_a_name_that_comes_again_counts_from_the_start() -> None:
    async with operating(destinations=STATS) as (romp, client):
        subscribe = "SUBSCRIBE\ndestination:/topic/a\nid:1\n\n^@"
        await client.receipt(subscribe)
        for _ in range(2):
            await romp.publish("/topic/a", "x")
            await client.frame()
        publish(romp)
        await client.receipt("UNSUBSCRIBE\nid:1\n\n^@")
        await client.receipt(subscribe)
        await romp.publish("/topic/a", "x")
        await client.frame()
        topic = romp._hub.broker.destinations["/topic/a"]
        assert romp._hub.statistics.destination(topic)["Δ"] == 1


async def test_they_are_logged_if_there_is_anything_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "romp_asgi.admin.statistics")
    async with operating(destinations={"q": STATS["q"]}) as (romp, _):
        for _ in range(2):
            publish(romp)
            await romp.publish("q", "x")
            publish(romp)
            publish(romp)
            publish(romp)
    lines = [r.message for r in caplog.records if r.name.endswith("statistics")]
    assert len(lines) == 10
    assert lines[0].startswith('{"cc":{"sz":1,"up":')
    assert lines[3] == '{"dest":"the queue","sz":0,"q":1,"Δ":1,"Σ":1}'
    assert lines[5] == '{"dest":"the queue","sz":0,"q":1,"Δ":0,"Σ":1}'
    assert lines[7] == '{"dest":"the queue","sz":0,"q":2,"Δ":1,"Σ":2}'


async def test_they_do_not_tell_of_themselves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "romp_asgi.admin.statistics")
    async with operating(destinations=STATS) as (romp, client):
        await client.receipt("SUBSCRIBE\ndestination:/romp/stat\nid:1\n\n^@")
        for _ in range(2):
            publish(romp)
            assert body(await client.frame())["cc"]["Σµ"] == 0
            await client.frame()
        assert (await client.does("stat"))["cc"]["Σµ"] == 0
    lines = [r.message for r in caplog.records if r.name.endswith("statistics")]
    assert len(lines) == 2


async def test_a_destination_that_cannot_take_them_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tables = {"/romp/stat": {"type": "queue", "max_messages": 1}, "q": STATS["q"]}
    async with operating(destinations=tables) as (romp, _):
        publish(romp)
    assert (
        "statistics: The destination /romp/stat is full: max_messages is 1."
        in caplog.messages
    )


async def test_links_to_edge_servers_are_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "romp_asgi.admin.statistics")
    port = free_port()
    edge = {"name": "the edge", "address": f"127.0.0.1:{port}", "destinations": ["a"]}
    link = {**edge, "local_destinations": ["q"], "passcode": "tell-nobody"}
    keys = {"destinations": STATS, "downstreams": {"edge": link}}
    async with operating(**keys) as (romp, client):
        async with asyncio.timeout(5):
            while not romp.downstreams[0].error:
                await asyncio.sleep(0.001)
        (found,) = (await client.does("stat"))["downstreams"]
        assert abs(found.pop("since") - time.time()) < 60
        assert "Connect call failed" in found.pop("error")
        assert found == {
            "downstream": "the edge",
            "address": f"127.0.0.1:{port}",
            "up": False,
            "Σ": 0,
            "refused": 0,
        }
        publish(romp)
    (line,) = [r.message for r in caplog.records if '"downstream"' in r.message]
    assert line.startswith('{"downstream":"the edge","address":"127.0.0.1:')
    assert "tell-nobody" not in caplog.text


@pytest.mark.parametrize("seconds", [0.01, 0])
async def test_the_interval(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["romp_asgi.app"], "SWEEP_INTERVAL", 0.01)
    keys = {"stat_interval": seconds, "destinations": STATS}
    async with operating(**keys) as (_, client):
        await client.receipt("SUBSCRIBE\ndestination:/romp/stat\nid:1\n\n^@")
        if seconds:
            for _ in range(2):
                assert body(await client.frame()).keys() == {"cc"}
                assert body(await client.frame())["dest"] == "the queue"
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.frame()


def test_the_interval_is_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    romp = Romp(Config(stat_interval=60))
    published: list[float] = []
    monkeypatch.setattr(romp._hub.statistics, "publish", published.append)
    for now in (1000.0, 1059.9, 1060.0, 1061.0, 1119.9, 1120.0):
        romp._hub.sweep(now)
    assert published == [1060.0, 1120.0]
