"""A broker that logs what it accepts."""

from typing import Any

from romp_asgi.broker import Broker, Client, Message, Pending
from romp_asgi.broker.destination import Destination
from romp_asgi.broker.pending import all_of
from romp_asgi.broker.transaction import Send
from romp_asgi.message_log.log import MessageLog
from romp_asgi.stomp.spec import RECEIPT


class LoggedBroker(Broker):
    """The broker with a message log.

    It logs what clients and application code send, each once and when it takes effect:
    of a transaction at COMMIT. What comes of that, such as dead letters, is not logged:
    it would come of a replay, too.

    Args:
        log: where to.
        arguments: the broker's.
    """

    def __init__(self, log: MessageLog, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._log = log

    def send(
        self,
        client: Client,
        message: Message,
        now: float,
        transaction: str | None = None,
        destination: Destination | None = None,
    ) -> Pending | None:
        """As the broker's.

        Raises:
            NotLogged: if it could not be written. Nothing was changed.
        """
        self._log.check()
        pending = super().send(client, message, now, transaction, destination)
        if transaction is not None:
            return pending
        # Application code always waits for what it publishes.
        waits = client.is_local or RECEIPT in message.headers
        return _both(pending, self._log.add(message, client.user, waits=waits))

    def commit(self, client: Client, transaction: str, now: float) -> Pending | None:
        """As the broker's.

        Raises:
            NotLogged: if it could not be written. Nothing was changed.
        """
        self._log.check()
        operations = self._transaction(client, transaction).operations
        pending = super().commit(client, transaction, now)
        messages = [each.message for each in operations if isinstance(each, Send)]
        logged = None
        for message in messages:
            # What waits for the last one waits for all.
            waits = message is messages[-1]
            logged = self._log.add(message, client.user, waits=waits)
        return _both(pending, logged)


def _both(one: Pending | None, other: Pending | None) -> Pending | None:
    return all_of([pending for pending in (one, other) if pending is not None])
