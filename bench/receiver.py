"""The process that receives: many subscribers on one selector."""

import selectors
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Self

from bench.errors import BenchError
from bench.job import Done, Go, Job, Shared, Stopwatch
from bench.scenarios import FixedRate, Flow, Traffic
from bench.subscriber import (
    AckingSubscriber,
    LargeSubscriber,
    StampingSubscriber,
    Subscriber,
)
from bench.wire import Client, frame

_READ = 256 * 1024
_AFTERMATH = 0.05  # how long to wait for messages that should not come


class Receiver:
    """Subscribes, and receives the messages of each run."""

    def __init__(self, job: Job, index: int, shared: Shared) -> None:
        assert isinstance(job.scenario, Traffic)
        self._job = job
        self._scenario = job.scenario
        self._index = index
        self._shared = shared
        self._clients: list[Client] = []
        self._stack = ExitStack()
        self._buffer = bytearray(_READ)

    def __enter__(self) -> Self:
        """Connect and subscribe."""
        connections = max(1, self._scenario.subscribers)
        for number in range(self._index, connections, self._job.receivers):
            client = Client(
                self._job.endpoint,
                websocket=self._scenario.websocket,
                timeout=self._job.timeout,
            )
            self._clients.append(self._stack.enter_context(client))
            self._subscribe(client, number)
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._stack.close()

    def run(self, go: Go) -> Done:
        """Receive what each subscriber is to get.

        Raises:
            BenchError: Messages are missing, wrong or too many, or time is up.
        """
        kind = self._kind()
        expected = self._scenario.share(go.count)
        subscribers = [kind(c.socket, self._job, expected) for c in self._clients]
        watch = Stopwatch(self._job)
        self._receive(subscribers, watch)
        done = watch.done()
        self._receive_surplus(subscribers)
        times: list[float] = []
        if isinstance(self._scenario, FixedRate):
            epoch, rate = self._shared.epoch[0], self._scenario.rate
            for each in subscribers:
                assert isinstance(each, StampingSubscriber)
                times += each.latencies(epoch, rate)
        return replace(done, checked=sum(e.check() for e in subscribers), times=times)

    def _kind(self) -> type[Subscriber]:
        if isinstance(self._scenario, FixedRate):
            return StampingSubscriber
        if isinstance(self._scenario, Flow) and self._scenario.prefetch:
            return AckingSubscriber
        return LargeSubscriber if LargeSubscriber.fits(self._scenario) else Subscriber

    def _subscribe(self, client: Client, number: int) -> None:
        endpoint = self._job.endpoint
        prefetch = self._scenario.prefetch if isinstance(self._scenario, Flow) else None
        for place in self._scenario.subscribed(number):
            headers = [("id", str(place)), ("receipt", "subscribed")]
            headers += [("destination", self._job.destinations[place])]
            if prefetch:
                headers += endpoint.subscription_with(prefetch)
            client.send(frame("SUBSCRIBE", *headers))
            client.expect("RECEIPT")
        client.socket.setblocking(False)

    def _receive(self, subscribers: list[Subscriber], watch: Stopwatch) -> None:
        """Receive until every subscriber has finished."""
        expected = subscribers[0].expected
        with selectors.DefaultSelector() as selector:
            for subscriber in subscribers:
                selector.register(subscriber.socket, selectors.EVENT_READ, subscriber)
            while selector.get_map():
                for key, events in selector.select(1.0):
                    subscriber = key.data
                    if events & selectors.EVENT_READ:
                        self._read(subscriber)
                    subscriber.send()
                    wanted = selectors.EVENT_READ
                    if subscriber.unsent:
                        wanted |= selectors.EVENT_WRITE
                    if subscriber.finished:
                        selector.unregister(subscriber.socket)
                    elif wanted != key.events:
                        selector.modify(subscriber.socket, wanted, subscriber)
                counts = [each.count for each in subscribers]
                is_topic = self._scenario.kind == "topic"
                self._shared.arrived[self._index] = (min if is_topic else sum)(counts)
                watch.check(min(counts), expected)

    def _read(self, subscriber: Subscriber) -> None:
        size = subscriber.read(self._buffer)
        if self._job.endpoint.most_ahead and hasattr(socket, "TCP_QUICKACK"):
            # With so little on the way a peer that leaves Nagle's algorithm on would
            # wait for delayed acknowledgements, 40 ms each.
            subscriber.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not size:
            count = subscriber.count
            raise BenchError(f"closed by the peer after {count:,} messages")

    def _receive_surplus(self, subscribers: list[Subscriber]) -> None:
        """Count what should not come: the same message twice, an ERROR."""
        time.sleep(_AFTERMATH)
        for subscriber in subscribers:
            with suppress(BlockingIOError):
                self._read(subscriber)


class Unloader(Receiver):
    """Subscribes when the clock runs already, to a queue that is full."""

    def run(self, go: Go) -> Done:
        """Subscribe, and receive all.

        Raises:
            BenchError: Messages are missing, wrong or too many, or time is up.
        """
        started = time.monotonic()
        for client in self._clients:
            headers = ("id", "0"), ("destination", self._job.destinations[0])
            client.send(frame("SUBSCRIBE", *headers))
            client.socket.setblocking(False)
        return replace(super().run(go), started=started)

    def _subscribe(self, client: Client, number: int) -> None:
        """Not yet."""
