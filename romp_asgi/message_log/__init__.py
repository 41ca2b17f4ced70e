"""The message log: every message that a destination accepts, in a file.

The broker hands records over to a thread, which writes them; `read` gets them back,
and ``romp-asgi replay`` sends them again. docs/operations.md is for operators.
"""

from romp_asgi.message_log.broker import LoggedBroker
from romp_asgi.message_log.log import MessageLog
from romp_asgi.message_log.reader import Damage, read
from romp_asgi.message_log.record import Record

__all__ = ["Damage", "LoggedBroker", "MessageLog", "Record", "read"]
