"""The words of STOMP: octets, commands and header names, each written once.

Source: STOMP 1.2 § Client Frames, § Server Frames, § Standard Headers.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

#: Octets as numbers: to find out whether a number is among octets takes a tenth of what
#: it takes for a string of one.
NUL: Final = 0
LF: Final = ord("\n")
CR: Final = ord("\r")
BACKSLASH: Final = ord("\\")


class Command(StrEnum):
    """The first line of a frame."""

    # Enum's own is a function of Python's, and this the same number.
    __hash__ = str.__hash__

    CONNECT = "CONNECT"
    STOMP = "STOMP"
    SEND = "SEND"
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    ACK = "ACK"
    NACK = "NACK"
    BEGIN = "BEGIN"
    COMMIT = "COMMIT"
    ABORT = "ABORT"
    DISCONNECT = "DISCONNECT"
    CONNECTED = "CONNECTED"
    MESSAGE = "MESSAGE"
    RECEIPT = "RECEIPT"
    ERROR = "ERROR"


class AckMode(StrEnum):
    """The ``ack`` header of SUBSCRIBE. Source: STOMP 1.2 § SUBSCRIBE ack Header."""

    AUTO = "auto"
    CLIENT = "client"
    CLIENT_INDIVIDUAL = "client-individual"


SERVER_COMMANDS: Final = MappingProxyType(
    {
        command.value: command
        for command in (
            Command.CONNECTED,
            Command.MESSAGE,
            Command.RECEIPT,
            Command.ERROR,
        )
    }
)

CLIENT_COMMANDS: Final = MappingProxyType(
    {c.value: c for c in Command if c.value not in SERVER_COMMANDS}
)

#: "Only the SEND, MESSAGE, and ERROR frames MAY have a body."
BODY_COMMANDS: Final = frozenset({Command.SEND, Command.MESSAGE, Command.ERROR})

#: Frames that open a session; they are read before a version is agreed on.
CONNECT_COMMANDS: Final = frozenset({Command.CONNECT, Command.STOMP})

#: What a client does with a message it was given.
ACKNOWLEDGEMENTS: Final = frozenset({Command.ACK, Command.NACK})

#: "… in all frames other than the CONNECT and CONNECTED frames" header values are
#: escaped. STOMP is not named there, but § CONNECT or STOMP Frame has servers
#: "handle a STOMP frame in the same manner as a CONNECT frame", and the clients
#: that send it (stomp.py) do not escape it.
UNESCAPED_COMMANDS: Final = frozenset(
    {Command.CONNECT, Command.STOMP, Command.CONNECTED}
)

ACCEPT_VERSION: Final = "accept-version"
ACK: Final = "ack"
CONTENT_LENGTH: Final = "content-length"
CONTENT_TYPE: Final = "content-type"
DESTINATION: Final = "destination"
HEART_BEAT: Final = "heart-beat"
HOST: Final = "host"
ID: Final = "id"
LOGIN: Final = "login"
MESSAGE: Final = "message"
MESSAGE_ID: Final = "message-id"
PASSCODE: Final = "passcode"
RECEIPT: Final = "receipt"
RECEIPT_ID: Final = "receipt-id"
SERVER: Final = "server"
SESSION: Final = "session"
SUBSCRIPTION: Final = "subscription"
TRANSACTION: Final = "transaction"
VERSION: Final = "version"

#: Not of the spec, but of the field (RabbitMQ's names): credit of a subscription,
#: whether a NACKed message goes back, and whether a message was given out before.
FILTER: Final = "filter"
SELECTOR: Final = "selector"
PREFETCH_COUNT: Final = "prefetch-count"
REQUEUE: Final = "requeue"
REDELIVERED: Final = "redelivered"
ORIGINAL_DESTINATION: Final = "original-destination"

#: Why a message is a dead letter (RabbitMQ's); when it is too old, in milliseconds
#: since the epoch (ActiveMQ's); and which user it is for, where that counts (romp's).
DEATH_REASON: Final = "x-last-death-reason"
EXPIRES: Final = "expires"
TO: Final = "to"

#: Where an answer goes, and what tells which question it is to (everybody's).
REPLY_TO: Final = "reply-to"
CORRELATION_ID: Final = "correlation-id"

#: Headers that the server writes on MESSAGE. A sender's own are dropped, so that
#: nobody can pass off a message as another's; ``receipt`` and ``transaction``
#: belong to the SEND alone.
RESERVED_HEADERS: Final = frozenset(
    {
        ACK,
        CONTENT_LENGTH,
        MESSAGE_ID,
        RECEIPT,
        REDELIVERED,
        SUBSCRIPTION,
        TRANSACTION,
    }
)
