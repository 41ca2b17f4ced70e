"""SENDs of one sender that begin alike, whatever comes after that.

Where messages have headers that others do not have, no values are found that vary
(`romp_asgi.stomp.varied`); but their first lines are often the same. What these say
need not be read again, and where it leads need not be looked up.
"""

from typing import Final

from romp_asgi.stomp.headers import Beginning, Headers
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.lines import add_plain
from romp_asgi.stomp.spec import CONTENT_LENGTH, DESTINATION

#: What comes before the headers of a SEND.
SEND_LINE: Final = b"SEND\n"


def in_common(headers: Headers, others: Headers, limits: Limits) -> Beginning | None:
    """What two SENDs begin with.

    Args:
        headers: of one, as they were read.
        others: of the other one.
        limits: how large a block may be.

    Returns:
        None if where they go is not in it, or if there is something to unescape.
    """
    if headers.plain is None or others.plain is None:
        return None
    first, found = SEND_LINE, Beginning()
    lines = zip(headers.plain.split(b"\n"), others.plain.split(b"\n"), strict=False)
    for (name, value), (line, other) in zip(headers.items(), lines, strict=False):
        if line != other:
            break
        first += line + b"\n"
        found[name] = value
    if DESTINATION not in found:
        return None
    found.first = first
    found.length = headers.length if CONTENT_LENGTH in found else -1
    found.max_headers = limits.max_headers
    found.max_size = limits.max_unread
    found.target = None
    return found


def begun(block: bytes, beginning: Beginning) -> Headers | None:
    """The headers of a SEND that begins so, without their attributes.

    There is nothing to unescape in them then, and no name came twice.

    Args:
        block: the block, without a NUL.
        beginning: what it may begin with.

    Returns:
        None if it does not, or has to be looked at more closely.
    """
    first = beginning.first
    if not block.startswith(first) or len(block) > beginning.max_size:
        return None
    headers = Headers(beginning)
    if (
        not add_plain(headers, block[len(first) :])
        or len(headers) > beginning.max_headers
    ):
        return None
    return headers
