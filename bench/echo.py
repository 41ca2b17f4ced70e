"""A stand-in for a broker that costs next to nothing: the load's own ceiling.

What a publisher sends goes to every subscriber of the destination, whole reads at a
time: one `bytes.replace` makes SEND a MESSAGE (for WebSocket with its frame's header),
which is right because all frames of a load have the same size. With `prefetch-count`
no more than that many go out before as many ACKs have been counted. What goes to a
queue without a subscriber is kept. With --packed a WebSocket message holds all frames
of a read.

    python -m bench.echo TCP_PORT WEBSOCKET_PORT [--packed]
"""

import base64
import hashlib
import re
import selectors
import socket
import sys
from collections import defaultdict

from bench.errors import BenchError
from bench.wire import frame, websocket_frame, websocket_header, websocket_payloads
from romp_asgi.allocator import tune_allocator

_READ = 64 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"(?i)\r\nsec-websocket-key: *(\S+)")
_PLAIN_SEND = re.compile(
    rb"SEND\ndestination:([^\n]*)\ncontent-length:\d+\n(?:number:\d+\n)?\n"
)
_HEAD = (
    b"MESSAGE\nsubscription:0\nmessage-id:session-1-1234567\nack:session-1-1234567\n"
)


class Session:
    """One client."""

    def __init__(self, sock: socket.socket, *, websocket: bool, packed: bool) -> None:
        self.socket = sock
        self.websocket = websocket
        self.packed = packed
        self.upgraded = not websocket
        self.rest = b""
        self.pieces: list[bytes] = []
        self.credit: int | None = None  # messages it may be sent; None for any number
        self.waiting = b""
        self.destinations: list[bytes] = []

    def frames(self, data: bytes) -> bytes:
        """The frames that are complete, out of their WebSocket messages."""
        if self.upgraded and not self.websocket and b"\0" not in data:
            self.pieces.append(data)  # of a large body
            return b""
        self.rest = b"".join((self.rest, *self.pieces, data))
        self.pieces.clear()
        if not self.upgraded:
            self._upgrade()
            return b""
        if self.websocket:
            payloads, self.rest = websocket_payloads(self.rest)
            return b"".join(payloads)
        end = self.rest.rfind(b"\0") + 1
        frames, self.rest = self.rest[:end], self.rest[end:]
        return frames

    def answer(self, data: bytes) -> None:
        """Send a frame."""
        if self.websocket:
            data = websocket_frame(data, masked=False)
        self.socket.sendall(data)

    def deliver(self, frames: bytes) -> None:
        """Send the SEND frames, behind those waiting, as far as the credit allows."""
        if self.waiting:
            frames = self.waiting + frames
        size = frames.index(b"\0") + 1
        if self.credit is not None:
            take = size * min(self.credit, len(frames) // size)
            frames, self.waiting = frames[:take], frames[take:]
            self.credit -= take // size
        if self.packed:
            self.answer(frames.replace(b"SEND\n", _HEAD))
            return
        head = _HEAD
        if self.websocket:
            size += len(_HEAD) - len(b"SEND\n")
            head = websocket_header(size, masked=False) + head
        elif len(frames) == size:
            self.socket.sendall(head, socket.MSG_MORE)
            self.socket.sendall(memoryview(frames)[len(b"SEND\n") :])
            return
        self.socket.sendall(frames.replace(b"SEND\n", head))

    def _upgrade(self) -> None:
        head, found, rest = self.rest.partition(b"\r\n\r\n")
        key = _KEY.search(head)
        if found and key:
            accept = base64.b64encode(hashlib.sha1(key[1] + _GUID).digest())
            self.socket.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Protocol: v12.stomp\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
            )
            self.rest, self.upgraded = rest, True


class Echo:
    """All clients, on one selector. Writes block: the load always reads."""

    def __init__(self, tcp: int, websocket: int, *, packed: bool = False) -> None:
        self._selector = selectors.DefaultSelector()
        self._packed = packed
        self._subscribers: defaultdict[bytes, list[Session]] = defaultdict(list)
        self._kept: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._paused: list[Session] = []  # publishers that have to wait for credit
        for port in (tcp, websocket):
            sock = socket.create_server(("127.0.0.1", port), backlog=1024)
            self._selector.register(sock, selectors.EVENT_READ, port == websocket)

    def run(self) -> None:
        """Serve until a signal ends the process."""
        while True:
            for key, _ in self._selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if isinstance(key.data, Session):
                    self._read(key.data)
                else:
                    self._accept(key.fileobj, websocket=key.data)

    def _accept(self, listener: socket.socket, *, websocket: bool) -> None:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        packed = websocket and self._packed
        session = Session(sock, websocket=websocket, packed=packed)
        self._selector.register(sock, selectors.EVENT_READ, session)

    def _read(self, session: Session) -> None:
        try:
            data = session.socket.recv(_READ)
            if data:
                self._handle(session, session.frames(data))
        except (BenchError, OSError):
            data = b""
        if not data:
            self._leave(session)

    def _leave(self, session: Session) -> None:
        self._selector.unregister(session.socket)
        session.socket.close()
        for destination in session.destinations:
            self._subscribers[destination].remove(session)

    def _handle(self, session: Session, frames: bytes) -> None:
        """Do what these frames ask for: all SEND, all ACK, or any other."""
        if frames.startswith(b"SEND\n"):
            self._publish(session, frames)
        elif frames.startswith(b"ACK\n"):
            self._acknowledge(session, frames.count(b"ACK\nid:"))
            self._receipt(session, frames)
        else:
            for each in frames.split(b"\0")[:-1]:
                self._admit(session, each)

    def _admit(self, session: Session, frames: bytes) -> None:
        if frames.startswith(b"CONNECT\n"):
            session.answer(frame("CONNECTED", ("version", "1.2"), ("server", "echo")))
        elif frames.startswith(b"SUBSCRIBE\n"):
            destination = _header(b"destination", frames)
            self._subscribers[destination].append(session)
            session.destinations.append(destination)
            prefetch = _header(b"prefetch-count", frames)
            session.credit = int(prefetch) if prefetch else None
            for kept in self._kept.pop(destination, ()):
                session.deliver(kept)
        self._receipt(session, frames)

    def _publish(self, session: Session, frames: bytes) -> None:
        """All at once, if all go to the same subscribers and none wants a receipt."""
        destinations = _PLAIN_SEND.findall(frames)
        destination = destinations[0] if destinations else b""
        subscribers = self._subscribers[destination]
        if len(destinations) == frames.count(b"\0") and all(
            self._subscribers[each] == subscribers for each in set(destinations)
        ):
            self._deliver(destination, frames)
        else:
            for each in frames.split(b"\0")[:-1]:
                self._deliver(_header(b"destination", each), each + b"\0")
                self._receipt(session, each)
        if any(each.waiting for each in subscribers):
            self._selector.unregister(session.socket)
            self._paused.append(session)

    def _deliver(self, destination: bytes, frames: bytes) -> None:
        subscribers = self._subscribers[destination]
        if not subscribers and destination.startswith(b"/queue/"):
            self._kept[destination].append(frames)
        for subscriber in subscribers:
            subscriber.deliver(frames)

    def _receipt(self, session: Session, frames: bytes) -> None:
        receipt = _header(b"receipt", frames)
        if receipt:
            session.answer(frame("RECEIPT", ("receipt-id", receipt.decode())))

    def _acknowledge(self, session: Session, count: int) -> None:
        assert session.credit is not None
        session.credit += count
        if session.waiting:
            session.deliver(b"")
        if not session.waiting:
            for publisher in self._paused:
                self._selector.register(
                    publisher.socket, selectors.EVENT_READ, publisher
                )
            self._paused.clear()


def _header(name: bytes, frames: bytes) -> bytes:
    """The first header of this name; empty if there is none."""
    found = re.search(rb"\n%b:([^\n]*)" % name, frames)
    return found[1] if found else b""


if __name__ == "__main__":
    tune_allocator()
    Echo(int(sys.argv[1]), int(sys.argv[2]), packed=sys.argv[3:] == ["--packed"]).run()
