"""The load generator: a publisher and receivers, each a process of its own.

It must never be what is measured: frames are made before the clock runs and sent in
large pieces, receivers count terminators in large reads and keep samples to check after
the clock has stopped, and all tell how much of their core they used.
"""

import ctypes
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Self, TypeAlias, TypeVar

from bench.errors import BenchError
from bench.job import Done, Failed, Go, Job, Pipe, Progress, Ready
from bench.publisher import publish
from bench.receiver import receive

_GRACE = 5.0  # seconds between a worker's own deadline and its end by force

_Role: TypeAlias = Callable[[Job, int, Progress, Pipe], Done]
_Report = TypeVar("_Report", Ready, Done)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A round that went well.

    Attributes:
        seconds: From the first SEND to the last message (or to the receipt of its ACK).
        cpu: Seconds of CPU the load used.
        checked: Messages compared with what was sent; all were counted.
    """

    seconds: float
    cpu: float
    checked: int


class Workers:
    """The processes of one round: connected when entered, gone when left."""

    def __init__(self, job: Job) -> None:
        # Fresh interpreters: nothing of the parent's sockets and handlers in them.
        context = multiprocessing.get_context("spawn")
        receivers = job.scenario.receivers
        progress = context.RawArray(ctypes.c_longlong, receivers)
        self._job = job
        self._pipes: list[Connection[Go, Ready | Done | Failed]] = []
        self._processes = []
        for index, role in enumerate([*[receive] * receivers, publish]):
            ours, theirs = context.Pipe()
            arguments = (role, job, index, progress, theirs)
            self._processes.append(context.Process(target=_work, args=arguments))
            self._pipes.append(ours)

    def __enter__(self) -> Self:
        """Start the processes and wait until they are connected."""
        try:
            for process in self._processes:
                process.start()
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

    def run(self) -> Outcome:
        """Run the round.

        Raises:
            BenchError: A worker gave up.
        """
        for pipe in self._pipes:
            pipe.send(Go())
        reports = self._collect(Done)
        *receivers, publisher = reports
        return Outcome(
            seconds=max(report.ended for report in receivers) - publisher.started,
            cpu=sum(report.cpu for report in reports),
            checked=sum(report.checked for report in receivers),
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


def _report(
    pipe: "Connection[Go, Ready | Done | Failed]", kind: type[_Report]
) -> _Report:
    report = pipe.recv()
    if isinstance(report, Failed):
        raise BenchError(report.reason)
    if not isinstance(report, kind):
        raise BenchError(f"a worker said {report}, not {kind.__name__}")
    return report


def _work(role: _Role, job: Job, index: int, progress: Progress, pipe: Pipe) -> None:
    """A worker, from start to end: whatever happens it ends, and says why."""
    signal.alarm(math.ceil(job.timeout + _GRACE))  # unhandled: the end of the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends us
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    try:
        pipe.send(role(job, index, progress, pipe))
    except (BenchError, OSError) as exc:
        pipe.send(Failed(f"{role.__name__}: {str(exc) or type(exc).__name__}"))
