"""``[downstreams.<key>]``: a server that this one connects to and listens to."""

from pydantic import Field

from romp_asgi.config.table import NamedTable
from romp_asgi.config.values import (
    Count,
    Flag,
    HostAndPort,
    Milliseconds,
    Strings,
    Text,
    TextOrEmpty,
)


class DownstreamConfig(NamedTable):
    """One link to another STOMP server.

    What each key means is written in etc/romp.toml.
    """

    address: HostAndPort = "127.0.0.1:61614"
    login: Text | None = "xtomp"
    passcode: Text = Field(default="password", repr=False)
    destinations: Strings = ()
    local_destinations: Strings = ()
    host: TextOrEmpty = ""
    prefetch_count: Count = 100
    heart_beat: Milliseconds = 10_000
    tls: Flag = False
    tls_ca_file: Text | None = None
