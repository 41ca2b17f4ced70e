"""The configuration: one model for each TOML table, read once and then passed in.

``etc/romp.toml`` of the project is the reference for its keys.
"""

from romp_asgi.config.destination import BUILT_IN_DESTINATIONS, DestinationConfig
from romp_asgi.config.downstream import DownstreamConfig
from romp_asgi.config.files import find, load
from romp_asgi.config.server import Config, Listener
from romp_asgi.config.values import AccessLog

__all__ = [
    "BUILT_IN_DESTINATIONS",
    "AccessLog",
    "Config",
    "DestinationConfig",
    "DownstreamConfig",
    "Listener",
    "find",
    "load",
]
