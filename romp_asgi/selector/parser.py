"""The grammar of selectors.

```text
either     = both { OR both }
both       = opposite { AND opposite }
opposite   = { NOT } predicate
predicate  = sum [ comparison sum | IS [ NOT ] NULL
                 | [ NOT ] ( BETWEEN sum AND sum | LIKE string [ ESCAPE string ]
                           | IN "(" string { "," string } ")" ) ]
sum        = product { ( "+" | "-" ) product }
product    = signed { ( "*" | "/" ) signed }
signed     = { "+" | "-" } primary
primary    = name | number | string | TRUE | FALSE | "(" either ")"
```

A parenthesis may hold a condition or an operand, so every rule gives either, and what
needs the one refuses the other.

Source: JMS 2.0 § 3.8.1.1 Message selector syntax.
"""

from collections.abc import Callable, Sequence
from typing import Final

from romp_asgi.errors import SelectorError
from romp_asgi.selector.conditions import (
    Condition,
    Matcher,
    all_of,
    any_of,
    constant,
    is_missing,
    on_header,
)
from romp_asgi.selector.cursor import Cursor
from romp_asgi.selector.like import Pattern
from romp_asgi.selector.numbers import to_number
from romp_asgi.selector.operands import (
    COMPARISONS,
    Header,
    Literal,
    Operand,
    combine,
    compare,
    is_truth,
    require_number,
    signed,
)
from romp_asgi.selector.tokens import Kind, Token

#: Of a selector, in characters.
MAX_LENGTH: Final = 1024
#: Names and values, but those of IN, where more cost nothing.
MAX_TERMS: Final = 100
#: Parentheses in parentheses.
MAX_DEPTH: Final = 32
#: Characters of LIKE that may each cost one look at every place of a header; see like.
MAX_WILD: Final = 64

_Node = Condition | Operand
_Rule = Callable[[], _Node]


def parse_selector(text: str, max_length: int = MAX_LENGTH) -> Matcher:
    """Compile a ``selector``. One that is empty, or blank, matches every message.

    Args:
        text: the header's value.
        max_length: how many characters it may have.

    Raises:
        SelectorError: if it is wrong, or too large.
    """
    if len(text) > max_length:
        reason = f"it may have {max_length} characters, and has {len(text)}"
        raise SelectorError(text, max_length, reason)
    cursor = Cursor(text)
    if cursor.is_at_end:
        return constant(True).is_true
    return _Parser(cursor).parse().is_true


class _Parser:
    """The rules of the grammar, a method each.

    Args:
        cursor: the tokens.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._text = cursor.text
        self._depth = 0
        self._terms = 0
        self._wild = 0

    def parse(self) -> Condition:
        """The whole selector."""
        node = self._either()
        if not self._cursor.is_at_end:
            raise self._unfinished(node, "AND, OR or the end")
        return self._condition(node)

    # Conditions

    def _either(self) -> _Node:
        return self._chain("OR", self._both, any_of)

    def _both(self) -> _Node:
        return self._chain("AND", self._opposite, all_of)

    def _chain(
        self, word: str, rule: _Rule, join: Callable[[Sequence[Condition]], Condition]
    ) -> _Node:
        node = rule()
        if not self._cursor.is_at(word):
            return node
        conditions = [self._condition(node)]
        while self._cursor.take(word):
            conditions.append(self._condition(rule()))
        return join(conditions)

    def _opposite(self) -> _Node:
        count = 0
        while self._cursor.take("NOT"):
            count += 1
        node = self._predicate()
        if not count:
            return node
        condition = self._condition(node)
        return condition.opposite if count % 2 else condition

    def _predicate(self) -> _Node:
        cursor = self._cursor
        left = self._sum()
        if isinstance(left, Condition):
            return left
        if comparison := cursor.take(*COMPARISONS):
            right = self._operand(self._sum)
            return compare(self._text, comparison.value, left, right)
        if cursor.take("IS"):
            return self._null(left)
        is_opposite = cursor.take("NOT")
        if cursor.take("BETWEEN"):
            condition = self._between(left)
        elif cursor.take("LIKE"):
            condition = self._like(left)
        elif cursor.take("IN"):
            condition = self._in(left)
        elif is_opposite:
            raise cursor.expected("BETWEEN, LIKE or IN")
        else:
            return left
        return condition.opposite if is_opposite else condition

    def _null(self, left: Operand) -> Condition:
        condition = is_missing(self._header(left, "IS NULL"))
        is_opposite = self._cursor.take("NOT")
        self._cursor.require("NULL")
        return condition.opposite if is_opposite else condition

    def _between(self, left: Operand) -> Condition:
        low = self._operand(self._sum)
        self._cursor.require("AND")
        high = self._operand(self._sum)
        text = self._text
        for operand in (left, low, high):
            require_number(text, "BETWEEN", operand)
        bounds = [(">=", low), ("<=", high)]
        return all_of([compare(text, symbol, left, bound) for symbol, bound in bounds])

    def _like(self, left: Operand) -> Condition:
        name = self._header(left, "LIKE")
        token = self._cursor.string()
        pattern = Pattern(self._text, token, self._escape())
        self._wild += pattern.wild
        if self._wild > MAX_WILD:
            reason = (
                f"more than {MAX_WILD} characters between two %, where there is a _"
            )
            raise self._cursor.error(reason, token.position)
        return on_header(name, pattern.matches)

    def _escape(self) -> str | None:
        if not self._cursor.take("ESCAPE"):
            return None
        token = self._cursor.string()
        if len(token.value) != 1:
            raise self._cursor.error("expected one character", token.position)
        return token.value

    def _in(self, left: Operand) -> Condition:
        name = self._header(left, "IN")
        cursor = self._cursor
        cursor.require("(")
        values = {cursor.string().value}
        while cursor.take(","):
            values.add(cursor.string().value)
        cursor.require(")")
        return on_header(name, frozenset(values).__contains__)

    # Operands

    def _sum(self) -> _Node:
        return self._calculation(("+", "-"), self._product)

    def _product(self) -> _Node:
        return self._calculation(("*", "/"), self._signed)

    def _calculation(self, symbols: tuple[str, ...], rule: _Rule) -> _Node:
        node = rule()
        while not isinstance(node, Condition):
            symbol = self._cursor.take(*symbols)
            if symbol is None:
                break
            node = combine(self._text, symbol.value, node, self._operand(rule))
        return node

    def _signed(self) -> _Node:
        signs = ""
        while token := self._cursor.take("+", "-"):
            signs += token.value
        if not signs:
            return self._primary()
        sign = "-" if signs.count("-") % 2 else "+"
        if self._cursor.next.kind is Kind.NUMBER:
            return self._primary(sign)
        return signed(self._text, sign, self._operand(self._primary))

    def _primary(self, sign: str = "") -> _Node:
        cursor = self._cursor
        if cursor.is_at("("):
            return self._parenthesis()
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise cursor.error(f"it may have {MAX_TERMS} names and values")
        match cursor.next:
            case Token(Kind.NUMBER, digits, position):
                value = to_number(sign + digits)
                if value is None:
                    raise cursor.error("the number is too large, or too long")
                node: Operand = Literal(value, position)
            case Token(Kind.STRING, text, position):
                node = Literal(text, position)
            case Token(Kind.NAME, name, position):
                node = Header(name, position)
            case Token(Kind.HYPHENATED, name, position):
                node = Header(name, position, may_be_difference=True)
            case Token(Kind.WORD, "TRUE" | "FALSE" as word, position):
                node = Literal(word == "TRUE", position)
            case Token(Kind.WORD, "NULL"):
                raise cursor.error("NULL is only for IS NULL and IS NOT NULL")
            case _:
                raise cursor.expected("a value")
        cursor.advance()
        return node

    def _parenthesis(self) -> _Node:
        if self._depth == MAX_DEPTH:
            reason = f"it may have {MAX_DEPTH} parentheses in each other"
            raise self._cursor.error(reason)
        self._depth += 1
        self._cursor.advance()
        node = self._either()
        if not self._cursor.take(")"):
            raise self._unfinished(node, "AND, OR or ')'")
        self._depth -= 1
        return node

    # What is needed of a node

    def _condition(self, node: _Node) -> Condition:
        match node:
            case Condition():
                return node
            case Header(name):
                return is_truth(name, True)
            case Literal(bool(truth)):
                return constant(truth)
            case _:
                raise self._cursor.expected("a comparison")

    def _operand(self, rule: _Rule) -> Operand:
        place = self._cursor.next.position
        node = rule()
        if isinstance(node, Condition):
            raise self._cursor.error("expected a value, not a condition", place)
        return node

    def _header(self, operand: Operand, needed_by: str) -> str:
        if not isinstance(operand, Header):
            reason = f"{needed_by} needs a header before it"
            raise self._cursor.error(reason, operand.position)
        return operand.name

    def _unfinished(self, node: _Node, wanted: str) -> SelectorError:
        if not isinstance(node, Condition):
            wanted = f"a comparison, {wanted}"
        return self._cursor.expected(wanted)
