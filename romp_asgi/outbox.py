"""What waits to be written to one client: bounded, and written once a loop pass.

A pass of the loop reads from many clients and collects what each is to get; at its
end every outbox is flushed once, in one write. A receipt need not wait for that: see
`Session.receive_data`.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Protocol

from mypy_extensions import mypyc_attr

from romp_asgi.busy_poll import BusyPoll


@mypyc_attr(allow_interpreted_subclasses=True)
class Flusher:
    """Flushes, at the end of a loop pass, the outboxes that were written to in it.

    Args:
        busy_poll: told when that is done; None if nobody is.
    """

    __slots__ = ("_outboxes", "busy_poll")

    def __init__(self, busy_poll: BusyPoll | None = None) -> None:
        self.busy_poll = busy_poll
        self._outboxes: list[Outbox] = []

    def add(self, outbox: "Outbox") -> None:
        """An outbox has something to write, and had nothing before."""
        if not self._outboxes:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outboxes.append(outbox)

    def answered(self) -> None:
        """A client has sent something after it was written to."""
        if self.busy_poll is not None:
            self.busy_poll.answered()

    def _flush(self) -> None:
        outboxes, self._outboxes = self._outboxes, []
        for outbox in outboxes:
            outbox.flush()
        if self.busy_poll is not None:
            self.busy_poll.wrote()


class Writer(Protocol):
    """What an outbox flushes to."""

    def write_frames(self, pieces: list[bytes]) -> None:
        """Write pieces of frames, in order."""
        ...


class EncodedRun:
    """What several frames are in the outboxes of one kind.

    Args:
        pieces: what an outbox gets, in its way.
        size: octets that they count for.

    Attributes:
        is_shared: whether `Outbox.share_run` has been asked.
    """

    __slots__ = ("is_shared", "pieces", "size")

    def __init__(self, pieces: list[bytes], size: int) -> None:
        self.pieces = pieces
        self.size = size
        self.is_shared = False


class Outbox:
    """The send buffer of one client.

    Args:
        writer: where it is flushed to.
        flusher: flushes it at the end of a pass.
        high_water: octets above which queues stop feeding the client.
        max_size: octets above which a topic does not wait for the client.
        on_room: called when it is empty again after it was above the high water.

    Attributes:
        size: octets that wait, without those the transport has already.
        is_paused: whether the transport takes nothing now.
        wrote: whether anything was written since someone set this to False.
        is_unanswered: whether anything was written since the client sent something.
    """

    #: What is encoded for one kind of outbox is the same in all of this kind.
    kind: ClassVar[str] = "octets"

    #: Whether ``write_large`` is of use: whether it copies nothing.
    has_large: ClassVar[bool] = True

    __slots__ = (
        "_flusher",
        "_is_full",
        "_on_room",
        "_pieces",
        "_writer",
        "high_water",
        "is_paused",
        "is_unanswered",
        "max_size",
        "size",
        "wrote",
    )

    def __init__(
        self,
        writer: Writer,
        flusher: Flusher,
        high_water: int,
        max_size: int,
        on_room: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._flusher = flusher
        self._on_room = on_room
        self._pieces: list[bytes] = []
        self._is_full = False
        self.high_water = high_water
        self.max_size = max_size
        self.size = 0
        self.is_paused = False
        self.wrote = False
        self.is_unanswered = False

    def write(self, head: bytes, tail: bytes = b"") -> bool:
        """Add a frame, in two pieces.

        Returns:
            Whether there is room for more; if not, ``on_room`` tells when.
        """
        pieces = self._pieces
        if not pieces:
            self._flusher.add(self)
        pieces.append(head)
        pieces.append(tail)
        self.size = size = self.size + len(head) + len(tail)
        return size <= self.high_water or self._relieve()

    def encode_run(self, head: bytes, tails: list[bytes]) -> EncodedRun:
        """Make one of frames that begin alike; nothing is copied."""
        pieces = [piece for tail in tails for piece in (head, tail)]
        return EncodedRun(pieces, sum(map(len, pieces)))

    def share_run(self, run: EncodedRun) -> None:
        """Make it better for many outboxes of this kind: they hold the same copy."""
        run.pieces = [b"".join(run.pieces)]

    def write_run(self, run: EncodedRun) -> bool:
        """Add several frames, as `encode_run` of an outbox of this kind has made them.

        Returns:
            As ``write``.
        """
        pieces = self._pieces
        if not pieces:
            self._flusher.add(self)
        pieces += run.pieces
        self.size = size = self.size + run.size
        return size <= self.high_water or self._relieve()

    def write_large(self, start: bytes, body: bytes) -> bool:
        """Add a frame with a body that is better not copied; its NUL is added, too."""
        if not self._pieces:
            self._flusher.add(self)
        self._pieces += (start, body, b"\0")
        self.size = size = self.size + len(start) + len(body) + 1
        return size <= self.high_water or self._relieve()

    def flush(self) -> None:
        """Hand everything to the transport, if it takes anything."""
        if self.is_paused or not self._pieces:
            return
        pieces, self._pieces = self._pieces, []
        self.size = 0
        self.wrote = self.is_unanswered = True
        self._writer.write_frames(pieces)

    def clear(self) -> None:
        """Forget what waits: nobody is there to take it."""
        self._pieces = []
        self.size = 0

    def pause(self) -> None:
        """The transport takes nothing for now."""
        self.is_paused = True

    def resume(self) -> None:
        """The transport takes something again."""
        self.is_paused = False
        self.flush()
        self._check_room()

    def _relieve(self) -> bool:
        """Over the high water: perhaps only because the pass has not ended."""
        self.flush()
        self._is_full = self.size > self.high_water or self.is_paused
        return not self._is_full

    def _check_room(self) -> None:
        if self._is_full and not self.is_paused and self.size <= self.high_water:
            self._is_full = False
            self._on_room()
