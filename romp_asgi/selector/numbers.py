"""Numbers: 64-bit integers, and floating-point numbers that are finite.

What is larger than that is no number, so nothing here grows, overflows or is NaN.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

Number = int | float

#: Characters. The shortest text that names a double has 24 at most; the rest is room
#: for zeros.
MAX_TEXT: Final = 64

MAX_INTEGER: Final = 2**63 - 1
MIN_INTEGER: Final = -(2**63)

_INTEGER = re.compile(r"[+-]?[0-9]+")
# As in a selector, and a sign. The group says that it is exact.
_NUMBER = re.compile(
    r"([+-]?[0-9]+)|[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)


def to_integer(text: str) -> int | None:
    """The 64-bit integer that a text is, or None."""
    if len(text) > MAX_TEXT or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if MIN_INTEGER <= number <= MAX_INTEGER else None


def to_number(text: str) -> Number | None:
    """The number that a text is, or None."""
    if len(text) > MAX_TEXT:
        return None
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    return _bounded(int(text) if match.lastindex else float(text))


def _bounded(number: Number) -> Number | None:
    if isinstance(number, int):
        return number if MIN_INTEGER <= number <= MAX_INTEGER else None
    return number if math.isfinite(number) else None


def _divide(left: Number, right: Number) -> Number | None:
    """7 / 2 is 3.5 and 6 / 2 is 3: what a reader of a price would say.

    JMS leaves division to its provider; ActiveMQ's is not that of integers, either.
    """
    if right == 0:
        return None
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


_OPERATIONS: Mapping[str, Callable[[Number, Number], Number | None]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": _divide,
    }
)


def calculate(symbol: str, left: Number, right: Number) -> Number | None:
    """``+``, ``-``, ``*`` or ``/`` of two numbers; None if the result is none."""
    result = _OPERATIONS[symbol](left, right)
    return None if result is None else _bounded(result)
