"""How a passcode is kept: as one of two kinds of hashes, told apart by their prefix.

- Argon2, salted and slow on purpose, in the form of the PHC string format:
  ``$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>``. New hashes are of this kind.
- romp's: the SHA-256 of the passcode and a LF, in hexadecimal digits; unsalted.

Source: RFC 9106.
"""

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

#: OWASP's first choice. One lane and not the library's four, so that a check keeps one
#: core busy and leaves the others to the loop. What hashes of other parameters cost is
#: written in them.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

_SALTED_PREFIX: Final = "$argon2"
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")
_SALTED: Final = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=(?P<memory>[1-9]\d{0,6}),t=[1-9]\d{0,4}"
    r",p=(?P<lanes>[1-9]\d{0,3})\$(?P<salt>[^$]+)\$(?P<hash>[^$]+)"
)
# "MUST be …": memory for each lane in KiB, octets of salt and hash.
_LEAST_MEMORY: Final = 8
_LEAST_SALT: Final = 8
_LEAST_HASH: Final = 4


def hash_passcode(passcode: str) -> str:
    """A salted hash of a passcode, a different one every time."""
    return _HASHER.hash(passcode)


def is_hash(text: str) -> bool:
    """Whether a text is a hash of either kind, and can be verified."""
    if _SHA256.fullmatch(text):
        return True
    match = _SALTED.fullmatch(text)
    return (
        match is not None
        and int(match["memory"]) >= _LEAST_MEMORY * int(match["lanes"])
        and _octets(match["salt"]) >= _LEAST_SALT
        and _octets(match["hash"]) >= _LEAST_HASH
    )


def is_salted(hash: str) -> bool:
    """Whether a hash is of the kind that takes its time to verify."""
    return hash.startswith(_SALTED_PREFIX)


def verify(hash: str, passcode: str) -> bool:
    """Whether a passcode is the one of a hash.

    Raises:
        VerificationError: if that cannot be told, for want of memory.
    """
    if is_salted(hash):
        try:
            return _HASHER.verify(hash, passcode)
        except VerifyMismatchError:
            return False
    digest = hashlib.sha256(f"{passcode}\n".encode()).hexdigest()
    return hmac.compare_digest(digest, hash.lower())


def random_hash(like: str | None) -> str:
    """A hash that no passcode has.

    Args:
        like: the salted hash that it costs as much as; None for romp's kind.
    """
    if like is None:
        return secrets.token_hex(hashlib.sha256().digest_size)
    hasher = PasswordHasher.from_parameters(extract_parameters(like))
    return hasher.hash(secrets.token_hex())


def _octets(text: str) -> int:
    """How many octets a base64 text without padding stands for; 0 if it is none."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return 0
    is_exact = base64.b64encode(octets).decode().rstrip("=") == text
    return len(octets) if is_exact else 0
