"""Every exception of the package; imports nothing.

```text
RompError
├── ConfigErrors(errors)                   a config that cannot be used: all of its
├── ConfigError(file, table, key, reason)  … single errors
├── StartError(address, reason)            a listener that cannot be opened
├── LogFileError(path, reason)             a message log that cannot be opened
├── PluginError(name, reason)              a plug-in that cannot be used
├── FilterStartError(name, reason)         a filter whose init() fails
├── LocalProtocolError                     our own misuse: a bug
└── PeerError                              what a peer is told in an ERROR frame
    ├── ProtocolError                      the peer broke STOMP
    │   ├── FrameError(reason)             octets that are not a frame
    │   ├── LimitExceeded(name, limit)     larger than the config allows
    │   ├── HeaderError(command, header)   a header that is missing or wrong
    │   ├── HeartBeatError(value)          a heart-beat that is not two numbers
    │   ├── VersionError(offered, …)       no STOMP version in common
    │   ├── StateError(command, state)     the right frame at the wrong time
    │   └── TimeoutExceeded(reason)        silence for longer than was agreed
    ├── AuthError
    │   ├── NotLoggedIn(command)           a frame before CONNECT
    │   ├── WrongLogin                     a login that is not good
    │   └── NotAdmin(reason)               a command without the right to it
    ├── BrokerError                        a request that the broker refuses
    │   ├── UnknownDestination             … and TooManyDestinations
    │   ├── DestinationFull, DestinationBlocked, MessageTooLarge
    │   ├── DestinationDraining, DestinationShutDown    by an administrator
    │   ├── SubscriptionsFull, DuplicateSubscription, UnknownSubscription
    │   ├── TransactionTooLarge, DuplicateTransaction, UnknownTransaction
    │   ├── UnknownAck(ack_id)             an id this client was never given
    │   ├── SelectorError(text, position, …)   a selector or filter that does not parse
    │   ├── NameRequired, Replaced         where each user has one subscription
    │   ├── SlowConsumer                   a client that does not keep up
    │   └── ShuttingDown
    ├── CommandError(reason)               an admin command that is not possible
    ├── ClosedByAdmin                      the end of a session, by an administrator
    ├── NotLogged(is_accepted)             a message that is not in the message log
    ├── FilterError(reply, log, fatal)     application code refuses a frame
    ├── RefusedByFilter(error)             the same, to a link
    └── InternalError                      a bug of ours, without its detail
```

An error that a peer can cause carries ``message``, the short stable text of the
``message`` header of ERROR (romp's words where the situation is romp's), and
``detail``, a full sentence for the body.
"""

from typing import Final


class RompError(Exception):
    """Base of every exception that this package raises on purpose."""


class LocalProtocolError(RompError):
    """Our own side used an API at the wrong time: a bug, never shown to a peer."""


class ConfigError(RompError):
    """One thing that is wrong with a config.

    Args:
        file: where the config is from.
        table: the table as the file writes it, without brackets; None for the top
            or the whole file.
        key: the key as the file writes it; None for the whole file.
        reason: what was expected, or what else is wrong.
        value: the value as the file writes it; None where it says nothing.
    """

    def __init__(
        self,
        file: str,
        table: str | None,
        key: str | None,
        reason: str,
        value: str | None = None,
    ) -> None:
        super().__init__(file, table, key, reason, value)
        self.file = file
        self.table = table
        self.key = key
        self.reason = reason
        self.value = value

    def __str__(self) -> str:
        place = self.key or ""
        if self.table is not None:
            place = f"[{self.table}] {place}"
        if self.value is not None:
            place = f"{place} = {self.value}"
        return ": ".join(part for part in (self.file, place, self.reason) if part)


class ConfigErrors(RompError):
    """Everything that is wrong with a config.

    Args:
        errors: each thing, in the order of the file.
    """

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class StartError(RompError):
    """A listener that cannot be opened.

    Args:
        address: ``host:port`` as the config has it.
        reason: why not, in the operating system's words.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.reason}"


class LogFileError(RompError):
    """A message log that cannot be opened.

    Args:
        path: as the config has it.
        reason: why not, in the operating system's words.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot write the message log {self.path}: {self.reason}"


class PluginError(RompError):
    """A plug-in of the config that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f'plugins: "{self.name}": {self.reason}'


class FilterStartError(RompError):
    """A filter that cannot start: without it nothing is served.

    Args:
        name: of the filter.
        reason: what its ``init()`` failed with.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"the filter {self.name}: init() failed with {self.reason}"


class PeerError(RompError):
    """An error that a peer caused and is told about in an ERROR frame.

    Attributes:
        message: the short stable text of ERROR's ``message`` header.
        fatal: whether the connection closes even with ``close_on_error = false``.
        receipt_id: the ``receipt`` header of the frame that failed, where known.
    """

    message: str = "general"
    fatal: bool = False
    receipt_id: str | None = None

    @property
    def detail(self) -> str:
        """What was wrong, in a full sentence, for the body of ERROR."""
        return str(self)


class ProtocolError(PeerError):
    """The peer broke STOMP."""

    message = "syntax"
    fatal = True


class FrameError(ProtocolError):
    """Octets that are not a frame. The reason is a full sentence."""


class LimitExceeded(ProtocolError):
    """A frame larger than the config allows.

    Args:
        name: the config key of the limit.
        limit: its value, in the unit of the key.
        message: ``msg flup`` for a body, ``hdr flup`` for headers.
    """

    def __init__(self, name: str, limit: int, message: str = "hdr flup") -> None:
        super().__init__(name, limit)
        self.name = name
        self.limit = limit
        self.message = message

    def __str__(self) -> str:
        return f"The frame is larger than allowed: {self.name} is {self.limit}."


class HeaderError(ProtocolError):
    """A header that is missing from a frame, or whose value is not what it must be.

    Args:
        command: the frame's command.
        header: the header's name.
        reason: what was expected; missing if not given.
    """

    fatal = False

    def __init__(self, command: str, header: str, reason: str | None = None) -> None:
        super().__init__(command, header, reason)
        self.command = command
        self.header = header
        self.reason = reason

    def __str__(self) -> str:
        if self.reason is None:
            return f"{self.command} must have a header {self.header}."
        return f"The header {self.header} of {self.command} {self.reason}."


class HeartBeatError(ProtocolError):
    """A ``heart-beat`` header that is not two numbers."""

    message = "ecg syntax"

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return (
            "The header heart-beat must be two numbers of milliseconds "
            f"with a comma between, such as 10000,10000, not {self.value[:40]!r}."
        )


class VersionError(ProtocolError):
    """No STOMP version in common. ERROR lists ours in its ``version`` header."""

    message = "unsupported version"

    def __init__(self, offered: str, supported: tuple[str, ...]) -> None:
        super().__init__(offered, supported)
        self.offered = offered
        self.supported = supported

    def __str__(self) -> str:
        return (
            f"The client accepts the STOMP versions {self.offered[:40]!r}; "
            f"supported here are {', '.join(self.supported)}."
        )


class StateError(ProtocolError):
    """The right frame at the wrong time."""

    def __init__(self, command: str, state: str) -> None:
        super().__init__(command, state)
        self.command = command
        self.state = state

    def __str__(self) -> str:
        return f"{self.command} is not possible now: {self.state}."


class TimeoutExceeded(ProtocolError):
    """Silence for longer than was agreed. The reason is a full sentence."""

    message = "timeout"


class AuthError(PeerError):
    """A login that is not good, or missing."""

    message = "auth err"
    fatal = True


class NotLoggedIn(AuthError):
    """A frame that needs a session, before CONNECT."""

    message = "denied"
    fatal = False

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command

    def __str__(self) -> str:
        return f"{self.command} is not possible before CONNECT."


class WrongLogin(AuthError):
    """A login and passcode that are not good. Says no more than that."""

    def __str__(self) -> str:
        return "The login or the passcode is wrong."


class NotAdmin(AuthError):
    """An admin command of somebody who may not. The reason is a full sentence."""


class CommandError(PeerError):
    """An admin command that is not possible. The reason is a full sentence."""

    message = "command err"


class ClosedByAdmin(PeerError):
    """A session that an administrator ends."""

    message = "closed"
    fatal = True

    def __str__(self) -> str:
        return "An administrator has closed this connection."


class BrokerError(PeerError):
    """A request that the broker refuses; nothing was changed by it."""


class UnknownDestination(BrokerError):
    """A destination that the config neither names nor has a pattern for."""

    message = "destination unknown"

    def __init__(self, destination: str) -> None:
        super().__init__(destination)
        self.destination = destination

    def __str__(self) -> str:
        return f"There is no destination {_printable(self.destination)}."


class TooManyDestinations(UnknownDestination):
    """A name that matches a pattern, but no more names can be made."""

    def __init__(self, destination: str, limit: int) -> None:
        super().__init__(destination)
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"There is no destination {_printable(self.destination)}, and none can be "
            f"added: max_destinations is {self.limit}."
        )


class DestinationFull(BrokerError):
    """A queue that holds all it may."""

    message = "destination flup"

    def __init__(self, destination: str, limit: int) -> None:
        super().__init__(destination, limit)
        self.destination = destination
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"The destination {_printable(self.destination)} is full: "
            f"max_messages is {self.limit}."
        )


class MemoryFull(BrokerError):
    """A broker that holds all it may, and far too many are waiting already."""

    message = "destination flup"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"The server is full: max_memory is {self.limit} bytes."


class MessageTooLarge(BrokerError):
    """A body over the ``max_message_size`` of its destination."""

    message = "msg flup"
    fatal = True

    def __init__(self, destination: str, limit: int) -> None:
        super().__init__(destination, limit)
        self.destination = destination
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"The body is larger than the destination {_printable(self.destination)} "
            f"allows: max_message_size is {self.limit}."
        )


class DestinationBlocked(BrokerError):
    """A SEND or SUBSCRIBE that one of the four blocks forbids."""

    message = "blocked"

    def __init__(self, destination: str, block: str) -> None:
        super().__init__(destination, block)
        self.destination = destination
        self.block = block

    def __str__(self) -> str:
        return f"The destination {_printable(self.destination)} has {self.block} set."


class DestinationDraining(BrokerError):
    """A SEND to a destination that is being emptied."""

    message = "blocked"

    def __init__(self, destination: str) -> None:
        super().__init__(destination)
        self.destination = destination

    def __str__(self) -> str:
        return (
            f"The destination {_printable(self.destination)} is draining: it takes no "
            "messages until an administrator opens it again."
        )


class DestinationShutDown(BrokerError):
    """A destination that an administrator has closed."""

    message = "general"
    fatal = True

    def __init__(self, destination: str) -> None:
        super().__init__(destination)
        self.destination = destination

    def __str__(self) -> str:
        return (
            f"The destination {_printable(self.destination)} is shut down: it takes "
            "neither messages nor subscriptions until an administrator opens it again."
        )


class SubscriptionsFull(BrokerError):
    """No more subscriptions on this connection or this destination."""

    message = "subs flup"

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.name = name
        self.limit = limit

    def __str__(self) -> str:
        return f"No more subscriptions are possible: {self.name} is {self.limit}."


class NameRequired(BrokerError):
    """A SUBSCRIBE without a login where each user has a subscription."""

    message = "denied"

    def __init__(self, destination: str) -> None:
        super().__init__(destination)
        self.destination = destination

    def __str__(self) -> str:
        return (
            f"The destination {_printable(self.destination)} has sub_by_user set: to "
            "subscribe, CONNECT must have the login of a user."
        )


class Replaced(BrokerError):
    """A subscription that a newer one of the same user took the place of."""

    message = "replaced"

    def __init__(self, destination: str) -> None:
        super().__init__(destination)
        self.destination = destination

    def __str__(self) -> str:
        return (
            f"The subscription to {_printable(self.destination)} has ended: the same "
            "user has subscribed in another connection, and may have only one."
        )


class DuplicateSubscription(BrokerError):
    """A subscription id that this client uses already."""

    message = "syntax"

    def __init__(self, subscription: str) -> None:
        super().__init__(subscription)
        self.subscription = subscription

    def __str__(self) -> str:
        return f"The subscription id {self.subscription[:200]!r} is in use already."


class UnknownSubscription(BrokerError):
    """A subscription id that this client never used."""

    message = "syntax"

    def __init__(self, subscription: str) -> None:
        super().__init__(subscription)
        self.subscription = subscription

    def __str__(self) -> str:
        return f"This connection has no subscription {self.subscription[:200]!r}."


class UnknownTransaction(BrokerError):
    """A transaction that this client has not begun, or has ended."""

    message = "syntax"

    def __init__(self, transaction: str) -> None:
        super().__init__(transaction)
        self.transaction = transaction

    def __str__(self) -> str:
        return f"This connection has no transaction {self.transaction[:200]!r}."


class DuplicateTransaction(BrokerError):
    """BEGIN of a transaction that is open already."""

    message = "syntax"

    def __init__(self, transaction: str) -> None:
        super().__init__(transaction)
        self.transaction = transaction

    def __str__(self) -> str:
        return f"This connection has a transaction {self.transaction[:200]!r} already."


class TransactionTooLarge(BrokerError):
    """More transactions, or more in one, than the config allows."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.name = name
        self.limit = limit

    def __str__(self) -> str:
        return f"The transaction cannot grow or begin: {self.name} is {self.limit}."


class UnknownAck(BrokerError):
    """ACK or NACK of an id that this client was never given."""

    message = "ack err"

    def __init__(self, ack_id: str) -> None:
        super().__init__(ack_id)
        self.ack_id = ack_id

    def __str__(self) -> str:
        return f"This connection was never given a message as {self.ack_id[:200]!r}."


class SelectorError(BrokerError):
    """A ``selector`` or ``filter`` of SUBSCRIBE that does not parse.

    Args:
        text: the header's value.
        position: the first character that is wrong, from 0; the length for the end.
        reason: what was expected, or what else is wrong, without a period.
        header: the header's name.
    """

    message = "syntax"

    def __init__(
        self, text: str, position: int, reason: str, header: str = "selector"
    ) -> None:
        super().__init__(text, position, reason, header)
        self.text = text
        self.position = position
        self.reason = reason
        self.header = header
        # romp closes the connection after a filter that does not parse.
        self.fatal = header == "filter"

    def __str__(self) -> str:
        before, after = self.text[: self.position], self.text[self.position :]
        shown = f"{_tail(before)}|{_head(after)}"
        return (
            f"The {self.header} is wrong at character {self.position + 1}: "
            f'{_escaped(self.reason)}: "{shown}"'
        )


class SlowConsumer(BrokerError):
    """A subscriber of a topic that does not take its messages fast enough."""

    message = "slow consumer"
    fatal = True

    def __init__(self, destination: str, limit: int) -> None:
        super().__init__(destination, limit)
        self.destination = destination
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"Messages of {_printable(self.destination)} are taken too slowly: more "
            f"than max_outbox ({self.limit} octets) were waiting for this connection."
        )


class ShuttingDown(BrokerError):
    """The server is stopping."""

    message = "shutdown"
    fatal = True

    def __str__(self) -> str:
        return "The server is shutting down."


class NotLogged(PeerError):
    """A message that the message log could not take.

    Args:
        is_accepted: whether its destination has it nevertheless.
    """

    ACCEPTED: Final = "not logged"
    REFUSED: Final = "log flup"

    def __init__(self, *, is_accepted: bool) -> None:
        super().__init__(is_accepted)
        self.is_accepted = is_accepted
        self.message = self.ACCEPTED if is_accepted else self.REFUSED

    def __str__(self) -> str:
        if self.is_accepted:
            return "The message was accepted, but could not be written to the log yet."
        return "The message was not accepted, because it could not be logged."


class InternalError(PeerError):
    """A bug of ours; the log has the traceback, the peer gets no detail."""

    message = "internal error"
    fatal = True

    def __str__(self) -> str:
        return "The server failed to process the frame."


def _printable(name: str) -> str:
    """A peer's text for a sentence: bounded, and on one line of a log."""
    return repr(name[:200])[1:-1]


def _head(text: str) -> str:
    """The beginning of a peer's text, on one line of a log."""
    return _escaped(text[:40]) + "…" * (len(text) > 40)


def _tail(text: str) -> str:
    """The end of a peer's text, on one line of a log."""
    return "…" * (len(text) > 40) + _escaped(text[-40:])


def _escaped(text: str) -> str:
    """A text with its quotes as they are; ``repr`` would escape some of them."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class FilterError(PeerError):
    """What a filter raises to refuse a frame.

    Args:
        reply_message: the ``message`` of an ERROR to the client; none is sent without.
        log_message: a line for the log.
        fatal: whether the session ends.
    """

    def __init__(
        self,
        reply_message: str | None = None,
        log_message: str | None = None,
        *,
        fatal: bool = False,
    ) -> None:
        super().__init__(reply_message, log_message, fatal)
        self.reply_message = reply_message
        self.log_message = log_message
        self.fatal = fatal
        if reply_message is not None:
            self.message = reply_message

    def __str__(self) -> str:
        return self.reply_message or "A filter refused the frame."


class RefusedByFilter(PeerError):
    """What a link is told of a `FilterError`, whose words are any.

    Args:
        error: the error.
    """

    message = "filter"

    def __init__(self, error: FilterError) -> None:
        super().__init__(error)
        self.fatal = error.fatal
        self.receipt_id = error.receipt_id
        self._error = error

    def __str__(self) -> str:
        return str(self._error)
