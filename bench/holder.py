"""The process that holds connections on which nothing happens."""

import sys
import time
from contextlib import ExitStack
from typing import Self

from bench.job import Done, Go, Job, Shared, Stopwatch
from bench.scenarios import Flow, Idle
from bench.wire import Client, frame

_PER_ADDRESS = 5_000  # connections from one address: ports are finite
_SETTLE = 0.5  # seconds after the last one, before memory is looked at


class Holder:
    """Connects as often as the scenario says, and stays; nothing may come."""

    def __init__(self, job: Job, _index: int, _shared: Shared) -> None:
        self._job = job
        self._clients: list[Client] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Connect: all, where there is a load beside it; else the first ten."""
        match self._job.scenario:
            case Flow(bystanders=bystanders):
                self._connect(bystanders, subscribe=True)
            case _:
                self._connect(10, subscribe=False)
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._stack.close()

    def run(self, go: Go) -> Done:
        """Connect, if the scenario is about that, and see that all are still there.

        Raises:
            BenchError: One was closed, or got something.
        """
        watch = Stopwatch(self._job)
        if isinstance(self._job.scenario, Idle):
            self._connect(go.count, subscribe=False)
            time.sleep(_SETTLE)
        for client in self._clients:
            client.expect_nothing()
        return watch.done(checked=len(self._clients))

    def _connect(self, count: int, *, subscribe: bool) -> None:
        websocket = (
            isinstance(self._job.scenario, Idle) and self._job.scenario.websocket
        )
        watch = Stopwatch(self._job)
        for number in range(count):
            source = ""
            if sys.platform == "linux":  # where all of 127.0.0.0/8 is this machine
                source = f"127.0.0.{2 + len(self._clients) // _PER_ADDRESS}"
            client = Client(
                self._job.endpoint,
                websocket=websocket,
                timeout=self._job.timeout,
                source=source,
            )
            self._clients.append(self._stack.enter_context(client))
            if subscribe:
                headers = ("id", "0"), ("destination", self._job.bystanders_topic)
                client.send(frame("SUBSCRIBE", *headers, ("receipt", "subscribed")))
                client.expect("RECEIPT")
            watch.check(number, count, "connections")
