"""The bench measures what it says: it counts, it checks, and a wrong broker fails."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from bench.__main__ import Cores, main
from bench.errors import BenchError
from bench.job import Job
from bench.load import Workers
from bench.measure import Measure, Round
from bench.messages import Load
from bench.peers import Echo, Romp, free_port
from bench.receiver import AckingSubscriber, Subscriber
from bench.report import Machine, Report
from bench.scenarios import SCENARIOS
from bench.wire import Endpoint, websocket_frame, websocket_payloads

NOWHERE = Endpoint(("127.0.0.1", 0), ("127.0.0.1", 0))

Sockets: TypeAlias = tuple[socket.socket, socket.socket]
Spoil: TypeAlias = Callable[[list[bytes]], list[bytes]]


def job(scenario: str, count: int, endpoint: Endpoint = NOWHERE) -> Job:
    return Job(SCENARIOS[scenario], endpoint, "/queue/a", count, timeout=5)


def messages(load: Load, count: int) -> list[bytes]:
    """What a good broker makes of the load, an ack of its own in each."""
    sends = load.sends().split(b"\0")[:-1]
    return [
        b"MESSAGE\nsubscription:0\nack:%d\n" % index
        + sends[index % load.period].removeprefix(b"SEND\n")
        + b"\0"
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


@pytest.mark.parametrize("varied", [True, False])
def test_all_frames_of_a_load_have_one_size_and_a_number(varied: bool) -> None:
    load = Load("/queue/a", 100, varied)
    frames = load.sends().split(b"\0")[:-1]
    assert len(frames) == load.period == len(set(frames))
    assert len({len(frame) for frame in frames}) == 1
    assert frames[7].endswith(b"\n\n00000007" + b"x" * 92)
    assert (b"\nnumber:00000007\n" in frames[7]) is varied


def test_a_load_of_large_bodies_stays_small() -> None:
    assert len(Load("/queue/a", 256 * 1024).sends()) < 5_000_000
    with pytest.raises(BenchError, match="9 octets"):
        Load("/queue/a", 8)


# The check


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("name", ["queue-1-1", "queue-1-1-varied", "ws-topic-1-50"])
def test_good_messages_are_counted_and_checked(
    name: str, step: int, sockets: Sockets
) -> None:
    it = job(name, 500)
    subscriber = Subscriber(sockets[0], it)
    feed(subscriber, stream(it, messages(it.load, 500)), step)
    assert subscriber.finished
    assert subscriber.check(it) > 30


SPOILT = [
    pytest.param(lambda frames: frames[:-1], id="lost"),
    pytest.param(lambda frames: [*frames, frames[-1]], id="twice"),
    pytest.param(lambda frames: [*frames[1:], frames[0]], id="late"),
    pytest.param(lambda frames: [*frames[:-1], frames[0]], id="lost-and-twice"),
    pytest.param(
        lambda frames: [*frames[:-1], frames[-1].replace(b"xx", b"xy", 1)],
        id="other-body",
    ),
    pytest.param(
        lambda frames: [frames[0].replace(b"/a\n", b"/b\n"), *frames[1:]],
        id="other-destination",
    ),
    pytest.param(lambda frames: [*frames[:-1], b"ERROR\n\nx\0"], id="error"),
]


@pytest.mark.parametrize("step", [100, 100_000])
@pytest.mark.parametrize("name", ["queue-1-1", "ws-topic-1-50"])
@pytest.mark.parametrize("spoil", SPOILT)
def test_wrong_messages_are_an_error(
    name: str, spoil: Spoil, step: int, sockets: Sockets
) -> None:
    it = job(name, 500)
    subscriber = Subscriber(sockets[0], it)
    feed(subscriber, stream(it, spoil(messages(it.load, 500))), step)
    with pytest.raises(BenchError):
        subscriber.check(it)


def test_frames_packed_into_a_websocket_message_are_an_error(sockets: Sockets) -> None:
    it = job("ws-topic-1-50", 500)
    subscriber = Subscriber(sockets[0], it)
    frames = messages(it.load, 500)
    packs = [b"".join(frames[start : start + 10]) for start in range(0, 500, 10)]
    feed(subscriber, stream(it, packs), 999)
    with pytest.raises(BenchError, match="not one STOMP frame"):
        subscriber.check(it)


@pytest.mark.parametrize("step", [1, 100, 1000])
def test_each_message_is_acknowledged_and_the_last_asks_for_a_receipt(
    step: int, sockets: Sockets
) -> None:
    it = job("ack-100", 200)
    subscriber = AckingSubscriber(sockets[0], it)
    feed(subscriber, stream(it, messages(it.load, 200)), step)
    acks = sockets[1].recv(100_000).split(b"\0")[:-1]
    assert acks == [
        *(b"ACK\nid:%d\n\n" % index for index in range(199)),
        b"ACK\nid:199\nreceipt:all-acked\n\n",
    ]
    finished_before = subscriber.finished
    feed(subscriber, b"\nRECEIPT\nreceipt-id:all-acked\n\n\0", step)
    assert (finished_before, subscriber.finished) == (False, True)
    assert subscriber.check(it) > 30


def test_more_messages_than_the_prefetch_count_are_an_error(sockets: Sockets) -> None:
    it = job("ack-100", 200)
    with pytest.raises(BenchError, match="prefetch-count"):
        feed(
            AckingSubscriber(sockets[0], it),
            stream(it, messages(it.load, 101)),
            100_000,
        )


def test_a_frame_that_is_no_message_is_an_error(sockets: Sockets) -> None:
    it = job("ack-100", 200)
    with pytest.raises(BenchError, match="not only messages"):
        feed(AckingSubscriber(sockets[0], it), b"ERROR\nmessage:no\n\n\0", 100)


# The processes


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with Echo() as peer:
        yield peer


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_round_ends_with_its_figures(name: str, echo: Echo) -> None:
    figures = Measure(echo).counted(SCENARIOS[name], 300)
    assert figures.deliveries == 300 * SCENARIOS[name].copies
    assert figures.checked > 0
    assert figures.rate > 0
    assert figures.memory > 0


def test_a_broker_that_ends_fails_the_round() -> None:
    with Echo() as peer, Workers(job("topic-1-50", 100, peer.endpoint)) as workers:
        peer.stop()
        with pytest.raises(BenchError, match=r"closed|reset|pipe"):
            workers.run()
        with pytest.raises(BenchError, match="echo has ended"):
            peer.cpu()


def test_a_broker_that_is_not_there_fails() -> None:
    there = ("127.0.0.1", free_port())
    it = job("queue-1-1", 100, Endpoint(there, there))
    with pytest.raises(BenchError, match="refused"), Workers(it):
        pass  # pragma: no cover  # it does not get here


def test_our_broker_runs_with_the_config_of_the_bench() -> None:
    pytest.importorskip("romp_asgi.cli")
    with Romp() as peer:
        figures = Measure(peer).counted(SCENARIOS["ack-100"], 300)
    assert figures.deliveries == 300


# The report


def test_the_report_compares_medians_and_leaves_out_what_failed() -> None:
    report = Report(Machine.here("nothing pinned"), list(SCENARIOS.values())[:2])
    for peer in ("romp", "rabbitmq", "echo"):
        report.versions[peer] = "1.0"
        for seconds in (1.0, 2.0, 30.0):
            figures = Round(100, 100_000, seconds, 0.5, 1.0, 1, 1)
            report.result("queue-1-1", peer).rounds.append(figures)
    failed_before = report.failed
    report.result("queue-1-1-varied", "romp").failures.append("time is up")
    report.result("queue-1-1", "rabbitmq").rounds[1:] = []
    assert (failed_before, report.failed) == (False, True)
    assert report.table().splitlines() == [
        "| deliveries/s     |   romp | rabbitmq |   echo | romp : rabbitmq |",
        "| ---------------- | -----: | -------: | -----: | --------------: |",
        "| queue-1-1        | 50,000 |  100,000 | 50,000 |             0.5 |",
        "| queue-1-1-varied | failed |        - |      - |               - |",
    ]


def test_the_command_prints_a_table_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    options = ["--quick", "--seconds", "0.05", "--scenario", "queue-1-1"]
    assert main([*options, "--peer", "echo", "--json", str(file)]) == 0
    assert "| queue-1-1    |" in capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert figures["versions"] == {"echo": "echo"}
    assert figures["scenarios"]["queue-1-1"]["echo"]["median"] > 0


def test_a_broker_that_does_not_start_is_told_and_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Echo, "_start", lambda peer: peer._run(["false"]))
    assert main(["--quick", "--peer", "echo"]) == 1
    assert "FAILED: echo does not start" in capsys.readouterr().out


def test_broker_and_load_have_cores_of_their_own() -> None:
    cores = Cores.pinned()
    assert not cores.broker & cores.load
