"""The processes of request and reply: clients that ask, and the one that answers."""

import selectors
import socket
import time
from contextlib import ExitStack
from typing import Self

from bench.errors import BenchError
from bench.job import Done, Go, Job, Shared, Stopwatch
from bench.scenarios import RequestReply
from bench.wire import Client, frame

_READ = 64 * 1024
_REPLIES = "-replies-"


class Responder:
    """Sends the body of each request to where its `reply-to` says."""

    def __init__(self, job: Job, _index: int, _shared: Shared) -> None:
        self._job = job
        self._stack = ExitStack()
        self._rest = b""

    def __enter__(self) -> Self:
        """Connect and subscribe."""
        client = Client(self._job.endpoint, websocket=False, timeout=self._job.timeout)
        self._client = self._stack.enter_context(client)
        _subscribe(client, self._job.destinations[0])
        client.wait_in_kernel()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._stack.close()

    def run(self, go: Go) -> Done:
        """Answer so many requests.

        Raises:
            BenchError: Something else came.
        """
        watch = Stopwatch(self._job)
        answered = 0
        while answered < go.count:
            data = self._client.socket.recv(_READ)
            if not data:
                raise BenchError(f"closed by the peer after {answered:,} requests")
            *requests, self._rest = (self._rest + data).split(b"\0")
            self._client.socket.sendall(b"".join(map(_reply, requests)))
            answered += len(requests)
            watch.check(answered, go.count, "requests")
        return watch.done()


class Asker:
    """One of the clients: has one request under way at any time.

    Attributes:
        times: Seconds until each reply, so far.
    """

    def __init__(self, client: Client, number: int, job: Job) -> None:
        self.socket: socket.socket = client.socket
        self.times: list[float] = []
        self._reply_to = f"{job.destinations[0]}{_REPLIES}{number:02}"
        assert isinstance(job.scenario, RequestReply)
        self._body_size = job.scenario.body_size
        self._head = (
            f"SEND\ndestination:{job.destinations[0]}\nreply-to:{self._reply_to}\n"
            f"content-length:{self._body_size}\n\n"
        ).encode()
        self._destination = f"\ndestination:{self._reply_to}\n".encode()
        self._padding = b"x" * (self._body_size - 8) + b"\0"
        self._end = b""  # of the reply
        self._asked = 0.0
        self._rest = b""
        _subscribe(client, self._reply_to)
        client.socket.setblocking(False)

    def ask(self) -> None:
        """Send the next request."""
        body = b"%08d%b" % (len(self.times), self._padding)
        self._end = b"\n\n" + body
        request = self._head + body
        self._asked = time.monotonic()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Read.

        Returns:
            Whether the reply has come.

        Raises:
            BenchError: Something else came.
        """
        data = self.socket.recv(_READ)
        now = time.monotonic()
        if not data:
            raise BenchError(f"closed by the peer after {len(self.times):,} replies")
        reply = self._rest + data
        if b"\0" not in data:
            self._rest = reply
            return False
        self._rest = b""
        # Some brokers end a frame with a line feed.
        is_whole = reply.rstrip(b"\n").endswith(self._end)
        if not is_whole or self._destination not in reply:
            raise BenchError(f"another reply: {reply[:300]!r}")
        self.times.append(now - self._asked)
        return True


class Requester:
    """All clients that ask, on one selector."""

    def __init__(self, job: Job, _index: int, _shared: Shared) -> None:
        assert isinstance(job.scenario, RequestReply)
        self._job = job
        self._stack = ExitStack()
        self._askers: list[Asker] = []
        self._clients = job.scenario.clients

    def __enter__(self) -> Self:
        """Connect and subscribe to the replies."""
        for number in range(self._clients):
            client = Client(
                self._job.endpoint, websocket=False, timeout=self._job.timeout
            )
            self._stack.enter_context(client)
            self._askers.append(Asker(client, number, self._job))
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._stack.close()

    def run(self, go: Go) -> Done:
        """Ask so often, all clients together.

        Raises:
            BenchError: Another reply came, or none.
        """
        each = go.count // len(self._askers)
        watch = Stopwatch(self._job)
        with selectors.DefaultSelector() as selector:
            for asker in self._askers:
                asker.times.clear()
                selector.register(asker.socket, selectors.EVENT_READ, asker)
                asker.ask()
            arrived = 0
            while arrived < each * len(self._askers):
                for key, _ in selector.select(1.0):
                    asker = key.data
                    if not asker.receive():
                        continue
                    arrived += 1
                    if len(asker.times) < each:
                        asker.ask()
                    else:
                        selector.unregister(asker.socket)
                watch.check_progress(arrived, arrived + 1, go.count)
        times = [time for asker in self._askers for time in asker.times]
        return watch.done(times=times, checked=len(times))


def _subscribe(client: Client, destination: str) -> None:
    headers = ("id", "0"), ("destination", destination), ("receipt", "subscribed")
    client.send(frame("SUBSCRIBE", *headers))
    client.expect("RECEIPT")


def _reply(request: bytes) -> bytes:
    """The answer to a request.

    Raises:
        BenchError: It is none.
    """
    head, _, body = request.lstrip(b"\r\n").partition(b"\n\n")
    _, found, rest = head.partition(b"\nreply-to:")
    if not found or not head.startswith(b"MESSAGE\n"):
        raise BenchError(f"no request: {request[:300]!r}")
    destination = rest.partition(b"\n")[0].strip(b"\r")
    return b"SEND\ndestination:%b\ncontent-length:%d\n\n%b\0" % (
        destination,
        len(body),
        body,
    )
