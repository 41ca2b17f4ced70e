"""The process that publishes: precomputed frames in large pieces, within the window."""

import ctypes
import re
import time
from contextlib import ExitStack, suppress
from typing import Self

from bench.errors import BenchError, LostError
from bench.job import Done, Go, Job, Shared, Stopwatch
from bench.messages import round_digits
from bench.scenarios import FixedRate, Flow, LoadUnload
from bench.wire import Client, websocket_frame

_BATCH = 16 * 1024  # bytes per send, about
_NAP = 0.0002  # while the window is closed
_ALL_IS_SENT = "all-is-sent"
_RECEIPT = b"RECEIPT\n"
_NAME = re.compile(rb"\n(?:number:|id-|receipt:)(?=\d)")
_PR_SET_TIMERSLACK = 29
_HEAD_START = 0.05  # seconds between the order to go and the first message by the clock


class Frames:
    """A period of one publisher's frames, and how far it is."""

    def __init__(self, job: Job, publisher: int, *, websocket: bool) -> None:
        frames = job.load.sends(publisher)
        last = [
            frame.replace(b"SEND\n", b"SEND\nreceipt:%b\n" % _ALL_IS_SENT.encode(), 1)
            for frame in frames
        ]
        if websocket:
            frames = [websocket_frame(frame, masked=True) for frame in frames]
        self._last = last
        self._octets = bytearray().join(frames)
        self._view = memoryview(self._octets)
        self.size = len(frames[0])
        self.period = len(frames)
        # Where each frame has the number of its round, if it has a name of its own.
        self._rounds = [name.end() for name in _NAME.finditer(frames[0])]
        self._round = 0  # the first one of this run
        self.sent = 0

    @property
    def first(self) -> int:
        """The number, in its name, of the first frame of this run."""
        return self._round * self.period

    def start_run(self) -> None:
        """Begin with the first frame again, under a name that none had before."""
        self._round += -(-self.sent // self.period)
        self.sent = 0

    def take(self, most: int) -> memoryview:
        """The next frames, so many of them or fewer."""
        round_number, place = divmod(self.sent, self.period)
        if not place and self._rounds:
            self._begin(self._round + round_number)
        count = min(most, self.period - place)
        self.sent += count
        return self._view[place * self.size : (place + count) * self.size]

    def _begin(self, round_number: int) -> None:
        """Write the number of the round into all frames, an octet of all at a time."""
        for start in self._rounds:
            for place, digit in enumerate(round_digits(round_number), start):
                self._octets[place :: self.size] = bytes([digit]) * self.period

    def take_last(self) -> bytes:
        """The next one, asking for a receipt."""
        place = self.sent % self.period
        self.sent += 1
        return self._last[place]


class Publisher:
    """Publishes as fast as the window lets it; all connections of a scenario."""

    def __init__(self, job: Job, _index: int, shared: Shared) -> None:
        assert isinstance(job.scenario, Flow | LoadUnload | FixedRate)
        self._job = job
        self._scenario = job.scenario
        self._shared = shared
        self._clients: list[Client] = []
        self._frames: list[Frames] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Connect, and make the frames."""
        websocket = self._scenario.websocket and not self._scenario.subscribers
        for publisher in range(self._scenario.publishers):
            client = Client(
                self._job.endpoint, websocket=websocket, timeout=self._job.timeout
            )
            self._clients.append(self._stack.enter_context(client))
            self._frames.append(Frames(self._job, publisher, websocket=websocket))
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._stack.close()

    def run(self, go: Go) -> Done:
        """Publish the messages of a run, and wait until the receivers have them.

        Raises:
            BenchError: The peer sent something (an ERROR), closed, or time is up.
        """
        for frames in self._frames:
            frames.start_run()
        watch = Stopwatch(self._job)
        try:
            self._publish(go.count, watch)
            done = watch.done()
            if self._scenario.subscribers:
                while self._arrived() < go.count:
                    watch.check_progress(self._arrived(), go.count, go.count)
                    time.sleep(0.01)
        except LostError:
            raise
        except (OSError, BenchError) as exc:
            raise BenchError(f"{exc}; {_said(self._clients)}") from exc
        return done

    def _arrived(self) -> int:
        if self._scenario.kind == "topic":
            return min(self._shared.arrived[: self._job.receivers])
        return sum(self._shared.arrived)

    def _publish(self, count: int, watch: Stopwatch) -> None:
        """Send `count` frames, never more than the window ahead of the slowest."""
        each = count // len(self._clients)
        assert isinstance(self._scenario, Flow | LoadUnload)
        if isinstance(self._scenario, Flow) and self._scenario.receipts:
            self._publish_and_wait(count, watch)
            return
        size, window = self._frames[0].size, count
        if isinstance(self._scenario, Flow) and self._scenario.subscribers:
            window = self._scenario.window
            if most := self._job.endpoint.most_ahead:
                window = min(window, max(1, most // size))
        batch = _BATCH // size
        batch = max(1, min(batch, window // (4 * len(self._clients))))
        last = 0 if self._scenario.subscribers else 1
        sent = 0
        while sent < count - last * len(self._clients):
            for client, frames in zip(self._clients, self._frames, strict=True):
                before = frames.sent
                data = frames.take(min(batch, each - last - before))
                sent += frames.sent - before
                while sent - self._arrived() > window:
                    watch.check_progress(self._arrived(), sent, count)
                    time.sleep(_NAP)
                client.socket.sendall(data)
        if last:
            self._finish()

    def _publish_and_wait(self, count: int, watch: Stopwatch) -> None:
        """Send a frame, wait for its receipt, and so on."""
        (client,), (frames,) = self._clients, self._frames
        client.wait_in_kernel()
        load, send = self._job.load, client.socket.sendall
        for index in range(count):
            expected = b"\nreceipt-id:" + load.name(frames.first + index)
            send(frames.take(1))
            receipt = client.receive_frame()
            if expected not in receipt or not receipt.lstrip().startswith(_RECEIPT):
                raise BenchError(f"another receipt: {receipt[:300]!r}")
            if index % 256 == 0:
                watch.check(index, count, "receipts")

    def _finish(self) -> None:
        """Send the last messages with receipts: when they are here, all is done."""
        for client, frames in zip(self._clients, self._frames, strict=True):
            client.send(frames.take_last())
        for client in self._clients:
            client.expect("RECEIPT")


class ClockedPublisher(Publisher):
    """Sends each message when its time has come, whatever became of those before."""

    def _publish(self, count: int, watch: Stopwatch) -> None:
        assert isinstance(self._scenario, FixedRate)
        _sleep_precisely()
        (client,), (frames,) = self._clients, self._frames
        rate = self._scenario.rate
        epoch = time.monotonic() + _HEAD_START
        self._shared.epoch[0] = epoch
        while frames.sent < count:
            now = time.monotonic()
            due = min(count, int((now - epoch) * rate) + 1) - frames.sent
            if now < epoch or due <= 0:
                time.sleep(max(0.0, epoch + frames.sent / rate - now))
                continue
            client.socket.sendall(frames.take(due))
            watch.check(self._arrived(), count)


def _sleep_precisely() -> None:
    """Ask Linux for sleeps without its usual 50 µs of slack; elsewhere do nothing."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def _said(clients: list[Client]) -> str:
    """What the peer said to the publishers, to whom it should say nothing."""
    for client in clients:
        client.socket.setblocking(False)
        with suppress(OSError):
            data = client.socket.recv(1000)
            return f"the peer says {data!r}" if data else "the peer has closed"
    return "the peer says nothing"
