"""The bench measures what it says: it counts, it checks, and a wrong broker fails."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
from hypothesis import given, strategies as st

from bench.__main__ import main
from bench.errors import BenchError, LostError
from bench.job import Job
from bench.load import Outcome, Workers
from bench.measure import Measure
from bench.messages import BODY_END, Load
from bench.metrics import (
    KEPT,
    KIB_EACH,
    LATENCIES,
    LOADED,
    RATE,
    REQUESTS,
    SECONDS,
    UNLOADED,
)
from bench.peer import free_port
from bench.peers import CoilMQ, Echo, Romp, RustRomp
from bench.publisher import Frames, Publisher
from bench.receiver import Receiver
from bench.run import Cores
from bench.scenarios import SCENARIOS, Flow, Scenario, chosen
from bench.subscriber import (
    AckingSubscriber,
    LargeSubscriber,
    StampingSubscriber,
    Subscriber,
    count_ends,
)
from bench.wire import Client, Endpoint, websocket_frame, websocket_payloads

NOWHERE = Endpoint(("127.0.0.1", 0), ("127.0.0.1", 0))

_OWN_NAME = re.compile(rb"\n(?:number:|id-|receipt:)(\d+)(?::x)?\n")

Sockets: TypeAlias = tuple[socket.socket, socket.socket]
Spoil: TypeAlias = Callable[[list[bytes]], list[bytes]]


def flow(name: str) -> Flow:
    scenario = SCENARIOS[name]
    assert isinstance(scenario, Flow)
    return scenario


def job(name: str, endpoint: Endpoint = NOWHERE, stall: float = 5) -> Job:
    scenario = flow(name)
    names = tuple(f"/queue/{place:05}" for place in range(scenario.destinations))
    return Job(scenario, endpoint, names, timeout=5, stall=stall)


def delivered(load: Load, count: int, publishers: int = 1) -> list[bytes]:
    """What a good broker makes of the load, an ack of its own in each."""
    sends = [load.sends(publisher) for publisher in range(publishers)]
    return [
        b"MESSAGE\nsubscription:0\nack:%d\n" % index
        + sends[index % publishers][index // publishers % load.period].removeprefix(
            b"SEND\n"
        )
        for index in range(count)
    ]


def stream(it: Job, frames: list[bytes]) -> bytes:
    if it.scenario.websocket:
        frames = [websocket_frame(frame, masked=False) for frame in frames]
    return b"".join(frames)


def feed(subscriber: Subscriber, octets: bytes, step: int) -> None:
    """In reads of `step` octets, into a buffer that holds older ones behind them."""
    for start in range(0, len(octets), step):
        read = octets[start : start + step]
        subscriber.received(bytearray(read + b"old\0"), len(read))


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


# The scenarios


def test_scenarios_are_chosen_by_either_name_and_by_pattern() -> None:
    names = [each.name for each in chosen(["ack-*", "100b_1a_1topic_50", "start"])]
    assert names == ["topic-1-50", "ack-100", "ack-1000", "start"]
    with pytest.raises(BenchError, match="no scenario is called ack: "):
        chosen(["start", "ack"])


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=str)
def test_subscribers_get_all_that_is_sent(scenario: Scenario) -> None:
    if not isinstance(scenario, Flow) or not scenario.subscribers:
        return
    load = Load(
        tuple(f"{place:05}" for place in range(scenario.destinations)),
        scenario.body_size,
        scenario.publishers,
    )
    assert load.period % load.rotation == 0
    sent_to = {
        load.destination(publisher, index)
        for publisher in range(scenario.publishers)
        for index in range(load.rotation)
    }
    read_from = {
        load.destinations[place]
        for subscriber in range(scenario.subscribers)
        for place in scenario.subscribed(subscriber)
    }
    assert sent_to == read_from == set(load.destinations)
    count = 3 * scenario.unit
    every = scenario.subscribers * scenario.share(count)
    assert every == count * scenario.copies


# The octets


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("masked", [True, False])
def test_websocket_frames_are_read_as_written(size: int, masked: bool) -> None:
    payload = bytes(index % 251 for index in range(size))
    data = websocket_frame(payload, masked=masked)
    assert websocket_payloads(data + data[:-1]) == ([payload], data[:-1])
    assert websocket_payloads(data[:1]) == ([], data[:1])
    assert websocket_payloads(data[:2]) == ([], data[:2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x88\x02\x03\xe8", "closed"), (b"\x01\x01x", "several frames")],
)
def test_a_close_or_a_split_message_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        websocket_payloads(data)


# The messages


@pytest.mark.parametrize(
    ("varied", "unlike"), [(True, False), (False, True), (False, False)]
)
def test_all_frames_of_a_load_have_one_size_and_a_number(
    varied: bool, unlike: bool
) -> None:
    load = Load(("/queue/a",), 100, varied=varied, unlike=unlike)
    frames = load.sends()
    assert len(frames) == load.period == len(set(frames))
    assert len({len(frame) for frame in frames}) == 1
    assert frames[7].endswith(b"\n\n0000000700" + b"x" * 82 + b"~}|{@^%&\0")
    assert (b"\nnumber:00000000000007\n" in frames[7]) is varied
    assert (b"\nid-00000000000007:x\n" in frames[7]) is unlike


@pytest.mark.parametrize(
    "name", ["queue-1-1-varied", "queue-1-1-unlike", "queue-1-1-receipt"]
)
def test_no_two_messages_have_the_same_headers(name: str) -> None:
    """However often the numbers start again."""
    it = job(name)
    frames = Frames(it, 0, websocket=False)
    octets = b"".join(bytes(frames.take(1000)) for _ in range(20))
    assert frames.sent > 3 * it.load.period
    heads = [frame.partition(b"\n\n")[0] for frame in octets.split(b"\0")[:-1]]
    assert len(set(heads)) == len(heads) == frames.sent
    for index in (0, 7, it.load.period, frames.sent - 1):
        assert re.search(b"[:-]" + it.load.name(index), heads[index])


def test_publishers_share_out_destinations_and_say_who_they_are() -> None:
    load = Load(("/queue/0", "/queue/1", "/queue/2", "/queue/3"), 100, publishers=2)
    frames = load.sends(1)
    assert b"\ndestination:/queue/1\n" in frames[0]
    assert b"\ndestination:/queue/3\n" in frames[1]
    assert b"\n\n0000000001xx" in frames[0]
    assert len({len(frame) for frame in frames}) == 1


def test_a_load_of_large_bodies_stays_small() -> None:
    assert sum(map(len, Load(("/queue/a",), 256 * 1024).sends())) < 5_000_000
    with pytest.raises(BenchError, match="18 octets"):
        Load(("/queue/a",), 17)


# The check


@pytest.mark.parametrize("step", [1, 2, 7, 1000, 100_000])
@pytest.mark.parametrize(
    "name",
    [
        "queue-1-1",
        "queue-1-1-varied",
        "queue-1-1-unlike",
        "ws-topic-1-50",
        "queue-1-1-1k",
    ],
)
def test_good_messages_are_counted_and_checked(
    name: str, step: int, sockets: Sockets
) -> None:
    it = job(name)
    subscriber = Subscriber(sockets[0], it, 500)
    feed(subscriber, stream(it, delivered(it.load, 500)), step)
    assert subscriber.finished
    assert subscriber.check() > (5 if name.endswith("1k") else 30)


@pytest.mark.parametrize("step", [1, 100, 100_000])
def test_packed_frames_are_counted_and_checked(step: int, sockets: Sockets) -> None:
    it = job("ws-packed-1-50")
    frames = delivered(it.load, 1000)
    # The length of such a WebSocket message has an & and a NUL in its own octets.
    and_nul = 9728 // len(frames[0])
    packs = [b"".join(frames[:and_nul]), b"".join(frames[and_nul:])]
    packs[0] += b"\n" * (9728 - len(packs[0]))
    subscriber = Subscriber(sockets[0], it, 1000)
    feed(subscriber, stream(it, packs), step)
    assert subscriber.count == 1000
    assert subscriber.check() > 30


def test_messages_of_several_publishers_may_come_in_any_mixture(
    sockets: Sockets,
) -> None:
    it = job("topic-10-10")
    frames = delivered(it.load, 500, publishers=10)
    subscriber = Subscriber(sockets[0], it, 500)
    feed(subscriber, stream(it, sorted(frames, key=frames.index)), 1000)
    assert subscriber.check() > 30
    frames[3], frames[13] = frames[13], frames[3]
    subscriber = Subscriber(sockets[0], it, 500)
    feed(subscriber, stream(it, frames), 1000)
    with pytest.raises(BenchError, match="out of order"):
        subscriber.check()


SPOILT = [
    pytest.param(lambda frames: frames[:-1], id="lost"),
    pytest.param(lambda frames: [*frames, frames[-1]], id="twice"),
    pytest.param(lambda frames: [*frames[1:], frames[0]], id="late"),
    pytest.param(lambda frames: [*frames[:-1], frames[0]], id="lost-and-twice"),
    pytest.param(
        lambda frames: [*frames[:-1], frames[-1].replace(b"xxx", b"xyx", 1)],
        id="other-body",
    ),
    pytest.param(
        lambda frames: [frames[0].replace(b"/00000\n", b"/00001\n"), *frames[1:]],
        id="other-destination",
    ),
    pytest.param(lambda frames: [*frames[:-1], b"ERROR\n\n~}|{@^%&\0"], id="error"),
]


@pytest.mark.parametrize("step", [100, 100_000])
@pytest.mark.parametrize("name", ["queue-1-1", "ws-topic-1-50", "ws-packed-1-50"])
@pytest.mark.parametrize("spoil", SPOILT)
def test_wrong_messages_are_an_error(
    name: str, spoil: Spoil, step: int, sockets: Sockets
) -> None:
    it = job(name)
    subscriber = Subscriber(sockets[0], it, 500)
    feed(subscriber, stream(it, spoil(delivered(it.load, 500))), step)
    with pytest.raises(BenchError):
        subscriber.check()


def read_large(frames: list[bytes], end: bytes) -> LargeSubscriber:
    """One that got these frames over TCP, for other sockets drop nothing."""
    it = job("queue-1-1-256k")
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    subscriber = LargeSubscriber(ours, it, 40)
    buffer = bytearray(100_000)
    data = b"".join(frame + end for frame in frames)

    def send() -> None:
        with suppress(ConnectionError):  # when it has been read that something is wrong
            theirs.sendall(data)

    with ours, theirs:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            left = len(data)
            while left:
                left -= subscriber.read(buffer)
        finally:
            ours.close()  # with octets unread: the other end does not go on
            sender.join()
    return subscriber


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="drops no octets")


@needs_linux
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_of_large_messages_samples_are_whole(end: bytes) -> None:
    it = job("queue-1-1-256k")
    assert LargeSubscriber.fits(flow("queue-1-1-256k"))
    assert not LargeSubscriber.fits(flow("queue-1-1-1k"))
    frames = delivered(it.load, 40)
    subscriber = read_large(frames, end)
    assert subscriber.finished
    assert subscriber.check() == 14  # each third one, and the last
    samples = subscriber._samples
    assert [sample.before for sample in samples] == [*range(0, 40, 3)]
    assert all(sample.data == frames[sample.before] for sample in samples)


@needs_linux
@pytest.mark.parametrize("spoil", SPOILT)
def test_wrong_large_messages_are_an_error(spoil: Spoil) -> None:
    frames = spoil(delivered(job("queue-1-1-256k").load, 40))
    with pytest.raises(BenchError):
        read_large(frames, b"").check()


@needs_linux
@pytest.mark.parametrize("place", [5, 40])
def test_an_error_among_large_messages_is_told(place: int) -> None:
    frames = delivered(job("queue-1-1-256k").load, 40)
    frames.insert(place, b"ERROR\nmessage:no\n\n\0")
    with pytest.raises(BenchError, match="no message: b'ERROR"):
        read_large(frames, b"")


@needs_linux
def test_a_large_message_that_should_not_come_is_an_error() -> None:
    frames = delivered(job("queue-1-1-256k").load, 40)
    subscriber = read_large([*frames, frames[-1][:5000]], b"")
    with pytest.raises(BenchError, match="one more: b'MESSAGE"):
        subscriber.check()


@needs_linux
@pytest.mark.parametrize("cut", [1, 100_000])
def test_a_large_message_that_is_too_short_is_an_error(cut: int) -> None:
    frames = delivered(job("queue-1-1-256k").load, 40)
    frames[5] = frames[5][:200] + frames[5][200 + cut :]
    with pytest.raises(BenchError, match="no message"):
        read_large(frames, b"")


@pytest.mark.parametrize("name", ["queue-1-1-varied", "queue-1-1-unlike"])
def test_messages_without_their_own_header_are_an_error(
    name: str, sockets: Sockets
) -> None:
    it = job(name)
    frames = [re.sub(b"\n(number:|id-)", b"\nn:", f) for f in delivered(it.load, 100)]
    subscriber = Subscriber(sockets[0], it, 100)
    feed(subscriber, stream(it, frames), 1000)
    with pytest.raises(BenchError, match="not its own header"):
        subscriber.check()


def test_frames_packed_into_a_websocket_message_are_an_error(sockets: Sockets) -> None:
    it = job("ws-topic-1-50")
    subscriber = Subscriber(sockets[0], it, 500)
    frames = delivered(it.load, 500)
    packs = [b"".join(frames[start : start + 10]) for start in range(0, 500, 10)]
    feed(subscriber, stream(it, packs), 999)
    with pytest.raises(BenchError, match="not one STOMP frame"):
        subscriber.check()


def test_a_line_feed_in_a_websocket_message_of_its_own_is_no_message(
    sockets: Sockets,
) -> None:
    it = job("ws-topic-1-1")
    subscriber = Subscriber(sockets[0], it, 500)
    frames = [each for frame in delivered(it.load, 500) for each in (frame, b"\n")]
    feed(subscriber, stream(it, frames), 999)
    assert subscriber.finished
    assert subscriber.check() > 30


@pytest.mark.parametrize("websocket", [False, True])
def test_an_idle_connection_may_get_line_feeds_alone(websocket: bool) -> None:
    def sent(payload: bytes) -> bytes:
        return websocket_frame(payload, masked=False) if websocket else payload

    upgraded = b"HTTP/1.1 101 Go\nUpgrade:websocket\n\n" if websocket else b""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint(server.getsockname(), server.getsockname())

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(upgraded + sent(b"CONNECTED\nversion:1.2\n\n\0"))
                connected.wait(5)
                peer.sendall(sent(b"\n"))
                heard.wait(5)
                peer.sendall(sent(b"MESSAGE\n\n\0"))
                said.wait(5)

        connected, heard, said = (threading.Event() for _ in range(3))
        thread = threading.Thread(target=serve)
        thread.start()
        with Client(endpoint, websocket=websocket, timeout=5) as client:
            connected.set()
            client.socket.recv(1, socket.MSG_PEEK)  # it has come
            client.expect_nothing()
            heard.set()
            client.socket.settimeout(5)
            client.socket.recv(1, socket.MSG_PEEK)
            with pytest.raises(BenchError, match=r"an idle connection got .*MESS"):
                client.expect_nothing()
            said.set()
        thread.join(5)


@pytest.mark.parametrize("step", [1, 100, 1000])
def test_each_message_is_acknowledged_and_the_last_asks_for_a_receipt(
    step: int, sockets: Sockets
) -> None:
    it = job("ack-100")
    subscriber = AckingSubscriber(sockets[0], it, 200)
    feed(subscriber, stream(it, delivered(it.load, 200)), step)
    acks = sockets[1].recv(100_000).split(b"\0")[:-1]
    assert acks == [
        *(b"ACK\nid:%d\n\n" % index for index in range(199)),
        b"ACK\nid:199\nreceipt:all-acked\n\n",
    ]
    finished_before = subscriber.finished
    feed(subscriber, b"\nRECEIPT\nreceipt-id:all-acked\n\n\0", step)
    assert (finished_before, subscriber.finished) == (False, True)
    assert subscriber.check() > 30


def test_more_messages_than_the_prefetch_count_are_an_error(sockets: Sockets) -> None:
    it = job("ack-100")
    octets = stream(it, delivered(it.load, 101))
    with pytest.raises(BenchError, match="prefetch-count"):
        feed(AckingSubscriber(sockets[0], it, 200), octets, 100_000)
    # Where credit is in octets it cannot be told.
    in_octets = replace(it, endpoint=replace(NOWHERE, prefetch_unit=400))
    feed(AckingSubscriber(sockets[0], in_octets, 200), octets, 100_000)
    headers = in_octets.endpoint.subscription_with(100)
    assert headers == [("ack", "client-individual"), ("prefetch-count", "40000")]


def test_a_frame_that_is_no_message_is_an_error(sockets: Sockets) -> None:
    it = job("ack-100")
    with pytest.raises(BenchError, match="not only messages"):
        feed(AckingSubscriber(sockets[0], it, 9), b"ERROR\nmessage:no\n\n\0", 100)


def test_latency_counts_from_when_a_message_was_to_be_sent(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = job("queue-1-1")
    subscriber = StampingSubscriber(sockets[0], it, 3)
    octets = stream(it, delivered(it.load, 3))
    third = len(octets) // 3
    # A stall of a second: the message that had to wait says so.
    for now, read in ((10.0, octets[:third]), (11.1, octets[third:])):
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        feed(subscriber, read, 100_000)
    latencies = subscriber.latencies(epoch=10.0, rate=10)
    assert latencies == pytest.approx([0.0, 1.0, 0.9])


# The processes


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with Echo() as peer:
        yield peer


ROUNDS = [
    *(
        (name, 100, {RATE})
        for name in (
            "topic-1-0",
            "topic-1-10",
            "topic-10-10",
            "queue-10x1-1",
            "ack-100",
            "queue-1-1-256k",
            "queue-1-1-receipt",
            "ws-topic-1-0",
            "ws-topic-1-10",
            "ws-packed-1-10",
            "connections-10",
        )
    ),
    ("destinations-100", 100, {RATE, KEPT}),
    ("connections-1000", 100, {RATE, KEPT}),
    ("queue-load-unload", 300, {LOADED, UNLOADED}),
    ("request-10", 100, {REQUESTS, *LATENCIES}),
    ("latency-1000", 100, {*LATENCIES}),
    ("idle-tcp-10000", 20, {KIB_EACH}),
    ("idle-ws-5000", 20, {KIB_EACH}),
    ("start", 0, {SECONDS}),
]


@pytest.mark.parametrize(("name", "count", "metrics"), ROUNDS)
def test_a_round_ends_with_its_figures(
    name: str, count: int, metrics: set[object], echo: Echo
) -> None:
    figures = Measure(echo, other=echo).counted(SCENARIOS[name], count)
    assert figures.figures.keys() == metrics
    assert figures.messages == count * (3 if KEPT in metrics else 1)
    if metrics != {KIB_EACH}:
        assert min(figures.figures.values()) > 0
    assert figures.checked > 0 or name in ("topic-1-0", "ws-topic-1-0", "start")


def test_a_peer_may_pack() -> None:
    with Echo(packed=True) as peer:
        measure = Measure(peer)
        assert measure.counted(SCENARIOS["ws-packed-1-10"], 100).checked > 0
        with pytest.raises(BenchError):
            measure.counted(SCENARIOS["ws-topic-1-1"], 300)


def test_a_broker_that_ends_fails_the_round() -> None:
    with (
        Echo() as peer,
        Workers(
            job("topic-1-50", peer.endpoint), [(Receiver, 1), (Publisher, 1)]
        ) as workers,
    ):
        peer.stop()
        with pytest.raises(BenchError, match=r"closed|reset|pipe"):
            workers.run(100)
        with pytest.raises(BenchError, match="echo has ended"):
            peer.cpu()


class LossyEcho(Echo):
    """Forgets what comes from the third read on."""

    code = """
import sys
from bench.echo import Echo

class Lossy(Echo):
    reads = 0

    def _deliver(self, destination, frames):
        self.reads += 1
        if self.reads < 3:
            super()._deliver(destination, frames)

Lossy(int(sys.argv[1]), int(sys.argv[2])).run()
"""

    def _start(self) -> None:
        assert self.endpoint.websocket is not None
        ports = str(self.endpoint.tcp[1]), str(self.endpoint.websocket[1])
        self._run([sys.executable, "-c", self.code, *ports], {"PYTHONPATH": "."})


def test_a_broker_that_loses_messages_has_no_figure() -> None:
    with LossyEcho() as peer:
        it = job("queue-1-1", peer.endpoint, stall=0.2)
        with (
            Workers(it, [(Receiver, 1), (Publisher, 1)]) as workers,
            pytest.raises(LostError, match=r"of 2,\d+ messages did not arrive"),
        ):
            workers.run(10_000)


class SlowEcho(LossyEcho):
    """Takes half a second for each receipt."""

    code = """
import sys, time
from bench.echo import Echo

class Slow(Echo):
    def _receipt(self, session, frames):
        time.sleep(0.5)
        super()._receipt(session, frames)

Slow(int(sys.argv[1]), int(sys.argv[2])).run()
"""


def test_a_broker_that_is_too_slow_is_said_to_be() -> None:
    with SlowEcho() as peer:
        it = replace(job("destinations-100", peer.endpoint), timeout=1)
        workers = Workers(it, [(Receiver, 1)])
        with pytest.raises(BenchError, match="receiver: 1 s were not enough"), workers:
            pass  # pragma: no cover  # it does not get here


def test_a_broker_that_is_not_there_fails() -> None:
    there = ("127.0.0.1", free_port())
    it = job("queue-1-1", Endpoint(there, there))
    with pytest.raises(BenchError, match="refused"), Workers(it, [(Receiver, 1)]):
        pass  # pragma: no cover  # it does not get here


def test_a_peer_without_websocket_is_not_asked_for_it() -> None:
    peer = CoilMQ()
    assert peer.refusal(SCENARIOS["ws-topic-1-1"]) == "it has no WebSocket"
    assert peer.refusal(SCENARIOS["topic-1-1"]) == ""
    peer.discard()


def test_a_peer_that_answers_no_acks_is_not_asked_for_it() -> None:
    peer = RustRomp()
    assert peer.refusal(SCENARIOS["ack-100"]) == "it answers no ACK with a receipt"
    assert peer.refusal(SCENARIOS["ws-packed-1-1"]).startswith("it sends each frame")
    assert peer.refusal(SCENARIOS["topic-1-1"]) == ""
    peer.discard()


def test_destinations_of_a_config_are_given_out_once() -> None:
    peer = RustRomp()
    names = {peer.destination("queue", "any") for _ in range(12_000)}
    assert {"/queue/00000", "/queue/11999"} <= names
    assert len(names) == 12_000
    with pytest.raises(BenchError, match="its config has 12,000 destinations"):
        peer.destination("topic", "one more")
    peer.discard()


def test_our_broker_runs_with_the_config_of_the_bench() -> None:
    with Romp() as peer:
        figures = Measure(peer).counted(SCENARIOS["ack-100"], 300)
    assert figures.messages == 300
    assert 0 < peer.started_in < 30


# The command


def test_the_command_prints_tables_and_writes_json_and_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_file, page = tmp_path / "figures.json", tmp_path / "RESULTS.md"
    options = ["--quick", "--seconds", "0.05", "--peer", "echo", "--peer", "romp"]
    options += ["--scenario", "queue-1-1", "--scenario", "start"]
    assert main([*options, "--json", str(json_file), "--results", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "| queue-1-1 | deliveries/s |" in printed
    assert "queue: the load's own ceiling is " in printed
    figures = json.loads(json_file.read_text())
    assert figures["versions"].keys() == {"echo", "romp"}
    row = figures["scenarios"]["queue-1-1"]["peers"]
    assert row["romp"]["median"]["deliveries/s"] > 0
    assert row["romp"]["rounds"][0]["checked"] > 0
    assert "![start](results/start.svg)" in page.read_text()
    assert {each.name for each in (tmp_path / "results").iterdir()} == {
        "queue-1-1.svg",
        "start.svg",
    }


def test_a_run_that_is_ended_early_leaves_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed, count = Measure.timed, 0

    def interrupted(measure: Measure, scenario: Scenario, seconds: float) -> object:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return timed(measure, scenario, seconds)

    monkeypatch.setattr(Measure, "timed", interrupted)
    file = tmp_path / "figures.json"
    options = ["--rounds", "3", "--seconds", "0.05", "--peer", "echo"]
    with pytest.raises(KeyboardInterrupt):
        main([*options, "--scenario", "queue-1-1", "--json", str(file)])
    rows = json.loads(file.read_text())["scenarios"]
    assert len(rows["queue-1-1"]["peers"]["echo"]["rounds"]) == 2


def test_what_is_not_known_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "no-such-*"]) == 2
    assert "no scenario is called no-such-*" in capsys.readouterr().err


def test_scenarios_and_peers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert main(["--peers"]) == 0
    printed = capsys.readouterr().out
    assert "100b_1a_1topic_50" in printed
    assert "echo           here" in printed


def test_a_broker_that_does_not_start_is_told_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Echo, "_start", lambda peer: peer._run(["false"]))
    options = ["--quick", "--peer", "echo", "--scenario", "queue-1-1"]
    assert main(options) == 1
    assert "FAILED: echo does not start" in capsys.readouterr().out


def test_after_a_failure_the_next_scenario_has_a_new_broker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    start = Echo._start

    def counted_start(peer: Echo) -> None:
        starts.append(peer)
        start(peer)

    monkeypatch.setattr(Echo, "_start", counted_start)
    timed = Measure.timed

    def failing(measure: Measure, scenario: Scenario, seconds: float) -> object:
        if scenario.name == "topic-1-0":
            raise LostError(1, 100)
        return timed(measure, scenario, seconds)

    monkeypatch.setattr(Measure, "timed", failing)
    options = ["--rounds", "1", "--seconds", "0.05", "--peer", "echo"]
    assert main([*options, "--scenario", "topic-1-[01]"]) == 1
    assert len(starts) == 2
    printed = capsys.readouterr().out
    assert "topic-1-0          echo          FAILED: 1 of 100 messages" in printed
    # The column is as wide as the other figure, which is the machine's.
    assert re.search(r"^\| topic-1-0 \| deliveries/s \| +loses \|$", printed, re.M)


def test_latency_is_measured_three_times_in_turn_unless_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = Measure.timed
    names = []

    def noting(measure: Measure, scenario: Scenario, seconds: float) -> object:
        names.append(scenario.name)
        if scenario.name == "latency-10000":
            raise LostError(1, 100)
        return timed(measure, scenario, seconds)

    monkeypatch.setattr(Measure, "timed", noting)
    file = tmp_path / "figures.json"
    options = ["--rounds", "1", "--seconds", "0.05", "--peer", "echo"]
    page = tmp_path / "RESULTS.md"
    options += ["--json", str(file), "--results", str(page)]
    for name in ("latency-*", "queue-1-1"):
        options += ["--scenario", name]
    assert main(options) == 1
    again = ["latency-1000"]
    assert names == ["queue-1-1", *again, "latency-10000", *again, *again]
    for name, rounds in (("latency-1000", 3), ("latency-10000", 0), ("queue-1-1", 1)):
        row = json.loads(file.read_text())["scenarios"][name]
        assert len(row["peers"]["echo"]["rounds"]) == rounds
    assert "- rounds: 1, each of about" in page.read_text()


def test_growth_is_measured_beside_its_baseline_with_two_brokers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[tuple[str, int]] = []
    run = Workers.run

    def noting(workers: Workers, count: int) -> Outcome:
        name = workers._job.scenario.name
        jobs.append((name, workers._job.endpoint.tcp[1]))
        outcome = run(workers, count)
        # As if the machine were slow in every second turn.
        slow = 10 if (len(jobs) - 1) // 2 % 2 else 1
        half = 2 if name == "destinations-100" else 1
        seconds = 0.01 * slow * half * count / 1000
        return Outcome(seconds, outcome.cpu, outcome.checked, outcome.times)

    monkeypatch.setattr(Workers, "run", noting)
    options = ["--rounds", "1", "--seconds", "0.05", "--peer", "echo"]
    assert main([*options, "--scenario", "destinations-100"]) == 0
    turns = jobs[4:]
    names = [name for name, _ in turns]
    assert names == ["destinations-1", "destinations-100"] * (len(turns) // 2)
    assert len({port for _, port in turns}) == 2
    printed = capsys.readouterr().out
    assert re.search(r"^\| destinations-100 kept \| % +\| +50 \|$", printed, re.M)


def test_growth_needs_two_brokers(echo: Echo) -> None:
    with pytest.raises(BenchError, match="two brokers"):
        Measure(echo).counted(SCENARIOS["destinations-100"], 100)


def test_what_is_not_reached_in_time_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.__main__._QUICK_BUDGET", 0.5)
    assert main(["--quick", "--peer", "echo", "--scenario", "queue-1-1"]) == 0
    assert "queue-1-1, echo: there was no time for it" in capsys.readouterr().out


def test_a_signal_stops_the_broker_and_the_load() -> None:
    options = ["--peer", "echo", "--scenario", "topic-1-1", "--seconds", "30"]
    command = [sys.executable, "-u", "-m", "bench", *options]

    def heed_interrupts() -> None:
        """These tests may run where they are ignored, as behind a shell's ``&``."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with psutil.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    ) as bench:
        for line in bench.stdout:
            if line.startswith("round 1"):
                break
        while len(children := bench.children(recursive=True)) < 3:
            assert bench.poll() is None
            time.sleep(0.01)
        bench.send_signal(signal.SIGINT)
        assert bench.wait(20) == 128 + signal.SIGINT
    assert psutil.wait_procs(children, 5)[1] == []


def test_broker_and_load_have_cores_of_their_own() -> None:
    cores = Cores.pinned()
    assert not cores.broker & cores.load


@given(
    st.lists(st.integers(0, 3), max_size=40),
    st.sampled_from([b"\0", BODY_END + b"\0"]),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_ends_are_counted_where_they_are_expected_and_elsewhere(
    lengths: list[int], terminator: bytes, skipped: int, cut: int
) -> None:
    bodies = (b"x" * (10 + length // 3) + terminator for length in lengths)
    data = bytearray().join(bodies)
    data = data[skipped:] + b"\0" * cut
    size = max(0, len(data) - cut)
    assert count_ends(data, size, terminator) == data.count(terminator, 0, size)


def test_a_client_that_waits_in_the_kernel_gives_up_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname(), timeout=0.5)
        client = Client.__new__(Client)
        client.socket = sock
        for _ in range(2):  # a run, and the next
            client.wait_in_kernel()
        option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
        assert option[0] == 1  # seconds: rounded up
        with sock, pytest.raises(BenchError, match="time is up"):
            client.receive_frame()


@pytest.mark.parametrize(
    "name", ["queue-1-1-varied", "queue-1-1-unlike", "queue-1-1-receipt"]
)
def test_no_name_comes_again_in_another_run(name: str) -> None:
    it = job(name)
    frames, names = Frames(it, 0, websocket=False), set()
    counts = (5, frames.period, frames.period + 3)
    for count in counts:
        frames.start_run()
        for index in range(count):
            (found,) = _OWN_NAME.findall(frames.take(1))
            assert found == it.load.name(frames.first + index)
            names.add(found)
    assert len(names) == sum(counts)
