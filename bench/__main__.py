"""The command line: `scripts/bench`, or `python -m bench`."""

import argparse
import json
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import instructions
from bench.errors import BenchError
from bench.peer import Peer
from bench.peers import PEERS, CompiledRomp
from bench.report import Machine, Report
from bench.results import write_results
from bench.run import Cores, Run
from bench.scenarios import QUICK, SCENARIOS, chosen

_RESULTS = Path(__file__).parent / "RESULTS.md"
_QUICK_BUDGET = 170.0  # seconds: --quick ends within three minutes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench.

    Returns:
        The exit code: 1 when a round failed, 2 when it cannot do what is asked.
    """
    options = _options(arguments)
    # A TERM unwinds as an interrupt does: the broker is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.peers:
        _print_peers()
        return 0
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:<18} {scenario.vocabulary:<26} {scenario.about}")
        return 0
    try:
        if options.instructions or options.update_instructions:
            trees = [instructions.ROOT]
            trees += [CompiledRomp.tree] if CompiledRomp.installed() else []
            instructions.count_and_print(trees, update=options.update_instructions)
            return 0
        return _run(options)
    except BenchError as exc:
        print(f"scripts/bench: {exc}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    scenarios = chosen(options.scenario or (QUICK if options.quick else ["*"]))
    for file in (options.json, options.results):
        if file:  # sooner than at the end
            file.parent.mkdir(parents=True, exist_ok=True)
    _raise_file_limit()
    cores = Cores() if options.no_pin else Cores.pinned()
    report = Report(Machine.here(str(cores)), scenarios, options.seconds)
    budget = _QUICK_BUDGET if options.quick else None
    run = Run(report, cores, options.seconds, options.timeout, budget)
    print(report.machine, flush=True)
    peers = _peers(options.peer)
    for number in range(options.rounds):
        print(f"\nround {number + 1} of {options.rounds}", flush=True)
        # In turn and not all rounds of one first: a noisy minute hits them all. Each
        # starts afresh, for two brokers on one core would disturb each other.
        for peer in peers:
            run.peer(peer, scenarios)
            _write(options, report)  # a long run may be ended before its end
    print(f"\n{report.machine}\n{report.versions_line()}\n\n{report.table()}")
    for line in (*report.ceilings(), *report.remarks()):
        print(line)
    return int(report.failed)


def _write(options: argparse.Namespace, report: Report) -> None:
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if options.results:
        write_results(report, options.results)


def _peers(names: Sequence[str] | None) -> list[type[Peer]]:
    """The peers that were asked for, or all that are installed; ours is the first."""
    wanted = [peer for peer in PEERS if not names or peer.name in names]
    for peer in wanted:
        if not peer.installed():
            print(f"{peer.name} is left out: not here; {peer.how_to_install()}")
    return [peer for peer in wanted if peer.installed()]


def _print_peers() -> None:
    for peer in PEERS:
        how = "here" if peer.installed() else f"not here; {peer.how_to_install()}"
        print(f"{peer.name:<14} {how}")


def _raise_file_limit() -> None:
    """As many open files as one may have: for us, the load and the brokers."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure romp-asgi and other STOMP brokers; see bench/README.md.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round of the main scenarios, within three minutes: before and"
        " after a change",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=[peer.name for peer in PEERS],
        help="only this one (may be repeated; default: all that are here)",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="PATTERN",
        help="only those of this name, such as 'ws-*' (may be repeated; default: all)",
    )
    parser.add_argument("--rounds", type=int, help="default: 3, with --quick 1")
    parser.add_argument(
        "--seconds", type=float, help="length of a round; default: 3, with --quick 1"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        help="seconds until a run is given up; default: 30, and 120 for the long ones",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument(
        "--results",
        type=Path,
        nargs="?",
        const=_RESULTS,
        metavar="FILE",
        help=f"write tables, and pictures beside them; default: {_RESULTS.name} here",
    )
    parser.add_argument(
        "--no-pin", action="store_true", help="let broker and load run on any core"
    )
    parser.add_argument("--peers", action="store_true", help="say which are here")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument(
        "--instructions",
        action="store_true",
        help="count the instructions of the core for a message, beside the baseline",
    )
    parser.add_argument(
        "--update-instructions",
        action="store_true",
        help="the same, and make it the baseline",
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
