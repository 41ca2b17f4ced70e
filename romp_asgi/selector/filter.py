"""romp's filters: one header, one operator, one value.

The header's name and the value are taken as they are, with their blanks.
"""

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from romp_asgi.errors import SelectorError
from romp_asgi.selector.conditions import Matcher, equals, on_header
from romp_asgi.selector.numbers import to_integer

# A name ends at the first operator.
_FILTER = re.compile(r"([^=<>]*?)(!=|==|=|<|>)(.*)", re.DOTALL)

_ORDERS: Mapping[str, Callable[[int, int], bool]] = MappingProxyType(
    {"==": operator.eq, "<": operator.lt, ">": operator.gt}
)


def parse_filter(text: str) -> Matcher:
    """Compile a ``filter``.

    Args:
        text: the header's value: ``<header><op><value>``. ``=`` and ``!=`` compare
            texts; ``==``, ``<`` and ``>`` compare 64-bit integers.

    Returns:
        A matcher that is False without the header, whatever the operator.

    Raises:
        SelectorError: if it is wrong.
    """
    match = _FILTER.fullmatch(text)
    if match is None:
        reason = "expected '=', '!=', '==', '<' or '>' after a header's name"
        raise SelectorError(text, len(text), reason, "filter")
    name, symbol, value = match.groups()
    if not name:
        raise SelectorError(text, 0, "expected the name of a header", "filter")
    if symbol == "=":
        return equals(name, value).is_true
    if symbol == "!=":
        return equals(name, value).is_false
    limit = to_integer(value)
    if limit is None:
        reason = f"expected a 64-bit integer after '{symbol}'"
        raise SelectorError(text, match.start(3), reason, "filter")
    return on_header(name, _integer_test(symbol, limit)).is_true


def _integer_test(symbol: str, limit: int) -> Callable[[str], bool]:
    holds = _ORDERS[symbol]

    def test(text: str) -> bool:
        number = to_integer(text)
        return number is not None and holds(number, limit)

    return test
