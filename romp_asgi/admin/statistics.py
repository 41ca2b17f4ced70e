"""What a server counts, in romp's words, published and logged now and then.

Nothing is counted for it: all of these are numbers that are there anyway.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from romp_asgi.admin.json import encode
from romp_asgi.broker import Destination
from romp_asgi.errors import BrokerError
from romp_asgi.local import outgoing
from romp_asgi.stomp.spec import CONTENT_TYPE

if TYPE_CHECKING:
    from romp_asgi.downstream import Link
    from romp_asgi.hub import Hub

logger = logging.getLogger(__name__)

#: Where statistics go, if there is such a destination: romp's name, and ours.
NAMES: Final = ("/xtomp/stat", "/romp/stat")

Numbers = Mapping[str, object]


class Statistics:
    """The numbers of one server.

    Args:
        hub: what all sessions share.

    Attributes:
        up: when it was started, in seconds since the epoch.
        links: those to edge servers.
    """

    def __init__(self, hub: Hub) -> None:
        self.up = int(time.time())
        self.links: Sequence[Link] = ()
        self._hub = hub
        self._interval = hub.config.stat_interval
        self._next = 0.0
        # What each destination had taken when it was last told of.
        self._told: dict[str, int] = {}
        self._announced = 0
        self._logged: list[Numbers] = []

    def server(self) -> dict[str, object]:
        """Of the server: connections now, since when, ever; messages ever.

        Without those that tell of it, so that a server where nothing happens has
        nothing new. ``m`` is romp's, and always 0.
        """
        hub = self._hub
        return {
            "sz": len(hub.sessions),
            "up": self.up,
            "Σ": hub.connections,
            "Σµ": hub.broker.accepted - self._announced,
            "m": 0,
        }

    def destination(self, destination: Destination) -> dict[str, object]:
        """Of a destination: subscriptions, messages that wait, since last time, ever.

        Asking does not change what the next one gets.
        """
        told = self._told.get(destination.name, 0)
        # One that a pattern made may have gone, and be there again.
        new = destination.accepted - (told if told <= destination.accepted else 0)
        return {
            "sz": destination.connections,
            "q": destination.waiting,
            "Δ": new,
            "Σ": destination.accepted,
        }

    def destinations(self) -> list[Numbers]:
        """Of each destination with ``stats``."""
        return [
            {"dest": each.label, **self.destination(each)} for each in self._published()
        ]

    def downstreams(self) -> list[Numbers]:
        """Of each link to an edge server: whether it is up, since when, messages ever.

        ``refused`` are those that the broker here refused.
        """
        return [
            {
                "downstream": state.name,
                "address": state.address,
                "up": state.is_connected,
                "since": int(state.since),
                "Σ": state.messages,
                "refused": state.refused,
                "error": state.error,
            }
            for state in (link.state for link in self.links)
        ]

    def tick(self, now: float) -> None:
        """Publish, if it is time for that.

        Args:
            now: the time, in seconds of the loop's clock.
        """
        if not self._next:
            self._next = now + self._interval
        if self._interval and now >= self._next:
            self._next = now + self._interval
            self.publish(now)

    def publish(self, now: float) -> None:
        """Send the statistics to whom they are for, and log what is new."""
        numbers = [
            {"cc": self.server()},
            *self.destinations(),
            *self.downstreams(),
        ]
        self._told = {each.name: each.accepted for each in self._published()}
        if numbers != self._logged:
            for each in numbers:
                logger.info("%s", encode(each))
            self._logged = numbers
        broker = self._hub.broker
        for name in NAMES:
            if name not in broker.destinations:
                continue
            headers = {CONTENT_TYPE: "application/json"}
            try:
                for each in numbers:
                    broker.announce(outgoing(name, encode(each), headers), now)
                    self._announced += 1
            except BrokerError as exc:
                logger.warning("statistics: %s", exc)

    def _published(self) -> list[Destination]:
        destinations = self._hub.broker.destinations.values()
        return [each for each in destinations if each.policy.stats]
