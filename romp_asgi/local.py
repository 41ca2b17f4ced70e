"""Application code in the broker's own process: it sends and receives without frames.

Source: none of STOMP's; the verbs are its own, the shape is Python's.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

from romp_asgi.broker import Broker, Client, Message as BrokerMessage
from romp_asgi.broker.message import Run
from romp_asgi.errors import PeerError
from romp_asgi.stomp.spec import DESTINATION, RESERVED_HEADERS, AckMode

#: Messages that one in-process subscription to a queue is ahead of its reader.
_PREFETCH = 100


@dataclass(frozen=True, slots=True)
class Message:
    """A message, as application code gets it.

    Attributes:
        id: the message-id.
        destination: the name it was sent to.
        headers: the sender's headers.
        body: the octets.
    """

    id: str
    destination: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text.

        Raises:
            UnicodeDecodeError: if it is not UTF-8.
        """
        return self.body.decode()


def outgoing(
    destination: str, body: bytes | str, headers: Mapping[str, str] | None
) -> BrokerMessage:
    """A message of application code for the broker.

    Raises:
        TypeError: if a header or the body is of another type.
        ValueError: if a header is not text that a frame can have.
    """
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        raise TypeError(f"body must be bytes or str, not {type(body).__name__}")
    lines = {DESTINATION: destination}
    check_headers(headers or {})
    for name, value in (headers or {}).items():
        if name not in RESERVED_HEADERS:
            lines.setdefault(name, value)
    return BrokerMessage(destination, lines, body)


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that no client could have sent.

    Raises:
        TypeError: if one is of another type.
        ValueError: if one has no name, a NUL, or a lone surrogate.
    """
    given: Iterable[tuple[object, object]] = headers.items()
    for name, value in given:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers must be str: {name!r}: {value!r}")
        line = f"{name}:{value}"
        if not name or "\0" in line:
            raise ValueError(f"a header must have a name and no NUL: {line!r}")
        try:
            line.encode()
        except UnicodeEncodeError as exc:
            raise ValueError(f"a header is not text: {line!r}: {exc.reason}") from None


class LocalSubscription:
    """Messages of one destination for application code; see ``Romp.subscribe``.

    A queue's message counts as taken when the loop body has it; what was fetched
    ahead goes back when the block ends.
    """

    def __init__(
        self,
        broker: Broker,
        destination: str,
        max_size: int,
        wants: Callable[[BrokerMessage], bool] | None = None,
    ) -> None:
        self._broker = broker
        self._destination = destination
        self._max_size = max_size
        self._wants = wants
        self._client = Client(is_local=True)
        self._waiting: deque[tuple[BrokerMessage, int]] = deque()
        self._size = 0
        self._is_full = False
        self._arrived: asyncio.Future[None] | None = None
        self._error: PeerError | None = None

    async def __aenter__(self) -> Self:
        self._broker.subscribe(
            self._client,
            "local",
            self._destination,
            self,
            AckMode.CLIENT_INDIVIDUAL,
            _PREFETCH,
            self._wants,
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._broker.leave(self._client)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """The next message.

        Raises:
            SlowConsumer: if a topic's messages were not taken fast enough.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        message, tag = self._waiting.popleft()
        self._size -= message.size
        if self._is_full and not self.overrun():
            self._is_full = False
            self._broker.resume(self._client)
        if tag:
            now = asyncio.get_running_loop().time()
            self._broker.acknowledge(self._client, tag, now)
        return Message(
            id=str(message.number),
            destination=message.destination,
            headers=MappingProxyType(
                {k: v for k, v in message.headers.items() if k not in RESERVED_HEADERS}
            ),
            body=message.body,
        )

    # What the broker calls

    def deliver(self, message: BrokerMessage, tag: int, redelivered: bool) -> bool:
        """Keep a message for the reader; see `Receiver`."""
        self._waiting.append((message, tag))
        self._size += message.size
        self._wake()
        self._is_full = self.overrun()
        return not self._is_full

    def deliver_only(self, message: BrokerMessage) -> bool:
        """Keep a message for the reader; see `Receiver`."""
        return self.deliver(message, 0, redelivered=False)

    def deliver_run(self, run: Run) -> bool:
        """Keep messages for the reader; see `Receiver`."""
        for message in run.messages:
            self.deliver(message, 0, redelivered=False)
        return not self._is_full

    def overrun(self) -> bool:
        """Whether the reader is too far behind."""
        return self._size > self._max_size

    def cut_off(self, error: PeerError) -> None:
        """Tell the reader, after what it has."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
