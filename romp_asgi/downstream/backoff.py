"""How long to wait before dialling again. Pure."""

import random
from collections.abc import Callable


class Backoff:
    """Exponential, with full jitter: servers that lost one edge do not come at once.

    Args:
        first: the longest first wait, in seconds.
        longest: the longest wait of all, in seconds.
        chance: gives numbers from 0 to 1.
    """

    def __init__(
        self,
        first: float,
        longest: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first = first
        self._longest = longest
        self._chance = chance
        self._limit = first

    def next(self) -> float:
        """The seconds to wait this time: anything up to a limit that doubles."""
        limit, self._limit = self._limit, min(2 * self._limit, self._longest)
        return limit * self._chance()

    def slow(self) -> None:
        """Something is wrong that will hardly mend itself: wait long."""
        self._limit = self._longest

    def reset(self) -> None:
        """It went well: begin again with a short wait."""
        self._limit = self._first
