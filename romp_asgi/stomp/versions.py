"""STOMP 1.0, 1.1 and 1.2, and what differs between them, as rows of a table.

Source: STOMP 1.2 § Protocol Negotiation, § Value Encoding, § Augmented BNF; STOMP
1.1 § Value Encoding; STOMP 1.0 § Client Commands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from romp_asgi.errors import FrameError, VersionError
from romp_asgi.stomp.spec import Command

#: What is dropped around the names and values of STOMP 1.0.
PADDING: Final = " \t"

_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of STOMP.

    Attributes:
        name: as in ``accept-version``.
        escapes: character → its escape, in header values.
        name_escapes: the same for header names.
        unescapes: the second character of an escape → the character.
        carriage_return: whether a line may end in CR LF.
        trims: whether white space around names and values is dropped, as the
            servers of STOMP 1.0's time did for clients that write ``name: value``.
        ignores_bodies: whether a frame that may not have a body may have one that
            nobody looks at. "The body of the SUBSCRIBE command is ignored."
        commands: what a client may send.
        ack_header: the header by which ACK and NACK name a message.
        required: headers that a client's frame must have.
    """

    name: str
    escapes: Mapping[str, str]
    name_escapes: Mapping[str, str]
    unescapes: Mapping[str, str]
    carriage_return: bool
    trims: bool
    ignores_bodies: bool
    commands: Mapping[str, Command]
    ack_header: str
    required: Mapping[Command, tuple[str, ...]]

    def escape(self, value: str) -> str:
        """A header value as it goes over the wire."""
        return "".join([self.escapes.get(c, c) for c in value])

    def escape_name(self, name: str) -> str:
        """A header name as it goes over the wire."""
        return "".join([self.name_escapes.get(c, c) for c in name])

    def unescape(self, text: str) -> str:
        r"""The inverse of ``escape``, in one pass.

        Raises:
            FrameError: on an escape that the version does not define. "Undefined
                escape sequences such as \t MUST be treated as fatal protocol
                errors."
        """
        return _ESCAPE.sub(self._unescape_one, text)

    def _unescape_one(self, match: re.Match[str]) -> str:
        try:
            return self.unescapes[match[1]]
        except KeyError:
            raise FrameError(
                f"A header has the undefined escape {match[0]!r}; STOMP {self.name} "
                f"defines {', '.join(self.escapes.values())}."
            ) from None


def _inverse(escapes: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({value[1]: key for key, value in escapes.items()})


# STOMP 1.0 has no escapes. Yet a line end that a later version's client sent must
# not begin a header line of its own, so these few are written as later versions
# write them, and a 1.0 client reads them as they stand.
_ESCAPES_1_0: Final = MappingProxyType({"\n": "\\n", "\r": "\\r"})
_NAME_ESCAPES_1_0: Final = MappingProxyType({**_ESCAPES_1_0, ":": "\\c"})
_ESCAPES_1_1: Final = MappingProxyType({"\\": "\\\\", "\n": "\\n", ":": "\\c"})
_ESCAPES_1_2: Final = MappingProxyType({**_ESCAPES_1_1, "\r": "\\r"})

_COMMANDS_1_1: Final = MappingProxyType(
    {
        command.value: command
        for command in (
            Command.SEND,
            Command.SUBSCRIBE,
            Command.UNSUBSCRIBE,
            Command.ACK,
            Command.NACK,
            Command.BEGIN,
            Command.COMMIT,
            Command.ABORT,
            Command.DISCONNECT,
            # A second CONNECT is read, and refused by the session with a reason.
            Command.CONNECT,
            Command.STOMP,
        )
    }
)
_COMMANDS_1_0: Final = MappingProxyType(
    {name: c for name, c in _COMMANDS_1_1.items() if c is not Command.NACK}
)

_REQUIRED_1_0: Final = MappingProxyType(
    {
        Command.SEND: ("destination",),
        Command.SUBSCRIBE: ("destination",),
        Command.ACK: ("message-id",),
        Command.NACK: ("message-id",),
        Command.BEGIN: ("transaction",),
        Command.COMMIT: ("transaction",),
        Command.ABORT: ("transaction",),
    }
)
_REQUIRED_1_1: Final = MappingProxyType(
    {
        **_REQUIRED_1_0,
        # § SUBSCRIBE id Header. `subscription` of ACK and NACK is not asked for:
        # the message-id alone is unique, and clients leave it out or get it wrong.
        Command.SUBSCRIBE: ("destination", "id"),
        Command.UNSUBSCRIBE: ("id",),
    }
)
_REQUIRED_1_2: Final = MappingProxyType(
    {**_REQUIRED_1_1, Command.ACK: ("id",), Command.NACK: ("id",)}
)

STOMP_1_0: Final = Version(
    name="1.0",
    escapes=_ESCAPES_1_0,
    name_escapes=_NAME_ESCAPES_1_0,
    unescapes=MappingProxyType({}),
    carriage_return=True,
    trims=True,
    ignores_bodies=True,
    commands=_COMMANDS_1_0,
    ack_header="message-id",
    required=_REQUIRED_1_0,
)
STOMP_1_1: Final = Version(
    name="1.1",
    escapes=_ESCAPES_1_1,
    name_escapes=_ESCAPES_1_1,
    unescapes=_inverse(_ESCAPES_1_1),
    carriage_return=False,
    trims=False,
    ignores_bodies=False,
    commands=_COMMANDS_1_1,
    ack_header="message-id",
    required=_REQUIRED_1_1,
)
STOMP_1_2: Final = Version(
    name="1.2",
    escapes=_ESCAPES_1_2,
    name_escapes=_ESCAPES_1_2,
    unescapes=_inverse(_ESCAPES_1_2),
    carriage_return=True,
    trims=False,
    ignores_bodies=False,
    commands=_COMMANDS_1_1,
    ack_header="id",
    required=_REQUIRED_1_2,
)

#: From old to new.
VERSIONS: Final = MappingProxyType(
    {version.name: version for version in (STOMP_1_0, STOMP_1_1, STOMP_1_2)}
)


def negotiate_version(accept_version: str | None) -> Version:
    """The highest version that client and server have in common.

    Args:
        accept_version: the header of CONNECT, such as ``"1.0,1.1,1.2"``; without
            it a client speaks STOMP 1.0.

    Raises:
        VersionError: if there is none.

    Source: STOMP 1.2 § Protocol Negotiation.
    """
    if accept_version is None:
        return STOMP_1_0
    offered = {name.strip() for name in accept_version.split(",")}
    for version in reversed((*VERSIONS.values(),)):
        if version.name in offered:
            return version
    raise VersionError(accept_version, tuple(VERSIONS))
