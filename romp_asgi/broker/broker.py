"""The broker: who may send and subscribe where, and what becomes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr

from romp_asgi.broker.by_user import UserTopic
from romp_asgi.broker.client import Client
from romp_asgi.broker.clock import STOPPED, Clock
from romp_asgi.broker.destination import Destination, Dropped
from romp_asgi.broker.kinds import storing
from romp_asgi.broker.message import Letter, Memory, Message, Run
from romp_asgi.broker.patterns import MAX_NAME, compile_pattern, is_pattern
from romp_asgi.broker.pending import Pending, all_of
from romp_asgi.broker.policy import Kind, Policy, State
from romp_asgi.broker.subscription import Delivery, Receiver, Subscription, but_own
from romp_asgi.broker.topic import Topic
from romp_asgi.broker.transaction import Acknowledge, Send, Transaction
from romp_asgi.errors import (
    BrokerError,
    DestinationBlocked,
    DestinationDraining,
    DestinationFull,
    DestinationShutDown,
    DuplicateSubscription,
    DuplicateTransaction,
    HeaderError,
    MessageTooLarge,
    NameRequired,
    Replaced,
    SubscriptionsFull,
    TooManyDestinations,
    TransactionTooLarge,
    UnknownAck,
    UnknownDestination,
    UnknownSubscription,
    UnknownTransaction,
)
from romp_asgi.stomp.spec import (
    DEATH_REASON,
    DESTINATION,
    EXPIRES,
    ORIGINAL_DESTINATION,
    TO,
    AckMode,
    Command,
)

#: What the names of commands begin with; no pattern has them.
VIRTUAL: Final = "/virt/"

#: Why a message goes to the dead letters: it was answered with NACK and is not to
#: come again, or has come often enough; or it was too old. RabbitMQ's words.
REJECTED: Final = "rejected"
DELIVERY_LIMIT: Final = "delivery_limit"
EXPIRED: Final = "expired"


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What clients may take of the broker, under the names of the config keys.

    ``max_subs``, ``max_transactions`` and ``prefetch_count`` are per client; sizes are
    in octets.
    """

    max_subs: int = 256
    max_destinations: int = 100_000
    max_memory: int = 1 << 30
    max_outbox: int = 16 << 20
    max_transactions: int = 16
    max_transaction_frames: int = 10_000
    max_transaction_size: int = 16 << 20
    prefetch_count: int = 1000


@mypyc_attr(allow_interpreted_subclasses=True)
class Broker:
    """All destinations.

    Args:
        destinations: key → policy; a key with ``*`` or ``**`` is a template for names
            that are made on first use, and the first that matches counts.
        limits: what clients may take.
        dropped: told of each message that is lost by a policy, and why.
        created: told of each name that is made from a template.
        first_number: what message-ids count from.
        clock: the time, for ``pedantic_expiry`` and ``expires`` headers.

    Attributes:
        destinations: those that exist, by name.
    """

    def __init__(
        self,
        destinations: Mapping[str, Policy],
        limits: BrokerLimits | None = None,
        dropped: Dropped = lambda message, reason: None,
        created: Callable[[str], None] = lambda name: None,
        first_number: int = 0,
        clock: Clock = STOPPED,
    ) -> None:
        self.limits = limits or BrokerLimits()
        self.memory = Memory(self.limits.max_memory)
        self.last_number = first_number
        self._dropped = dropped
        self._clock = clock
        self._created = created
        self.destinations: dict[str, Destination] = {}
        # Of destinations that are no more.
        self._once_accepted = 0
        self._templates = [
            (compile_pattern(key), policy)
            for key, policy in destinations.items()
            if is_pattern(key)
        ]
        for key, policy in destinations.items():
            if not is_pattern(key):
                self.destinations[key] = self._make(key, policy, is_dynamic=False)

    # Messages

    def send(
        self,
        client: Client,
        message: Message,
        now: float,
        transaction: str | None = None,
        destination: Destination | None = None,
    ) -> Pending | None:
        """Accept a message, or put it off until COMMIT.

        Args:
            client: who sends it.
            message: the message; gets its number here.
            now: the time, in seconds.
            transaction: the one it is part of.
            destination: the one that it is sent to, if that is known and exists.

        Returns:
            What the sender has to wait for, if anything.

        Raises:
            BrokerError: if it is refused. Nothing was changed.
        """
        if destination is None:
            destination = self._find(message.destination)
        policy = destination.policy
        try:
            if policy.has_send_rules:
                self._check_send(client, destination, message)
            limit = policy.max_message_size
            if limit is not None and len(message.body) > limit:
                # A full queue is told of first, as romp does.
                if transaction is None and not destination.can_take(1):
                    raise DestinationFull(destination.name, policy.max_messages)
                raise MessageTooLarge(destination.name, limit)
            if transaction is not None:
                operation = Send(destination, message)
                self._transaction(client, transaction).add(operation)
                return None
            return self._accept(destination, message, now, force=False)
        except BrokerError:
            # It may have been made for this message.
            self._remove_if_unused(destination)
            raise

    def takes_run(self, destination: Destination, count: int) -> bool:
        """Whether `send_run` may be called now.

        Args:
            destination: one that exists.
            count: how many messages it would be.
        """
        return destination.policy.allows_runs and destination.takes_run(count)

    def send_run(
        self,
        headers: Mapping[str, str],
        bodies: list[bytes],
        now: float,
        destination: Destination,
    ) -> Pending | None:
        """Accept messages with equal headers, which is cheaper than one by one.

        Args:
            headers: of each.
            bodies: of the messages, in order.
            now: the time, in seconds.
            destination: where they are sent to; `takes_run` has said that it may be.

        Returns:
            What the sender has to wait for, if anything.
        """
        name, expiry = destination.name, destination.policy.expiry
        number = self.last_number
        messages = []
        for body in bodies:
            message = Message(name, headers, body)
            message.number = number = number + 1
            if expiry:
                message.expires_at = now + expiry / 1000
            messages.append(message)
        self.last_number = number
        return destination.accept_run(Run(messages))

    def announce(self, message: Message, now: float) -> None:
        """Send a message of the server's own, to which no block holds.

        Raises:
            BrokerError: if its destination cannot take it.
        """
        self._accept(self._find(message.destination), message, now, force=False)

    @property
    def accepted(self) -> int:
        """How many messages all destinations have taken."""
        destinations = self.destinations.values()
        return self._once_accepted + sum(each.accepted for each in destinations)

    def next_number(self) -> int:
        """A message-id that no message had before."""
        self.last_number += 1
        return self.last_number

    def _accept(
        self, destination: Destination, message: Message, now: float, *, force: bool
    ) -> Pending | None:
        self.last_number = message.number = self.last_number + 1
        if destination.policy.expiry:
            message.expires_at = now + destination.policy.expiry / 1000
        return destination.accept(message, force=force)

    def _find(self, name: str) -> Destination:
        """A destination by name; made, if a pattern has it and it is not there."""
        destination = self.destinations.get(name)
        if destination is not None:
            return destination
        for pattern, policy in () if name.startswith(VIRTUAL) else self._templates:
            if len(name) <= MAX_NAME and pattern.fullmatch(name):
                limit = self.limits.max_destinations
                if len(self.destinations) >= limit:
                    raise TooManyDestinations(name, limit)
                destination = self._make(name, policy, is_dynamic=True)
                self.destinations[name] = destination
                self._created(name)
                return destination
        raise UnknownDestination(name)

    def find(self, name: str) -> Destination:
        """A destination by name; as at its first use if it is not there.

        Raises:
            UnknownDestination: if there is no such name, and no pattern has it.
        """
        return self._find(name)

    def is_by_user(self, name: str) -> bool:
        """Whether a message to this name can be for one user alone.

        Raises:
            UnknownDestination: if there is no such name, and no pattern has it.
        """
        destination = self._find(name)
        self._remove_if_unused(destination)
        return destination.policy.sub_by_user

    def _make(self, name: str, policy: Policy, *, is_dynamic: bool) -> Destination:
        if policy.kind is Kind.TOPIC:
            make_topic = UserTopic if policy.sub_by_user else Topic
            return make_topic(
                name,
                policy,
                self.memory,
                self._dropped,
                is_dynamic=is_dynamic,
                max_outbox=self.limits.max_outbox,
            )
        return storing(policy)(
            name,
            policy,
            self.memory,
            self._dropped,
            is_dynamic=is_dynamic,
            clock=self._clock,
        )

    def _check_send(
        self, client: Client, destination: Destination, message: Message
    ) -> None:
        """Check what only some destinations ask of a SEND."""
        self._check_open(destination)
        self._check_block(client, destination, "write_block")
        policy = destination.policy
        if policy.sub_by_user and message.headers.get(TO) == "":
            raise HeaderError(Command.SEND, TO, "must be the name of a user")
        if policy.filter_self:
            message.sender = client

    @staticmethod
    def _check_open(destination: Destination) -> None:
        """Whether it takes what somebody sends, application code or client.

        Dead letters it takes always: they would be lost.
        """
        state = destination.policy.state
        if state is State.DRAINING:
            raise DestinationDraining(destination.name)
        if state is State.SHUT_DOWN:
            raise DestinationShutDown(destination.name)

    @staticmethod
    def _check_block(client: Client, destination: Destination, block: str) -> None:
        if client.is_local:
            return
        if getattr(destination.policy, block):
            raise DestinationBlocked(destination.name, block)
        if client.is_web and getattr(destination.policy, f"web_{block}"):
            raise DestinationBlocked(destination.name, f"web_{block}")

    # Subscriptions

    def subscribe(
        self,
        client: Client,
        id: str,
        destination: str,
        receiver: Receiver,
        ack: AckMode = AckMode.AUTO,
        prefetch: int | None = None,
        wants: Callable[[Message], bool] | None = None,
    ) -> Subscription:
        """Begin a subscription; what waits for it is delivered before this returns.

        Args:
            client: whose it is.
            id: unique among the client's.
            destination: the name of what it subscribes to.
            receiver: where its messages go.
            ack: whether and how they are acknowledged.
            prefetch: how many may wait for an acknowledgement; None for the default.
            wants: whether it is to get a message; None for every message.

        Raises:
            BrokerError: if it is refused. Nothing was changed.
        """
        if id in client.subscriptions:
            raise DuplicateSubscription(id)
        self.check_subscriptions(client)
        target = self._find(destination)
        policy = target.policy
        try:
            self._check_subscribe(client, target)
            previous = self._previous(client, target)
            if target.connections - (previous is not None) >= policy.max_connections:
                raise SubscriptionsFull("max_connections", policy.max_connections)
        except BrokerError:
            # It may have been made for this subscription.
            self._remove_if_unused(target)
            raise
        if not policy.filter:
            wants = None
        subscription = Subscription(
            client,
            id,
            target,
            receiver,
            AckMode.AUTO if policy.auto_ack else ack,
            self.limits.prefetch_count if prefetch is None else prefetch,
            but_own(client, wants) if policy.filter_self else wants,
        )
        client.subscriptions[id] = subscription
        target.attach(subscription)
        if previous is not None:
            del previous.client.subscriptions[previous.id]
            self._end([previous])
            previous.receiver.cut_off(Replaced(target.name))
        return subscription

    def check_subscribe(self, client: Client, destination: str) -> None:
        """What goes before a filter that does not parse, as in romp.

        Raises:
            BrokerError: if a SUBSCRIBE would be refused whatever its filter.
        """
        self.check_subscriptions(client)
        target = self._find(destination)
        try:
            self._check_subscribe(client, target)
        finally:
            self._remove_if_unused(target)

    def _check_subscribe(self, client: Client, target: Destination) -> None:
        self._check_block(client, target, "read_block")
        if target.policy.state is State.SHUT_DOWN:
            raise DestinationShutDown(target.name)

    def check_subscriptions(self, client: Client) -> None:
        """Whether a client may have one more.

        Raises:
            SubscriptionsFull: if not.
        """
        limit = self.limits.max_subs
        if len(client.subscriptions) >= limit:
            raise SubscriptionsFull("max_subs", limit)

    @staticmethod
    def _previous(client: Client, destination: Destination) -> Subscription | None:
        """The subscription that a new one of the same user takes the place of.

        Raises:
            NameRequired: if the client has no name to subscribe under.
            SubscriptionsFull: if it is this client's own.
        """
        if client.is_local or not destination.policy.sub_by_user:
            return None
        if not client.user:
            raise NameRequired(destination.name)
        previous = destination.users.get(client.user)
        if previous is not None and previous.client is client:
            raise SubscriptionsFull("with sub_by_user the limit of each user", 1)
        return previous

    def unsubscribe(self, client: Client, id: str) -> None:
        """End a subscription; what it has not acknowledged goes back.

        Raises:
            UnknownSubscription: if the client has none of that id.
        """
        subscription = client.subscriptions.pop(id, None)
        if subscription is None:
            raise UnknownSubscription(id)
        self._end([subscription])

    def leave(self, client: Client) -> None:
        """A client goes: its subscriptions end, its transactions are aborted."""
        subscriptions = list(client.subscriptions.values())
        client.subscriptions.clear()
        for transaction in client.transactions.values():
            transaction.close()
        client.transactions.clear()
        self._end(subscriptions)

    def end(self, subscriptions: list[Subscription]) -> None:
        """End subscriptions, whosever they are; nobody is told here."""
        for subscription in subscriptions:
            del subscription.client.subscriptions[subscription.id]
        self._end(subscriptions)

    def _end(self, subscriptions: list[Subscription]) -> None:
        # First all of them, so that none gets what another one gives back; and what
        # goes to one destination in one go, so that it is given out in order.
        for subscription in subscriptions:
            subscription.destination.detach(subscription)
        returned: dict[Destination, list[Delivery]] = {}
        for subscription in subscriptions:
            deliveries = returned.setdefault(subscription.destination, [])
            deliveries += subscription.take_all()
        for destination, deliveries in returned.items():
            destination.give_back(deliveries)
            self._remove_if_unused(destination)

    def resume(self, client: Client) -> None:
        """A client whose receivers had no room has room again."""
        for subscription in list(client.subscriptions.values()):
            subscription.ready = True
            subscription.destination.resume(subscription)

    # Acknowledgements

    def acknowledge(
        self,
        client: Client,
        tag: int,
        now: float,
        *,
        is_ack: bool = True,
        requeue: bool = True,
        transaction: str | None = None,
    ) -> Pending | None:
        """ACK, or NACK, a delivery; in "client" mode, and all before it.

        What is acknowledged already, or went back when its subscription ended, is
        passed over: the client could not know.

        Args:
            client: who acknowledges.
            tag: the delivery.
            now: the time, in seconds.
            is_ack: False for NACK.
            requeue: of NACK, whether it may be delivered again.
            transaction: the one it is part of.

        Returns:
            What has to be waited for, if anything.

        Raises:
            UnknownAck: if the client was never given it.
            UnknownTransaction, TransactionTooLarge: nothing was changed.
        """
        delivery = client.unacked.get(tag)
        if delivery is None and not 0 < tag <= client.last_tag:
            raise UnknownAck(str(tag))
        if transaction is not None:
            operation = Acknowledge(tag, is_ack, requeue)
            self._transaction(client, transaction).add(operation)
            return None
        if delivery is None:
            return None
        subscription = delivery.subscription
        assert subscription is not None
        deliveries: list[Delivery] = []
        subscription.take(tag, deliveries)
        destination = subscription.destination
        pending = None
        if is_ack:
            pending = destination.settle(deliveries)
        else:
            self._reject(destination, deliveries, now, requeue=requeue)
        destination.resume(subscription)
        return pending

    def acknowledge_all(self, client: Client, tags: list[int]) -> Pending | None:
        """ACK several deliveries, with the same deliveries to follow as one by one.

        Only that producers who wait go on when all of a subscription are settled.

        Args:
            client: who acknowledges.
            tags: the deliveries, in order; all were given to the client once.

        Returns:
            What has to be waited for, if anything.
        """
        unacked = client.unacked
        pendings: list[Pending] = []
        deliveries: list[Delivery] = []
        last: Subscription | None = None
        for tag in tags:
            delivery = unacked.get(tag)
            if delivery is None:
                continue
            subscription = delivery.subscription
            assert subscription is not None
            if subscription is not last or not subscription.destination.settles_runs:
                self._settle(last, deliveries, pendings)
                last, deliveries = subscription, []
            subscription.take(tag, deliveries)
        self._settle(last, deliveries, pendings)
        return all_of(pendings)

    @staticmethod
    def _settle(
        subscription: Subscription | None,
        deliveries: list[Delivery],
        pendings: list[Pending],
    ) -> None:
        """What one subscription has acknowledged in a row is done with."""
        if subscription is None:
            return
        destination = subscription.destination
        pending = destination.settle(deliveries)
        if pending is not None:
            pendings.append(pending)
        destination.resume(subscription)

    def _reject(
        self,
        destination: Destination,
        deliveries: list[Delivery],
        now: float,
        *,
        requeue: bool,
    ) -> None:
        """Deliver once more, or send to the dead letters."""
        reason = DELIVERY_LIMIT if requeue else REJECTED
        for delivery in destination.refuse(deliveries, requeue=requeue):
            self._bury(destination, delivery.message, now, reason)

    def _bury(
        self, destination: Destination, message: Message, now: float, reason: str
    ) -> None:
        """Send a message to the dead letters of its destination, or drop it."""
        name = destination.policy.dead_letter
        # One that expires again, and was not refused between, could go round for ever.
        again = isinstance(message, Letter) and message.reason == reason == EXPIRED
        if name is None or name == message.destination or again:
            self._dropped(message, reason)
            return
        headers = {
            **message.headers,
            DESTINATION: name,
            ORIGINAL_DESTINATION: message.destination,
            DEATH_REASON: reason,
        }
        # Or it would be too old for the dead letters, too.
        headers.pop(EXPIRES, None)
        letter = Letter(name, headers, message.body, reason)
        try:
            target = self._find(name)
            if not target.can_take(1):
                raise DestinationFull(name, target.policy.max_messages)
            # The server held it before, too: there is memory for it.
            self._accept(target, letter, now, force=True)
        except (DestinationFull, UnknownDestination) as exc:
            self._dropped(message, f"{reason}, and no dead letter: {exc}")

    # Transactions

    def begin(self, client: Client, transaction: str) -> None:
        """Open a transaction.

        Raises:
            DuplicateTransaction, TransactionTooLarge: nothing was changed.
        """
        limits = self.limits
        if transaction in client.transactions:
            raise DuplicateTransaction(transaction)
        if len(client.transactions) >= limits.max_transactions:
            raise TransactionTooLarge("max_transactions", limits.max_transactions)
        client.transactions[transaction] = Transaction(
            limits.max_transaction_frames, limits.max_transaction_size, self.memory
        )

    def commit(self, client: Client, transaction: str, now: float) -> Pending | None:
        """Do all that a transaction holds, or nothing.

        Returns:
            What the client has to wait for, if anything.

        Raises:
            UnknownTransaction: if there is none of that id.
            DestinationFull, DestinationDraining, DestinationShutDown: if a destination
                does not take its messages. Nothing was changed.
        """
        opened = self._transaction(client, transaction)
        operations = opened.operations
        counts: dict[str, int] = {}
        for operation in operations:
            if isinstance(operation, Send):
                name = operation.destination.name
                counts[name] = counts.get(name, 0) + 1
        for name, count in counts.items():
            target = self._find(name)
            self._check_open(target)
            if not target.can_take(count):
                raise DestinationFull(name, target.policy.max_messages)
        del client.transactions[transaction]
        # The destinations count what they take.
        opened.close()
        pendings: list[Pending | None] = []
        for operation in operations:
            if isinstance(operation, Send):
                message = operation.message
                target = self._find(message.destination)
                pendings.append(self._accept(target, message, now, force=True))
            else:
                pendings.append(
                    self.acknowledge(
                        client,
                        operation.tag,
                        now,
                        is_ack=operation.is_ack,
                        requeue=operation.requeue,
                    )
                )
        return all_of([pending for pending in pendings if pending is not None])

    def abort(self, client: Client, transaction: str) -> None:
        """Forget what a transaction holds.

        Raises:
            UnknownTransaction: if there is none of that id.
        """
        self._transaction(client, transaction).close()
        del client.transactions[transaction]

    @staticmethod
    def _transaction(client: Client, transaction: str) -> Transaction:
        try:
            return client.transactions[transaction]
        except KeyError:
            raise UnknownTransaction(transaction) from None

    # Time

    def expire(self, now: float) -> int:
        """Send what is too old to the dead letters; forget names that are unused.

        Returns:
            How many messages were too old.
        """
        count = 0
        for destination in list(self.destinations.values()):
            late = destination.expire(now)
            for message in late:
                self._bury(destination, message, now, EXPIRED)
            count += len(late)
            self._remove_if_unused(destination)
        return count

    def _remove_if_unused(self, destination: Destination) -> None:
        if not (destination.is_dynamic and destination.is_unused):
            return
        # What an administrator has changed stays so.
        if destination.policy is not destination.given:
            return
        if self.destinations.pop(destination.name, None) is not None:
            destination.exists = False
            self._once_accepted += destination.accepted
