"""The words of a selector.

Source: JMS 2.0 § 3.8.1.1 Message selector syntax; docs/selectors.md for the names.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from romp_asgi.errors import SelectorError

KEYWORDS: Final = frozenset(
    {
        "AND",
        "BETWEEN",
        "ESCAPE",
        "FALSE",
        "IN",
        "IS",
        "LIKE",
        "NOT",
        "NULL",
        "OR",
        "TRUE",
    }
)

#: How much of a word an error repeats, in characters.
_MAX_SHOWN: Final = 20

# What ActiveMQ and Artemis want to be told first. That a header may be a number is
# true here without it.
_HYPHENATED_PREFIX: Final = "hyphenated_props:"
_PREFIXES = re.compile(rf"(?:convert_string_expressions:|{_HYPHENATED_PREFIX})*")

_BLANKS = re.compile(r"[ \t\r\n\f]*")

# Everything is possessive: a text is looked at once, whatever it is. But not the group
# of a name, after which nothing follows: in Python 3.11.2 it takes a part of one more.
_TOKEN: Final = r"""
    (?P<name> {name} )
  | (?P<number> (?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)? )
  | (?P<string> '(?:[^']|'')*+' )
  | (?P<quoted> "(?:[^"]|"")++" )
  | (?P<symbol> <>|<=|>=|[=<>+\-*/(),] )
"""
_PLAIN = re.compile(_TOKEN.format(name=r"(?!\d)[\w$]++(?:-(?!\d)[\w$]++)*"), re.VERBOSE)
_HYPHENATED = re.compile(_TOKEN.format(name=r"(?!\d)[\w$][\w$-]*+"), re.VERBOSE)


class Kind(Enum):
    """What a token is."""

    #: A header's name.
    NAME = auto()
    #: A name with hyphens, or is it a difference?
    HYPHENATED = auto()
    NUMBER = auto()
    STRING = auto()
    #: A keyword, or a symbol.
    WORD = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a selector.

    Attributes:
        kind: what it is.
        value: without its quotes; of a keyword, in capitals.
        position: where it begins, in characters from 0.
        shown: as it was written, for an error: shortened, and in quotes.
    """

    kind: Kind
    value: str
    position: int
    shown: str


def tokenize(text: str) -> list[Token]:
    """The words of a selector; the last is of the kind END.

    Raises:
        SelectorError: if there is something that is no word.
    """
    prefixes = _PREFIXES.match(text)
    assert prefixes is not None
    is_hyphenated = _HYPHENATED_PREFIX in prefixes.group()
    pattern = _HYPHENATED if is_hyphenated else _PLAIN
    tokens = []
    place = _after_blanks(text, prefixes.end())
    while place < len(text):
        match = pattern.match(text, place)
        if match is None:
            raise SelectorError(text, place, _complaint(text[place]))
        tokens.append(_token(match, is_hyphenated=is_hyphenated))
        place = _after_blanks(text, match.end())
    tokens.append(Token(Kind.END, "", place, ""))
    return tokens


def _after_blanks(text: str, place: int) -> int:
    blanks = _BLANKS.match(text, place)
    assert blanks is not None
    return blanks.end()


def _complaint(character: str) -> str:
    if character == "'":
        return "the string has no end"
    if character == '"':
        return "the name has no end, or nothing in it"
    return f"unexpected '{character}'"


def _token(match: re.Match[str], *, is_hyphenated: bool) -> Token:
    written = match.group()
    value = written
    match match.lastgroup:
        case "number":
            kind = Kind.NUMBER
        case "string":
            kind, value = Kind.STRING, written[1:-1].replace("''", "'")
        case "quoted":
            kind, value = Kind.NAME, written[1:-1].replace('""', '"')
        case "symbol":
            kind = Kind.WORD
        case _ if written.isascii() and written.upper() in KEYWORDS:
            kind, value = Kind.WORD, written.upper()
        case _ if "-" in written and not is_hyphenated:
            kind = Kind.HYPHENATED
        case _:
            kind = Kind.NAME
    quote, shown = "'", written
    if match.lastgroup in ("string", "quoted"):
        quote, shown = written[0], written[1:-1]
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}…"
    shown = f"{quote}{shown}{quote}"
    return Token(kind, value, match.start(), shown)
