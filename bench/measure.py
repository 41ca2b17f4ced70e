"""One scenario against one peer that runs: how many messages, then how fast."""

from dataclasses import dataclass
from statistics import median

from bench.errors import BenchError
from bench.holder import Holder
from bench.job import Job
from bench.load import Outcome, Plan, Workers
from bench.metrics import (
    KEPT,
    KIB_EACH,
    LOADED,
    RATE,
    REQUESTS,
    SECONDS,
    UNLOADED,
    Metric,
    latencies,
)
from bench.peer import Peer
from bench.publisher import ClockedPublisher, Publisher
from bench.receiver import Receiver, Unloader
from bench.requests import Requester
from bench.scenarios import (
    FixedRate,
    Flow,
    Growth,
    Idle,
    LoadUnload,
    RequestReply,
    Scenario,
    Startup,
    Traffic,
)

_FIRST = 5_000  # deliveries of the first try
_FIRST_BYTES = 16 * 1024 * 1024  # of bodies, in the first try
_FIRST_WAITING = 200  # messages of the first try, where each is waited for
_MOST = 20_000_000
_TURN = 0.1  # seconds of two flows in turn: shorter than a machine keeps its speed
_MIN_TURNS = 3
_WARM_UP = 1.0  # seconds of the second try: the peer's caches and compilers get warm


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one round.

    Attributes:
        figures: What the scenario is about.
        messages: Published; requests; connections.
        seconds: From the first SEND to the last delivery.
        load: Cores the load generator used, 1.0 for one; near 1.0 it may be the limit.
        broker: Cores the broker used.
        memory: Resident bytes of the broker after the round.
        checked: Deliveries whose content and place were compared; all were counted.
    """

    figures: dict[Metric, float]
    messages: int = 0
    seconds: float = 0.0
    load: float = 0.0
    broker: float = 0.0
    memory: int = 0
    checked: int = 0


class Measure:
    """A peer that runs, and the rounds it is put through.

    Args:
        peer: That.
        cores: Where the load may run; empty for anywhere.
        timeout: Seconds until a run is given up; None for the scenario's own.
        other: Another one of the kind, for what is measured beside a baseline.
    """

    def __init__(
        self,
        peer: Peer,
        cores: frozenset[int] = frozenset(),
        timeout: float | None = None,
        other: Peer | None = None,
    ) -> None:
        self._peer = peer
        self._baseline = Measure(other, cores, timeout) if other else None
        self._cores = cores
        self._timeout = timeout
        self._rounds = 0

    def timed(self, scenario: Scenario, seconds: float) -> Round:
        """A round of about this length, after two that find the count and warm up.

        Raises:
            BenchError: The load failed, or not all arrived as it was sent.
        """
        match scenario:
            case Growth():
                return self._in_turns(scenario, seconds)
            case Flow() | RequestReply():
                return self._fast(scenario, seconds)
            case FixedRate(rate=rate):
                warm_up = min(_WARM_UP, seconds)
                counts = round(rate * warm_up), round(rate * seconds)
                return self._run(scenario, *counts)
            case LoadUnload(count=count):
                return self._load_unload(scenario, count)
            case Idle(connections=connections):
                return self._idle(scenario, connections)
            case Startup():
                return Round({SECONDS: self._peer.started_in})

    def counted(self, scenario: Scenario, count: int) -> Round:
        """A round of this many messages, without a warm-up.

        Raises:
            BenchError: The load failed, or not all arrived as it was sent.
        """
        match scenario:
            case LoadUnload():
                return self._load_unload(scenario, count)
            case Idle():
                return self._idle(scenario, count)
            case Startup():
                return Round({SECONDS: self._peer.started_in})
            case Growth():
                return self._in_turns(scenario, count=count)
            case _:
                return self._run(scenario, _multiple(count, scenario))

    def _fast(self, scenario: Flow | RequestReply, seconds: float) -> Round:
        """As fast as it goes: a first try, one that warms up, the one that counts."""
        with self._workers(scenario) as workers:
            count = self._found(workers, scenario, seconds, seconds)
            return self._measured(scenario, workers, count)

    def _found(
        self,
        workers: Workers,
        scenario: Flow | RequestReply,
        warm_up: float,
        seconds: float,
    ) -> int:
        """How many messages take so many seconds, after a try and a warm-up."""
        first = _FIRST // scenario.copies
        if isinstance(scenario, RequestReply) or scenario.receipts:
            first = _FIRST_WAITING
        first = min(first, max(1, _FIRST_BYTES // scenario.body_size))
        count = _multiple(first, scenario)
        for length in (min(_WARM_UP, warm_up), seconds):
            last = workers.run(count)
            wanted = min(max(round(count / last.seconds * length), first), _MOST)
            count = _multiple(wanted, scenario)
        return count

    def _in_turns(
        self, scenario: Growth, seconds: float = 0.0, count: int = 0
    ) -> Round:
        """As fast as it goes, now what it is compared with, now itself.

        Args:
            scenario: That.
            seconds: How long itself, in all; there are three turns or more.
            count: Messages of a turn; 0 to find it out.
        """
        if self._baseline is None:
            raise BenchError("it needs two brokers")
        base = scenario.baseline
        with self._baseline._workers(base) as less, self._workers(scenario) as more:
            base_count = count = _multiple(count, scenario) if count else 0
            if not count:
                base_count = self._found(less, base, seconds, _TURN)
                count = self._found(more, scenario, seconds, _TURN)
            return self._turns(less, base_count, more, count, seconds)

    def _turns(
        self, less: Workers, base_count: int, more: Workers, count: int, seconds: float
    ) -> Round:
        """Turns until what is measured has had so many seconds; three or more."""
        broker, outcomes, kept = 0.0, list[Outcome](), list[float]()
        while len(kept) < _MIN_TURNS or sum(o.seconds for o in outcomes) < seconds:
            base_rate = base_count / less.run(base_count).seconds
            before = self._peer.cpu()
            outcome = more.run(count)
            broker += self._peer.cpu() - before
            outcomes.append(outcome)
            kept.append(100 * count / outcome.seconds / base_rate)
        whole = Outcome(
            sum(each.seconds for each in outcomes),
            sum(each.cpu for each in outcomes),
            sum(each.checked for each in outcomes),
            (),
        )
        messages = count * len(outcomes)
        figures = {RATE: messages / whole.seconds, KEPT: median(kept)}
        return self._round(figures, messages, whole, broker)

    def _run(self, scenario: Flow | RequestReply | FixedRate, *counts: int) -> Round:
        """Runs of so many messages, of which the last counts."""
        *before, last = counts
        with self._workers(scenario) as workers:
            for count in before:
                workers.run(count)
            return self._measured(scenario, workers, last)

    def _workers(self, scenario: Flow | RequestReply | FixedRate) -> Workers:
        job = self._job(scenario)
        return Workers(job, _plan(scenario, job.receivers))

    def _measured(
        self,
        scenario: Flow | RequestReply | FixedRate,
        workers: Workers,
        count: int,
    ) -> Round:
        before = self._peer.cpu()
        outcome = workers.run(count)
        broker = self._peer.cpu() - before
        figures: dict[Metric, float]
        match scenario:
            case Flow():
                figures = {RATE: count * scenario.copies / outcome.seconds}
            case RequestReply():
                figures = {REQUESTS: count / outcome.seconds}
                figures |= latencies(outcome.times)
            case _:
                figures = latencies(outcome.times)
        return self._round(figures, count, outcome, broker)

    def _load_unload(self, scenario: LoadUnload, count: int) -> Round:
        job = self._job(scenario)
        before = self._peer.cpu()
        with Workers(job, [(Publisher, 1)]) as workers:
            loaded = workers.run(count)
        with Workers(job, [(Unloader, 1)]) as workers:
            unloaded = workers.run(count)
        broker = self._peer.cpu() - before
        figures = {LOADED: count / loaded.seconds, UNLOADED: count / unloaded.seconds}
        seconds, cpu = loaded.seconds + unloaded.seconds, loaded.cpu + unloaded.cpu
        both = Outcome(seconds, cpu, unloaded.checked, ())
        return self._round(figures, count, both, broker)

    def _idle(self, scenario: Idle, count: int) -> Round:
        with Workers(self._job(scenario), [(Holder, 1)]) as workers:
            cpu, memory = self._peer.cpu(), self._peer.memory()
            outcome = workers.run(count)
            grown = self._peer.memory() - memory
            broker = self._peer.cpu() - cpu
            return self._round({KIB_EACH: grown / count / 1024}, count, outcome, broker)

    def _round(
        self, figures: dict[Metric, float], count: int, outcome: Outcome, broker: float
    ) -> Round:
        return Round(
            figures=figures,
            messages=count,
            seconds=outcome.seconds,
            load=outcome.cpu / outcome.seconds,
            broker=broker / outcome.seconds,
            memory=self._peer.memory(),
            checked=outcome.checked,
        )

    def _job(self, scenario: Scenario) -> Job:
        """What the processes are told: destinations that nobody has used before.

        Raises:
            BenchError: The peer cannot do it.
        """
        self._rounds += 1
        name = f"bench-{scenario.name}-{self._rounds:04}"
        destinations: tuple[str, ...] = ()
        receivers = 1
        if isinstance(scenario, Traffic):
            destinations = tuple(
                self._peer.destination(scenario.kind, f"{name}-{number:05}")
                for number in range(scenario.destinations)
            )
            receivers = min(max(1, scenario.subscribers), max(1, len(self._cores) // 2))
        timeout = min(scenario.timeout, self._timeout or scenario.timeout)
        if timeout <= 0:
            raise BenchError("no time is left")
        return Job(
            scenario,
            self._peer.endpoint,
            destinations,
            self._cores,
            timeout,
            receivers,
            self._peer.destination("topic", f"{name}-bystanders"),
        )


def _plan(scenario: Flow | RequestReply | FixedRate, receivers: int) -> Plan:
    """Who takes part; the last starts the clock."""
    match scenario:
        case RequestReply():
            return [(Requester, 1)]
        case FixedRate():
            return [(Receiver, 1), (ClockedPublisher, 1)]
        case Flow():
            plan: list[tuple[type, int]] = []
            if scenario.subscribers:
                plan.append((Receiver, receivers))
            if scenario.bystanders:
                plan.append((Holder, 1))
            return [*plan, (Publisher, 1)]


def _multiple(count: int, scenario: Traffic) -> int:
    """The next number that the destinations and publishers can share out."""
    return -(-max(1, count) // scenario.unit) * scenario.unit
