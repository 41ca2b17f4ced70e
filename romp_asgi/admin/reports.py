"""What an administrator is told of destinations and sessions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from romp_asgi.broker import Destination

if TYPE_CHECKING:
    from romp_asgi.hub import Hub
    from romp_asgi.session import Session

Report = dict[str, object]

#: What of a policy is no setting, beside what follows from the settings.
_NO_SETTINGS: Final = ("kind", "name", "state")


def destination_in_short(destination: Destination) -> Report:
    """A destination, for a list: sizes are in octets."""
    policy = destination.policy
    return {
        "name": destination.name,
        "kind": policy.kind,
        "state": policy.state,
        "subscriptions": destination.connections,
        "waiting": destination.waiting,
        "octets": destination.octets,
        "accepted": destination.accepted,
    }


def destination_in_full(destination: Destination) -> Report:
    """A destination with all there is to say of it."""
    policy, given = destination.policy, destination.given
    settings = {
        each.name: getattr(policy, each.name)
        for each in fields(policy)
        if each.init and each.name not in _NO_SETTINGS
    }
    subscriptions = destination.subscriptions
    return {
        **destination_in_short(destination),
        "label": destination.label,
        "from_pattern": destination.is_dynamic,
        "unacknowledged": sum(len(each.unacked) for each in subscriptions),
        "settings": settings,
        "changed": [
            key for key, value in settings.items() if value != getattr(given, key)
        ],
    }


def session_report(session: Session) -> Report:
    """A session: its time is in seconds since the epoch, its output in octets."""
    client = session.client
    return {
        "id": session.id,
        "user": "" if session.user is None else session.user.name,
        "peer": session.peer,
        "transport": _transport(session),
        "admin": session.is_admin,
        "since": int(session.since),
        "subscriptions": len(client.subscriptions),
        "unacknowledged": len(client.unacked),
        "pending_output": session.transport.outbox.size,
    }


def _transport(session: Session) -> str:
    if session.is_downstream:
        return "downstream"
    return "websocket" if session.client.is_web else "tcp"


def destinations(hub: Hub, limit: int) -> Report:
    """The first destinations, and how many there are."""
    found = list(hub.broker.destinations.values())
    shown = [destination_in_short(each) for each in found[:limit]]
    return {"destinations": shown, "total": len(found)}


def sessions(hub: Hub, limit: int) -> Report:
    """The oldest sessions, and how many there are, without those that are ending."""
    opened = [session for session in hub.sessions if not session.is_closed()]
    found = sorted(opened, key=lambda session: session.since)
    shown = [session_report(each) for each in found[:limit]]
    return {"sessions": shown, "total": len(found)}
