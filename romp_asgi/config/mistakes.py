"""What is wrong with a config, in words for the person who wrote it.

pydantic finds what is wrong with one key; what is wrong between keys is found here.
All of it is told at once, in the order of the file, and without any secret.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel, ValidationError

from romp_asgi.broker.patterns import compile_pattern, is_pattern
from romp_asgi.config.destination import DestinationConfig
from romp_asgi.config.downstream import DownstreamConfig
from romp_asgi.config.values import expected
from romp_asgi.config.wording import Place, show_value, table_and_key
from romp_asgi.errors import ConfigError, ConfigErrors

_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "destinations": DestinationConfig,
    "downstreams": DownstreamConfig,
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "destinations": '[destinations."/queue/a"]',
    "downstreams": "[downstreams.edge]",
}


class _Mistake(NamedTuple):
    """What is wrong, and the value, as it may be shown, if it says anything."""

    reason: str
    value: str | None = None


def errors_of(
    file: str,
    data: Mapping[str, object],
    error: ValidationError | None,
    server: type[BaseModel],
) -> ConfigErrors | None:
    """Everything that is wrong with a config, if anything is.

    Args:
        file: where the config is from.
        data: the config as it was given.
        error: what pydantic has found.
        server: the model of its top level.
    """
    mistakes: dict[Place, _Mistake] = {}
    if error is not None:
        for found in error.errors(include_url=False, include_context=False):
            place = tuple(str(part) for part in found["loc"])
            if found["type"] in {"extra_forbidden", "invalid_key"}:
                mistakes[place] = _Mistake(_unknown_key(place, server))
                continue
            if place[0] not in _TABLES:
                place = place[:1]  # what is wrong within a list is wrong with its key
            elif place[2:] == ("[key]",):  # pydantic's name for the key itself
                place = place[:2]
            mistakes[place[:3]] = _mistake(place[:3], data, server)
    mistakes = {**_dead_letters(data), **_local_destinations(data), **mistakes}
    if not mistakes:
        return None
    places = sorted(mistakes, key=lambda place: _order(data, place))
    return ConfigErrors(
        tuple(
            ConfigError(file, *table_and_key(place), *mistakes[place])
            for place in places
        )
    )


def _mistake(
    place: Place, data: Mapping[str, object], server: type[BaseModel]
) -> _Mistake:
    table, *names = place
    if table in _TABLES and len(names) < 2:
        # Without the value: it may be a passcode that stands in the wrong place.
        if names and names[0] in server.model_fields:
            return _Mistake(_unknown_key(place, server))
        what = ("a table" if names[0] else "a name") if names else "tables"
        return _Mistake(f"expected {what}, such as {_EXAMPLES[table]}")
    field = _model(place, server).model_fields[place[-1]]
    value = show_value(_get(data, place)) if field.repr else "…"
    return _Mistake(f"expected {expected(field)}", value)


def _unknown_key(place: Place, server: type[BaseModel]) -> str:
    *tables, key = place
    if tables and key in server.model_fields:
        return "unknown key here: it belongs at the top, above the first [table]"
    for table, model in _TABLES.items():
        if not tables and key in model.model_fields:
            return f"unknown key here: it belongs in a table such as {_EXAMPLES[table]}"
    known = _model(place, server).model_fields
    if nearest := difflib.get_close_matches(key.lower(), known, n=1):
        return f"unknown key, did you mean {nearest[0]}?"
    return "unknown key"


def _dead_letters(data: Mapping[str, object]) -> dict[Place, _Mistake]:
    """Every dead_letter that is no other destination of the config."""
    found: dict[Place, _Mistake] = {}
    destinations = data.get("destinations")
    names = list(destinations) if isinstance(destinations, Mapping) else []
    for name in names:
        place = ("destinations", str(name), "dead_letter")
        dead_letter = _get(data, place)
        if not isinstance(dead_letter, str):
            continue
        if is_pattern(dead_letter):
            reason = "expected the name of one destination, without *"
        elif dead_letter == name:
            reason = "expected another destination than this one"
        elif not any(compile_pattern(str(n)).fullmatch(dead_letter) for n in names):
            reason = "expected a destination that has a table, or a pattern for it"
        else:
            continue
        found[place] = _Mistake(reason, show_value(dead_letter))
    return found


def _local_destinations(data: Mapping[str, object]) -> dict[Place, _Mistake]:
    """Every link whose destinations have no place here."""
    found: dict[Place, _Mistake] = {}
    destinations, links = data.get("destinations"), data.get("downstreams")
    names = list(destinations) if isinstance(destinations, Mapping) else []
    patterns = [compile_pattern(str(name)) for name in names]
    for link in list(links) if isinstance(links, Mapping) else []:
        place = ("downstreams", str(link), "local_destinations")
        remote = _strings(_get(data, ("downstreams", str(link), "destinations")))
        local = _strings(_get(data, place))
        if local and len(local) != len(remote):
            reason = f"expected as many as there are destinations, {len(remote)}"
            found[place] = _Mistake(reason, show_value(local))
            continue
        for name in local or remote:
            # What a filter claims needs no table.
            is_virtual = name.startswith("/virt/")
            if is_virtual or not patterns:
                continue
            if not any(pattern.fullmatch(name) for pattern in patterns):
                key = place if local else (*place[:2], "destinations")
                reason = "expected what has a table here, or a pattern for it"
                found[key] = _Mistake(reason, show_value(name))
    return found


def _strings(value: object) -> list[str]:
    """A list of strings; of anything else, which is a mistake of its own, nothing."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [each for each in value if isinstance(each, str)]


def _model(place: Place, server: type[BaseModel]) -> type[BaseModel]:
    return _TABLES[place[0]] if len(place) > 1 else server


def _get(data: object, place: Place) -> object:
    for key in place:
        data = data.get(key) if isinstance(data, Mapping) else getattr(data, key, None)
    return data


def _order(data: object, place: Place) -> tuple[int, ...]:
    """Where a key stands in the file: its position, table by table."""
    order = []
    for key in place:
        keys = [str(each) for each in data] if isinstance(data, Mapping) else []
        order.append(keys.index(key) if key in keys else len(keys))
        data = _get(data, (key,))
    return tuple(order)
