"""The figures, for people and for programs."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Round
from bench.scenarios import Scenario

_OURS = "romp"
_CEILING = "echo"  # no broker: there is no ratio to it


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

    def __str__(self) -> str:
        return (
            f"{self.date}; {self.cpu}, {self.cores} cores, {self.pinning}, "
            f"load average before {self.busy}; "
            f"{self.system}; {self.python}, uvloop {self.uvloop}"
        )


@dataclass(slots=True)
class Result:
    """What a peer did in a scenario: its rounds, and what went wrong."""

    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float | None:
        """The median of the rounds; None if one failed, for then there is no figure."""
        if self.failures or not self.rounds:
            return None
        return median(each.rate for each in self.rounds)


class Report:
    """All results of a run, by scenario and peer."""

    def __init__(self, machine: Machine, scenarios: Sequence[Scenario]) -> None:
        self.machine = machine
        self.versions: dict[str, str] = {}
        self.broken: list[str] = []  # peers that did not start
        self.results: dict[str, dict[str, Result]] = {
            scenario.name: {} for scenario in scenarios
        }

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.broken) or any(
            result.failures for row in self.results.values() for result in row.values()
        )

    def result(self, scenario: str, peer: str) -> Result:
        """Where the figures of this scenario and peer go."""
        return self.results[scenario].setdefault(peer, Result())

    def versions_line(self) -> str:
        """The peers as they called themselves."""
        return "; ".join(f"{peer}: {text}" for peer, text in self.versions.items())

    def table(self) -> str:
        """Markdown: a row a scenario, a column a peer, and our ratio to each other."""
        peers = list(self.versions)
        others = [each for each in peers if each not in (_OURS, _CEILING)]
        if _OURS not in peers:
            others = []
        heads = ["deliveries/s", *peers, *(f"{_OURS} : {peer}" for peer in others)]
        rows = []
        for name, results in self.results.items():
            rates = {peer: result.rate for peer, result in results.items()}
            cells = [_cell(results.get(peer)) for peer in peers]
            ratios = [_ratio(rates.get(_OURS), rates.get(peer)) for peer in others]
            rows.append([name, *cells, *ratios])
        return _markdown([heads, *rows])

    def as_json(self) -> dict[str, Any]:
        """The whole run."""
        return {
            "machine": asdict(self.machine),
            "versions": self.versions,
            "broken": self.broken,
            "scenarios": {
                name: {peer: _as_json(result) for peer, result in results.items()}
                for name, results in self.results.items()
            },
        }


def round_line(scenario: str, peer: str, figures: Round) -> str:
    """A line for a round, printed as it ends."""
    return (
        f"{scenario:<16} {peer:<9} {figures.rate:>11,.0f}/s"
        f"  {figures.deliveries:>11,} in {figures.seconds:4.1f} s"
        f"  broker {figures.broker:4.0%}, {figures.memory / 2**20:4.0f} MiB"
        f"  load {figures.load:4.0%}  {figures.checked:,} checked"
    )


def _as_json(result: Result) -> dict[str, Any]:
    rounds = [{**asdict(each), "rate": each.rate} for each in result.rounds]
    return {"median": result.rate, "rounds": rounds, "failures": result.failures}


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = [
        "-" * width if place == 0 else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)


def _cell(result: Result | None) -> str:
    """The rate, of which three figures are meant."""
    if result is None or not (result.rounds or result.failures):
        return "-"
    return "failed" if result.rate is None else f"{float(f'{result.rate:.3g}'):,.0f}"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return "-" if ours is None or theirs is None else f"{ours / theirs:.2g}"


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
