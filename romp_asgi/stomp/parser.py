"""Octets in any pieces → frames.

The parser works on whole reads with ``bytes.find``, never octet by octet, and need not
parse a header block that came before. Limits hold while reading: a frame that will be
too large is refused before it is held.

Source: STOMP 1.2 § STOMP Frames, § Body, § Augmented BNF, § Size Limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from romp_asgi.errors import FrameError, HeaderError, LimitExceeded, ProtocolError
from romp_asgi.stomp.abridged import (
    PLAIN_ACK_SIZE,
    PLAIN_ACKS,
    RECEIPT_START,
    ReceiptSend,
    append_acks,
    append_to_run,
    without_receipt,
)
from romp_asgi.stomp.beginning import SEND_LINE, begun, in_common
from romp_asgi.stomp.blocks import BLANK, MAX_BLOCK_SIZE, Blocks
from romp_asgi.stomp.frame import MAX_DIGITS, Frame
from romp_asgi.stomp.headers import Beginning, Headers, Template
from romp_asgi.stomp.limits import Limits
from romp_asgi.stomp.lines import add_plain, check_lines, read_command, read_headers
from romp_asgi.stomp.spec import (
    BODY_COMMANDS,
    CONTENT_LENGTH,
    CR,
    LF,
    NUL,
    RECEIPT,
    TRANSACTION,
    Command,
)
from romp_asgi.stomp.varied import Varied, made_at, varying
from romp_asgi.stomp.versions import STOMP_1_2, Version

_A: Final = ord("A")

#: Pieces up to so many octets are put together as they come.
_SMALL_PIECE: Final = 4096

#: A body of more octets is put together by itself: as a part of a larger piece it
#: would be copied once more.
_LARGE_BODY: Final = 65536

#: A little more than the largest block that is remembered has with its LF LF.
_MAX_KNOWN: Final = MAX_BLOCK_SIZE + 16

#: After so many wrong guesses of what comes next nothing is guessed for the rest of a
#: read: in no order at all a look among all that are known is faster.
_MAX_WRONG: Final = 4

#: So many blocks that had not come before are looked at, until one had, and then one of
#: eight: those whose multiple of the golden ratio has a fraction (of 65,536) below an
#: eighth. So among kinds that come in turn, however many, none is left out.
_LOOK_AT_EACH: Final = 64
_GOLDEN: Final = 40503
_LOOK_BELOW: Final = 0x2000

#: Of so many blocks that never came, one is looked at for what varies. Odd: those of
#: two with the same time may come in pairs.
_LEARN_EVERY: Final = 31

_AFTER_SEND: Final = len(SEND_LINE)

#: To look up a member in its enum takes 0.1 µs each time, in Python 3.11.
_CONNECT: Final = Command.CONNECT
_SEND: Final = Command.SEND
_STOMP: Final = Command.STOMP

_OCTETS: Final = MappingProxyType({name.encode(): name for name in Command})

_NONE: Final[dict[bytes, Headers]] = {}


@dataclass(slots=True)
class _LargeSend:
    """A SEND whose headers have come, and not yet all of its large body.

    Attributes:
        headers: its headers, but for the receipt if that is by itself.
        receipt: the receipt; None if there is none or it is among the headers.
        block: the header block, if it is not known; else empty.
        start: octets from the begin of the frame to its body.
        length: octets of the body.
    """

    headers: Headers
    receipt: str | None
    block: bytes
    start: int
    length: int


class Parser:
    """The incoming half of one connection.

    Args:
        limits: how large a frame may be.
        version: whose rules hold; see ``switch``.
        commands: wire name → command, of the frames that are expected; without it
            those of the version.
        blocks: those that came before, of all that read by the same rules.
    """

    __slots__ = (
        "_abridges",
        "_beginning",
        "_blocks",
        "_error",
        "_generation",
        "_in_headers",
        "_is_broken",
        "_is_due",
        "_knows_ack",
        "_large",
        "_last",
        "_need",
        "_pieces",
        "_room",
        "_sample",
        "_size",
        "_strange",
        "_unknown",
        "_varied",
        "commands",
        "limits",
        "version",
    )

    def __init__(
        self,
        limits: Limits,
        version: Version = STOMP_1_2,
        commands: Mapping[str, Command] | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.limits = limits
        self.version = version
        self.commands = version.commands if commands is None else commands
        self._knows_ack = self._can_know_ack()
        self._abridges = False
        # What is left of earlier reads, how many octets that is, and what is known of
        # the frame it begins with: that it does not end before `_need` octets, or that
        # up to `_room` octets it is as good as it was, until a NUL comes or, in the
        # headers, a LF.
        self._pieces: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self._need = 0
        self._large: _LargeSend | None = None
        self._room = 0
        self._in_headers = False
        self._is_due = False
        self._blocks = blocks
        # The headers, or the template, of the last SEND that is told from others by
        # them, if they were known; and of which generation that was.
        self._last: Headers | None = None
        self._generation = 0
        # How many blocks were not known since one of these had come before.
        self._strange = 0
        # What its SENDs have of their own, once that is known; how many there were of
        # which nothing was known, and one of these to compare the next one with.
        self._varied: Varied | None = None
        self._unknown = 0
        self._sample: Headers | None = None
        # What those begin with of which nothing else is known.
        self._beginning: Beginning | None = None
        self._is_broken = False
        self._error: ProtocolError | None = None

    def _can_know_ack(self) -> bool:
        limits = self.limits
        return (
            self.version is STOMP_1_2
            and Command.ACK.value in self.commands
            and limits.max_headers >= 1
            and limits.max_unread >= PLAIN_ACK_SIZE
        )

    def receive_data(self, data: bytes) -> None:
        """Take octets as they come."""
        if self._is_broken:
            return
        pieces, size = self._pieces, len(data)
        self._size += size
        if not pieces:
            pieces.append(data)
            return
        last = pieces[-1]
        if size > _SMALL_PIECE:
            # Nothing is copied before the frame is complete.
            pieces.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            # An object for each octet would be a hundred times as large.
            pieces.append(bytearray(data))
        if NUL in data or (self._in_headers and LF in data):
            self._is_due = True

    def close(self) -> None:
        """Forget what was read, and take nothing more."""
        self._pieces = []
        self._size = 0
        self._large = self._last = self._sample = self._beginning = None
        self._is_broken = True

    def frames(self) -> list[Frame]:
        """The frames that are complete; none if the next one is not.

        Abridged ones among them, see ``switch``.

        Stops after a CONNECT, because version and limits may change there: call
        again until nothing is returned.

        Raises:
            ProtocolError: once, when what follows the frames returned so far is not
                a frame. Nothing is read after that.
        """
        if self._error is not None:
            raise self._take_error()
        size = self._size
        if not size or size < self._need or (size <= self._room and not self._is_due):
            return []
        frames: list[Frame] = []
        try:
            pieces = self._pieces
            first = pieces[0]
            if self._large is not None:
                first = self._complete(self._large, frames)
                size = len(first)
            elif len(pieces) > 1 or not isinstance(first, bytes):
                first = b"".join(pieces)
            rest = self._parse(first, frames)
        except ProtocolError as exc:
            self.close()
            if not frames:
                raise
            # The traceback would keep what was read.
            self._error = exc.with_traceback(None)
            return frames
        self._is_due = False
        self._size = left = size - rest
        if not left:
            self._pieces = []
        elif left > _SMALL_PIECE and 2 * left > size:
            # Copied with what comes next; it keeps no more than as much again.
            self._pieces = [memoryview(first)[rest:] if rest else first]
        else:
            self._pieces = [first[rest:]]
        return frames

    def switch(
        self,
        version: Version,
        limits: Limits,
        blocks: Blocks | None = None,
        *,
        abridges: bool = False,
    ) -> None:
        """Read what comes after a CONNECT by the rules of the version agreed on.

        Args:
            version: that.
            limits: how large a frame may be from now on.
            blocks: those that came before, of all that read by the same rules.
            abridges: whether some frames may be put shorter: several plain ACKs in a
                row as one `AckRun`, SENDs as `SendRun`, a SEND as `ReceiptSend`.
        """
        self.version = version
        self.commands = version.commands
        self.limits = limits
        self._knows_ack = self._can_know_ack()
        self._abridges = abridges and not version.trims
        # What came before CONNECT was parsed by other rules.
        self._blocks = blocks
        self._last = self._varied = self._sample = self._beginning = None
        self._strange = 0

    def has_partial_frame(self) -> bool:
        """Whether octets of an incomplete frame are held."""
        return bool(self._size)

    def _take_error(self) -> ProtocolError:
        # Not kept: its traceback will hold the parser.
        error = self._error
        assert error is not None
        self._error = None
        return error

    def _parse(self, data: bytes, frames: list[Frame]) -> int:
        """Append the complete frames to ``frames``; return where the rest begins."""
        position, size = 0, len(data)
        max_size = self.limits.max_message_size
        self._need = self._room = 0
        self._in_headers = False
        blocks = self._blocks
        known_blocks = blocks.known if blocks is not None else _NONE
        if blocks is not None and self._generation != blocks.generation:
            # What was known then may be pushed out: it must not lead on to others.
            self._last, self._generation = None, blocks.generation
        last, wrong = self._last, 0
        knows_ack, abridges, varied = self._knows_ack, self._abridges, self._varied
        while True:
            # EOLs between frames: heart-beats, and what some clients end a frame with.
            while position < size and (data[position] == LF or data[position] == CR):
                position += 1
            if position >= size:
                return position
            if knows_ack and data[position] == _A:
                # As frequent as SEND, and never the same again: an ACK with a number
                # and nothing else needs no more looking at, here and in the session.
                acks = PLAIN_ACKS.match(data, position)
                if acks is not None:
                    end = acks.end()
                    append_acks(frames, data, position, end, abridges=abridges)
                    position = end
                    continue
            # What came after the last one before often does so again; else a block that
            # came before ends at the next LF LF, if this is one.
            known: Headers | None = None
            follower: Headers | None = None
            receipt: str | None = None
            block, blank, body = b"", -1, 0
            guess = None if last is None else last.follower
            if guess is not None:
                begin = guess.start
                if begin is not None:
                    if data.startswith(begin, position):
                        known = follower = guess
                        body = position + len(begin)
                elif isinstance(guess, Template) and self._is_strange():
                    known, body = made_at(data, position, guess)
                    follower = guess
            if known is None:
                blank = data.find(BLANK, position, position + _MAX_KNOWN)
                body = blank + 2
                if blank >= 0:
                    known = known_blocks.get(data[position:body])
                    if known is None:
                        block = data[position:blank]
                follower = known
                if known is not None:
                    if guess is not None and guess.start is None:
                        # Some of their values come again.
                        self._strange = 0
                elif abridges and block.find(RECEIPT_START) >= 0:
                    known, receipt = self._known_but_for_receipt(block)
                    known_blocks = blocks.known if blocks is not None else _NONE
                elif varied is not None and blocks is not None:
                    known = varied.headers(block, blocks)
                    known_blocks = blocks.known  # others, perhaps
                    if known is not None:
                        follower = known.template
            if known is not None:
                command, headers, length = _SEND, known, known.length
                nul = data.find(0, body) if length < 0 else -1
            else:
                nul = -1
                if blank < 0 or NUL in block:
                    nul = data.find(0, position)
                    blank = data.find(BLANK, position, nul if nul >= 0 else size)
                    block = data[position:blank] if blank >= 0 else b""
                    body = blank + 2
                if blank < 0 or CR in block:
                    end, body = self._find_block_end(data, position, blank, nul)
                    if end < 0:
                        return position
                    block = data[position:end]
                    command, headers = self._parse_block(block, is_looked_for=False)
                else:
                    command, headers = self._parse_block(block)
                length = headers.length
                nul = data.find(0, body) if length < 0 else -1
                if blocks is not None:
                    known_blocks = blocks.known  # others, perhaps
            if length >= 0:
                end = body + length
            elif nul >= 0:
                end = nul
            else:
                end = size
            if end > body and (
                end - body > max_size
                or (command is not _SEND and command not in BODY_COMMANDS)
            ):
                self._check_body(command, headers, end - body, receipt)
            if length >= 0:
                if end >= size:
                    self._need = end + 1 - position
                    if length > _LARGE_BODY and command is _SEND:
                        start = body - position
                        new = b"" if known is not None else block
                        self._large = _LargeSend(headers, receipt, new, start, length)
                    return position
                if data[end]:
                    raise _about(headers, _no_nul(command, length), receipt)
            elif nul < 0:
                self._room = body - position + self._body_limit(command)
                return position
            position = end + 1
            if follower is guess:
                if follower is not last:
                    last = self._last = follower
            elif guess is None:
                if wrong < _MAX_WRONG:
                    if last is not None:
                        last.follower = follower
                    last = self._last = follower
            else:
                assert last is not None  # it has made the guess
                wrong += 1
                last.follower = None
                last = self._last = follower if wrong < _MAX_WRONG else None
            if receipt is not None:
                frames.append(ReceiptSend(headers, data[body:end], receipt))
                continue
            if known is not None and abridges:
                target = known.target
                if target is not None and target.joins and known.is_known:
                    append_to_run(frames, known, data[body:end])
                    continue
            frames.append(Frame(command, headers, data[body:end]))
            if command is _SEND:
                # Only of SEND: CONNECT comes once, and has a passcode; an ACK is
                # another one each time. And not before the frame is complete: its
                # block is read again with the rest of it.
                if blocks is not None and not headers.is_known:
                    if known is None:
                        if guess is not None:
                            # Something else than before.
                            self._strange = 0
                        if not self._is_strange():
                            self._offer(blocks, block, headers)
                            if not headers.is_known:
                                self._learn(blocks, block, headers)
                                varied = self._varied
                    elif block and blocks.has_come(block):
                        # Its values are few: better known with each of them.
                        blocks.remember(block + BLANK, headers)
                        self._strange = 0
                    known_blocks = blocks.known  # others, perhaps
            elif command is _CONNECT or command is _STOMP:
                return position

    def _known_but_for_receipt(self, block: bytes) -> tuple[Headers | None, str | None]:
        """The headers of a block that came before with another receipt, and this one.

        Returns:
            None, twice, if there are none, or if it has to be parsed to tell.
        """
        limits, size = self.limits, len(block)
        parts = without_receipt(block)
        if (
            parts is None
            or self._blocks is None
            or size > limits.max_header_size
            or size > limits.max_header_len
            or block.count(b"\n") > limits.max_headers
        ):
            return None, None
        rest, receipt = parts
        known = self._blocks.recall(rest + BLANK)
        if known is None and self._varied is not None:
            known = self._varied.headers(rest, self._blocks)
        return (None, None) if known is None else (known, receipt)

    def _complete(self, large: _LargeSend, frames: list[Frame]) -> bytes:
        """Append a SEND, all of which is among the pieces; return what comes after."""
        self._large = None
        headers, start = large.headers, large.start
        left = start + large.length
        body: list[memoryview] = []
        rest: list[memoryview] = []
        for piece in self._pieces:
            view = memoryview(piece)
            if rest:
                rest.append(view)
            elif len(view) <= left:
                body.append(view[start:])
                left -= len(view)
                start = 0
            else:
                body.append(view[start:left])
                if view[left]:
                    error = _no_nul(_SEND, large.length)
                    raise _about(headers, error, large.receipt)
                rest.append(view[left + 1 :])
        octets = b"".join(body)
        if large.receipt is not None:
            frames.append(ReceiptSend(headers, octets, large.receipt))
        else:
            frames.append(Frame(_SEND, headers, octets))
        blocks = self._blocks
        if large.block and blocks is not None and not headers.is_known:
            self._offer(blocks, large.block, headers)
        return b"".join(rest)

    def _is_strange(self) -> bool:
        """Count a block that is not known; return whether to take it for a new one.

        To find out whether one came before takes time, and is of no use where all of
        them are new. So after many that were new only some are looked at.
        """
        self._strange = count = self._strange + 1
        return count > _LOOK_AT_EACH and count * _GOLDEN & 0xFFFF >= _LOOK_BELOW

    def _offer(self, blocks: Blocks, block: bytes, headers: Headers) -> None:
        """Remember the block of a SEND, but for its receipt, if it has come before."""
        has_receipt = self._abridges and RECEIPT in headers
        parts = without_receipt(block) if has_receipt else None
        if parts is None:
            if blocks.offer(block, headers):
                self._strange = 0
            return
        rest, _ = parts
        # One that is longer with its receipt is not looked for, and one that is known
        # was refused for a limit.
        if (
            len(block) <= MAX_BLOCK_SIZE
            and blocks.has_come(rest)
            and blocks.recall(rest + BLANK) is None
        ):
            blocks.remember(rest + BLANK, self._parse_block(rest)[1])
            self._strange = 0

    def _learn(self, blocks: Blocks, block: bytes, headers: Headers) -> None:
        """Find out of which kind a SEND is, whose block never came.

        Args:
            blocks: where kinds are remembered.
            block: the block.
            headers: those that were read from it.
        """
        if self.version.trims or CR in block or block.count(b"\n") != len(headers):
            return
        if RECEIPT in headers:
            # Another one each time: only where it is read by itself there is a kind.
            parts = without_receipt(block) if self._abridges else None
            if parts is None:
                return
            block, _ = parts
        varied, sample = self._varied, self._sample
        if varied is not None and varied.offer(block, headers, blocks):
            self._strange = 0
        self._unknown += 1
        if sample is not None:
            known = [] if varied is None else varied.names
            names = varying(headers, sample, known)
            if names:
                self._sample = None
                if names != known:
                    self._strange = 0
                    max_size = self.limits.max_unread
                    self._varied = Varied(names, self.version, max_size)
        if self._unknown % _LEARN_EVERY == 0:
            beginning = self._beginning
            if sample is not None and (
                beginning is None or not block.startswith(beginning.first)
            ):
                found = in_common(headers, sample, self.limits)
                if found is not None:
                    self._beginning = found
            self._sample = headers

    def _find_block_end(
        self, data: bytes, position: int, blank: int, nul: int
    ) -> tuple[int, int]:
        """Where the header block ends and where the body begins; -1 if not yet.

        Args:
            data: what has been read.
            position: where the frame begins.
            blank: where the first LF LF is, or -1.
            nul: where the first NUL is, or -1.
        """
        stop = nul if nul >= 0 else len(data)
        end, body = blank, blank + 2
        # CR LF is allowed before the version is known, too.
        at = data.find(b"\n\r\n", position, blank + 1 if blank >= 0 else stop)
        if at >= 0 and self._allows_cr(data, position):
            end, body = at, at + 3
        if end < 0:
            self._check_unfinished(data[position:stop], is_cut_off=nul >= 0)
        return end, body

    def _allows_cr(self, data: bytes, position: int) -> bool:
        return self.version.carriage_return or data.startswith(
            (b"CONNECT", b"STOMP"), position
        )

    def _check_unfinished(self, block: bytes, *, is_cut_off: bool) -> None:
        """Refuse a header block that is too large already, or cannot become one.

        Otherwise note when to look at it again.

        Args:
            block: what there is of it.
            is_cut_off: whether a NUL comes next.
        """
        line, lf, rest = block.partition(b"\n")
        command = read_command(
            line, self.version, self.commands, is_complete=bool(lf) or is_cut_off
        )
        limits = self.limits
        # The LF before the empty line is not counted, nor is that line's CR.
        max_size = limits.max_header_size + 2
        if len(block) > max_size:
            raise LimitExceeded("max_header_size", limits.max_header_size)
        lines = rest.split(b"\n")
        last = len(lines[-1])
        may_be_empty_line = lines[-1] in (b"", b"\r")
        check_lines(lines[:-1] if may_be_empty_line else lines, limits)
        if is_cut_off:
            raise FrameError(
                f"The headers of {command} do not end with an empty line before its "
                "NUL."
            )
        # Within a header line nothing happens before its LF, but that it grows too
        # large.
        if not may_be_empty_line:
            self._in_headers = True
            self._room = min(len(block) - last + limits.max_header_len, max_size)

    def _body_limit(self, command: Command) -> int:
        """How many octets of a body a frame may have."""
        if command in BODY_COMMANDS or self.version.ignores_bodies:
            return self.limits.max_message_size
        return 0

    def _check_body(
        self, command: Command, headers: Headers, size: int, receipt: str | None
    ) -> None:
        if size <= self._body_limit(command):
            return
        if command in BODY_COMMANDS or self.version.ignores_bodies:
            limit = self.limits.max_message_size
            error = LimitExceeded("max_message_size", limit, "msg flup")
            raise _about(headers, error, receipt)
        raise _about(headers, FrameError(f"{command} may not have a body."), receipt)

    def _parse_block(
        self, block: bytes, *, is_looked_for: bool = True
    ) -> tuple[Command, Headers]:
        """A command and its headers.

        Args:
            block: the block.
            is_looked_for: whether it is none of the known ones.
        """
        blocks = self._blocks
        if blocks is not None and (blocks.earlier or not is_looked_for):
            known = blocks.recall(block + BLANK)
            if known is not None:
                return _SEND, known
        size, is_plain = len(block), True
        beginning = self._beginning
        headers = None if beginning is None else begun(block, beginning)
        if headers is not None:
            command, rest = _SEND, block[_AFTER_SEND:]
        else:
            beginning = None
            line, _, rest = block.partition(b"\n")
            command, headers, is_plain = self._parse_lines(line, rest, size)
        if is_plain and size <= MAX_BLOCK_SIZE:
            # A copy for as long as the message is held.
            headers.plain = rest
            headers.size = 2 * size
        else:
            headers.plain = None
            headers.size = size
        headers.encoded_version = ""
        headers.encoded_others = None
        headers.is_known = False
        headers.tag = 0
        headers.target = None
        headers.template = None
        if beginning is not None:
            if RECEIPT not in headers and TRANSACTION not in headers:
                # It asks for no more than to go where others go that begin so.
                headers.template, headers.target = beginning, beginning.target
            if beginning.length >= 0:
                headers.length = beginning.length
                return command, headers
        value = headers.get(CONTENT_LENGTH)
        if value is None:
            headers.length = -1
        elif value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
            headers.length = int(value)
        else:
            raise _about(headers, _no_length(command, value))
        return command, headers

    def _parse_lines(
        self, line: bytes, rest: bytes, size: int
    ) -> tuple[Command, Headers, bool]:
        """The lines of a block.

        Args:
            line: the first one.
            rest: those of the headers.
            size: octets of all.

        Returns:
            The command, the headers, without their attributes, and whether these are
            plain.
        """
        command = _OCTETS.get(line)
        if command is None or command not in self.commands:
            command = read_command(line, self.version, self.commands)
            assert command is not None
        limits = self.limits
        if size > limits.max_header_size:
            raise LimitExceeded("max_header_size", limits.max_header_size)
        headers = Headers()
        is_plain = bool(rest) and not self.version.trims and add_plain(headers, rest)
        if (
            not is_plain
            or len(headers) > limits.max_headers
            or size > limits.max_header_len
        ):
            check_lines(rest.split(b"\n"), limits)
        if is_plain:
            return command, headers, True
        lines = rest.split(b"\n") if rest else []
        return command, read_headers(command, lines, self.version), False


def _about(
    headers: Headers, error: ProtocolError, receipt: str | None = None
) -> ProtocolError:
    """The error, with the receipt that the frame asks for.

    Args:
        headers: of the frame.
        error: what is wrong with it.
        receipt: the receipt, if it is not among the headers.
    """
    error.receipt_id = headers.get(RECEIPT) if receipt is None else receipt
    return error


def _no_length(command: Command, value: str) -> HeaderError:
    error = HeaderError(
        command, CONTENT_LENGTH, f"must be a number of octets, not {value[:40]!r}"
    )
    error.fatal = True  # where the frame ends is not known
    return error


def _no_nul(command: Command, length: int) -> FrameError:
    return FrameError(
        f"The body of {command} does not end with a NUL after the {length} octets of "
        "its content-length."
    )
