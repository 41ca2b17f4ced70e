"""A slow interpreter of selectors, to compare with; and selectors to compare it on.

Nothing of it is shared with the package: a tree, a walk over it with None for unknown,
LIKE by a table, numbers without regular expressions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

Number = int | float
Value = str | Number | bool | None
Headers = Mapping[str, str]


# The tree


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Constant:
    value: str | Number | bool


@dataclass(frozen=True)
class Sign:
    symbol: str
    operand: Operand


@dataclass(frozen=True)
class Calculation:
    symbol: str
    left: Operand
    right: Operand


Operand = Name | Constant | Sign | Calculation


@dataclass(frozen=True)
class Comparison:
    symbol: str
    left: Operand
    right: Operand


@dataclass(frozen=True)
class Between:
    is_opposite: bool
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True)
class In:
    is_opposite: bool
    name: str
    values: Sequence[str]


@dataclass(frozen=True)
class Like:
    is_opposite: bool
    name: str
    pattern: str
    escape: str | None


@dataclass(frozen=True)
class Null:
    is_opposite: bool
    name: str


@dataclass(frozen=True)
class Alone:
    operand: Name | Constant


@dataclass(frozen=True)
class Not:
    condition: Condition


@dataclass(frozen=True)
class Both:
    left: Condition
    right: Condition


@dataclass(frozen=True)
class Either:
    left: Condition
    right: Condition


Condition = Comparison | Between | In | Like | Null | Alone | Not | Both | Either


# What it means


def evaluate(condition: Condition, headers: Headers) -> bool | None:
    """Whether a condition is true, false, or unknown."""
    match condition:
        case Comparison("<>", left, right):
            return opposite(evaluate(Comparison("=", left, right), headers))
        case Comparison(symbol, left, right):
            return compared(symbol, left, right, headers)
        case Between(is_opposite, operand, low, high):
            bounds = Both(
                Comparison(">=", operand, low), Comparison("<=", operand, high)
            )
            return turned(is_opposite, evaluate(bounds, headers))
        case In(is_opposite, name, values):
            if name not in headers:
                return None
            return turned(is_opposite, headers[name] in values)
        case Like(is_opposite, name, pattern, escape):
            if name not in headers:
                return None
            return turned(is_opposite, is_like(headers[name], pattern, escape))
        case Null(is_opposite, name):
            return turned(is_opposite, name not in headers)
        case Alone(alone):
            return evaluate(Comparison("=", alone, Constant(True)), headers)
        case Not(inner):
            return opposite(evaluate(inner, headers))
        case Both(left_, right_):
            truths = {evaluate(left_, headers), evaluate(right_, headers)}
            return False if False in truths else None if None in truths else True
        case Either(left_, right_):
            truths = {evaluate(left_, headers), evaluate(right_, headers)}
            return True if True in truths else None if None in truths else False


def opposite(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def turned(is_opposite: bool, truth: bool | None) -> bool | None:
    return opposite(truth) if is_opposite else truth


def compared(
    symbol: str, left: Operand, right: Operand, headers: Headers
) -> bool | None:
    one, other = value_of(left, headers), value_of(right, headers)
    if one is None or other is None:
        return None
    literals = [o.value for o in (left, right) if isinstance(o, Constant)]
    if any(isinstance(value, bool) for value in literals):
        return truth_of(one) is not None and truth_of(one) == truth_of(other)
    if any(isinstance(value, str) for value in literals):
        return one == other
    first, second = number_of(one), number_of(other)
    if first is None or second is None:
        return symbol == "=" and isinstance(one, str) and one == other
    order = (first > second) - (first < second)
    return order in {"=": [0], "<": [-1], "<=": [-1, 0], ">": [1], ">=": [0, 1]}[symbol]


def truth_of(value: Value) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    assert isinstance(value, bool)
    return value


def value_of(operand: Operand, headers: Headers) -> Value:
    match operand:
        case Name(name):
            return headers.get(name)
        case Constant(value):
            return value
        case Sign(symbol, inner):
            return value_of(Calculation(symbol, Constant(0), inner), headers)
        case Calculation(symbol, left, right):
            one = number_of(value_of(left, headers))
            other = number_of(value_of(right, headers))
            if one is None or other is None:
                return None
            return calculated(symbol, one, other)


def calculated(symbol: str, left: Number, right: Number) -> Number | None:
    if symbol == "/":
        if not right:
            return None
        result: Number = left / right
        if isinstance(left, int) and isinstance(right, int) and not left % right:
            result = left // right
    elif symbol == "*":
        result = left * right
    else:
        result = left + right if symbol == "+" else left - right
    return within_64_bits(result)


def within_64_bits(number: Number) -> Number | None:
    if isinstance(number, float):
        return None if math.isinf(number) or math.isnan(number) else number
    return number if number.bit_length() < 64 or number == -(1 << 63) else None


def number_of(value: Value) -> Number | None:
    if not isinstance(value, str):
        return value
    if not value or len(value) > 64 or set(value) - set("0123456789+-.eE"):
        return None
    try:
        return within_64_bits(int(value))
    except ValueError:
        pass
    try:
        return within_64_bits(float(value))
    except ValueError:
        return None


def is_like(text: str, pattern: str, escape: str | None) -> bool:
    """LIKE, by which beginnings of the text each beginning of the pattern fits."""
    fits = [True] + [False] * len(text)
    characters = iter(pattern)
    for character in characters:
        if character != escape and character == "%":
            for place in range(1, len(fits)):
                fits[place] = fits[place] or fits[place - 1]
            continue
        is_any = character != escape and character == "_"
        wanted = next(characters) if character == escape else character
        fits = [False] + [
            before and (is_any or wanted == here)
            for before, here in zip(fits, text, strict=False)
        ]
    return fits[-1]


# How it is written

OR, AND, NOT, PREDICATE, SUM, PRODUCT, SIGN, PRIMARY = range(8)


def tokens(node: Condition | Operand, level: int = OR) -> list[str]:
    """The tokens of a selector, with the parentheses that it needs and no others."""
    own, written = written_as(node)
    return written if own >= level else ["(", *written, ")"]


def written_as(node: Condition | Operand) -> tuple[int, list[str]]:
    match node:
        case Name(name):
            return PRIMARY, [quoted(name)]
        case Constant(bool(value)):
            return PRIMARY, ["TRUE" if value else "FALSE"]
        case Constant(str(value)):
            return PRIMARY, [string(value)]
        case Constant(value):
            return PRIMARY, [repr(value)]
        case Sign(symbol, operand):
            return SIGN, [symbol, *tokens(operand, SIGN)]
        case Calculation(symbol, left, right):
            own = SUM if symbol in "+-" else PRODUCT
            return own, [*tokens(left, own), symbol, *tokens(right, own + 1)]
        case Comparison(symbol, left, right):
            return PREDICATE, [*tokens(left, SUM), symbol, *tokens(right, SUM)]
        case Between(is_opposite, operand, low, high):
            word = [*negation(is_opposite), "BETWEEN"]
            bounds = [*tokens(low, SUM), "AND", *tokens(high, SUM)]
            return PREDICATE, [*tokens(operand, SUM), *word, *bounds]
        case In(is_opposite, name, values):
            listed = [token for value in values for token in (",", string(value))]
            word = [*negation(is_opposite), "IN", "("]
            return PREDICATE, [quoted(name), *word, *listed[1:], ")"]
        case Like(is_opposite, name, pattern, escape):
            word = [*negation(is_opposite), "LIKE", string(pattern)]
            suffix = [] if escape is None else ["ESCAPE", string(escape)]
            return PREDICATE, [quoted(name), *word, *suffix]
        case Null(is_opposite, name):
            return PREDICATE, [quoted(name), "IS", *negation(is_opposite), "NULL"]
        case Alone(operand_):
            return written_as(operand_)
        case Not(condition):
            return NOT, ["NOT", *tokens(condition, NOT)]
        case Both(left_, right_):
            return AND, [*tokens(left_, AND), "AND", *tokens(right_, AND)]
        case Either(left_, right_):
            return OR, [*tokens(left_, OR), "OR", *tokens(right_, OR)]


def negation(is_opposite: bool) -> list[str]:
    return ["NOT"] if is_opposite else []


def quoted(name: str) -> str:
    if name.isascii() and name.isalpha() and name.upper() not in ("IN", "NOT"):
        return name
    return '"' + name.replace('"', '""') + '"'


def string(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# What there is

NAMES = ["a", "b", "Price", "content-type", "in", 'a "name"', "ünicode", "1"]
TEXTS = [
    "",
    "a",
    "abc",
    "a_c",
    "a%c",
    "it's",
    "\n",
    "true",
    "FALSE",
    "tRue",
    "\U0001f600",
]
NUMBERS = [
    *["0", "1", "-1", "+07", "2.5", ".5", "7.", "1e3", "-1.5E-3", "0.0", "-0.0", "3"],
    *["9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e308"],
    *["-1.7e308", "1e309", "5e-324", "9007199254740993", "9007199254740992.0"],
    *[
        "nan",
        "inf",
        " 1",
        "1 ",
        "1_0",
        "\u0661",
        "1e",
        ".",
        "+",
        "--1",
        "0x10",
        "1" * 65,
    ],
]

names = st.sampled_from(NAMES)
texts = st.sampled_from(TEXTS) | st.text(max_size=6)
values = st.sampled_from(TEXTS + NUMBERS) | st.text(max_size=12)
# Most names are there, and most are small numbers: else nearly all is unknown.
_common = st.sampled_from(["0", "1", "2", "-3", "2.5", "a", "abc", "true", "false"])
headers = st.lists(st.none() | _common | _common | values, min_size=8, max_size=8).map(
    lambda drawn: {
        name: value
        for name, value in zip(NAMES, drawn, strict=True)
        if value is not None
    }
)

numbers = (
    st.integers(0, 10)
    | st.sampled_from([2**63 - 1, 2**53 + 1, 0.5, 2.5, 1e308, 5e-324, 1e16, 0.0])
    | st.floats(0, allow_infinity=False, allow_nan=False)
)
symbols = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
equalities = st.sampled_from(["=", "<>"])
patterns = st.lists(st.sampled_from("%_abc'"), max_size=6).map("".join)
operands: st.SearchStrategy[Operand] = st.recursive(
    st.builds(Name, names) | st.builds(Constant, numbers),
    lambda inner: (
        st.builds(Sign, st.sampled_from("+-"), inner)
        | st.builds(Calculation, st.sampled_from("+-*/"), inner, inner)
    ),
    max_leaves=5,
)
_texts = st.builds(Constant, texts)
_truths = st.builds(Constant, st.booleans())
_names = st.builds(Name, names)


@st.composite
def escaped_patterns(draw: st.DrawFn) -> tuple[str, str]:
    """A pattern in which the escape stands only where it may."""
    escape = draw(st.sampled_from("\\!%_a"))
    specials = st.sampled_from([escape + special for special in ("%", "_", escape)])
    plain = st.sampled_from([c for c in "%_bc" if c != escape])
    return "".join(draw(st.lists(specials | plain, max_size=6))), escape


predicates: st.SearchStrategy[Condition] = (
    st.builds(Comparison, symbols, operands, operands)
    | st.builds(Comparison, equalities, _names, _texts | _truths)
    | st.builds(Comparison, equalities, _texts | _truths, _names)
    | st.builds(Comparison, equalities, _texts, _texts)
    | st.builds(Comparison, equalities, _truths, _truths)
    | st.builds(Between, st.booleans(), operands, operands, operands)
    | st.builds(In, st.booleans(), names, st.lists(texts, min_size=1, max_size=3))
    | st.builds(Like, st.booleans(), names, patterns, st.none())
    | st.builds(
        lambda is_opposite, name, escaped: Like(is_opposite, name, *escaped),
        st.booleans(),
        names,
        escaped_patterns(),
    )
    | st.builds(Null, st.booleans(), names)
    | st.builds(Alone, _names | _truths)
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    predicates,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(Both, inner, inner)
        | st.builds(Either, inner, inner)
    ),
    max_leaves=8,
)
