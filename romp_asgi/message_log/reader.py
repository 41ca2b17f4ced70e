"""Reading a message log, whatever state it is in."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from romp_asgi.message_log.record import END, LINE, MAX_LINE, Record, decode

#: Octets that are searched at a time for the next record after a damaged one.
_WINDOW: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a file that is no record.

    Attributes:
        offset: where it begins.
        size: octets up to the next record, or to the end of the file.
        reason: what is wrong.
        is_torn: whether it is the beginning of a record that the end of the file cuts
            off: one that was being written, or was when the machine stopped.
    """

    offset: int
    size: int
    reason: str
    is_torn: bool = False


def read(path: Path) -> Iterator[Record | Damage]:
    """What a message log has, from its beginning to its end.

    It may be read while it is written; what is added meanwhile is read, too.

    Yields:
        Records, and what is no record in its place.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        offset = 0
        while offset < _size(file):
            try:
                record = _record_at(file, offset)
            except ValueError as exc:
                end = _next_record(file, offset + 1)
                # Records are added as a whole: a beginning of one is the last thing.
                is_torn = end is None and _is_beginning(file, offset)
                reason = "the file ends within it" if is_torn else str(exc)
                stop = _size(file) if end is None else end
                yield Damage(offset, stop - offset, reason, is_torn)
                offset = stop
            else:
                yield record
                offset += record.size


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _line_at(file: BinaryIO, offset: int) -> re.Match[bytes] | None:
    file.seek(offset)
    return LINE.match(file.readline(MAX_LINE))


def _length(line: re.Match[bytes]) -> int:
    """Octets that follow a first line."""
    return int(line["headers"]) + int(line["body"]) + len(END)


def _record_at(file: BinaryIO, offset: int) -> Record:
    line = _line_at(file, offset)
    if line is None:
        raise ValueError("no record begins here")
    begin, length = offset + len(line[0]), _length(line)
    # The end first: a damaged length may be more than there is memory for.
    if begin + length > _size(file):
        raise ValueError("it is longer than the file")
    file.seek(begin + length - len(END))
    if file.read(len(END)) != END:
        raise ValueError("it does not end where its first line says")
    file.seek(begin)
    return decode(offset, line, file.read(length))


def _is_beginning(file: BinaryIO, offset: int) -> bool:
    """Whether there is a record that begins as the file does from here on."""
    line = _line_at(file, offset)
    if line is None:
        file.seek(offset)
        rest = file.read(MAX_LINE)
        return rest.startswith(b"MSG "[: len(rest)]) and b"\n" not in rest
    return offset + len(line[0]) + _length(line) > _size(file)


def _next_record(file: BinaryIO, offset: int) -> int | None:
    """Where the next record begins; None if there is none."""
    while True:
        file.seek(offset)
        window = file.read(_WINDOW + MAX_LINE)
        for match in LINE.finditer(window):
            try:
                return _record_at(file, offset + match.start()).offset
            except ValueError:
                continue
        if len(window) < _WINDOW + MAX_LINE:
            return None
        offset += _WINDOW
