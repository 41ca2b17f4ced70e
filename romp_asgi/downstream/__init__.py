"""Downstreams: edge servers that this one dials, and whose messages it takes."""

from romp_asgi.downstream.backoff import Backoff
from romp_asgi.downstream.link import Link, LinkState

__all__ = ["Backoff", "Link", "LinkState"]
