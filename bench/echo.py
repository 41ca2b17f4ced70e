"""A stand-in for a broker that costs next to nothing: the load's own ceiling.

What a publisher sends goes to every subscriber of the destination, whole reads at a
time: one `bytes.replace` makes SEND a MESSAGE (for WebSocket with its frame's header),
which is right because all frames of a load have the same size. With `prefetch-count`
no more than that many go out before as many ACKs have been counted.

    python -m bench.echo TCP_PORT WEBSOCKET_PORT
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

_READ = 64 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"(?i)\r\nsec-websocket-key: *(\S+)")
_HEAD = (
    b"MESSAGE\nsubscription:0\nmessage-id:session-1-1234567\nack:session-1-1234567\n"
)


class Session:
    """One client."""

    def __init__(self, sock: socket.socket, *, websocket: bool) -> None:
        self.socket = sock
        self.websocket = websocket
        self.upgraded = not websocket
        self.rest = b""
        self.credit: int | None = None  # messages it may be sent; None for any number
        self.waiting = b""

    def frames(self, data: bytes) -> bytes:
        """The frames that are complete, out of their WebSocket messages."""
        self.rest += data
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
        frames = self.waiting + frames
        size = frames.index(b"\0") + 1
        if self.credit is not None:
            take = size * min(self.credit, len(frames) // size)
            frames, self.waiting = frames[:take], frames[take:]
            self.credit -= take // size
        head = _HEAD
        if self.websocket:
            size += len(_HEAD) - len(b"SEND\n")
            head = websocket_header(size, masked=False) + head
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

    def __init__(self, tcp: int, websocket: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._subscribers: defaultdict[bytes, list[Session]] = defaultdict(list)
        self._paused: list[Session] = []  # publishers that have to wait for credit
        for port in (tcp, websocket):
            sock = socket.create_server(("127.0.0.1", port))
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
        session = Session(sock, websocket=websocket)
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
        for subscribers in self._subscribers.values():
            if session in subscribers:
                subscribers.remove(session)

    def _handle(self, session: Session, frames: bytes) -> None:
        """Do what these frames, all of one command, ask for."""
        if frames.startswith(b"SEND\n"):
            self._publish(session, frames)
            return
        if frames.startswith(b"CONNECT\n"):
            session.answer(frame("CONNECTED", ("version", "1.2"), ("server", "echo")))
        elif frames.startswith(b"SUBSCRIBE\n"):
            self._subscribers[_header(b"destination", frames)].append(session)
            prefetch = _header(b"prefetch-count", frames)
            session.credit = int(prefetch) if prefetch else None
        elif frames.startswith(b"ACK\n"):
            self._acknowledge(session, frames.count(b"ACK\nid:"))
        receipt = _header(b"receipt", frames)
        if receipt:
            session.answer(frame("RECEIPT", ("receipt-id", receipt.decode())))

    def _publish(self, session: Session, frames: bytes) -> None:
        subscribers = self._subscribers[_header(b"destination", frames)]
        for subscriber in subscribers:
            subscriber.deliver(frames)
        if any(subscriber.waiting for subscriber in subscribers):
            self._selector.unregister(session.socket)
            self._paused.append(session)

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
    Echo(int(sys.argv[1]), int(sys.argv[2])).run()
