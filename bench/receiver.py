"""The process that receives: many subscribers on one selector, ends counted."""

import re
import selectors
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

from bench.errors import BenchError
from bench.job import Done, Job, Pipe, Progress, Ready, Stopwatch
from bench.messages import Sample
from bench.wire import Client, frame

_READ = 256 * 1024
_SAMPLES = 16  # per subscriber, spread over the run; and its first and last octets
_SAMPLE = 4096  # bytes
_LAST = 10  # messages from the end where the last one starts
_AFTERMATH = 0.05  # how long to wait for messages that should not come
_X = ord("x")
_ACK = re.compile(rb"\nack:([^\r\n]+)")


class Subscriber:
    """One subscription: counts the messages that end, keeps samples for the check.

    A message ends with NUL. The header of a WebSocket frame may hold a NUL too, so
    there the last x of the body counts with it.
    """

    def __init__(self, sock: socket.socket, job: Job) -> None:
        self.socket = sock
        self.count = 0
        self.unsent = b""
        self._expected = job.count
        self._terminator = b"x\0" if job.scenario.websocket else b"\0"
        self._last = 0
        self._samples: list[Sample] = []
        self._next_sample = 0
        self._last_sample = max(0, job.count - _LAST)

    @property
    def finished(self) -> bool:
        """All is here (what is too much, too)."""
        return self.count >= self._expected

    def received(self, data: bytearray, size: int) -> None:
        """Take the first `size` octets of `data`."""
        before = self.count
        if data[0] == 0 and self._last == _X and len(self._terminator) == 2:
            before += 1  # its x came with the read before
        self.count = before + data.count(self._terminator, 0, size)
        self._last = data[size - 1]
        self._sample(before, data, size)

    def send(self) -> None:
        """Send what is unsent, as far as the socket takes it."""
        if self.unsent:
            with suppress(BlockingIOError):
                self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def check(self, job: Job) -> int:
        """Check the count, and the samples.

        Returns:
            How many messages were compared.
        """
        if self.count != self._expected:
            raise BenchError(f"{self.count:,} messages for {self._expected:,}")
        checked = sum(
            sample.check(job.load, websocket=job.scenario.websocket)
            for sample in self._samples
        )
        if not checked:
            raise BenchError("no message to check in the samples")
        return checked

    def _sample(self, before: int, data: bytearray, size: int) -> None:
        """Keep pieces, over as many reads as it takes, and the end in any case."""
        if before >= self._next_sample:
            self._samples.append(Sample(before, bytearray(), not self._samples))
            self._next_sample = self.count + self._expected // _SAMPLES
            if before < self._last_sample:
                self._next_sample = min(self._next_sample, self._last_sample)
        piece = self._samples[-1].data
        if len(piece) < _SAMPLE:
            piece += data[: min(size, _SAMPLE - len(piece))]
        if self.count >= self._expected:
            end = data[max(0, size - _SAMPLE) : size]
            before = self.count - end.count(self._terminator)
            self._samples.append(Sample(before, end, whole=False))


class AckingSubscriber(Subscriber):
    """A client-individual subscription: an ACK for each message.

    Those for a read go out in one write. The last one asks for a receipt: when that is
    here, the broker is done.
    """

    def __init__(self, sock: socket.socket, job: Job) -> None:
        super().__init__(sock, job)
        self._prefetch = job.scenario.prefetch or 0
        self._rest = b""
        self._receipt = False

    @property
    def finished(self) -> bool:
        """All is here, acknowledged, and the broker has said so."""
        return self._receipt

    def received(self, data: bytearray, size: int) -> None:
        """Take the first `size` octets of `data`, and acknowledge what is whole."""
        frames = bytearray(self._rest + data[:size])
        end = frames.rfind(0) + 1
        self._rest = bytes(frames[end:])
        if not end:
            return
        if self.count >= self._expected:
            self._receipt = b"RECEIPT\n" in frames
            return
        ids = _ACK.findall(frames, 0, end)
        if len(ids) > self._prefetch:  # all before these had been acknowledged
            raise BenchError(f"{len(ids)} messages, prefetch-count is {self._prefetch}")
        before = self.count
        super().received(frames, end)
        if self.count - before != len(ids):
            raise BenchError(f"not only messages: {bytes(frames[:1000])!r}")
        acks = b"ACK\nid:%b\n\n\0" % b"\n\n\0ACK\nid:".join(ids)
        if self.count >= self._expected:
            acks = acks.removesuffix(b"\n\0") + b"receipt:all-acked\n\n\0"
        self.unsent += acks
        self.send()


def receive(job: Job, index: int, progress: Progress, pipe: Pipe) -> Done:
    """Subscribe, and receive the messages of a round.

    Raises:
        BenchError: Messages are missing, wrong or too many, or time is up.
    """
    share = len(range(index, job.scenario.subscribers, job.scenario.receivers))
    with ExitStack() as stack:
        subscribers = [_subscribe(job, stack) for _ in range(share)]
        pipe.send(Ready())
        pipe.recv()
        watch = Stopwatch(job.timeout)
        _receive(job, subscribers, index, progress, watch)
        done = watch.done()
        _receive_surplus(subscribers)
        return replace(done, checked=sum(each.check(job) for each in subscribers))


def _subscribe(job: Job, stack: ExitStack) -> Subscriber:
    prefetch = job.scenario.prefetch
    client = stack.enter_context(
        Client(job.endpoint, websocket=job.scenario.websocket, timeout=job.timeout)
    )
    headers = [("id", "0"), ("destination", job.destination), ("receipt", "subscribed")]
    if prefetch:
        headers += [("ack", "client-individual"), ("prefetch-count", str(prefetch))]
    client.send(frame("SUBSCRIBE", *headers))
    client.expect("RECEIPT")
    client.socket.setblocking(False)
    return (AckingSubscriber if prefetch else Subscriber)(client.socket, job)


def _receive(
    job: Job,
    subscribers: list[Subscriber],
    index: int,
    progress: Progress,
    watch: Stopwatch,
) -> None:
    """Receive until every subscriber has finished."""
    buffer = bytearray(_READ)
    with selectors.DefaultSelector() as selector:
        for subscriber in subscribers:
            selector.register(subscriber.socket, selectors.EVENT_READ, subscriber)
        while selector.get_map():
            for key, events in selector.select(1.0):
                subscriber = key.data
                if events & selectors.EVENT_READ:
                    _read(subscriber, buffer)
                subscriber.send()
                wanted = selectors.EVENT_READ
                if subscriber.unsent:
                    wanted |= selectors.EVENT_WRITE
                if subscriber.finished:
                    selector.unregister(subscriber.socket)
                elif wanted != key.events:
                    selector.modify(subscriber.socket, wanted, subscriber)
            progress[index] = min(each.count for each in subscribers)
            watch.check(progress[index], job.count)


def _read(subscriber: Subscriber, buffer: bytearray) -> None:
    size = subscriber.socket.recv_into(buffer)
    if not size:
        raise BenchError(f"closed by the peer after {subscriber.count:,} messages")
    subscriber.received(buffer, size)


def _receive_surplus(subscribers: list[Subscriber]) -> None:
    """Count what should not come: the same message twice, an ERROR."""
    time.sleep(_AFTERMATH)
    buffer = bytearray(_READ)
    for subscriber in subscribers:
        with suppress(BlockingIOError):
            _read(subscriber, buffer)
