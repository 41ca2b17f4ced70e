"""The figures: what each is called, in which unit, and which way is better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a scenario.

    Attributes:
        name: What it is called beside the scenario.
        unit: As it is written after a number.
        more_is_better: Or less is.
    """

    name: str
    unit: str
    more_is_better: bool = True

    def ratio(self, ours: float, theirs: float) -> float:
        """How many times better ours is; below 1 it is worse."""
        if self.more_is_better:
            return ours / theirs if theirs else math.inf
        return theirs / ours if ours else math.inf


RATE = Metric("", "deliveries/s")
LOADED = Metric("load", "messages/s")
UNLOADED = Metric("unload", "messages/s")
REQUESTS = Metric("", "requests/s")
LATENCIES = tuple(
    Metric(name, "ms", more_is_better=False) for name in ("p50", "p90", "p99")
)
KEPT = Metric("kept", "%")
KIB_EACH = Metric("", "KiB each", more_is_better=False)
SECONDS = Metric("", "s", more_is_better=False)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least this part of all does not exceed.

    Args:
        values: At least one, in any order.
        percent: Above 0, up to 100.
    """
    place = math.ceil(len(values) * percent / 100) - 1
    return sorted(values)[max(0, place)]


def latencies(values: Sequence[float]) -> dict[Metric, float]:
    """The figures of LATENCIES, from seconds."""
    in_order = sorted(values)
    return {
        metric: percentile(in_order, float(metric.name.removeprefix("p"))) * 1000
        for metric in LATENCIES
    }


def written(value: float) -> str:
    """A figure as it is shown: three digits are meant."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"
