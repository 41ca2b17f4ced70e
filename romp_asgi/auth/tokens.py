"""SHA tokens: a login that an application signs for its users, good for a while.

```text
login      <user> <unix seconds> <random>
passcode   base64(SHA1(login + secret))
```

A token is good as often as it is used within its time, as in romp.
"""

import base64
import hashlib
import hmac
from typing import Final

from romp_asgi.auth.user import is_name

#: How far in the future a token may begin, in milliseconds, for clocks that differ.
MAX_SKEW_MS: Final = 30_000

_MAX_DIGITS: Final = 15


def sign(login: str, secret: str) -> str:
    """The passcode of a token's login."""
    # SHA-1 is what romp's tokens are; that it collides is no help in signing.
    digest = hashlib.sha1(f"{login}{secret}".encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def user_of(
    login: str, passcode: str, *, secret: str, timeout_ms: int, now_ms: float
) -> str | None:
    """The name of the user whom a token lets in.

    Args:
        login: of CONNECT.
        passcode: of CONNECT.
        secret: with which it must be signed.
        timeout_ms: how long it is good for.
        now_ms: milliseconds since the epoch.

    Returns:
        None if it is no token, not ours, too old, or of the future.
    """
    # First of all, so that the time it takes tells nothing of what else is wrong.
    is_ours = hmac.compare_digest(passcode.encode(), sign(login, secret).encode())
    parts = login.rsplit(" ", 2)
    if not is_ours or len(parts) != 3:
        return None
    user, seconds, _ = parts
    is_number = seconds.isascii() and seconds.isdigit() and len(seconds) <= _MAX_DIGITS
    if not is_name(user) or not is_number:
        return None
    begins_ms = int(seconds) * 1000
    if not now_ms - timeout_ms < begins_ms <= now_ms + MAX_SKEW_MS:
        return None
    return user
