"""The work whose instructions are counted: the pure core, and nothing else.

SEND frames, five of a kind in a row, are parsed, routed to a queue, to a topic with ten
subscribers, and to a queue whose subscriber acknowledges each message; the ACK frames
are parsed, too. What subscribers are given goes nowhere.

    python -m bench.workload ROUNDS

Each round is 100 messages. Nothing here may change without a new baseline.
"""

import sys
from pathlib import Path

import romp_asgi.broker.broker
from romp_asgi.broker.broker import Broker, BrokerLimits
from romp_asgi.broker.client import Client
from romp_asgi.broker.message import Message, Run
from romp_asgi.broker.policy import Kind, Policy
from romp_asgi.errors import PeerError
from romp_asgi.stomp.abridged import AckRun, SendRun
from romp_asgi.stomp.blocks import Blocks
from romp_asgi.stomp.frame import Frame
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.parser import Parser
from romp_asgi.stomp.spec import DESTINATION, AckMode
from romp_asgi.stomp.versions import STOMP_1_2

MESSAGES_PER_ROUND = 100
_TOPIC_SUBSCRIBERS = 10
_READ = 16 * 1024
_VARIED_EVERY = 10
_IN_A_ROW = 5
_BODY = b"x" * 100


class _Sink:
    """A receiver that takes everything, and remembers what is to be acknowledged."""

    def __init__(self) -> None:
        self.tags: list[int] = []

    def deliver(self, message: Message, tag: int, redelivered: bool) -> bool:
        if tag:
            self.tags.append(tag)
        return True

    def deliver_only(self, message: Message) -> bool:
        return self.deliver(message, 0, redelivered=False)

    def deliver_run(self, run: Run) -> bool:
        has_room = True
        for message in run.messages:
            has_room = self.deliver(message, 0, redelivered=False)
        return has_room

    def overrun(self) -> bool:
        return False

    def cut_off(self, error: PeerError) -> None:
        raise AssertionError(error)


class Workload:
    """A broker with its clients, to be put through rounds."""

    def __init__(self) -> None:
        self._broker = Broker(
            {
                "/queue/**": Policy(Kind.QUEUE, max_messages=1000),
                "/topic/**": Policy(Kind.TOPIC),
            },
            BrokerLimits(),
        )
        self._sender, self._acker = Client(), Client()
        self._sink = _Sink()
        self._sends = Parser(Limits())
        self._sends.switch(STOMP_1_2, Limits(), Blocks(), abridges=True)
        self._acks = Parser(Limits())
        self._acks.switch(STOMP_1_2, Limits(), abridges=True)
        for number in range(_TOPIC_SUBSCRIBERS):
            self._broker.subscribe(Client(), str(number), "/topic/a", _Sink())
        self._broker.subscribe(Client(), "0", "/queue/a", _Sink())
        self._broker.subscribe(
            self._acker, "0", "/queue/b", self._sink, AckMode.CLIENT_INDIVIDUAL
        )
        self._frames = [_send(index) for index in range(MESSAGES_PER_ROUND)]
        self._rounds = 0

    def _send(self, frame: Frame) -> None:
        """What a session does."""
        headers, broker = frame.headers, self._broker
        assert type(headers) is Headers
        target = headers.target
        if isinstance(frame, SendRun):
            assert broker.takes_run(target, len(frame.bodies))
            broker.send_run(headers, frame.bodies, 0.0, target)
            return
        message = Message(headers[DESTINATION], headers, frame.body)
        broker.send(self._sender, message, 0.0, None, target)
        if target is None:
            headers.target = target = broker.destinations[message.destination]

    def round(self) -> None:
        """Send each message, and acknowledge what wants it."""
        for index in range(0, MESSAGES_PER_ROUND, _VARIED_EVERY):
            self._frames[index] = _send(index, self._rounds)
        self._rounds += 1
        octets = b"".join(self._frames)
        for start in range(0, len(octets), _READ):
            self._sends.receive_data(octets[start : start + _READ])
            for frame in self._sends.frames():
                self._send(frame)
        self._acks.receive_data(
            b"".join(b"ACK\nid:%d\n\n\0" % tag for tag in self._sink.tags)
        )
        self._sink.tags.clear()
        for frame in self._acks.frames():
            assert isinstance(frame, AckRun)
            self._broker.acknowledge_all(self._acker, frame.tags)


def is_compiled() -> bool:
    """Whether the core that is counted is machine code."""
    return Path(romp_asgi.broker.broker.__file__).suffix != ".py"


def _send(index: int, round_number: int = 0) -> bytes:
    """A SEND frame; every tenth has a header that none of the last had."""
    names = b"/queue/a", b"/topic/a", b"/queue/a", b"/queue/b"
    destination = names[index // _IN_A_ROW % len(names)]
    is_varied = index % _VARIED_EVERY == 0
    number = b"number:%04d%04d\n" % (round_number, index) if is_varied else b""
    return b"SEND\ndestination:%b\n%bcontent-length:%d\n\n%b\0" % (
        destination,
        number,
        len(_BODY),
        _BODY,
    )


if __name__ == "__main__":
    workload = Workload()
    for _ in range(int(sys.argv[1])):
        workload.round()
    print("compiled" if is_compiled() else "pure")
