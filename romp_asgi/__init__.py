"""A STOMP 1.0, 1.1 and 1.2 message broker as an ASGI application."""

__version__ = "0.1.0"

__all__ = ["__version__"]
