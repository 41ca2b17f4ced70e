"""The time, for what looks at it when nobody has told it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Clock:
    """Two times, in seconds.

    Args:
        now: the time that the broker is given everywhere else.
        wall: since the epoch, as clients know it.
    """

    now: Callable[[], float]
    wall: Callable[[], float]


#: For a broker that nobody has given one: by it no message is ever too old.
STOPPED: Final = Clock(lambda: 0.0, lambda: -math.inf)
