"""The way of a message from a subscription into its client's outbox.

Source: STOMP 1.2 § MESSAGE, § ACK; STOMP 1.1 § MESSAGE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from romp_asgi.broker import Message
from romp_asgi.broker.message import Run
from romp_asgi.errors import PeerError
from romp_asgi.outbox import Outbox
from romp_asgi.stomp.frame import (
    encode_headers,
    encode_message_start,
    encode_message_tail,
    encode_passed_on,
)
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.spec import SUBSCRIPTION
from romp_asgi.stomp.versions import STOMP_1_2, Version

if TYPE_CHECKING:
    from romp_asgi.session import Session

_COMMAND: Final = b"MESSAGE\n"

#: A body of more octets goes into the outbox by itself.
_LARGE_BODY: Final = 32768

#: The longest head, in octets, of which there are many in a run.
_MAX_HEAD: Final = 256


class MessageReceiver:
    """One subscription's end at its client.

    A MESSAGE is a head, of the subscription, and a tail, which all subscriptions
    share; so what is done per subscriber is small.

    Args:
        session: whose it is.
        outbox: the session's.
        version: the session's.
        subscription_id: the ``id`` of SUBSCRIBE; STOMP 1.0 may have none.
    """

    __slots__ = (
        "_head",
        "_known",
        "_length",
        "_lines",
        "_outbox",
        "_session",
        "_version",
    )

    def __init__(
        self,
        session: Session,
        outbox: Outbox,
        version: Version,
        subscription_id: str | None,
    ) -> None:
        headers = {} if subscription_id is None else {SUBSCRIPTION: subscription_id}
        self._head = _COMMAND + encode_headers(headers, version).encode()
        self._session = session
        self._outbox = outbox
        # The last known headers of a message for it alone. If they say how long a body
        # is, once they came twice in a row also that, and the lines between message-id
        # and body; until then -1, which no body has.
        self._known: Headers | None = None
        self._length = -1
        self._lines = b""
        self._version = version

    def deliver(self, message: Message, tag: int, redelivered: bool) -> bool:
        """Put a message into the outbox; see `Receiver`."""
        version = self._version
        if message.tail_version == version.name:
            tail = message.tail
        elif len(message.body) > _LARGE_BODY and self._outbox.has_large:
            return self._deliver_large(message, tag, redelivered)
        else:
            tail = self._tail(message)
        if not tag and not redelivered:
            return self._outbox.write(self._head, tail)
        if tag and version is STOMP_1_2:
            # As in `_marked`, without its call: nearly all that are acknowledged.
            again = b"true" if redelivered else b"false"
            head = b"%bredelivered:%b\nack:%d\n" % (self._head, again, tag)
        else:
            head, tail = self._marked(message, tag, redelivered, tail)
        return self._outbox.write(head, tail)

    def deliver_only(self, message: Message) -> bool:
        """Put a message into the outbox that is for it alone; see `Receiver`."""
        headers, body = message.headers, message.body
        if headers is self._known and len(body) == self._length:
            number, lines = message.number, self._lines
            frame = b"MESSAGE\nmessage-id:%d\n%b\n%b\0" % (number, lines, body)
            return self._outbox.write(frame)
        if type(headers) is Headers and headers.is_known:
            self._learn(headers)
        if len(body) > _LARGE_BODY and self._outbox.has_large:
            return self._deliver_large(message, 0, False)
        tail = encode_message_tail(message.number, headers, body, self._version)
        return self._outbox.write(self._head, tail)

    def _learn(self, headers: Headers) -> None:
        """Keep what is the same in each message with headers that come in a row."""
        if headers is not self._known:
            self._known = headers
            self._length = -1
        elif self._length < 0 and 0 <= headers.length <= _LARGE_BODY:
            own = self._head.removeprefix(_COMMAND)
            lines = encode_passed_on(headers, self._version)
            self._length = length = headers.length
            self._lines = b"%b%bcontent-length:%d\n" % (own, lines, length)

    def deliver_run(self, run: Run) -> bool:
        """Put messages into the outbox; see `Receiver`."""
        outbox, head = self._outbox, self._head
        if len(head) > _MAX_HEAD:
            has_room = True
            for message in run.messages:
                has_room = self.deliver(message, 0, False)
            return has_room
        key = outbox.kind, self._version.name, head
        encoded = run.encoded.get(key)
        if encoded is None:
            tails = [self._tail(message) for message in run.messages]
            encoded = run.encoded[key] = outbox.encode_run(head, tails)
        elif not encoded.is_shared:
            # Many clients call their subscription the same: it is worth a copy.
            outbox.share_run(encoded)
            encoded.is_shared = True
        return outbox.write_run(encoded)

    def _marked(
        self, message: Message, tag: int, redelivered: bool, tail: bytes
    ) -> tuple[bytes, bytes]:
        """Head and tail, with what is of this delivery alone."""
        again = b"true" if redelivered else b"false"
        if not tag:
            return b"%bredelivered:%b\n" % (self._head, again), tail
        if self._version is STOMP_1_2:
            return b"%bredelivered:%b\nack:%d\n" % (self._head, again, tag), tail
        # Before 1.2 an ACK names its message by the message-id alone, and one client
        # may have got the same message twice: so the id names the delivery, too.
        _, _, rest = tail.partition(b"\n")
        head = b"%bredelivered:%b\nmessage-id:%d-%d\n" % (
            self._head,
            again,
            message.number,
            tag,
        )
        return head, rest

    def _deliver_large(self, message: Message, tag: int, redelivered: bool) -> bool:
        """The same without a copy of the body, which costs more than anything else."""
        head, body = self._head, message.body
        start = encode_message_start(
            message.number, message.headers, len(body), self._version
        )
        if tag or redelivered:
            head, start = self._marked(message, tag, redelivered, start)
        return self._outbox.write_large(head + start, body)

    def _tail(self, message: Message) -> bytes:
        """What all receivers of a message share, encoded once for a version."""
        version, tails = self._version, message.tails
        if message.tail_version == version.name:
            return message.tail
        if tails is not None and (tail := tails.get(version.name)) is not None:
            return tail
        tail = encode_message_tail(
            message.number, message.headers, message.body, version
        )
        if not message.tail_version:
            message.tail, message.tail_version = tail, version.name
        else:
            message.tails = {**(tails or {}), version.name: tail}
        return tail

    def overrun(self) -> bool:
        """Whether the outbox is over its limit."""
        return self._outbox.size > self._outbox.max_size

    def cut_off(self, error: PeerError) -> None:
        """End the session."""
        self._session.cut_off(error)
