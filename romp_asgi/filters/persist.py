"""romp's persist filter: what passes it is written to a message log."""

import asyncio

from romp_asgi.broker import Message, Pending
from romp_asgi.config import Config
from romp_asgi.errors import NotLogged
from romp_asgi.filters.chain import CONTINUE, Outcome
from romp_asgi.filters.context import Context
from romp_asgi.filters.message import StompMessage
from romp_asgi.message_log import MessageLog
from romp_asgi.stomp import Command
from romp_asgi.stomp.spec import RECEIPT


class PersistFilter:
    """Writes SENDs to a file, which ``romp-asgi replay`` sends again.

    The key ``message_log`` logs all that is accepted, whoever sends it. This logs what
    clients send and destinations took, transactions before their COMMIT.

    Args:
        path: the file.
        config: what the keys ``message_log_…`` say; None for their defaults.
    """

    def __init__(self, path: str, config: Config | None = None) -> None:
        self._log = MessageLog(path, config or Config())

    def init(self) -> None:
        """Open the file.

        Raises:
            LogFileError: if it cannot be written.
        """
        self._log.start()

    async def close(self) -> None:
        """Write what is left."""
        await self._log.stop()

    def do_filter(
        self, context: Context, message: StompMessage
    ) -> Outcome | asyncio.Future[None]:
        """See a frame.

        Raises:
            NotLogged: if it could not be written.
        """
        if message.command is not Command.SEND:
            return CONTINUE
        try:
            self._log.check()
        except NotLogged:
            raise NotLogged(is_accepted=True) from None
        logged = Message(message.destination or "", message.headers, message.body)
        logged.number = context.session.next_message_id()
        waits = RECEIPT in message.headers
        pending = self._log.add(logged, context.session.user, waits=waits)
        return CONTINUE if pending is None else _future(pending)


def _future(pending: Pending) -> asyncio.Future[None]:
    """What can be awaited for a promise of the broker's."""
    future = asyncio.get_running_loop().create_future()

    def done() -> None:
        if future.done():
            return  # its client has gone
        if pending.error is None:
            future.set_result(None)
        else:
            future.set_exception(pending.error)

    pending.then(done)
    return future
