"""The client's side of STOMP, as much of it as a link needs. Pure: no I/O, no clock.

Source: STOMP 1.2 § CONNECT, § SUBSCRIBE, § ACK, § Heart-beating, and what 1.1 and 1.0
have otherwise.
"""

from collections.abc import Mapping
from typing import Final

from romp_asgi.errors import ProtocolError
from romp_asgi.stomp import Command, Frame, HeartBeat, Limits, Parser, spec
from romp_asgi.stomp.frame import encode_frame
from romp_asgi.stomp.heartbeat import negotiate, parse_heart_beat
from romp_asgi.stomp.versions import STOMP_1_0, STOMP_1_2, VERSIONS, Version

#: What a server sends.
_COMMANDS: Final = {
    command.value: command
    for command in (Command.CONNECTED, Command.MESSAGE, Command.RECEIPT, Command.ERROR)
}


class Edge:
    """What we say to an edge server, and what we understand of its answers.

    Args:
        limits: of what it sends.
        heart_beat: what we declare: how often we can send, and want to hear.

    Attributes:
        version: as agreed on; 1.2 before it is.
        heart_beat: as agreed on, as we see it.
    """

    def __init__(self, limits: Limits, heart_beat: HeartBeat) -> None:
        self.version: Version = STOMP_1_2
        self.heart_beat = HeartBeat()
        self._wish = heart_beat
        self._limits = limits
        self._parser = Parser(limits, commands=_COMMANDS)

    def receive_data(self, data: bytes) -> list[Frame]:
        """Take octets of the server; return its frames.

        Raises:
            ProtocolError: if they are none.
        """
        self._parser.receive_data(data)
        frames: list[Frame] = []
        while more := self._parser.frames():
            frames += more
        return frames

    def connect(self, host: str, login: str | None, passcode: str) -> bytes:
        """CONNECT."""
        headers = {
            spec.ACCEPT_VERSION: ",".join(sorted(VERSIONS)),
            "host": host,
            spec.HEART_BEAT: str(self._wish),
        }
        if login is not None:
            headers |= {spec.LOGIN: login, spec.PASSCODE: passcode}
        return encode_frame(Frame(Command.CONNECT, headers), STOMP_1_0)

    def connected(self, frame: Frame) -> None:
        """The server has let us in.

        Raises:
            ProtocolError: if we do not know its version.
        """
        name = frame.headers.get(spec.VERSION, "1.0")
        if name not in VERSIONS:
            raise ProtocolError(f"it speaks STOMP {name[:40]!r}")
        self.version = VERSIONS[name]
        server = parse_heart_beat(frame.headers.get(spec.HEART_BEAT))
        # The same rule from either side.
        self.heart_beat = negotiate(server, self._wish)
        # The command that a parser made for a version knows are a client's.
        self._parser.switch(self.version, self._limits)
        self._parser.commands = _COMMANDS

    def subscribe(self, id: str, destination: str, prefetch_count: int) -> bytes:
        """SUBSCRIBE; what comes is to be acknowledged one by one."""
        headers = {
            spec.ID: id,
            spec.DESTINATION: destination,
            spec.ACK: spec.AckMode.CLIENT_INDIVIDUAL.value,
            spec.PREFETCH_COUNT: str(prefetch_count),
        }
        return self._frame(Command.SUBSCRIBE, headers)

    def acknowledge(self, message: Frame, *, is_ack: bool) -> bytes:
        """ACK or NACK; before 1.1 there is no NACK, and nothing is sent."""
        if not is_ack and self.version is STOMP_1_0:
            return b""
        given = message.headers
        if self.version is STOMP_1_2:
            headers = {spec.ID: given.get(spec.ACK, given.get(spec.MESSAGE_ID, ""))}
        else:
            headers = {
                spec.MESSAGE_ID: given.get(spec.MESSAGE_ID, ""),
                spec.SUBSCRIPTION: given.get(spec.SUBSCRIPTION, ""),
            }
        if not is_ack:
            # RabbitMQ's and ours: not once more, the same would come of it.
            headers[spec.REQUEUE] = "false"
        return self._frame(Command.ACK if is_ack else Command.NACK, headers)

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """SEND."""
        lines = {
            name: value
            for name, value in headers.items()
            if name not in spec.RESERVED_HEADERS
        }
        lines[spec.DESTINATION] = destination
        return self._frame(Command.SEND, lines, body)

    def disconnect(self) -> bytes:
        """DISCONNECT."""
        return self._frame(Command.DISCONNECT, {})

    def _frame(
        self, command: Command, headers: Mapping[str, str], body: bytes = b""
    ) -> bytes:
        return encode_frame(Frame(command, headers, body), self.version)
