"""Application code that sees frames on their way through a session.

A filter is a function, plain or async, or an object with ``init()`` and
``do_filter()``, that is given a context and a frame, and returns ``CONTINUE`` or
``HANDLED``. See docs/filters.md.
"""

from romp_asgi.errors import FilterError
from romp_asgi.filters.chain import (
    CONTINUE,
    DEFAULT,
    HANDLED,
    PRE_SEND,
    FilterChain,
    Outcome,
    StompFilter,
)
from romp_asgi.filters.context import ClientSession, Context
from romp_asgi.filters.http import HttpContext, HttpFilter
from romp_asgi.filters.message import StompMessage
from romp_asgi.filters.persist import PersistFilter
from romp_asgi.filters.shipped import (
    EchoFilter,
    HelloFilter,
    PingFilter,
    ResendFilter,
)

__all__ = [
    "CONTINUE",
    "DEFAULT",
    "HANDLED",
    "PRE_SEND",
    "ClientSession",
    "Context",
    "EchoFilter",
    "FilterChain",
    "FilterError",
    "HelloFilter",
    "HttpContext",
    "HttpFilter",
    "Outcome",
    "PersistFilter",
    "PingFilter",
    "ResendFilter",
    "StompFilter",
    "StompMessage",
]
