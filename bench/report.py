"""The figures, for people and for programs."""

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Round
from bench.metrics import Metric, written
from bench.scenarios import Scenario

OURS = "romp"
#: Ours in all its kinds; no ratio to these is told.
OUR_KINDS = frozenset({OURS, "romp-compiled"})
CEILING = "echo"  # no broker: there is no ratio to it
_BUSY = 0.85  # of a core: a generator that needs more may be what is measured


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and with what a run was made."""

    date: str
    cpu: str
    cores: int
    pinning: str
    busy: float  # load average of the last minute, before the run
    system: str
    python: str
    uvloop: str

    @classmethod
    def here(cls, pinning: str) -> "Machine":
        """This machine, now."""
        return cls(
            date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            cpu=_cpu_model(),
            cores=os.cpu_count() or 1,
            pinning=pinning,
            busy=round(os.getloadavg()[0], 2),
            system=f"{platform.system()} {platform.release()}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
            uvloop=_version("uvloop"),
        )

    def facts(self) -> dict[str, str]:
        """All but the date, to be read one by one."""
        return {
            "processor": f"{self.cpu}, {self.cores} cores, {self.pinning}",
            "load average before": str(self.busy),
            "system": self.system,
            "Python": f"{self.python}, uvloop {self.uvloop}",
        }

    def __str__(self) -> str:
        return (
            f"{self.date}; {self.cpu}, {self.cores} cores, {self.pinning}, "
            f"load average before {self.busy}; "
            f"{self.system}; {self.python}, uvloop {self.uvloop}"
        )


@dataclass(slots=True)
class Result:
    """What a peer did in a scenario.

    Attributes:
        rounds: Those that went well.
        failures: What went wrong in the others, in words.
        lost: Messages did not arrive.
        absent: Why it was not measured at all; empty if it was.
    """

    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lost: bool = False
    absent: str = ""

    def median(self, metric: Metric) -> float | None:
        """Of the rounds; None if one failed, for then there is no figure."""
        if self.failures or not self.rounds:
            return None
        return median(each.figures[metric] for each in self.rounds)

    @property
    def load(self) -> float:
        """The median of how much of a core the load used."""
        return median(each.load for each in self.rounds) if self.rounds else 0.0

    def written(self, metric: Metric) -> str:
        """The median, or in a word why there is none."""
        figure = self.median(metric)
        if figure is not None:
            return written(figure)
        if self.lost:
            return "loses"
        return "fails" if self.failures else "-"


class Report:
    """All results of a run, by scenario and peer.

    Args:
        machine: Where it was made.
        scenarios: Its rows.
        seconds: Length of a round.
    """

    def __init__(
        self, machine: Machine, scenarios: Sequence[Scenario], seconds: float
    ) -> None:
        self.machine = machine
        self.seconds = seconds
        self.versions: dict[str, str] = {}
        self.broken: list[str] = []  # peers that did not start
        self.ended: Counter[str] = Counter()  # rounds of each peer
        self.scenarios = scenarios
        self.results: dict[str, dict[str, Result]] = {
            scenario.name: {} for scenario in scenarios
        }

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.broken) or any(
            result.failures for row in self.results.values() for result in row.values()
        )

    @property
    def brokers(self) -> list[str]:
        """The peers that ran, without the one that only shows the ceiling."""
        return [peer for peer in self.versions if peer != CEILING]

    @property
    def rounds(self) -> str:
        """How many rounds there were: fewer of the peers that came last."""
        counts = self.ended.values()
        few, many = min(counts, default=0), max(counts, default=0)
        return f"{many}" if few == many else f"{few} to {many}"

    def measured(self, scenarios: Sequence[Scenario], peer: str) -> list[Scenario]:
        """Those of some scenarios that a peer has a figure of."""
        results = ((s, self.results[s.name].get(peer)) for s in scenarios)
        return [
            s
            for s, result in results
            if result and result.rounds and not result.failures
        ]

    def result(self, scenario: str, peer: str) -> Result:
        """Where the figures of this scenario and peer go."""
        return self.results[scenario].setdefault(peer, Result())

    def median(self, scenario: Scenario, peer: str, metric: Metric) -> float | None:
        """A figure; None if there is none."""
        result = self.results[scenario.name].get(peer)
        return result.median(metric) if result else None

    def ratio(self, scenario: Scenario, peer: str, metric: Metric) -> float | None:
        """How many times better ours is; None if one of the two has no figure."""
        ours = self.median(scenario, OURS, metric)
        theirs = self.median(scenario, peer, metric)
        if ours is None or theirs is None:
            return None
        return metric.ratio(ours, theirs)

    def versions_line(self) -> str:
        """The peers as they called themselves."""
        return "; ".join(f"{peer}: {text}" for peer, text in self.versions.items())

    def table(self, scenarios: Sequence[Scenario] | None = None) -> str:
        """Markdown: a row a figure, a column a peer, and our ratio to each other.

        Args:
            scenarios: Which rows; None for all.
        """
        peers = list(self.versions)
        others = [peer for peer in self.brokers if peer not in OUR_KINDS]
        if OURS not in peers:
            others = []
        heads = ["", "", *peers, *(f"{OURS} : {peer}" for peer in others)]
        rows = [heads]
        for scenario in self.scenarios if scenarios is None else scenarios:
            results = self.results[scenario.name]
            for metric in scenario.metrics:
                label = f"{scenario.name} {metric.name}".strip()
                cells = [results.get(peer, Result()).written(metric) for peer in peers]
                ratios = [self.ratio(scenario, peer, metric) for peer in others]
                rows.append([label, metric.unit, *cells, *map(_ratio, ratios)])
        return markdown(rows, left=2)

    def ceilings(self) -> Iterator[str]:
        """A line a family: how far the load's own ceiling is above the brokers."""
        for family in dict.fromkeys(scenario.family for scenario in self.scenarios):
            ratios = [
                (metric.ratio(ceiling, figure), scenario.name, peer)
                for scenario in self.scenarios
                for metric in scenario.metrics[:1]
                if scenario.family == family
                for peer in self.brokers
                if (ceiling := self.median(scenario, CEILING, metric)) is not None
                and (figure := self.median(scenario, peer, metric)) is not None
            ]
            if ratios:
                ratio, name, peer = min(ratios)
                said = f"the load's own ceiling is {_ratio(ratio)} times"
                yield f"{family}: {said} the fastest ({peer} in {name}), or more"

    def remarks(self) -> Iterator[str]:
        """A line for each figure that is missing, or not the broker's: why."""
        yield from self.broken
        for scenario, results in self.results.items():
            for peer, result in results.items():
                if result.absent:
                    yield f"{scenario}, {peer}: {result.absent}"
                for failure in result.failures:
                    yield f"{scenario}, {peer}: {failure.splitlines()[0]}"
                if result.load > _BUSY and peer != CEILING:
                    used = f"the load generator used {result.load:.0%} of its core"
                    yield f"{scenario}, {peer}: {used}: the figure may be its own"

    def as_json(self) -> dict[str, Any]:
        """The whole run."""
        return {
            "machine": asdict(self.machine),
            "seconds": self.seconds,
            "versions": self.versions,
            "broken": self.broken,
            "scenarios": {
                scenario.name: {
                    "about": scenario.about,
                    "vocabulary": scenario.vocabulary,
                    "peers": {
                        peer: _as_json(scenario, result)
                        for peer, result in self.results[scenario.name].items()
                    },
                }
                for scenario in self.scenarios
            },
        }


def round_line(scenario: Scenario, peer: str, figures: Round) -> str:
    """A line for a round, printed as it ends."""
    values = "  ".join(
        f"{metric.name} {written(value)} {metric.unit}".strip()
        for metric, value in figures.figures.items()
    )
    line = f"{scenario.name:<18} {peer:<13} {values:<24}"
    if not figures.messages:
        return line
    return (
        f"{line}  {figures.messages:>10,} in {figures.seconds:4.1f} s"
        f"  broker {figures.broker:4.0%}, {figures.memory / 2**20:4.0f} MiB"
        f"  load {figures.load:4.0%}  {figures.checked:,} checked"
    )


def _as_json(scenario: Scenario, result: Result) -> dict[str, Any]:
    def named(values: Mapping[Metric, float | None]) -> dict[str, float | None]:
        return {f"{m.name} {m.unit}".strip(): value for m, value in values.items()}

    return {
        "median": named({metric: result.median(metric) for metric in scenario.metrics}),
        "rounds": [
            {
                **{f.name: getattr(each, f.name) for f in fields(each)},
                "figures": named(each.figures),
            }
            for each in result.rounds
        ],
        "failures": result.failures,
        "lost": result.lost,
        "absent": result.absent,
    }


def markdown(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table, its head first.

    Args:
        rows: Of cells, as many in each.
        left: How many columns hold words; in the others are numbers.
    """
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = [
        "-" * width if place < left else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def _ratio(ratio: float | None) -> str:
    """A ratio, of which two digits are meant."""
    return "-" if ratio is None else f"{float(f'{ratio:.2g}'):g}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    """The model's name as Linux tells it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()
