"""What the broker knows of a client."""

from __future__ import annotations

from romp_asgi.broker.subscription import Delivery, Subscription
from romp_asgi.broker.transaction import Transaction


class Client:
    """One client: a session, or application code in the process.

    Args:
        is_web: whether the web blocks of destinations hold for it.
        is_local: application code in the process, for which no blocks hold.

    Attributes:
        user: who it has logged in as; empty for nobody.
        subscriptions: by id.
        transactions: those that are open, by id.
        unacked: what it was given and has not acknowledged, by tag.
        last_tag: the highest tag it was given.
    """

    __slots__ = (
        "is_local",
        "is_web",
        "last_tag",
        "subscriptions",
        "transactions",
        "unacked",
        "user",
    )

    def __init__(self, *, is_web: bool = False, is_local: bool = False) -> None:
        self.is_web = is_web
        self.is_local = is_local
        self.user = ""
        self.subscriptions: dict[str, Subscription] = {}
        self.transactions: dict[str, Transaction] = {}
        self.unacked: dict[int, Delivery] = {}
        self.last_tag = 0
