"""A place in the tokens of a selector, and what is said of it in an error."""

from romp_asgi.errors import SelectorError
from romp_asgi.selector.tokens import Kind, Token, tokenize


class Cursor:
    """The tokens of one selector, read once from the first to the last.

    Args:
        text: the selector.

    Attributes:
        next: the token that is to be read.

    Raises:
        SelectorError: if it has something that is no token.
    """

    __slots__ = ("_place", "_tokens", "next", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        self._place = 0
        self.next = self._tokens[0]

    @property
    def is_at_end(self) -> bool:
        """Whether all is read."""
        return self.next.kind is Kind.END

    def advance(self) -> Token:
        """Read a token, which is not the END."""
        token = self.next
        self._place += 1
        self.next = self._tokens[self._place]
        return token

    def is_at(self, word: str) -> bool:
        """Whether the next token is this keyword or symbol."""
        return self.next.kind is Kind.WORD and self.next.value == word

    def take(self, *words: str) -> Token | None:
        """Read the next token if it is one of these keywords and symbols."""
        if self.next.kind is Kind.WORD and self.next.value in words:
            return self.advance()
        return None

    def require(self, word: str) -> None:
        """Read this keyword or symbol.

        Raises:
            SelectorError: if it is not the next.
        """
        if not self.take(word):
            shown = word if word.isalpha() else f"'{word}'"
            raise self.expected(shown)

    def string(self) -> Token:
        """Read a string.

        Raises:
            SelectorError: if none is the next.
        """
        if self.next.kind is not Kind.STRING:
            raise self.expected("a text in single quotes")
        return self.advance()

    def expected(self, wanted: str) -> SelectorError:
        """The error that the next token is something else."""
        if not self._place:
            return self.error(f"expected {wanted}")
        before = self._tokens[self._place - 1]
        return self.error(f"expected {wanted} after {before.shown}")

    def error(self, reason: str, position: int | None = None) -> SelectorError:
        """An error at a position, or at the next token."""
        place = self.next.position if position is None else position
        return SelectorError(self.text, place, reason)
