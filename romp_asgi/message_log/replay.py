"""Sending messages again, to any STOMP 1.2 server over TCP, each with a receipt."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from romp_asgi.errors import RompError
from romp_asgi.message_log.record import Record
from romp_asgi.stomp import Command, Frame, Limits, Parser, encode_frame
from romp_asgi.stomp.spec import (
    ACCEPT_VERSION,
    HEART_BEAT,
    HOST,
    LOGIN,
    MESSAGE,
    PASSCODE,
    RECEIPT,
    RECEIPT_ID,
    SERVER_COMMANDS,
)
from romp_asgi.stomp.versions import STOMP_1_2

#: How many messages may wait for their receipts.
_WINDOW: Final = 1000

#: Seconds to wait for an answer of the server.
_TIMEOUT: Final = 30.0


class ReplayError(RompError):
    """A server that does not take the messages.

    Args:
        reason: what is wrong.
    """


class Replay:
    """One connection to a server.

    Args:
        host: where the server is.
        port: its port for STOMP.
        login: who we are; None for nobody.
        passcode: the passcode.

    Attributes:
        sent: how many messages were sent.
        confirmed: how many of them have their receipts, from the first one on.
    """

    def __init__(
        self, host: str, port: int, login: str | None, passcode: str | None
    ) -> None:
        self._host = host
        self._port = port
        self._login = login
        self._passcode = passcode
        self._parser = Parser(Limits(), commands=SERVER_COMMANDS)
        self._frames: list[Frame] = []
        self._news = asyncio.Event()
        self._error: ReplayError | None = None
        self.sent = 0
        self.confirmed = 0

    async def run(
        self,
        records: Iterable[Record],
        *,
        rate: float | None,
        progress: Callable[[Record], None],
    ) -> None:
        """Send messages, and wait for the receipts of all of them.

        Args:
            records: the messages.
            rate: how many a second; None for as fast as it goes.
            progress: told of each one that was sent.

        Raises:
            ReplayError: if the server cannot be reached or refuses one. Those that it
                has taken are ``confirmed``; it may have taken some more, up to
                ``sent``.
        """
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as exc:
            place = f"{self._host}:{self._port}"
            reason = str(exc) or "no answer"
            raise ReplayError(f"cannot connect to {place}: {reason}") from exc
        listening = asyncio.create_task(self._listen(reader))
        try:
            await self._connect(writer)
            await self._send_all(records, writer, rate, progress)
            self._write(writer, Frame(Command.DISCONNECT))
        finally:
            listening.cancel()
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await listening
                await writer.wait_closed()

    async def _connect(self, writer: asyncio.StreamWriter) -> None:
        headers = {ACCEPT_VERSION: "1.2", HOST: self._host, HEART_BEAT: "0,0"}
        if self._login is not None:
            headers[LOGIN] = self._login
        if self._passcode is not None:
            headers[PASSCODE] = self._passcode
        self._write(writer, Frame(Command.CONNECT, headers))
        await self._wait(lambda: bool(self._frames))
        answer = self._frames.pop()
        if answer.command is not Command.CONNECTED:
            raise ReplayError(f"the server answers CONNECT by {answer.command}")

    async def _send_all(
        self,
        records: Iterable[Record],
        writer: asyncio.StreamWriter,
        rate: float | None,
        progress: Callable[[Record], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for record in records:
            if rate is not None:
                await asyncio.sleep(start + self.sent / rate - loop.time())
            await self._wait(lambda: self.sent - self.confirmed < _WINDOW)
            headers = {**record.headers, RECEIPT: str(self.sent + 1)}
            self._write(writer, Frame(Command.SEND, headers, record.body))
            self.sent += 1
            progress(record)
            with contextlib.suppress(OSError):  # the listener hears of it
                await writer.drain()
        await self._wait(lambda: self.confirmed == self.sent)

    @staticmethod
    def _write(writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(encode_frame(frame, STOMP_1_2))

    async def _wait(self, is_good: Callable[[], bool]) -> None:
        """Wait until something holds.

        Raises:
            ReplayError: if it does not come to that.
        """
        while True:
            if self._error is not None:
                raise self._error
            if is_good():
                return
            self._news.clear()
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await self._news.wait()
            except TimeoutError:
                raise ReplayError(
                    f"the server has not answered for {_TIMEOUT:.0f} seconds"
                ) from None

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while self._error is None:
                data = await reader.read(65536)
                if not data:
                    raise ReplayError("the server has closed the connection")
                self._parser.receive_data(data)
                while frames := self._parser.frames():
                    for frame in frames:
                        self._take(frame)
                self._news.set()
        except ReplayError as exc:
            self._error = exc
        except (OSError, RompError) as exc:
            self._error = ReplayError(f"the connection broke: {exc}")
        self._news.set()

    def _take(self, frame: Frame) -> None:
        match frame.command:
            case Command.RECEIPT:
                receipt = frame.headers.get(RECEIPT_ID)
                if self.confirmed == self.sent or receipt != str(self.confirmed + 1):
                    raise ReplayError(f"the server sent a receipt for {receipt!r}")
                self.confirmed += 1
            case Command.ERROR:
                message = frame.headers.get(MESSAGE, "")
                detail = frame.body[:500].decode(errors="replace").strip()
                raise ReplayError(f"the server says {message!r}: {detail}")
            case _:
                self._frames.append(frame)
