"""LIKE: ``%`` is any characters, or none; ``_`` is any one.

Both the pattern and the text are clients', so nothing is tried twice. What is between
two ``%`` is taken at the first place where it fits, which cannot be wrong: what comes
after has the more room. Finding that place is linear for plain text (``str.find``).
With a ``_`` in it there may be as many steps as it has characters at each place, so
the parser bounds how many such characters a selector has: see ``Pattern.wild``.

Source: JMS 2.0 § 3.8.1.1 Message selector syntax, LIKE.
"""

import re
from collections.abc import Callable

from romp_asgi.errors import SelectorError
from romp_asgi.selector.tokens import Token

#: What is between two ``%``: each a character, or None for any.
_Part = list[str | None]

#: Where the first match in text[start:end] ends, or -1.
_Find = Callable[[str, int, int], int]


class Pattern:
    """The pattern of a LIKE.

    Args:
        text: the selector that it is in, for an error.
        token: the pattern.
        escape: the character that takes the meaning of a ``%`` or ``_`` after it.

    Attributes:
        wild: how many characters there are between two ``%``, where one is a ``_``.

    Raises:
        SelectorError: if an escape stands before anything else.
    """

    __slots__ = ("_finds", "_head", "_shortest", "_tail", "wild")

    def __init__(self, text: str, token: Token, escape: str | None) -> None:
        head, *others = _split(text, token, escape)
        middle, tail = others[:-1], others[-1] if others else None
        self._head = _compile(head)
        self._tail = None if tail is None else (_compile(tail), len(tail))
        self._finds = [_finder(part) for part in middle if part]
        self._shortest = len(head) + sum(map(len, others))
        self.wild = sum(len(part) for part in middle if None in part)

    def matches(self, text: str) -> bool:
        """Whether a text is as the pattern says."""
        if self._tail is None:
            return self._head.fullmatch(text) is not None
        if len(text) < self._shortest:
            return False
        head = self._head.match(text)
        if head is None:
            return False
        tail, length = self._tail
        end = len(text) - length
        if not tail.match(text, end):
            return False
        place = head.end()
        for find in self._finds:
            place = find(text, place, end)
            if place < 0:
                return False
        return True


def _split(text: str, token: Token, escape: str | None) -> list[_Part]:
    """The parts of a pattern between its ``%``."""
    parts: list[_Part] = [[]]
    characters = iter(token.value)
    for character in characters:
        if character == escape:
            # SQL-92 allows no other; JMS does not say.
            escaped = next(characters, "")
            if escaped not in ("%", "_", escape):
                reason = f"in it '{escape}' must be before '%', '_' or '{escape}'"
                raise SelectorError(text, token.position, reason)
            parts[-1].append(escaped)
        elif character == "%":
            parts.append([])
        else:
            parts[-1].append(None if character == "_" else character)
    return parts


def _compile(part: _Part) -> re.Pattern[str]:
    """Without anything that repeats, so that it tries nothing twice."""
    wanted = "".join("." if each is None else re.escape(each) for each in part)
    return re.compile(wanted, re.DOTALL)


def _finder(part: _Part) -> _Find:
    if None in part:
        search = _compile(part).search

        def find_wild(text: str, start: int, end: int) -> int:
            found = search(text, start, end)
            return found.end() if found else -1

        return find_wild

    wanted = "".join(filter(None, part))

    def find(text: str, start: int, end: int) -> int:
        place = text.find(wanted, start, end)
        return place + len(wanted) if place >= 0 else -1

    return find
