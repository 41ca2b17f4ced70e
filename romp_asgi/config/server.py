"""The top of ``romp.toml``: the server, and the tables below it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from romp_asgi.config.destination import BUILT_IN_DESTINATIONS, DestinationConfig
from romp_asgi.config.doubts import doubts, without_ignored
from romp_asgi.config.downstream import DownstreamConfig
from romp_asgi.config.mistakes import errors_of
from romp_asgi.config.table import Table, Tables
from romp_asgi.config.values import (
    AccessLog,
    AccessLogLevel,
    Address,
    Count,
    CountOrZero,
    Factor,
    Flag,
    MessageLogSync,
    Microseconds,
    Milliseconds,
    Octets,
    OctetsOrZero,
    PortOrOff,
    Ports,
    Seconds,
    SecondsOrZero,
    ServerName,
    Strings,
    Text,
    TextOrEmpty,
    UrlPath,
)

#: Ports for HTTP and WebSocket; every other one is for STOMP over TCP.
_WEB_PORTS: Final = frozenset({80, 81, *range(8000, 8100)})
_HTTP_PORT: Final = 8080
_LOOPBACK: Final = "127.0.0.1"
#: What stands for a file in the messages about a config that is from none.
_NO_FILE: Final = "<dict>"


class Listener(NamedTuple):
    """A socket for STOMP over TCP, and whether its sessions carry the admin flag."""

    address: str
    port: int
    is_admin: bool


class Config(Table):
    """The server, with its destinations and downstreams.

    What each key means, with its unit, is written in etc/romp.toml.

    Raises:
        ConfigErrors: for all keys and values together that are not good.
    """

    name: ServerName = "romp"

    # Where it listens
    bind_address: Address = _LOOPBACK
    ports: Ports = (61613,)
    admin_bind_address: Address | None = None
    admin_port: PortOrOff = 61616
    websockets: Flag = True
    websocket_path: UrlPath | None = None
    websockets_origin: TextOrEmpty | None = None
    websocket_coalesce: Flag = False
    close_on_error: Flag = True

    # Who may come in
    login: Text | None = None
    passcode: Text | None = Field(default=None, repr=False)
    user_file: Text | None = None
    secret: Text | None = Field(default=None, repr=False)
    secret_timeout: Milliseconds = 60_000
    max_failed_logins: CountOrZero = 10
    failed_login_window: Seconds = 60.0
    enable_admin: Flag = False
    enable_console: Flag = False

    # Limits of one frame
    max_message_size: Octets = 1_048_576
    max_headers: Count = 64
    max_header_len: Octets = 8192
    max_header_size: Octets = 65_536
    max_login_size: Octets = 16_384

    # Limits of one client
    max_subs: Count = 256
    max_selector_len: Count = 1024
    prefetch_count: Count = 1000
    max_transactions: CountOrZero = 16
    max_transaction_frames: Count = 10_000
    max_transaction_size: Octets = 16_777_216
    outbox_high_water: Octets = 262_144
    max_outbox: Octets = 16_777_216

    # Limits of the server
    max_memory: Octets = 1_073_741_824
    max_destinations: CountOrZero = 100_000
    max_known_headers: OctetsOrZero = 33_554_432
    rlimit_nofile: Count = 1_048_576
    busy_poll: Microseconds = 100

    # Times
    connect_timeout: Seconds = 10.0
    shutdown_timeout: SecondsOrZero = 5.0
    heart_beat_read: Milliseconds = 120_000
    heart_beat_write_min: Milliseconds = 60_000
    heart_beat_write_max: Milliseconds = 180_000
    heart_beat_grace: Factor = 2.0
    stat_interval: SecondsOrZero = 60.0

    # Files, logs, and what filters read
    pid_file: Text | None = None
    access_log: AccessLogLevel = AccessLog.WARN
    message_log: Text | None = None
    message_log_max_size: OctetsOrZero = 104_857_600
    message_log_files: Count = 10
    message_log_sync: MessageLogSync = "second"
    message_log_buffer: Octets = 8_388_608
    plugins: Strings = ()
    server_flags: Strings = ()

    # romp's, without effect
    request_client_buffer: OctetsOrZero = 4096
    response_client_buffer: OctetsOrZero = 200

    # Tables
    destinations: Tables[DestinationConfig] = Field(
        default_factory=lambda: BUILT_IN_DESTINATIONS
    )
    downstreams: Tables[DownstreamConfig] = Field(
        default_factory=lambda: MappingProxyType({})
    )

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def from_dict(cls, table: Mapping[str, object], file: str = _NO_FILE) -> Self:
        """Make a config of what a TOML file has, or could have.

        Args:
            table: keys and values as TOML has them; tables within are mappings.
            file: the name to use in messages.

        Raises:
            ConfigErrors: for all keys and values together that are not good.
        """
        data, warnings = without_ignored(file, table)
        config = cls.model_validate(data, context={"file": file})
        config._warnings = (*warnings, *config._warnings)
        return config

    @field_validator("user_file")
    @classmethod
    def _beside_the_file(cls, path: str | None, info: ValidationInfo) -> str | None:
        """A relative path begins where the config is from."""
        if path is None:
            return None
        file = (info.context or {}).get("file", _NO_FILE)
        return str(Path(file).parent / path)

    @model_validator(mode="wrap")
    @classmethod
    def _validate_all(
        cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if not isinstance(data, Mapping):  # a Config, or nothing to speak of keys
            return handler(data)
        file = (info.context or {}).get("file", _NO_FILE)
        config, found = None, None
        try:
            config = handler(data)
        except ValidationError as exc:
            found = exc
        if errors := errors_of(file, data, found, cls):
            raise errors  # not from pydantic's, which has the values, secrets and all
        assert config is not None
        config._warnings = tuple(doubts(file, config))
        return config

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is hardly meant as it stands, one line each, for the log."""
        return self._warnings

    @property
    def origins(self) -> frozenset[str] | None:
        """The origins that WebSockets may come from, or None for the same one only.

        ``*`` is any.
        """
        if not self.websockets_origin:
            return None
        origins = self.websockets_origin.lower().replace(",", " ").split()
        return frozenset(origin.rstrip("/") for origin in origins) or None

    @property
    def http_port(self) -> int:
        """The port of the stand-alone server: the first web port of `ports`."""
        return next((port for port in self.ports if self._is_web(port)), _HTTP_PORT)

    @property
    def tcp_ports(self) -> tuple[int, ...]:
        """The ports of STOMP over TCP: neither web ports nor the admin port."""
        return tuple(
            port
            for port in self.ports
            if not self._is_web(port) and not self._is_admin(port)
        )

    @property
    def admin_address(self) -> str:
        """The address of the admin port, which is not that of the other ports."""
        return self.admin_bind_address or _LOOPBACK

    def opened(self, embedded: bool) -> tuple[Listener, ...]:
        """The TCP listeners to open.

        Args:
            embedded: whether it runs within an application; then only those whose
                ports the config names itself.
        """
        named = self.model_fields_set
        listeners: list[Listener] = []
        if not embedded or "ports" in named:
            listeners += (
                Listener(self.bind_address, port, False) for port in self.tcp_ports
            )
        admin_is_named = "admin_port" in named or self.admin_port in self.ports
        if self.admin_port and (not embedded or admin_is_named):
            listeners.append(Listener(self.admin_address, self.admin_port, True))
        return tuple(listeners)

    def _is_web(self, port: int) -> bool:
        return port in _WEB_PORTS and not self._is_admin(port)

    def _is_admin(self, port: int) -> bool:
        # An admin port of 0 is off, one of 0 in ports is any free port.
        return port == self.admin_port != 0
