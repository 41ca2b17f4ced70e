"""What conditions compare: headers, literals, and what is calculated of them."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from romp_asgi.errors import SelectorError
from romp_asgi.selector.conditions import (
    Condition,
    Headers,
    constant,
    equals,
    on_header,
)
from romp_asgi.selector.numbers import Number, calculate, to_number


@dataclass(frozen=True, slots=True)
class Header:
    """A header's name.

    Attributes:
        name: the name.
        position: where it is in the selector, as of all operands.
        may_be_difference: whether it is hyphenated, and neither quoted nor by itself.
    """

    name: str
    position: int
    may_be_difference: bool = False


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number or truth that the selector itself has."""

    value: str | Number | bool
    position: int


@dataclass(frozen=True, slots=True)
class Calculation:
    """A number that depends on headers, or None."""

    number: Callable[[Headers], Number | None]
    position: int


Operand = Header | Literal | Calculation

#: What an operand is for a message: a text, a number, or None for nothing.
_Reading = Callable[[Headers], str | Number | None]

_ORDERS: Mapping[str, Callable[[Number, Number], bool]] = MappingProxyType(
    {
        "=": operator.eq,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)
_REVERSED = MappingProxyType({"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="})

#: All comparisons of two operands.
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


def compare(text: str, symbol: str, left: Operand, right: Operand) -> Condition:
    """A comparison. Without a header that it needs it is unknown.

    A header that is no number, where a number is needed, is neither equal to nor less
    nor greater than it: the comparison is false, and not unknown.

    Args:
        text: the selector, for an error.
        symbol: one of COMPARISONS.
        left: what is before it.
        right: what is after it.

    Raises:
        SelectorError: if these cannot be compared.
    """
    if symbol in ("=", "<>"):
        same = _same(left, right)
        if same is not None:
            return same if symbol == "=" else same.opposite
    require_number(text, symbol, left)
    require_number(text, symbol, right)
    if symbol == "<>":
        return _compare_numbers("=", left, right).opposite
    return _compare_numbers(symbol, left, right)


def _same(left: Operand, right: Operand) -> Condition | None:
    """``=`` of texts and of truth values; None if these are neither."""
    match left, right:
        case Literal(), Header():
            return _same(right, left)
        case Header(name), Literal(str(wanted)):
            return equals(name, wanted)
        case Header(name), Literal(bool(truth)):
            return is_truth(name, truth)
        case Literal(str(one)), Literal(str(other)):
            return constant(one == other)
        case Literal(bool(one)), Literal(bool(other)):
            return constant(one == other)
        case _:
            return None


def is_truth(name: str, truth: bool) -> Condition:
    """Whether a header says ``true``, or ``false``, in capitals or not."""
    word = "true" if truth else "false"
    # The length first: a long header is not worth a copy.
    size = len(word)
    return on_header(name, lambda text: len(text) == size and text.lower() == word)


def require_number(text: str, needed_by: str, operand: Operand) -> None:
    """Refuse what cannot be a number.

    Raises:
        SelectorError: if it is a literal of another kind, or perhaps a difference.
    """
    match operand:
        case Literal(bool() | str() as value, position):
            kind = "text" if isinstance(value, str) else "truth value"
            reason = f"'{needed_by}' needs a number here, not a {kind}"
            raise SelectorError(text, position, reason)
        case Header(position=position, may_be_difference=True):
            reason = (
                "a header or a difference? Put it in double quotes, "
                "or blanks around the -"
            )
            raise SelectorError(text, position, reason)
        case _:
            pass


def _compare_numbers(symbol: str, left: Operand, right: Operand) -> Condition:
    match left, right:
        case Literal(), Header():
            return _compare_numbers(_REVERSED[symbol], right, left)
        case Header(name), Literal(int() | float() as limit):
            return on_header(name, _number_test(symbol, limit))
        case _:
            return _compare_readings(symbol, _reading(left), _reading(right))


def _number_test(symbol: str, limit: Number) -> Callable[[str], bool]:
    """The test of most numeric comparisons, so a short way to it."""
    holds = _ORDERS[symbol]

    def test(text: str) -> bool:
        number = to_number(text)
        return number is not None and holds(number, limit)

    return test


def _compare_readings(symbol: str, left: _Reading, right: _Reading) -> Condition:
    holds = _ORDERS[symbol]

    def compared(headers: Headers) -> bool | None:
        one = left(headers)
        if one is None:
            return None
        other = right(headers)
        if other is None:
            return None
        first, second = _number(one), _number(other)
        if first is None or second is None:
            return symbol == "=" and one == other
        return holds(first, second)

    return Condition(
        lambda headers: compared(headers) is True,
        lambda headers: compared(headers) is False,
    )


def _number(value: str | Number) -> Number | None:
    return to_number(value) if isinstance(value, str) else value


def _reading(operand: Operand) -> _Reading:
    if isinstance(operand, Header):
        name = operand.name
        return lambda headers: headers.get(name)
    if isinstance(operand, Literal):
        value = operand.value
        return lambda headers: value
    return operand.number


def signed(text: str, symbol: str, operand: Operand) -> Calculation:
    """``+`` or ``-`` before an operand.

    Raises:
        SelectorError: if it cannot be a number.
    """
    return combine(text, symbol, Literal(0, operand.position), operand)


def combine(text: str, symbol: str, left: Operand, right: Operand) -> Calculation:
    """``+``, ``-``, ``*`` or ``/`` of two operands; None without one of them.

    Raises:
        SelectorError: if they cannot be numbers.
    """
    require_number(text, symbol, left)
    require_number(text, symbol, right)
    first, second = _reading(left), _reading(right)

    def number(headers: Headers) -> Number | None:
        one = first(headers)
        if one is None:
            return None
        other = second(headers)
        if other is None:
            return None
        a, b = _number(one), _number(other)
        if a is None or b is None:
            return None
        return calculate(symbol, a, b)

    return Calculation(number, left.position)
