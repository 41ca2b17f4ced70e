"""What commands take: the members of the JSON object that is the body of a SEND."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ValidationError

from romp_asgi.config.table import Table
from romp_asgi.config.values import Count, Expected, Flag, Text, expected
from romp_asgi.config.wording import show_value
from romp_asgi.errors import CommandError


class Nothing(Table):
    """No arguments."""


class Limit(Table):
    """Of a list.

    Attributes:
        limit: how many at most.
    """

    limit: Count = 1000


class Name(Table):
    """Of a destination."""

    name: Text


class Drain(Name):
    """What becomes of a destination.

    Attributes:
        now: end its subscriptions and forget its messages, too.
        undo: open it again.
    """

    now: Flag = False
    undo: Flag = False


class Changes(Name):
    """New settings of a destination, under the names of the config keys."""

    settings: Annotated[
        Mapping[str, Any],
        Expected('an object, such as {"max_messages":1000}'),
    ]


class Id(Table):
    """Of a session."""

    id: Text


_Table = TypeVar("_Table", bound=Table)


def read(command: str, model: type[_Table], members: Mapping[str, object]) -> _Table:
    """The arguments of a command.

    Raises:
        CommandError: if they are not what it takes.
    """
    try:
        return model.model_validate(members)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_context=False)[0]
        key = str(found["loc"][0])
        field = model.model_fields.get(key)
        if field is None:
            keys = ", ".join(model.model_fields) or "nothing"
            reason = f"does not know {show_value(key)}; it takes {keys}"
        else:
            reason = f"expects {key} to be {expected(field)}"
        raise CommandError(f"The command {command} {reason}.") from None
