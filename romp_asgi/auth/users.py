"""The user file, ``romp.passwd``: a user a line.

```text
name:hash           a user
name:hash:true      an administrator
# …                 a comment
```
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from romp_asgi.auth.hashes import is_hash, is_salted, random_hash, verify
from romp_asgi.auth.user import User, is_name
from romp_asgi.errors import ConfigError, ConfigErrors

_ADMIN: Final = "true"
_NO_DIGEST: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the file.

    Attributes:
        user: who it is about.
        hash: of the passcode.
    """

    user: User
    hash: str

    def __str__(self) -> str:
        """The line, without its end."""
        parts = [self.user.name, self.hash]
        if self.user.is_admin:
            parts.append(_ADMIN)
        return ":".join(parts)


def parse_line(line: str) -> Entry | None:
    """Read a line.

    Returns:
        None of a comment or an empty line.

    Raises:
        ValueError: if it is neither; says why, without the hash.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    name, *rest = line.split(":")
    match rest:
        case [hash]:
            is_admin = False
        case [hash, "true"]:
            is_admin = True
        case _:
            raise ValueError("expected name:hash, or name:hash:true of an admin")
    if not is_name(name):
        raise ValueError("expected a name without white space at its ends")
    if not is_hash(hash):
        raise ValueError("expected a hash after the name, as `romp-asgi passwd` makes")
    return Entry(User(name, is_admin), hash)


def parse(file: str, text: str) -> dict[int, Entry]:
    """Read a whole file.

    Args:
        file: its name, for errors.
        text: what it holds.

    Returns:
        The users' lines by their number, from 1.

    Raises:
        ConfigErrors: for all lines together that are not good.
    """
    entries: dict[int, Entry] = {}
    seen: dict[str, int] = {}
    errors: list[ConfigError] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            entry = parse_line(line)
            if entry is None:
                continue
            first = seen.setdefault(entry.user.name, number)
            if first != number:
                raise ValueError(f"{entry.user} has a line already, line {first}")
        except ValueError as exc:
            errors.append(ConfigError(file, None, None, f"line {number}: {exc}"))
        else:
            entries[number] = entry
    if errors:
        raise ConfigErrors(tuple(errors))
    return entries


def read_text(path: Path) -> str:
    """What a user file holds.

    Raises:
        ConfigErrors: if it cannot be read, or is not text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        reason = f"cannot be read: {exc.strerror or exc}"
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        reason = f"line {line}: not UTF-8"
    raise ConfigErrors((ConfigError(str(path), None, None, reason),))


class Users:
    """The users of a file, and whether a passcode is one's.

    A check takes as long for a user that there is not as for one that there is: as
    soon as one hash of the file is salted, and so slow, every check is.

    Args:
        entries: the lines of the file.

    Attributes:
        is_slow: whether `check` takes its time, and is best called in a thread.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.user.name: entry for entry in entries}
        hashes = (entry.hash for entry in self._entries.values())
        salted = next(filter(is_salted, hashes), None)
        self.is_slow = salted is not None
        # Nobody's; it costs what the others of the file do.
        self._decoy = random_hash(like=salted)
        self._key = secrets.token_bytes()
        self._good: dict[str, bytes] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """The users of a file.

        Raises:
            ConfigErrors: if it cannot be read, or for all its bad lines together.
        """
        return cls(parse(str(path), read_text(path)).values())

    def __len__(self) -> int:
        return len(self._entries)

    def check(self, name: str, passcode: str) -> User | None:
        """The user, if there is one of that name with that passcode.

        Changes nothing, so it may run in a thread.
        """
        entry = self._entries.get(name)
        is_good = verify(self._decoy if entry is None else entry.hash, passcode)
        if entry is None:
            return None
        if self.is_slow and not is_salted(entry.hash):
            verify(self._decoy, passcode)
        return entry.user if is_good else None

    def remember(self, user: User, passcode: str) -> None:
        """Keep in mind that a check was good, so that `recall` tells the next time.

        When a network comes back every client logs in again, and at once.
        """
        self._good[user.name] = self._digest(passcode)

    def recall(self, name: str, passcode: str) -> User | None:
        """The user, if that passcode has been good before. Always quick."""
        known = self._good.get(name, _NO_DIGEST)
        if hmac.compare_digest(known, self._digest(passcode)):
            return self._entries[name].user
        return None

    def _digest(self, passcode: str) -> bytes:
        """What is kept of a good passcode; of no use outside of this process."""
        return hashlib.blake2b(
            passcode.encode(), key=self._key, digest_size=len(_NO_DIGEST)
        ).digest()
