"""One connection that is subscribed: what it counts, keeps, checks and answers."""

import re
import socket
import sys
import time
from contextlib import suppress

from bench.errors import BenchError, LostError
from bench.job import Job
from bench.messages import BODY_END, Sample
from bench.scenarios import Flow, Traffic

_SAMPLES = 16  # per subscriber, spread over the run; and its first and last octets
_ALL_SAMPLES = 1000  # per process; with many subscribers each has fewer, two at least
_SAMPLE = 4096  # bytes, and two messages at the least
_FEW = 4  # in a row at equal distances; then all is looked through
_LAST = 10  # messages from the end where the last one starts
_LARGE = 65536  # octets of a body of which the kernel may drop the middle
_HEAD = 4096  # octets of such a message that are looked at first
_LONGEST_HEAD = 65536
_COMMAND = b"MESSAGE\n"


class Subscriber:
    """One connection that is subscribed: counts the messages that end, keeps samples.

    Attributes:
        count: Messages that have come.
        expected: How many are to come.
        unsent: What the socket has not taken yet.

    A message ends with NUL. The header of a WebSocket frame may hold a NUL too, so
    there the last octets of the body count with it.
    """

    def __init__(self, sock: socket.socket, job: Job, expected: int) -> None:
        scenario = job.scenario
        assert isinstance(scenario, Traffic)
        self.socket = sock
        self.count = 0
        self.unsent = b""
        self._job = job
        self.expected = expected
        self._terminator = BODY_END + b"\0" if scenario.websocket else b"\0"
        self._tail = b""  # what may be the begin of a terminator
        self._seam = len(self._terminator) - 1
        self._samples: list[Sample] = []
        self._sample_size = max(_SAMPLE, 2 * job.load.body_size + 1024)
        samples = _ALL_SAMPLES // max(1, scenario.subscribers)
        self._sample_every = expected // max(2, min(_SAMPLES, samples))
        self._next_sample = 0
        self._last_sample = max(0, expected - _LAST)

    @property
    def finished(self) -> bool:
        """All is here (what is too much, too)."""
        return self.count >= self.expected

    def read(self, buffer: bytearray) -> int:
        """Take what the socket has, as much as the buffer holds.

        Returns:
            How many octets that was; 0 at the end.
        """
        size = self.socket.recv_into(buffer)
        if size:
            self.received(buffer, size)
        return size

    def received(self, data: bytearray, size: int) -> None:
        """Take the first `size` octets of `data`."""
        before = self.count
        if self._tail:
            # A terminator that came with two reads, or three.
            seam = self._tail + data[: min(size, self._seam)]
            before += seam.count(self._terminator)
        self.count = before + count_ends(data, size, self._terminator)
        if self._seam:
            end = data[max(0, size - self._seam) : size]
            self._tail = (self._tail + end)[-self._seam :]
        self._sample(before, data, size)

    def send(self) -> None:
        """Send what is unsent, as far as the socket takes it."""
        if self.unsent:
            with suppress(BlockingIOError):
                self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def check(self) -> int:
        """Check the count, and the samples.

        Returns:
            How many messages were compared.
        """
        if self.count < self.expected:
            raise LostError(self.expected - self.count, self.expected)
        if self.count > self.expected:
            raise BenchError(f"{self.count:,} messages for {self.expected:,}")
        load, scenario = self._job.load, self._job.scenario
        checked = sum(
            sample.check(load, websocket=scenario.websocket, packed=scenario.packed)
            for sample in self._samples
        )
        if not checked:
            raise BenchError("no message to check in the samples")
        return checked

    def _sample(self, before: int, data: bytearray, size: int) -> None:
        """Keep pieces, over as many reads as it takes, and the end in any case."""
        if before >= self._next_sample:
            self._samples.append(Sample(before, bytearray(), not self._samples))
            self._next_sample = self.count + self._sample_every
            if before < self._last_sample:
                self._next_sample = min(self._next_sample, self._last_sample)
        piece = self._samples[-1].data
        if len(piece) < self._sample_size:
            piece += data[: min(size, self._sample_size - len(piece))]
        if self.count >= self.expected:
            end = data[max(0, size - _SAMPLE) : size]
            before = self.count - end.count(self._terminator)
            self._samples.append(Sample(before, end, whole=False))


def count_ends(data: bytearray, size: int, terminator: bytes) -> int:
    """How often a terminator is in the first `size` octets.

    Messages of a load are of equal length, as long as their numbers have as many
    digits. So it is looked for at equal distances, for as long as it is there.
    """
    total = place = 0
    while (first := data.find(terminator, place, size)) >= 0:
        end = first + len(terminator)
        second = data.find(terminator, end, size)
        if second < 0:
            return total + 1
        distance = second - first
        lasts = data[end - 1 : size : distance]
        count = len(lasts) - len(lasts.lstrip(terminator[-1:]))
        if len(terminator) > 1:
            others = data[end - 2 : size - 1 : distance]
            count = min(count, len(others) - len(others.lstrip(terminator[-2:-1])))
        total += count
        place = end + (count - 1) * distance
        if count < _FEW:
            return total + data.count(terminator, place, size)
    return total


class LargeSubscriber(Subscriber):
    """Looks at where each message begins and ends; the kernel drops the rest.

    Else the load would copy as much as a broker does. Only samples are whole: up to 17
    messages over the run, the first and the last among them.
    """

    def __init__(self, sock: socket.socket, job: Job, expected: int) -> None:
        super().__init__(sock, job, expected)
        self._body_size = job.load.body_size
        self._end = BODY_END + b"\0"
        self._sample_every = max(1, -(-expected // _SAMPLES))
        self._frame = bytearray()  # what is kept of the one that is coming
        self._left = 0  # octets of it that are still to come; 0 in its head
        self._drop = 0  # how many of the next ones are dropped

    @staticmethod
    def fits(scenario: Traffic) -> bool:
        """Whether bodies are so large, and this system drops octets of TCP."""
        return (
            isinstance(scenario, Flow)
            and scenario.body_size > _LARGE
            and not scenario.websocket
            and not scenario.prefetch
            and sys.platform == "linux"
        )

    def read(self, buffer: bytearray) -> int:
        """Take what the socket has, as much as the buffer holds.

        Returns:
            How many octets that was; 0 at the end.
        """
        if self._drop:
            most = min(self._drop, len(buffer))
            # Source: tcp(7) of Linux, MSG_TRUNC: received and discarded.
            size = self.socket.recv_into(buffer, most, socket.MSG_TRUNC)
            self._drop -= size
            self._left -= size
            return size
        size = self.socket.recv_into(buffer, min(self._left or _HEAD, len(buffer)))
        self._frame += buffer[:size]
        if self._left:
            self._left -= size
            if size and not self._left:
                self._ended()
        else:
            self._look_at_head()
        return size

    def check(self) -> int:
        """Check the count, and the samples.

        Returns:
            How many messages were compared.
        """
        if self._frame:
            raise BenchError(f"the beginning of one more: {bytes(self._frame[:300])!r}")
        return super().check()

    def _look_at_head(self) -> None:
        frame = self._frame
        del frame[: len(frame) - len(frame.lstrip(b"\r\n"))]
        blank = frame.find(b"\n\n")
        is_message = frame.startswith(_COMMAND) or _COMMAND.startswith(frame)
        if not is_message or (blank < 0 and len(frame) > _LONGEST_HEAD):
            raise BenchError(f"no message: {bytes(frame[:300])!r}")
        if blank < 0:
            return
        self._left = blank + 2 + self._body_size + 1 - len(frame)
        if not self._is_sample():
            self._drop = self._left - len(self._end)

    def _ended(self) -> None:
        frame, self._frame = self._frame, bytearray()
        if not frame.endswith(self._end):
            raise BenchError(f"no message: {bytes(frame[:300])!r}")
        if self._is_sample():
            self._samples.append(Sample(self.count, frame, whole=True))
            self._next_sample = self.count + self._sample_every
        self.count += 1

    def _is_sample(self) -> bool:
        """Whether the message that is coming is kept whole."""
        return self.count >= self._next_sample or self.count + 1 >= self.expected


class AckingSubscriber(Subscriber):
    """A client-individual subscription: an ACK for each message.

    Those for a read go out in one write. The last one asks for a receipt: when that is
    here, the broker is done.
    """

    def __init__(self, sock: socket.socket, job: Job, expected: int) -> None:
        super().__init__(sock, job, expected)
        assert isinstance(job.scenario, Flow)
        self._prefetch = job.scenario.prefetch or 0
        self._id = re.compile(rb"\n%b:([^\r\n]+)" % job.endpoint.ack_header)
        self._ack = job.endpoint.ack_frame
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
        if self.count >= self.expected:
            self._receipt = b"RECEIPT\n" in frames
            return
        ids = self._id.findall(frames, 0, end)
        # All before these had been acknowledged.
        if self._job.endpoint.prefetch_is_exact and len(ids) > self._prefetch:
            raise BenchError(f"{len(ids)} messages, prefetch-count is {self._prefetch}")
        before = self.count
        super().received(frames, end)
        if self.count - before != len(ids):
            raise BenchError(f"not only messages: {bytes(frames[:1000])!r}")
        acks = self._ack + (b"\n\n\0" + self._ack).join(ids) + b"\n\n\0"
        if self.count >= self.expected:
            acks = acks.removesuffix(b"\n\0") + b"receipt:all-acked\n\n\0"
        self.unsent += acks
        self.send()


class StampingSubscriber(Subscriber):
    """Notes when each message came, to compare with when it was to be sent."""

    def __init__(self, sock: socket.socket, job: Job, expected: int) -> None:
        super().__init__(sock, job, expected)
        self._stamps: list[tuple[int, float]] = []  # how many had come, and when

    def received(self, data: bytearray, size: int) -> None:
        """Take the first `size` octets of `data`."""
        now = time.monotonic()
        super().received(data, size)
        self._stamps.append((self.count, now))

    def latencies(self, epoch: float, rate: float) -> list[float]:
        """Seconds from when each message was to be sent until it came.

        Args:
            epoch: When the first was to be sent.
            rate: Messages a second.
        """
        found: list[float] = []
        for count, at in self._stamps:
            found += [at - epoch - index / rate for index in range(len(found), count)]
        return found
