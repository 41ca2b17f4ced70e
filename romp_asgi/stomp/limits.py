"""How large a frame may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a frame may be, in octets but for ``max_headers``.

    The names are those of the config keys, which errors mention. ``max_header_len``
    is for one line without its EOL, ``max_header_size`` for all that comes before
    the empty line, the command too.
    """

    max_headers: int = 64
    max_header_len: int = 8192
    max_header_size: int = 65536
    max_message_size: int = 1048576

    @property
    def max_unread(self) -> int:
        """Octets that a header block may have with no need to look at its lines."""
        return min(self.max_header_size, self.max_header_len)
