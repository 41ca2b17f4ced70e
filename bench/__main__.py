"""The command line: `scripts/bench`, or `python -m bench`."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.measure import Measure
from bench.peers import PEERS, Peer
from bench.report import Machine, Report, round_line
from bench.scenarios import SCENARIOS, Scenario


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the broker gets and which the load; none named for any."""

    broker: frozenset[int] = frozenset()
    load: frozenset[int] = frozenset()

    @classmethod
    def pinned(cls) -> "Cores":
        """The broker on the first core, the load on the others, where there are two."""
        if not hasattr(os, "sched_getaffinity"):
            return cls()
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(others)) if others else cls()

    def __str__(self) -> str:
        if not self.broker:
            return "nothing pinned"
        broker, load = (
            ", ".join(map(str, sorted(c))) for c in (self.broker, self.load)
        )
        return f"broker pinned to {broker}, load to {load}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench.

    Returns:
        The exit code: 1 when a round failed.
    """
    options = _options(arguments)
    # A TERM unwinds as an interrupt does: the broker is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cores = Cores() if options.no_pin else Cores.pinned()
    scenarios = [SCENARIOS[name] for name in options.scenario or SCENARIOS]
    report = Report(Machine.here(str(cores)), scenarios)
    print(report.machine, flush=True)
    for number in range(options.rounds):
        print(f"\nround {number + 1} of {options.rounds}", flush=True)
        # In turn and not all rounds of one first: a noisy minute hits them all. Each
        # starts afresh, for two brokers on one core would disturb each other.
        for kind in _peers(options.peer):
            _round(kind, cores, scenarios, options.seconds, report)
    print(f"\n{report.machine}\n{report.versions_line()}\n\n{report.table()}")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    return int(report.failed)


def _round(
    kind: type[Peer],
    cores: Cores,
    scenarios: Sequence[Scenario],
    seconds: float,
    report: Report,
) -> None:
    """One round of a peer: each scenario once. A failure is told, then we go on."""
    try:
        with kind(cores.broker) as peer:
            report.versions[peer.name] = peer.version
            measure = Measure(peer, cores.load)
            for scenario in scenarios:
                result = report.result(scenario.name, peer.name)
                try:
                    figures = measure.timed(scenario, seconds)
                except (BenchError, OSError) as exc:
                    result.failures.append(str(exc))
                    print(f"{scenario.name:<16} {peer.name:<9} FAILED: {exc}")
                    print(f"{peer.name} has printed:\n{peer.output()}", flush=True)
                else:
                    result.rounds.append(figures)
                    print(round_line(scenario.name, peer.name, figures), flush=True)
    except BenchError as exc:
        report.broken.append(str(exc))
        print(f"FAILED: {exc}", flush=True)


def _peers(names: Sequence[str] | None) -> list[type[Peer]]:
    """The peers that were asked for, or all that are installed; ours is the first."""
    if names:
        return [peer for peer in PEERS if peer.name in names]
    return [peer for peer in PEERS if peer.installed()]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure romp-asgi and other STOMP brokers; see bench/README.md.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round: before and after a change",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=[peer.name for peer in PEERS],
        help="only this one (may be repeated; default: all that are installed)",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        choices=list(SCENARIOS),
        help="only this one (may be repeated; default: all)",
    )
    parser.add_argument("--rounds", type=int, help="default: 3, with --quick 1")
    parser.add_argument(
        "--seconds", type=float, help="length of a round; default: 3, with --quick 1"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument(
        "--no-pin", action="store_true", help="let broker and load run on any core"
    )
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
