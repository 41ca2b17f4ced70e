"""One scenario against one peer that runs: how many messages, then how fast."""

from dataclasses import dataclass

from bench.job import Job
from bench.load import Workers
from bench.peers import Peer
from bench.scenarios import Scenario

_FIRST = 5_000  # deliveries of the first try
_MOST = 20_000_000
_WARM_UP = 1.0  # seconds of the second try: the peer's caches and compilers get warm


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one round.

    Attributes:
        messages: Published.
        deliveries: Received, by all subscribers together: what the rate counts.
        seconds: From the first SEND to the last delivery.
        load: Cores the load generator used, 1.0 for one; near 1.0 it may be the limit.
        broker: Cores the broker used.
        memory: Resident bytes of the broker after the round.
        checked: Deliveries whose content and place were compared; all were counted.
    """

    messages: int
    deliveries: int
    seconds: float
    load: float
    broker: float
    memory: int
    checked: int

    @property
    def rate(self) -> float:
        """Deliveries per second."""
        return self.deliveries / self.seconds


class Measure:
    """A peer that runs, and the rounds it is put through."""

    def __init__(self, peer: Peer, cores: frozenset[int] = frozenset()) -> None:
        self._peer = peer
        self._cores = cores
        self._rounds = 0

    def timed(self, scenario: Scenario, seconds: float) -> Round:
        """A round of about this length, after two that find the count and warm up."""
        first = self.counted(scenario, _FIRST // scenario.copies)
        second = self.counted(scenario, _count(first, min(_WARM_UP, seconds)))
        return self.counted(scenario, _count(second, seconds))

    def counted(self, scenario: Scenario, count: int) -> Round:
        """A round of this many messages, to a destination of its own.

        Raises:
            BenchError: The load failed, or not all arrived as it was sent.
        """
        self._rounds += 1
        name = f"bench-{scenario.name}-{self._rounds}"
        destination = self._peer.destination(scenario.kind, name)
        job = Job(scenario, self._peer.endpoint, destination, count, self._cores)
        with Workers(job) as workers:
            before = self._peer.cpu()
            outcome = workers.run()
            broker = self._peer.cpu() - before
        return Round(
            messages=count,
            deliveries=count * scenario.copies,
            seconds=outcome.seconds,
            load=outcome.cpu / outcome.seconds,
            broker=broker / outcome.seconds,
            memory=self._peer.memory(),
            checked=outcome.checked,
        )


def _count(last: Round, seconds: float) -> int:
    """As many messages as take this long at the rate of the last round."""
    wanted = round(last.messages / last.seconds * seconds)
    return min(max(wanted, last.messages), _MOST)
