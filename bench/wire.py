"""The octets of a client, made by hand: STOMP frames and the WebSocket around them.

Source: STOMP 1.2; RFC 6455 § 5.2, as little of it as a client here needs.
"""

import os
import re
import socket
import struct
from base64 import b64encode
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Self

from bench.errors import BenchError

_TEXT = 0x1
_BINARY = 0x2
_CLOSE = 0x8
_FIN = 0x80
_READ = 65536
_MASKED = 0x80
_IP_BIND_ADDRESS_NO_PORT = 24  # Linux
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")  # one broker writes no CR


def frame(command: str, *headers: tuple[str, str]) -> bytes:
    """A STOMP frame without a body, nothing escaped: there is nothing to escape."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    return f"{command}\n{lines}\n\0".encode()


def websocket_frame(payload: bytes, *, masked: bool) -> bytes:
    """One text message in one WebSocket frame."""
    header = websocket_header(len(payload), masked=masked)
    if not masked:
        return header + payload
    mask = os.urandom(4)
    return header + mask + _xor(payload, mask)


def websocket_header(size: int, *, masked: bool) -> bytes:
    """The header of a text message of `size` octets, without the mask itself."""
    bit = _MASKED if masked else 0
    if size < 126:
        return bytes((_FIN | _TEXT, bit | size))
    if size < 65536:
        return bytes((_FIN | _TEXT, bit | 126)) + size.to_bytes(2)
    return bytes((_FIN | _TEXT, bit | 127)) + size.to_bytes(8)


def websocket_payloads(data: bytes) -> tuple[list[bytes], bytes]:
    """The messages that are complete in `data`, and the octets after them.

    Raises:
        BenchError: The peer closed, or split a message over several frames.
    """
    payloads = []
    start = 0
    while len(data) - start >= 2:
        opcode, size = data[start] & 0x0F, data[start + 1] & 0x7F
        masked = data[start + 1] & _MASKED
        body = start + 2
        if size >= 126:
            body += 2 if size == 126 else 8
            if len(data) < body:
                break
            size = int.from_bytes(data[start + 2 : body])
        mask = data[body : body + 4] if masked else b""
        body += len(mask)
        if len(data) < body + size:
            break
        payload = data[body : body + size]
        if opcode == _CLOSE:
            raise BenchError(f"closed by the peer: {payload!r}")
        if opcode in (_TEXT, _BINARY) and data[start] & _FIN:
            payloads.append(_xor(payload, mask) if mask else payload)
        elif opcode <= _BINARY:
            raise BenchError("a WebSocket message in several frames")
        start = body + size
    return payloads, data[start:]


def _xor(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer listens, and what it wants to be told.

    Attributes:
        tcp: Address and port.
        websocket: The same for WebSocket; None if it has none.
        path: Where WebSocket is.
        subprotocol: What is offered there.
        host: What the `host` header has to be.
        login: Empty if none is needed.
        passcode: Goes with it.
        ack: How a subscription says that each message is acknowledged by itself.
        prefetch: The header that says how many messages may be under way.
        prefetch_unit: What that header counts in a message: 1, or octets.
        ack_header: The header of a MESSAGE that its ACK repeats.
        ack_frame: An ACK, up to where that value comes.
        most_ahead: Octets that may be on the way to it; 0 for any number.
    """

    tcp: tuple[str, int]
    websocket: tuple[str, int] | None
    _: KW_ONLY
    path: str = "/"
    subprotocol: str = "v12.stomp"
    host: str = "localhost"
    login: str = ""
    passcode: str = ""
    ack: str = "client-individual"
    prefetch: str = "prefetch-count"
    prefetch_unit: int = 1
    ack_header: bytes = b"ack"
    ack_frame: bytes = b"ACK\nid:"
    most_ahead: int = 0

    @property
    def prefetch_is_exact(self) -> bool:
        """Whether never more messages are under way than were asked for."""
        return self.prefetch_unit == 1

    def subscription_with(self, prefetch: int) -> list[tuple[str, str]]:
        """The headers of a subscription that acknowledges each message by itself."""
        count = str(prefetch * self.prefetch_unit)
        return [("ack", self.ack), (self.prefetch, count)]

    def connect_frame(self) -> bytes:
        """The CONNECT that opens a session here."""
        login = ("login", self.login), ("passcode", self.passcode)
        return frame(
            "CONNECT",
            ("accept-version", "1.2"),
            ("host", self.host),
            ("heart-beat", "0,0"),
            *(login if self.login else ()),
        )


def _connect(address: tuple[str, int], timeout: float, source: str) -> socket.socket:
    """A socket, from an address of its own if one is named."""
    sock = socket.socket()
    try:
        sock.settimeout(timeout)
        if source:
            # The port is chosen at connect: one that is free for this pair.
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class Client:
    """A connection in its first, blocking phase: CONNECT, SUBSCRIBE, their answers."""

    def __init__(
        self, endpoint: Endpoint, *, websocket: bool, timeout: float, source: str = ""
    ) -> None:
        address = endpoint.websocket if websocket else endpoint.tcp
        if address is None:
            raise BenchError("it has no WebSocket")
        self.socket = _connect(address, timeout, source)
        self._websocket = websocket
        self._rest = b""
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if websocket:
                self._upgrade(endpoint)
            self.send(endpoint.connect_frame())
            self.connected = self.expect("CONNECTED")
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send one frame."""
        if self._websocket:
            data = websocket_frame(data, masked=True)
        self.socket.sendall(data)

    def wait_in_kernel(self) -> None:
        """Have the kernel time out from now on.

        With a timeout of its own Python asks before each call whether it would block,
        which takes a part of a round trip.
        """
        timeout = self.socket.gettimeout()
        if timeout is None:
            return  # it has been said
        seconds = int(timeout) + 1
        self.socket.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            value = struct.pack("@ll", seconds, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, option, value)

    def receive_frame(self) -> bytes:
        """Wait for one frame, as it comes, and nothing after it.

        Raises:
            BenchError: None came in time, the peer closed, or there is more than one.
        """
        try:
            data = self.socket.recv(_READ)
            while data and b"\0" not in data:
                more = self.socket.recv(_READ)
                data = data + more if more else b""
        except BlockingIOError as exc:
            raise BenchError("time is up for a receipt") from exc
        if not data:
            raise BenchError("closed by the peer")
        if data.count(0) > 1:
            raise BenchError(f"more than one frame: {data[:300]!r}")
        return data

    def expect(self, command: str) -> str:
        """Wait for the next frame.

        Returns:
            The frame as text.

        Raises:
            BenchError: It was another one, or the peer closed.
        """
        while True:
            for text in self._frames():
                if not text.startswith(f"{command}\n"):
                    raise BenchError(f"{command} expected, got {text[:300]!r}")
                return text
            self._read()

    def expect_nothing(self) -> None:
        """Read, without waiting: some peers end a frame with a line feed.

        Raises:
            BenchError: More than that came, or the peer closed.
        """
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            self._read()
        if came := self._frames() or self._rest.strip(b"\r\n"):
            raise BenchError(f"an idle connection got {came!r}"[:300])

    def _frames(self) -> list[str]:
        if self._websocket:
            payloads, self._rest = websocket_payloads(self._rest)
        else:
            *payloads, self._rest = self._rest.split(b"\0")
        texts = (payload.decode().strip("\r\n\0") for payload in payloads)
        return [text for text in texts if text]

    def _read(self) -> None:
        data = self.socket.recv(_READ)
        if not data:
            raise BenchError(f"closed by the peer after {self._rest!r}")
        self._rest += data

    def _upgrade(self, endpoint: Endpoint) -> None:
        assert endpoint.websocket is not None
        host, port = endpoint.websocket
        self.socket.sendall(
            f"GET {endpoint.path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {endpoint.subprotocol}\r\n\r\n".encode()
        )
        while not (end := _EMPTY_LINE.search(self._rest)):
            self._read()
        head, self._rest = self._rest[: end.start()], self._rest[end.end() :]
        if not head.startswith(b"HTTP/1.1 101 "):
            raise BenchError(f"no upgrade: {head[:300]!r}")
