"""The load generator: workers, each a process of its own.

It must never be what is measured: frames are made before the clock runs and sent in
large pieces, receivers count terminators in large reads and keep samples to check after
the clock has stopped, and all tell how much of their core they used.
"""

import ctypes
import gc
import math
import multiprocessing
import os
import signal
import time
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from typing import Self, TypeAlias, TypeVar, cast

from bench.errors import BenchError
from bench.job import Done, Failed, Go, Job, Ready, Worker

_GRACE = 5.0  # seconds between a worker's own deadline and its end by force

#: Who takes part, and how many of each.
Plan: TypeAlias = Sequence[tuple[type[Worker], int]]
_Report = TypeVar("_Report", Ready, Done)
_Pipe: TypeAlias = "Connection[Go | Ready | Done | Failed, Go | Ready | Done | Failed]"


class Memory:
    """What all processes of a job see; job.Shared says what is in it."""

    def __init__(self, context: SpawnContext, receivers: int) -> None:
        # Arrays of ctypes are what they are cast to, as far as they are used here.
        arrived = context.RawArray(ctypes.c_longlong, max(1, receivers))
        self.arrived = cast("MutableSequence[int]", arrived)
        epoch = context.RawArray(ctypes.c_double, 1)
        self.epoch = cast("MutableSequence[float]", epoch)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that went well.

    Attributes:
        seconds: From the first SEND to the last message (or to the receipt of its ACK).
        cpu: Seconds of CPU the load used.
        checked: Messages compared with what was sent; all were counted.
        times: Latencies, in seconds, if the scenario has them.
    """

    seconds: float
    cpu: float
    checked: int
    times: Sequence[float]


class Workers:
    """The processes of a scenario: connected when entered, gone when left.

    The last of the plan starts the clock, when it is told to go; those before have been
    told already.
    """

    def __init__(self, job: Job, plan: Plan) -> None:
        # Fresh interpreters: nothing of the parent's sockets and handlers in them.
        context = multiprocessing.get_context("spawn")
        self._job = job
        self._memory = Memory(context, sum(count for _, count in plan))
        self._pipes: list[_Pipe] = []
        self._theirs: list[_Pipe] = []
        self._processes = []
        for kind, count in plan:
            for index in range(count):
                ours, theirs = context.Pipe()
                arguments = (kind, job, index, self._memory, theirs)
                self._processes.append(context.Process(target=_work, args=arguments))
                self._pipes.append(ours)
                self._theirs.append(theirs)

    def __enter__(self) -> Self:
        """Start the processes and wait until they are connected."""
        try:
            for process, theirs in zip(self._processes, self._theirs, strict=True):
                process.start()
                theirs.close()  # its end is seen when it is the only one to have this
            self._collect(Ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes: what they had to say is here, or nobody waits for it."""
        for process, pipe in zip(self._processes, self._pipes, strict=True):
            if process.pid is not None:
                process.kill()
                process.join()
            pipe.close()

    def run(self, count: int) -> Outcome:
        """Run once, with so many messages.

        Raises:
            BenchError: A worker gave up.
        """
        for index in range(len(self._memory.arrived)):
            self._memory.arrived[index] = 0
        for pipe in self._pipes:
            pipe.send(Go(count))
        reports = self._collect(Done)
        times: list[float] = []
        for report in reports:
            times.extend(report.times)
        return Outcome(
            seconds=max(report.ended for report in reports) - reports[-1].started,
            cpu=sum(report.cpu for report in reports),
            checked=sum(report.checked for report in reports),
            times=times,
        )

    def _collect(self, kind: type[_Report]) -> list[_Report]:
        """Wait for a report of each worker; the first failure ends the round."""
        deadline = time.monotonic() + self._job.timeout + _GRACE
        reports: dict[int, _Report] = {}
        while len(reports) < len(self._pipes):
            pipes = [p for index, p in enumerate(self._pipes) if index not in reports]
            ready = wait(pipes, deadline - time.monotonic())
            if not ready:
                raise BenchError("the load did not end in time")
            for index, pipe in enumerate(self._pipes):
                if pipe in ready:
                    reports[index] = _report(pipe, kind)
        return [reports[index] for index in sorted(reports)]


def _report(pipe: _Pipe, kind: type[_Report]) -> _Report:
    try:
        report = pipe.recv()
    except EOFError as exc:
        raise BenchError("a worker ended without a word") from exc
    if isinstance(report, Failed):
        raise report.error
    if not isinstance(report, kind):
        raise BenchError(f"a worker said {report}, not {kind.__name__}")
    return report


def _work(
    kind: type[Worker], job: Job, index: int, memory: Memory, pipe: _Pipe
) -> None:
    """A worker, from start to end: whatever happens it ends, and says why."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends us
    patience = math.ceil(job.timeout)

    def time_is_up(*_: object) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(_GRACE))  # unhandled: the end of the process
        raise BenchError(f"{kind.__name__.lower()}: {patience} s were not enough")

    signal.signal(signal.SIGALRM, time_is_up)
    signal.alarm(patience)
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    try:
        with kind(job, index, memory) as worker:
            gc.disable()  # no pauses that would be taken for the broker's
            pipe.send(Ready())
            while True:
                signal.alarm(0)
                go = pipe.recv()
                signal.alarm(patience)
                if isinstance(go, Go):
                    pipe.send(worker.run(go))
    except EOFError:
        return
    except BenchError as exc:
        pipe.send(Failed(exc))
    except OSError as exc:
        reason = f"{kind.__name__.lower()}: {str(exc) or type(exc).__name__}"
        pipe.send(Failed(BenchError(reason)))
