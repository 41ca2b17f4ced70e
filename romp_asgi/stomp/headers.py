"""The headers of a frame, with what is known of them; and what several have in common.

Not compiled with the rest of the core: of a class that is a dictionary mypyc makes an
ordinary one, without its slots, so that each object would have a dictionary of its own
for its attributes.
"""

from typing import Any

from romp_asgi.stomp.versions import Version


class Headers(dict[str, str]):
    """The headers of one frame, unescaped, in the order they came.

    Frames with equal header blocks share one object, so names and values are never
    changed once its frame is made. Headers that were read have all attributes, but
    ``follower`` and ``start`` only when they are known, and those of an ACK that is
    nothing but a number have ``tag`` alone, if any.

    Attributes:
        encoded: those lines of a frame made from these headers that receivers get;
            kept by whoever encodes them, if they are known, or made with them from a
            template.
        encoded_version: the version that this is for; empty if there is none yet.
        encoded_others: the same for other versions, by their names, if there are any.
        follower: of known ones and templates: those, of either kind, that came after
            them in what the last sender sent, if they were known.
        is_known: whether frames with the same header block will have this object.
        length: what ``content-length`` says, or -1.
        plain: the lines they were read from, without the last LF, if there was nothing
            to unescape in them and no name came twice; not if what they are encoded to
            was made with them, nor of known ones that are encoded.
        size: octets of the lines they were read from, and of ``plain`` or what was made
            with them.
        start: of known ones: the octets that their frames begin with, up to the body,
            if these end with LF LF; None for a template.
        tag: the number that an ACK of STOMP 1.2 has, and nothing else; 0 if it is not
            that simple.
        target: where a SEND goes that asks for nothing else; kept by whoever sends it
            there. Its ``joins`` says whether SENDs in a row may come as one `SendRun`.
        template: what they were made from, which is told the target as well, if they
            differ from others only in some values, or only after what they begin with;
            not if they are known.
    """

    # No dictionary where one value will do for most: of 10,000 it is in no cache.
    __slots__ = (
        "encoded",
        "encoded_others",
        "encoded_version",
        "follower",
        "is_known",
        "length",
        "plain",
        "size",
        "start",
        "tag",
        "target",
        "template",
    )

    encoded: bytes
    encoded_others: dict[str, bytes] | None
    encoded_version: str
    follower: "Headers | None"
    is_known: bool
    length: int
    plain: bytes | None
    size: int
    start: bytes | None
    tag: int
    target: Any
    template: "Headers | None"


class Template(Headers):
    """The headers of one SEND of a kind, from which those of the others are made.

    Nobody sends these themselves: of the attributes that are read for a SEND they have
    ``length`` and ``target``, ``follower``, ``is_known`` and ``start``.

    Attributes:
        first: the octets that a SEND of the kind begins with, up to the first of the
            values that are others in each.
        form: the lines that are passed on, with a ``%b`` for each of these values.
        length_at: the place of ``content-length`` among these values; -1 if all have
            the same.
        max_size: octets that a block may have without a look at the limits.
        names: of the headers with the other ones, in the order of the lines.
        others: the octets after each of these values, up to the next one or the body.
        version: the version that they are read by.
    """

    __slots__ = ("first", "form", "length_at", "max_size", "names", "others", "version")

    first: bytes
    form: bytes
    length_at: int
    max_size: int
    names: list[str]
    others: list[bytes]
    version: Version


class Beginning(Headers):
    """The headers that SENDs begin with.

    Nobody sends these themselves: of the attributes of headers they have ``length`` and
    ``target``, which is where a SEND goes that begins so and asks for nothing else.

    Attributes:
        first: the octets that these SENDs begin with, up to the end of a line.
        max_headers: lines that all of a block may have.
        max_size: octets that it may have without a look at the limits.
    """

    __slots__ = ("first", "max_headers", "max_size")

    first: bytes
    max_headers: int
    max_size: int
