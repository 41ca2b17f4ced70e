"""The process of request and reply: clients that ask, and the one that answers."""

import select
import socket
import time
from contextlib import ExitStack
from typing import Self

from bench.errors import BenchError
from bench.job import Done, Go, Job, Shared, Stopwatch
from bench.scenarios import RequestReply
from bench.wire import Client, frame

_READ = 64 * 1024
_READ_REPLY = 4 * 1024  # one at a time


class Responder:
    """Sends the body of each request to where its `reply-to` says."""

    def __init__(self, client: Client, job: Job) -> None:
        self.socket: socket.socket = client.socket
        self._rest = b""
        _subscribe(client, job.destinations[0])

    def receive(self) -> None:
        """Read, and answer.

        Raises:
            BenchError: Something else came.
        """
        data = self.socket.recv(_READ)
        if not data:
            raise BenchError("closed by the peer, with a request under way")
        *requests, self._rest = (self._rest + data).split(b"\0")
        self.socket.sendall(b"".join(map(_reply, requests)))


class Asker:
    """One of the clients: has one request under way at any time.

    Attributes:
        times: Seconds until each reply, so far.
    """

    def __init__(self, client: Client, number: int, job: Job) -> None:
        self.socket: socket.socket = client.socket
        self.times: list[float] = []
        self._reply_to = job.destinations[1 + number]
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
        data = self.socket.recv(_READ_REPLY)
        now = time.monotonic()
        if not data:
            raise BenchError(f"closed by the peer after {len(self.times):,} replies")
        reply = self._rest + data if self._rest else data
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
    """All clients that ask, and the one that answers, in one process.

    Two processes would take turns on one core; and a single client that asks waits
    while it is answered.
    """

    def __init__(self, job: Job, _index: int, _shared: Shared) -> None:
        assert isinstance(job.scenario, RequestReply)
        self._job = job
        self._stack = ExitStack()
        self._askers: dict[int, Asker] = {}  # by the number of their socket's file
        self._clients = job.scenario.clients

    def __enter__(self) -> Self:
        """Connect and subscribe: to the requests, and to the replies."""
        self._epoll = self._stack.enter_context(select.epoll())
        self._responder = Responder(self._connected(), self._job)
        for number in range(self._clients):
            client = self._connected()
            asker = Asker(client, number, self._job)
            self._askers[client.socket.fileno()] = asker
        for file in (self._responder.socket.fileno(), *self._askers):
            self._epoll.register(file, select.EPOLLIN)
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._stack.close()

    def run(self, go: Go) -> Done:
        """Ask so often, all clients together.

        Raises:
            BenchError: Another request or reply came, or none.
        """
        each = go.count // len(self._askers)
        watch = Stopwatch(self._job)
        for asker in self._askers.values():
            asker.times.clear()
            asker.ask()
        arrived = 0
        while arrived < each * len(self._askers):
            for file, _ in self._epoll.poll(1.0):
                if file not in self._askers:
                    self._responder.receive()
                    continue
                asker = self._askers[file]
                if asker.receive():
                    arrived += 1
                    if len(asker.times) < each:
                        asker.ask()
            watch.check_progress(arrived, arrived + 1, go.count)
        times = [time for asker in self._askers.values() for time in asker.times]
        return watch.done(times=times, checked=len(times))

    def _connected(self) -> Client:
        client = Client(self._job.endpoint, websocket=False, timeout=self._job.timeout)
        return self._stack.enter_context(client)


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
