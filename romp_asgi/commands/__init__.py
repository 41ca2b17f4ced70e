"""The commands of ``romp-asgi`` that are more than a few lines."""
