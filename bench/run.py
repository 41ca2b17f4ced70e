"""A run: which broker, on which cores, goes through which scenarios."""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.errors import BenchError, LostError
from bench.measure import Measure
from bench.peer import Peer
from bench.report import Report, round_line
from bench.scenarios import SCENARIOS, Growth, Scenario

#: How often a round goes through the rows of latency: a single stall decides a p99.
_TURNS = 3
_IN_TURNS = ("latency",)

#: What brokers run first that compile what they run often.
_WARM_UP = ("topic-1-10", "queue-1-1", "ack-1000", "ws-topic-1-10")


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


class Run:
    """What goes on in all rounds: failures are told, then it goes on.

    Args:
        report: Where the figures go.
        cores: Who runs where.
        seconds: Length of a round.
        timeout: Seconds until a run is given up; None for the scenario's own.
        budget: Seconds for all; what is not reached by then has no figure.
    """

    def __init__(
        self,
        report: Report,
        cores: Cores,
        seconds: float,
        timeout: float | None = None,
        budget: float | None = None,
    ) -> None:
        self._report = report
        self._cores = cores
        self._seconds = seconds
        self._timeout = timeout
        self._deadline = None if budget is None else time.monotonic() + budget

    def peer(self, kind: type[Peer], scenarios: Sequence[Scenario]) -> None:
        """Each scenario once, some families more often, with a peer.

        Those that use its memory or its start come to one that has done nothing before.
        """
        shared = [s for s in scenarios if not s.alone]
        packed = [s for s in shared if s.packed]
        # Not with what the others leave in the memory.
        in_turns = [s for s in shared if s.family in _IN_TURNS]
        growth = [s for s in shared if isinstance(s, Growth)]
        others = [s for s in shared if s not in (*packed, *in_turns, *growth)]
        single = [*growth, *(s for s in scenarios if s.alone)]
        groups = [others, in_turns, packed, *([s] for s in single)]
        for group in groups:
            self._through(kind, group)
        if self._deadline is None:
            for _ in range(_TURNS - 1):
                self._through(kind, self._report.measured(in_turns, kind.name))
        self._report.ended[kind.name] += 1

    def _through(self, kind: type[Peer], scenarios: Sequence[Scenario]) -> None:
        """With one broker, and another one after each failure."""
        while scenarios:
            scenarios = self._with_one_broker(kind, scenarios)

    def _with_one_broker(
        self, kind: type[Peer], scenarios: Sequence[Scenario]
    ) -> list[Scenario]:
        """Go through them, up to the first that fails.

        Returns:
            The others: a broker that failed once is not trusted again.
        """
        waiting = list(scenarios)
        with ExitStack() as stack:
            packed, is_growth = scenarios[0].packed, isinstance(scenarios[0], Growth)
            peer = kind(self._cores.broker, packed=packed)
            other = kind(self._cores.broker) if is_growth else None
            peers = [peer, other] if other else [peer]
            for scenario in scenarios:
                refusal = peer.refusal(scenario)
                if not refusal and (left := self._left()) is not None and left < 1:
                    refusal = "there was no time for it"
                if refusal:
                    self._report.result(scenario.name, kind.name).absent = refusal
                    waiting.remove(scenario)
            if not waiting:
                for each in peers:
                    each.discard()
                return []
            try:
                for each in peers:
                    stack.enter_context(each)
            except BenchError as exc:
                self._report.broken.append(str(exc))
                print(f"FAILED: {exc}", flush=True)
                return []
            self._report.versions[peer.name] = peer.version
            if peer.needs_warmth and not scenarios[0].alone:
                for each in peers:
                    self._warm_up(each)
            for scenario in list(waiting):
                waiting.remove(scenario)
                if not self._measured(peer, scenario, other):
                    break
        return waiting

    def _warm_up(self, peer: Peer) -> None:
        """Put it through what others are made of; what fails will fail again."""
        measure = Measure(peer, self._cores.load, self._timeout)
        for name in _WARM_UP:
            if not peer.refusal(SCENARIOS[name]):
                try:
                    measure.timed(SCENARIOS[name], self._seconds)
                except (BenchError, OSError) as exc:
                    print(f"{name:<18} {peer.name:<13} warming up: {exc}", flush=True)

    def _measured(self, peer: Peer, scenario: Scenario, other: Peer | None) -> bool:
        """Measure a scenario; whether it went well."""
        result = self._report.result(scenario.name, peer.name)
        timeouts = [t for t in (self._timeout, self._left()) if t is not None]
        timeout = min(timeouts, default=None)
        measure = Measure(peer, self._cores.load, timeout, other)
        try:
            figures = measure.timed(scenario, self._seconds)
        except (BenchError, OSError) as exc:
            result.failures.append(str(exc))
            result.lost |= isinstance(exc, LostError)
            print(f"{scenario.name:<18} {peer.name:<13} FAILED: {exc}")
            print(f"{peer.name} has printed:\n{peer.output()}", flush=True)
            return False
        result.rounds.append(figures)
        print(round_line(scenario, peer.name, figures), flush=True)
        return True

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline - time.monotonic()
