"""Header blocks that came before, which need not be parsed again.

The blocks of one sender repeat, and so do those of many senders of one kind: all
connections that read by the same rules remember together. What blocks have in common
that differ in some values is remembered with them: `romp_asgi.stomp.varied`.
"""

from array import array
from typing import Final

from romp_asgi.stomp.headers import Headers, Template
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.versions import Version

#: The largest block that is remembered, in octets.
MAX_BLOCK_SIZE: Final = 512

#: What ends a block: the LF of its last line, and that of the empty line.
BLANK: Final = b"\n\n"

#: What a block takes beside its own octets: for itself, and for each header.
_OVERHEAD: Final = 500
_HEADER_OVERHEAD: Final = 120

#: Places for notes of what came lately, 16 bits of a hash each, and two for each hash.
_PLACES: Final = 1 << 16
_PLACE: Final = _PLACES - 1


class Blocks:
    """The blocks of SENDs, as one version and its limits have them read.

    A block is remembered when it comes for the second time, and not long after the
    first: many senders have a header that is another one each time. When there are too
    many, those that came last stay.

    Args:
        max_size: octets that all may take; there are two generations of half of them.

    Attributes:
        known: headers by their block with its LF LF, those that were asked for lately;
            and templates by what is no block.
        earlier: those of the generation before. What comes again is taken over.
        generation: how often the known ones have become the earlier ones.
    """

    __slots__ = (
        "_max_size",
        "_notes",
        "_size",
        "_turn",
        "earlier",
        "generation",
        "known",
    )

    def __init__(self, max_size: int = 1 << 25) -> None:
        self._max_size = max_size // 2
        self.known: dict[bytes, Headers] = {}
        self.earlier: dict[bytes, Headers] = {}
        self.generation = 0
        self._size = 0
        self._notes = array("H", bytes(2 * _PLACES))
        self._turn = 0

    def recall(self, key: bytes) -> Headers | None:
        """What is remembered by a key; then it is among the ``known``."""
        headers = self.known.get(key)
        if headers is None:
            headers = self.earlier.get(key)
            if headers is not None:
                self.remember(key, headers)
        return headers

    def offer(self, block: bytes, headers: Headers) -> bool:
        """Remember a block, if it has come before; return whether it is now."""
        if not self.has_come(block) or len(block) > MAX_BLOCK_SIZE:
            return False
        self.remember(block + BLANK, headers)
        return True

    def has_come(self, block: bytes) -> bool:
        """Whether a block came before; if not, it has now.

        The note of that is a part of its hash: one block in some 30,000 has not.
        """
        notes, number = self._notes, hash(block)
        place, note = number & _PLACE, number >> 16 & 0xFFFF
        if notes[place] == note or notes[place ^ 1] == note:
            return True
        # Now one of the two, now the other.
        self._turn ^= 1
        notes[place ^ self._turn] = note
        return False

    def remember(self, key: bytes, headers: Headers) -> None:
        """Have headers, or a template, among the ``known``, by their key."""
        # The octets, all and without the first line; as text, which may have four for
        # each; encoded for three versions.
        copies = 6 if key.isascii() else 9
        size = copies * len(key) + _HEADER_OVERHEAD * len(headers) + _OVERHEAD
        if isinstance(headers, Template):
            # It has values of its own, and pieces of the block.
            size *= 2
            headers.start = None
        else:
            headers.start = key
            # They lead to their target themselves.
            headers.template = None
        self._size += size
        headers.follower = None
        if self._size > self._max_size:
            # What is pushed out must not be kept by those that stay.
            for each in self.known.values():
                each.follower = None
            self.earlier, self.known = self.known, {}
            self.generation += 1
            self._size = size
        self.known[key] = headers
        headers.is_known = True


class BlockCache:
    """The blocks of one server, by the rules they were read by.

    Args:
        max_size: octets that those of a version may take; 0 for none.
    """

    __slots__ = ("_blocks", "_max_size")

    def __init__(self, max_size: int = 1 << 25) -> None:
        self._max_size = max_size
        self._blocks: dict[tuple[str, Limits], Blocks] = {}

    def of(self, version: Version, limits: Limits) -> Blocks | None:
        """Those that were read by a version with these limits."""
        if not self._max_size:
            return None
        key = version.name, limits
        blocks = self._blocks.get(key)
        if blocks is None:
            blocks = self._blocks[key] = Blocks(self._max_size)
        return blocks
