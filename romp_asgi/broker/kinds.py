"""Which class a destination that stores messages is of."""

from romp_asgi.broker.by_user import PedanticUserQueue, UserCounted, UserQueue
from romp_asgi.broker.counted import Counted
from romp_asgi.broker.pedantic import PedanticQueue
from romp_asgi.broker.policy import Kind, Policy
from romp_asgi.broker.queue import Queue


def storing(policy: Policy) -> type[Queue] | type[Counted]:
    """The class of a queue or a counted destination."""
    if policy.kind is Kind.COUNTED:
        return UserCounted if policy.sub_by_user else Counted
    if policy.sub_by_user:
        return PedanticUserQueue if policy.pedantic_expiry else UserQueue
    return PedanticQueue if policy.pedantic_expiry else Queue
