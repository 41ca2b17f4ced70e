"""Thin ASGI endpoints, one noun a file."""
