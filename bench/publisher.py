"""The process that publishes: precomputed frames in large pieces, within the window."""

import time
from contextlib import suppress

from bench.errors import BenchError
from bench.job import Done, Job, Pipe, Progress, Ready, Stopwatch
from bench.wire import Client

_BATCH = 16 * 1024  # bytes per send, about
_NAP = 0.0002  # while the window is closed


def publish(job: Job, _index: int, progress: Progress, pipe: Pipe) -> Done:
    """Publish the messages of a round, and wait until the receivers have them.

    Raises:
        BenchError: The peer sent something (an ERROR), closed, or time is up.
    """
    load = job.load
    with Client(job.endpoint, websocket=False, timeout=job.timeout) as client:
        frames = load.sends()
        pipe.send(Ready())
        pipe.recv()
        watch = Stopwatch(job.timeout)
        try:
            _send(job, client, frames, progress, watch)
            done = watch.done()
            while min(progress) < job.count:
                watch.check(min(progress), job.count)
                time.sleep(0.01)
        except (OSError, BenchError) as exc:
            raise BenchError(f"{exc}; {_said(client)}") from exc
    return done


def _send(
    job: Job, client: Client, frames: bytes, progress: Progress, watch: Stopwatch
) -> None:
    """Send `job.count` frames, never more than the window ahead of the slowest."""
    view = memoryview(frames)
    period, window = job.load.period, job.scenario.window
    size = len(frames) // period
    batch = max(1, min(_BATCH // size, window // 4))
    sent = 0
    while sent < job.count:
        place = sent % period
        step = min(batch, period - place, job.count - sent)
        while sent + step - min(progress) > window:
            watch.check(min(progress), job.count)
            time.sleep(_NAP)
        client.socket.sendall(view[place * size : (place + step) * size])
        sent += step


def _said(client: Client) -> str:
    """What the peer said to the publisher, to whom it should say nothing."""
    client.socket.setblocking(False)
    with suppress(OSError):
        data = client.socket.recv(1000)
        return f"the peer says {data!r}" if data else "the peer has closed"
    return "the peer says nothing"
