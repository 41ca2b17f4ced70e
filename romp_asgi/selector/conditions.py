"""Conditions, which are true, false or unknown.

SQL's logic of three values is two functions of the headers: whether the condition is
true, and whether it is false; unknown is neither. NOT swaps them; AND is true if all
are true and false if one is false; OR is the reverse. So no value but True and False
is ever looked at while a message is matched.

Source: JMS 2.0 § 3.8.1.1 Message selector syntax, § 3.8.1.2 Null values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

Headers = Mapping[str, str]
Matcher = Callable[[Headers], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds for a message or not, or is unknown.

    Attributes:
        is_true: whether it holds.
        is_false: whether its opposite holds.
    """

    is_true: Matcher
    is_false: Matcher

    @property
    def opposite(self) -> Self:
        """NOT this; what is unknown stays unknown."""
        return type(self)(self.is_false, self.is_true)


def constant(truth: bool) -> Condition:
    """TRUE, or FALSE."""
    return Condition(lambda headers: truth, lambda headers: not truth)


def is_missing(name: str) -> Condition:
    """IS NULL, which is never unknown."""
    return Condition(
        lambda headers: name not in headers, lambda headers: name in headers
    )


def equals(name: str, text: str) -> Condition:
    """Whether a header is this text; unknown without the header."""
    return Condition(
        lambda headers: headers.get(name) == text,
        lambda headers: headers.get(name, text) != text,
    )


def on_header(name: str, test: Callable[[str], bool]) -> Condition:
    """A test of a header's text; unknown without the header."""

    def is_true(headers: Headers) -> bool:
        text = headers.get(name)
        return text is not None and test(text)

    def is_false(headers: Headers) -> bool:
        text = headers.get(name)
        return text is not None and not test(text)

    return Condition(is_true, is_false)


def all_of(conditions: Sequence[Condition]) -> Condition:
    """AND, of two or more."""
    return Condition(
        _all([condition.is_true for condition in conditions]),
        _any([condition.is_false for condition in conditions]),
    )


def any_of(conditions: Sequence[Condition]) -> Condition:
    """OR, of two or more."""
    return Condition(
        _any([condition.is_true for condition in conditions]),
        _all([condition.is_false for condition in conditions]),
    )


def _all(matchers: list[Matcher]) -> Matcher:
    if len(matchers) == 2:
        first, second = matchers
        return lambda headers: first(headers) and second(headers)

    def all_match(headers: Headers) -> bool:
        # A generator with all() takes twice as long.
        for matches in matchers:  # noqa: SIM110
            if not matches(headers):
                return False
        return True

    return all_match


def _any(matchers: list[Matcher]) -> Matcher:
    if len(matchers) == 2:
        first, second = matchers
        return lambda headers: first(headers) or second(headers)

    def any_matches(headers: Headers) -> bool:
        for matches in matchers:  # noqa: SIM110
            if matches(headers):
                return True
        return False

    return any_matches
