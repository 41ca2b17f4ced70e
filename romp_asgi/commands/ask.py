"""Asking a running server for an admin command, over its admin port."""

import json
import socket
from collections.abc import Mapping
from typing import Any, Final

from romp_asgi.errors import RompError
from romp_asgi.stomp import Command, Frame, Limits, Parser, encode_frame
from romp_asgi.stomp.spec import (
    ACCEPT_VERSION,
    DESTINATION,
    HEART_BEAT,
    HOST,
    LOGIN,
    MESSAGE,
    PASSCODE,
    REPLY_TO,
    SERVER_COMMANDS,
)
from romp_asgi.stomp.versions import STOMP_1_2

#: Seconds to wait for the server.
_TIMEOUT: Final = 30.0

#: Octets of an answer: a list of very many destinations.
_MAX_ANSWER: Final = 1 << 28


class AskError(RompError):
    """A server that does not answer, or answers that it cannot.

    Args:
        reason: what is wrong.
    """


class Server:
    """One connection to a server.

    Args:
        host: where it is.
        port: its admin port.
        login: who we are; None for nobody.
        passcode: the passcode.

    Raises:
        AskError: if it cannot be reached, or does not let us in.
    """

    def __init__(
        self, host: str, port: int, login: str | None, passcode: str | None
    ) -> None:
        self._parser = Parser(
            Limits(max_message_size=_MAX_ANSWER), commands=SERVER_COMMANDS
        )
        self._frames: list[Frame] = []
        try:
            self._socket = socket.create_connection((host, port), _TIMEOUT)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise AskError(
                f"cannot connect to the admin port {host}:{port}: {reason}"
            ) from exc
        headers = {ACCEPT_VERSION: "1.2", HOST: host, HEART_BEAT: "0,0"}
        if login is not None:
            headers[LOGIN] = login
        if passcode is not None:
            headers[PASSCODE] = passcode
        try:
            self._connect(Frame(Command.CONNECT, headers))
        except AskError:
            self.close()
            raise

    def ask(self, command: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """The result of a command.

        Raises:
            AskError: if there is none, with the server's words for why.
        """
        self.tell(command, arguments)
        while (frame := self._receive()) is not None:
            if frame.command is Command.MESSAGE:
                answer = json.loads(frame.body)
                if not answer["ok"]:
                    raise AskError(answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
        raise AskError("the server has closed the connection")

    def tell(self, command: str, arguments: Mapping[str, object]) -> None:
        """Send a command."""
        headers = {DESTINATION: f"/virt/admin/{command}", REPLY_TO: command}
        self._send(Frame(Command.SEND, headers, json.dumps(arguments).encode()))

    def wait_for_end(self) -> None:
        """Wait until the server closes the connection.

        Raises:
            AskError: if it says that it will not.
        """
        while self._receive() is not None:
            pass

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _connect(self, frame: Frame) -> None:
        self._send(frame)
        answer = self._receive()
        if answer is None or answer.command is not Command.CONNECTED:
            raise AskError("the server does not answer CONNECT")

    def _send(self, frame: Frame) -> None:
        try:
            self._socket.sendall(encode_frame(frame, STOMP_1_2))
        except OSError as exc:
            raise AskError(f"the connection broke: {exc.strerror or exc}") from exc

    def _receive(self) -> Frame | None:
        """The next frame; None at the end.

        Raises:
            AskError: if it is an ERROR, or no frame.
        """
        while not self._frames:
            try:
                data = self._socket.recv(65536)
                if not data:
                    return None
                self._parser.receive_data(data)
                while frames := self._parser.frames():
                    self._frames += frames
            except TimeoutError:
                reason = f"the server has not answered for {_TIMEOUT:.0f} seconds"
                raise AskError(reason) from None
            except ConnectionError:
                return None
            except RompError as exc:
                raise AskError(f"the server speaks no STOMP: {exc}") from exc
        frame = self._frames.pop(0)
        if frame.command is Command.ERROR and frame.headers.get(MESSAGE) != "shutdown":
            detail = frame.body[:500].decode(errors="replace").strip()
            raise AskError(detail or frame.headers.get(MESSAGE, "an error"))
        return frame
