"""The STOMP protocol: octets in, frames out, octets out. Pure.

No I/O, no clock, no loop: the time is an argument, and what has to be written is
returned. A test keeps it so.
"""

from romp_asgi.stomp.blocks import BlockCache
from romp_asgi.stomp.connection import Connection
from romp_asgi.stomp.frame import Frame, encode_frame
from romp_asgi.stomp.heartbeat import HeartBeat, negotiate
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.parser import Parser
from romp_asgi.stomp.spec import Command
from romp_asgi.stomp.versions import VERSIONS, Version

__all__ = [
    "VERSIONS",
    "BlockCache",
    "Command",
    "Connection",
    "Frame",
    "HeartBeat",
    "Limits",
    "Parser",
    "Version",
    "encode_frame",
    "negotiate",
]
