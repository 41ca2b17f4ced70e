"""How places and values of a config are written in a line for its operator."""

import re
from collections.abc import Mapping
from typing import Final

#: Where a key stands: ``("ports",)``, ``("destinations", "/queue/a", "expiry")``.
Place = tuple[str, ...]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_MAX_VALUE_LEN: Final = 60


def table_and_key(place: Place) -> tuple[str | None, str]:
    """The table, if it is not the top one, and the key, quoted where TOML needs it."""
    *tables, key = (
        part if _BARE_KEY.fullmatch(part) else _quote(part) for part in place
    )
    return ".".join(tables) or None, key


def show_place(place: Place) -> str:
    """Where a key stands, such as ``[destinations."/queue/a"] expiry``."""
    table, key = table_and_key(place)
    return key if table is None else f"[{table}] {key}"


def show_value(value: object) -> str:
    """A value as TOML writes it, as far as it fits into a line."""
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = _quote(value)
        case list() | tuple():
            text = f"[{', '.join(show_value(item) for item in value)}]"
        case Mapping():
            text = "{…}"
        case _:
            text = str(value)
    return text if len(text) <= _MAX_VALUE_LEN else f"{text[:_MAX_VALUE_LEN]}…"


def _quote(text: str) -> str:
    """A string as TOML writes it, and nothing that a terminal would obey."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(_escape(char) for char in escaped)}"'


def _escape(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
