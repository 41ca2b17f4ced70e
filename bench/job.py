"""What a round of load is, and what its processes say to each other."""

import time
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from bench.errors import BenchError, LostError
from bench.messages import Load
from bench.scenarios import Flow, Scenario
from bench.wire import Endpoint


@dataclass(frozen=True, slots=True)
class Job:
    """What the processes of a scenario do: with whom, and where.

    Attributes:
        scenario: The row that is measured.
        endpoint: The peer.
        destinations: As the peer calls them.
        cores: Where the load may run; empty for anywhere.
        timeout: When a worker gives up a run, in seconds.
        receivers: Processes that share the subscribers.
        bystanders_topic: What those subscribe to that get nothing.
        stall: When messages that do not arrive are given up for lost, in seconds.
    """

    scenario: Scenario
    endpoint: Endpoint
    destinations: tuple[str, ...]
    cores: frozenset[int] = frozenset()
    timeout: float = 30.0
    receivers: int = 1
    bystanders_topic: str = ""
    stall: float = 15.0

    @property
    def load(self) -> Load:
        """The messages."""
        scenario = self.scenario
        if isinstance(scenario, Flow):
            return Load(
                self.destinations,
                scenario.body_size,
                scenario.publishers,
                scenario.varied,
                scenario.unlike,
                scenario.receipts,
            )
        return Load(self.destinations, 100)


class Shared(Protocol):
    """Memory that all processes of a job see.

    Attributes:
        arrived: Per receiver, the messages that have arrived: of a topic those of its
            slowest subscriber, of queues those of all.
        epoch: When the first message was to be sent, by the monotonic clock.
    """

    arrived: MutableSequence[int]
    epoch: MutableSequence[float]


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: connected (and subscribed)."""


@dataclass(frozen=True, slots=True)
class Go:
    """To a worker: start.

    Attributes:
        count: Messages, or requests, of all publishers together.
    """

    count: int


@dataclass(frozen=True, slots=True)
class Done:
    """From a worker: its figures.

    Attributes:
        started: Before its first octet, by the monotonic clock, which all share.
        ended: After its last.
        cpu: Seconds of CPU between the two.
        checked: Messages compared with what was sent.
        times: Latencies, in seconds.
    """

    started: float
    ended: float
    cpu: float
    checked: int = 0
    times: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: why it gave up."""

    error: BenchError


class Worker(Protocol):
    """What a process of the load does: it connects once, and runs several times."""

    def __init__(self, job: Job, index: int, shared: Shared) -> None: ...

    def __enter__(self) -> Self:
        """Connect."""

    def __exit__(self, *_: object) -> None:
        """Close."""

    def run(self, go: Go) -> Done:
        """Run once.

        Raises:
            BenchError: It cannot.
        """


class Stopwatch:
    """Time and CPU of a worker, and its deadline."""

    def __init__(self, job: Job) -> None:
        self._started = time.monotonic()
        self._cpu = time.process_time()
        self._deadline = self._started + job.timeout
        self._stall = job.stall
        self._seen = (-1, self._started)  # how many have arrived, and since when

    def check(self, done: int, expected: int, what: str = "messages") -> None:
        """Raise BenchError when the time is up."""
        if time.monotonic() > self._deadline:
            raise BenchError(f"time is up with {done:,} of {expected:,} {what}")

    def check_progress(self, arrived: int, sent: int, expected: int) -> None:
        """The same, and LostError when what was sent does not arrive any more."""
        self.check(arrived, expected)
        before, since = self._seen
        now = time.monotonic()
        if arrived != before:
            self._seen = arrived, now
        elif now - since > self._stall:
            raise LostError(sent - arrived, sent)

    def done(self, **figures: Any) -> Done:
        """Stop."""
        cpu = time.process_time() - self._cpu
        return Done(self._started, time.monotonic(), cpu, **figures)
