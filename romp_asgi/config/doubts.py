"""What can be run with but is hardly meant so."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from romp_asgi.config.wording import Place, show_place, show_value

if TYPE_CHECKING:
    from romp_asgi.config.server import Config

#: Keys that stand in romp's own files and that romp ignores, with what to say.
_IGNORED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "server_flgas": "ignored, did you mean server_flags?",
        "socket_addresses": "ignored, bind_address and ports say it all",
    }
)
_IGNORED_IN_DESTINATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"pedantic_expires": "ignored, did you mean pedantic_expiry?"}
)

#: Pairs of keys: the first is meant to be no more than the second, unless that is 0.
_ORDERED: Final = (
    ("heart_beat_write_min", "heart_beat_write_max"),
    ("outbox_high_water", "max_outbox"),
)

#: What the Origin header of a browser can be, and ``*`` for any.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/]+|null|\*")


def without_ignored(
    file: str, data: Mapping[str, object]
) -> tuple[dict[str, object], list[str]]:
    """A config without the keys that are ignored, and a warning for each of them."""
    data, warnings = _without(_IGNORED, file, (), data)
    destinations = data.get("destinations")
    if isinstance(destinations, Mapping):
        tables = dict(destinations)
        for key, table in destinations.items():
            if isinstance(table, Mapping):
                place = ("destinations", str(key))
                tables[key], more = _without(
                    _IGNORED_IN_DESTINATIONS, file, place, table
                )
                warnings += more
        data["destinations"] = tables
    return data, warnings


def _without(
    ignored: Mapping[str, str], file: str, place: Place, table: Mapping[str, object]
) -> tuple[dict[str, object], list[str]]:
    kept = {key: value for key, value in table.items() if key not in ignored}
    warnings = [
        f"{file}: {show_place((*place, key))}: {ignored[key]}"
        for key in table
        if key in ignored
    ]
    return kept, warnings


def doubts(file: str, config: "Config") -> list[str]:
    """Warnings about values that are good, but not together or not as they stand."""
    found: list[tuple[Place, str]] = []
    if config.login is not None and config.passcode is None:
        found.append((("login",), "no effect without passcode"))
    if config.passcode is not None and config.login is None:
        found.append((("passcode",), "no effect without login"))
    for low, high in _ORDERED:
        least, most = getattr(config, low), getattr(config, high)
        if least > most > 0:
            reason = f"{least} is above {high}, which is {most}"
            found.append(((low,), reason))
    for origin in sorted(config.origins or ()):
        if not _ORIGIN.fullmatch(origin):
            reason = f"{show_value(origin)} is no origin, unlike https://example.com"
            found.append((("websockets_origin",), reason))
    found += (
        (("destinations", key, "min_delivery"), "no effect with type")
        for key, table in config.destinations.items()
        if table.type is not None and table.min_delivery
    )
    found += (
        (("downstreams", key, "destinations"), "none are named: the link takes nothing")
        for key, table in config.downstreams.items()
        if not table.destinations
    )
    has_login = config.login is not None and config.passcode is not None
    if config.enable_console and not has_login and config.user_file is None:
        reason = "no effect without login and passcode, or a user_file"
        found.append((("enable_console",), reason))
    if not has_login and config.user_file is None and config.secret is None:
        found += (
            (
                ("destinations", key, "sub_by_user"),
                "without logins, users are who they say",
            )
            for key, table in config.destinations.items()
            if table.sub_by_user
        )
    return [f"{file}: {show_place(place)}: {reason}" for place, reason in found]
