"""What all tables of the config have in common."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from romp_asgi.config.values import Expected, TextOrEmpty


class Table(BaseModel):
    """A table: its keys and their defaults. A key it does not have is an error."""

    # pydantic's own messages must not show a passcode.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True
    )


class NamedTable(Table):
    """One of many tables of a kind, ``[kind.key]``.

    Attributes:
        name: what statistics show; in a `Config` the key of the table if not given.
    """

    name: TextOrEmpty = ""


_NamedTable = TypeVar("_NamedTable", bound=NamedTable)


def _named(tables: Mapping[str, _NamedTable]) -> Mapping[str, _NamedTable]:
    return MappingProxyType(
        {
            key: table if table.name else table.model_copy(update={"name": key})
            for key, table in tables.items()
        }
    )


def _plain(tables: Mapping[str, _NamedTable]) -> dict[str, _NamedTable]:
    return dict(tables)


#: All tables of a kind by their keys, in the order of the file, read-only.
Tables = Annotated[
    Mapping[Annotated[str, Field(min_length=1)], _NamedTable],
    AfterValidator(_named),
    PlainSerializer(_plain),
    Expected("tables"),
]
