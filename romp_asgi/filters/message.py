"""A frame as filters see it."""

from collections.abc import Mapping

from romp_asgi.local import check_headers
from romp_asgi.stomp import Command, Frame
from romp_asgi.stomp.spec import DESTINATION


class StompMessage:
    """A client's frame, on its way; a filter before SEND may change it.

    Attributes:
        command: the command.
        headers: names and values; a filter's own copy.
        body: the octets.
    """

    __slots__ = ("body", "command", "headers")

    def __init__(
        self, command: Command, headers: Mapping[str, str], body: bytes
    ) -> None:
        self.command = command
        self.headers = dict(headers)
        self.body = body

    @property
    def destination(self) -> str | None:
        """The ``destination`` header."""
        return self.headers.get(DESTINATION)

    @property
    def text(self) -> str:
        """The body as text.

        Raises:
            UnicodeDecodeError: if it is not UTF-8.
        """
        return self.body.decode()

    def frame(self) -> Frame:
        """The frame that it is now.

        Raises:
            TypeError, ValueError: if a filter has made something of it that a client
                could not have sent.
        """
        check_headers(self.headers)
        body: object = self.body
        if not isinstance(body, bytes):
            raise TypeError(f"body must be bytes, not {type(body).__name__}")
        return Frame(self.command, self.headers, body)

    def __repr__(self) -> str:
        return f"<{Frame(self.command, self.headers, self.body)}>"
