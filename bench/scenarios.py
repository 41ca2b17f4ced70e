"""What is measured: one row a scenario, in families.

Names are short for a command line. Those that the one public vocabulary of STOMP
benchmarks (chirino/stomp-benchmark) has a name for can be asked for by that, too:
`100b_1a_1topic_50` is `topic-1-50`: size of a body, publishers that do not wait (`a`)
or wait for receipts (`p`), destinations and their kind, subscribers of each.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from bench.errors import BenchError
from bench.metrics import (
    KEPT,
    KIB_EACH,
    LATENCIES,
    LOADED,
    RATE,
    REQUESTS,
    SECONDS,
    UNLOADED,
    Metric,
)

Kind: TypeAlias = Literal["queue", "topic"]

_WINDOW = 2_000  # messages
_WINDOW_BYTES = 16 * 1024 * 1024
_SHORT = 30.0  # seconds until a run is given up
_LONG = 120.0  # the same where thousands connect, or 200,000 messages go to and fro


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the scenarios with messages have in common.

    Attributes:
        name: What one asks for on the command line.
        family: The heading it comes under.
        kind: What the destinations are.
        about: What happens, in a line.
        destinations: How many; of topics only one.
        publishers: Connections that send. They share out the destinations, or all send
            to the only one.
        subscribers: Connections that receive. Those of a topic get all, those of queues
            share out the queues.
        body_size: Octets of a body.
        timeout: Seconds until a run is given up.
    """

    name: str
    family: str
    kind: Kind
    about: str
    destinations: int = 1
    publishers: int = 1
    subscribers: int = 1
    body_size: int = 100
    timeout: float = _SHORT
    metrics: ClassVar[tuple[Metric, ...]] = (RATE,)

    @property
    def copies(self) -> int:
        """Deliveries that a message makes; one, too, where nobody is subscribed."""
        return max(1, self.subscribers) if self.kind == "topic" else 1

    @property
    def unit(self) -> int:
        """Messages are sent in multiples of this: each destination gets as many."""
        return max(self.destinations, self.publishers)

    def share(self, count: int) -> int:
        """How many of `count` messages each subscriber gets."""
        return count if self.kind == "topic" else count // max(1, self.subscribers)

    def subscribed(self, subscriber: int) -> range:
        """The destinations of the subscriber of this number."""
        if self.kind == "topic":
            return range(1)
        return range(subscriber, self.destinations, self.subscribers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow(Traffic):
    """Messages as fast as they go, and how many a second arrived.

    Attributes:
        prefetch: The `prefetch-count` of a client-individual subscription; without it
            the subscription is `ack:auto`.
        varied: Each message has a header with a value that no other has.
        unlike: Each message has a header with a name that no other has.
        receipts: Each SEND asks for a receipt, which is awaited before the next.
        websocket: The subscribers come through WebSocket; without any, the publisher.
        packed: The broker may put several STOMP frames into a WebSocket message.
        bystanders: Connections that are subscribed to a topic nobody sends to.
        alone: It has a broker of its own.
    """

    prefetch: int | None = None
    varied: bool = False
    unlike: bool = False
    receipts: bool = False
    websocket: bool = False
    packed: bool = False
    bystanders: int = 0
    alone: ClassVar = False

    @property
    def window(self) -> int:
        """Messages a publisher may be ahead of the subscribers, for every peer."""
        return max(1, min(_WINDOW, _WINDOW_BYTES // self.body_size))

    @property
    def vocabulary(self) -> str:
        """The name in the public vocabulary; empty if it has none."""
        has_own_header = self.varied or self.unlike
        if self.prefetch or has_own_header or self.websocket or self.bystanders:
            return ""
        size = f"{self.body_size}b"
        if self.body_size >= 1024:
            size = f"{self.body_size // 1024}k"
        way = "p" if self.receipts else "a"
        each = self.subscribers // self.destinations
        return (
            f"{size}_{self.publishers}{way}_{self.destinations}{self.kind}_{each}"
            if each or not self.subscribers
            else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth(Flow):
    """The same flow with more of something, and how much of its rate is kept.

    Both are measured in short turns, each with a broker of its own, because a machine
    that changes its speed within seconds would change a ratio of rows.

    Attributes:
        baseline: The flow that it should be as fast as.
    """

    baseline: Flow
    metrics: ClassVar[tuple[Metric, ...]] = (RATE, KEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadUnload(Traffic):
    """A queue is filled while nobody reads it, then emptied.

    Attributes:
        count: Messages.
    """

    count: int
    metrics: ClassVar = (LOADED, UNLOADED)
    websocket: ClassVar = False
    packed: ClassVar = False
    alone: ClassVar = False
    vocabulary: ClassVar = "100b_load_unload"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReply(Traffic):
    """Clients, each with a queue for replies, that wait for each reply.

    The first destination is for the requests, the others are those of the clients.

    Attributes:
        clients: How many ask at the same time.
    """

    clients: int
    metrics: ClassVar = (REQUESTS, *LATENCIES)
    websocket: ClassVar = False
    packed: ClassVar = False
    alone: ClassVar = False

    @property
    def unit(self) -> int:
        """Each client asks as often."""
        return self.clients

    @property
    def vocabulary(self) -> str:
        """The name in the public vocabulary."""
        return f"rr_{self.body_size}b_{self.clients}a_1queue_1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRate(Traffic):
    """Messages by the clock, whatever becomes of those before.

    Attributes:
        rate: Messages a second.
    """

    rate: int
    metrics: ClassVar = LATENCIES
    websocket: ClassVar = False
    packed: ClassVar = False
    alone: ClassVar = False
    vocabulary: ClassVar = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Connections that do nothing, and the memory the broker has for each."""

    name: str
    family: str
    about: str
    connections: int
    websocket: bool = False
    timeout: float = _LONG
    metrics: ClassVar = (KIB_EACH,)
    packed: ClassVar = False
    alone: ClassVar = True
    vocabulary: ClassVar = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """From the start of the process to the first CONNECTED."""

    name: str
    family: str
    about: str
    timeout: float = _LONG
    metrics: ClassVar = (SECONDS,)
    websocket: ClassVar = False
    packed: ClassVar = False
    alone: ClassVar = True
    vocabulary: ClassVar = ""


Scenario: TypeAlias = Flow | LoadUnload | RequestReply | FixedRate | Idle | Startup


def _topics(family: str, prefix: str, how: str, **options: bool) -> Iterable[Flow]:
    """The five rows of topics: none, 1, 10 and 50 subscribers; 10 and 10."""
    for publishers, subscribers in ((1, 0), (1, 1), (1, 10), (1, 50), (10, 10)):
        if options.get("packed") and not subscribers:
            continue
        yield Flow(
            name=f"{prefix}-{publishers}-{subscribers}",
            family=family,
            kind="topic",
            publishers=publishers,
            subscribers=subscribers,
            about=f"{publishers} publishing, {subscribers} subscribed{how}",
            **options,
        )


def _bodies(kind: Kind) -> Iterable[Flow]:
    for name, size in (("1k", 1024), ("256k", 256 * 1024)):
        yield Flow(
            name=f"{kind}-1-1-{name}",
            family="body",
            kind=kind,
            body_size=size,
            about=f"{kind}, 1 publishing, 1 subscribed, bodies of {name.upper()}B",
        )


_ONE_DESTINATION = Flow(
    name="destinations-1",
    family="growth",
    kind="queue",
    timeout=_LONG,
    about="1 to 1, one queue",
)

_TEN_CONNECTIONS = Flow(
    name="connections-10",
    family="growth",
    kind="queue",
    bystanders=8,
    timeout=_LONG,
    about="queue-1-1 while 8 more are connected and subscribed",
)

_ALL: tuple[Scenario, ...] = (
    *_topics("topic", "topic", ""),
    Flow(name="queue-1-1", family="queue", kind="queue", about="1 to 1, `ack:auto`"),
    Flow(
        name="queue-1-1-varied",
        family="queue",
        kind="queue",
        varied=True,  # a broker that remembers whole header blocks gains nothing
        about="the same, each message with a header that has a value of its own",
    ),
    Flow(
        name="queue-1-1-unlike",
        family="queue",
        kind="queue",
        unlike=True,  # a broker that remembers anything of headers gains nothing
        about="the same, each message with a header that has a name of its own",
    ),
    Flow(
        name="queue-10x1-1",
        family="queue",
        kind="queue",
        destinations=10,
        publishers=10,
        subscribers=10,
        about="10 queues, 1 to 1 each",
    ),
    LoadUnload(
        name="queue-load-unload",
        family="queue",
        kind="queue",
        count=200_000,
        subscribers=0,
        timeout=_LONG,
        about="200,000 sent while nobody is subscribed, then received",
    ),
    *(
        Flow(
            name=f"ack-{prefetch}",
            family="ack",
            kind="queue",
            prefetch=prefetch,
            about=f"`client-individual`, `prefetch-count:{prefetch}`, an ACK for each",
        )
        for prefetch in (100, 1000)
    ),
    *(
        RequestReply(
            name=f"request-{clients}",
            family="request",
            kind="queue",
            clients=clients,
            destinations=1 + clients,
            about=f"{clients} asking, each awaiting its reply",
        )
        for clients in (1, 10)
    ),
    *_bodies("topic"),
    *_bodies("queue"),
    *(
        Flow(
            name=f"{kind}-1-1-receipt",
            family="receipt",
            kind=kind,
            receipts=True,
            about=f"{kind}, 1 to 1, each SEND awaits its receipt",
        )
        for kind in ("topic", "queue")
    ),
    *_topics("websocket", "ws-topic", ", through WebSocket", websocket=True),
    Flow(
        name="ws-topic-1-1000",
        family="websocket",
        kind="topic",
        subscribers=1000,
        websocket=True,
        timeout=_LONG,
        about="1 publishing, 1,000 subscribed, through WebSocket",
    ),
    *_topics(
        "packed",
        "ws-packed",
        ", `websocket_coalesce`",
        websocket=True,
        packed=True,
    ),
    *(
        FixedRate(
            name=f"latency-{rate}",
            family="latency",
            kind="queue",
            rate=rate,
            timeout=_LONG,
            about=f"queue, 1 to 1, {rate:,} messages/s by the clock",
        )
        for rate in (1_000, 10_000)
    ),
    _ONE_DESTINATION,
    *(
        Growth(
            name=f"destinations-{count}",
            family="growth",
            kind="queue",
            destinations=count,
            baseline=_ONE_DESTINATION,
            timeout=_LONG,
            about=f"1 to 1, {count:,} queues in turn; kept of `destinations-1`",
        )
        for count in (100, 10_000)
    ),
    _TEN_CONNECTIONS,
    *(
        Growth(
            name=f"connections-{count}",
            family="growth",
            kind="queue",
            bystanders=count - 2,
            baseline=_TEN_CONNECTIONS,
            timeout=_LONG,
            about=f"queue-1-1 while {count - 2:,} more are connected and subscribed;"
            " kept of `connections-10`",
        )
        for count in (1_000, 10_000)
    ),
    Idle(
        name="idle-tcp-10000",
        family="idle",
        connections=10_000,
        about="10,000 connections over TCP that do nothing",
    ),
    Idle(
        name="idle-ws-5000",
        family="idle",
        connections=5_000,
        websocket=True,
        about="5,000 connections through WebSocket that do nothing",
    ),
    Startup(
        name="start",
        family="start",
        about="from the start of the process to the first CONNECTED",
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}

FAMILIES = {
    "topic": "Topics",
    "queue": "Queues",
    "ack": "Acknowledgements",
    "request": "Request and reply",
    "body": "Larger bodies",
    "receipt": "A receipt for each SEND",
    "websocket": "WebSocket, one STOMP frame a message",
    "packed": "WebSocket, STOMP frames packed into messages",
    "latency": "Latency at a fixed rate",
    "growth": "Growth",
    "idle": "Idle connections",
    "start": "Start-up",
}

#: What --quick runs if it is not told: one of each that matters most.
QUICK = (
    "queue-1-1",
    "topic-1-50",
    "ack-1000",
    "request-1",
    "ws-topic-1-50",
    "ws-packed-1-50",
    "latency-1000",
    "start",
)


def chosen(patterns: Sequence[str]) -> list[Scenario]:
    """The scenarios whose name, or name in the public vocabulary, matches one.

    Args:
        patterns: As a shell has them: `topic-*`.

    Raises:
        BenchError: A pattern that matches none.
    """
    found: dict[str, Scenario] = {}
    for pattern in patterns:
        names = [
            each.name
            for each in _ALL
            if fnmatch.fnmatchcase(each.name, pattern)
            or fnmatch.fnmatchcase(each.vocabulary, pattern)
        ]
        if not names:
            raise BenchError(f"no scenario is called {pattern}: {', '.join(SCENARIOS)}")
        found |= {name: SCENARIOS[name] for name in names}
    return [each for each in _ALL if each.name in found]
