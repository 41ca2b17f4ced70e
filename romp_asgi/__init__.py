"""A STOMP 1.0, 1.1 and 1.2 message broker as an ASGI application.

``uvicorn romp_asgi:app`` runs it; ``Romp()`` is mounted in an application.
"""

from romp_asgi.app import Romp
from romp_asgi.config import Config, DestinationConfig
from romp_asgi.local import LocalSubscription, Message

# After all imports: until now the name was that of the module romp_asgi.app.
from romp_asgi.stand_alone import app  # isort: skip

__version__ = "0.1.0"

__all__ = [
    "Config",
    "DestinationConfig",
    "LocalSubscription",
    "Message",
    "Romp",
    "__version__",
    "app",
]
