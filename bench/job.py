"""What a round of load is, and what its processes say to each other."""

import time
from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bench.errors import BenchError
from bench.messages import Load
from bench.scenarios import Scenario
from bench.wire import Endpoint

# Per receiver, how far its slowest subscriber is: shared memory, read by the publisher.
Progress: TypeAlias = MutableSequence[int]


@dataclass(frozen=True, slots=True)
class Job:
    """One round: what to send, how much of it, where.

    Attributes:
        scenario: The row that is measured.
        endpoint: The peer.
        destination: As the peer calls it.
        count: Messages to publish.
        cores: Where the load may run; empty for anywhere.
        timeout: When a worker gives up, in seconds.
    """

    scenario: Scenario
    endpoint: Endpoint
    destination: str
    count: int
    cores: frozenset[int] = frozenset()
    timeout: float = 30.0

    @property
    def load(self) -> Load:
        """The messages."""
        scenario = self.scenario
        return Load(self.destination, scenario.body_size, scenario.varied)


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: connected (and subscribed)."""


@dataclass(frozen=True, slots=True)
class Go:
    """To a worker: start."""


@dataclass(frozen=True, slots=True)
class Done:
    """From a worker: its figures.

    Attributes:
        started: Before its first octet, by the monotonic clock, which all share.
        ended: After its last.
        cpu: Seconds of CPU between the two.
        checked: Messages compared with what was sent.
    """

    started: float
    ended: float
    cpu: float
    checked: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """From a worker: why it gave up."""

    reason: str


class Stopwatch:
    """Time and CPU of a worker, and its deadline."""

    def __init__(self, timeout: float) -> None:
        self._started = time.monotonic()
        self._cpu = time.process_time()
        self._deadline = self._started + timeout

    def check(self, arrived: int, expected: int) -> None:
        """Raise BenchError when the time is up."""
        if time.monotonic() > self._deadline:
            raise BenchError(f"time is up with {arrived:,} of {expected:,} messages")

    def done(self) -> Done:
        """Stop."""
        cpu = time.process_time() - self._cpu
        return Done(self._started, time.monotonic(), cpu)


class Pipe(Protocol):
    """The worker's end of the pipe to its parent."""

    def send(self, obj: Ready | Done | Failed, /) -> None:
        """To the parent."""

    def recv(self) -> Go:
        """From the parent."""
