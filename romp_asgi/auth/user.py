"""Who a client is."""

from dataclasses import dataclass
from typing import Final

_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class User:
    """Who a client has logged in as.

    Attributes:
        name: of the user file, of the token, or the shared login. Where nobody is
            asked for a login it is what the client says, if anything.
        is_admin: whether it has an administrator's rights.
    """

    name: str = ""
    is_admin: bool = False

    def __str__(self) -> str:
        """The name for a log: bounded, and on one line."""
        return repr(self.name[:_SHOWN_CHARACTERS])[1:-1]


def is_name(name: str) -> bool:
    """Whether a user can have it: it can begin a line of the user file.

    That is anything without a colon, and without white space at its ends.
    """
    is_bare = name == name.strip() and not name.startswith("#")
    return bool(name) and is_bare and ":" not in name and "\n" not in name
