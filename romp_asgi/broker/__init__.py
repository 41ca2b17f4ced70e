"""Destinations, subscriptions and transactions. Pure and synchronous.

No frames, no I/O, no clock: who receives is a ``Receiver``, the time is an argument.
What has to wait returns a ``Pending``, whose callbacks must not call the broker
back at once: they schedule. So between two calls the broker is consistent.
"""

from romp_asgi.broker.broker import VIRTUAL, Broker, BrokerLimits
from romp_asgi.broker.client import Client
from romp_asgi.broker.clock import Clock
from romp_asgi.broker.destination import Destination
from romp_asgi.broker.message import Message
from romp_asgi.broker.pending import Pending
from romp_asgi.broker.policy import Kind, Overflow, Policy, SlowConsumerPolicy, State
from romp_asgi.broker.subscription import Delivery, Receiver, Subscription

__all__ = [
    "VIRTUAL",
    "Broker",
    "BrokerLimits",
    "Client",
    "Clock",
    "Delivery",
    "Destination",
    "Kind",
    "Message",
    "Overflow",
    "Pending",
    "Policy",
    "Receiver",
    "SlowConsumerPolicy",
    "State",
    "Subscription",
]
