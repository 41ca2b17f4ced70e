"""Who may come in: the shared credential, the user file, and tokens.

docs/authentication.md is for operators.
"""

from romp_asgi.auth.authenticator import Authenticator
from romp_asgi.auth.failures import TooManyFailedLogins
from romp_asgi.auth.user import User

__all__ = ["Authenticator", "TooManyFailedLogins", "User"]
