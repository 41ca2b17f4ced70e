"""``romp-asgi replay``: the messages of a log, once more."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from re import Pattern
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import click

from romp_asgi.broker.patterns import compile_pattern
from romp_asgi.commands.passcode import read_passcode
from romp_asgi.message_log import Damage, Record, read
from romp_asgi.message_log.replay import Replay, ReplayError

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

#: Seconds between two lines of progress where there is no terminal.
_LINE_INTERVAL: Final = 5.0


def _moment(
    context: click.Context, option: click.Parameter, value: str | None
) -> datetime | None:
    """A time as the log has it; without a zone it is UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        reason = f"{value!r} is no time, unlike 2025-12-31T23:59:59Z"
        raise click.BadParameter(reason, context, option) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


@dataclass
class _Selection:
    """Which records of which files are sent.

    Attributes:
        position: octets of all files up to the last record that was read.
    """

    files: list[Path]
    patterns: list[Pattern[str]]
    begin: datetime | None
    end: datetime | None
    skip: int
    skipped: int = 0
    position: int = 0
    _done: int = 0

    def __iter__(self) -> Iterator[Record]:
        for file in self.files:
            for part in read(file):
                if isinstance(part, Damage):
                    self._report(file, part)
                    continue
                self.position = self._done + part.offset + part.size
                if not self._has(part):
                    continue
                if self.skipped < self.skip:
                    self.skipped += 1
                    continue
                yield part
            self._done += file.stat().st_size

    def _has(self, record: Record) -> bool:
        if self.begin is not None and record.time < self.begin:
            return False
        if self.end is not None and record.time >= self.end:
            return False
        name = record.destination
        return not self.patterns or any(p.fullmatch(name) for p in self.patterns)

    def _report(self, file: Path, damage: Damage) -> None:
        what = "a record that is cut off" if damage.is_torn else "damage"
        click.echo(
            f"romp-asgi: {file}: {what} at offset {damage.offset}, {damage.size} "
            f"octets are passed over: {damage.reason}",
            err=True,
        )


class _Progress:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, selection: _Selection) -> None:
        self._selection = selection
        self._count = 0
        self._shown = 0
        self._told_at = time.monotonic()
        self._stack = ExitStack()
        self._bar: Any = None
        if _is_terminal():
            size = sum(file.stat().st_size for file in selection.files)
            bar = click.progressbar(length=size, label="replay", file=sys.stderr)
            self._bar = self._stack.enter_context(bar)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __call__(self, record: Record) -> None:
        """A message was sent."""
        self._count += 1
        if self._bar is not None:
            self._bar.update(self._selection.position - self._shown)
            self._shown = self._selection.position
        elif time.monotonic() >= self._told_at + _LINE_INTERVAL:
            self._told_at = time.monotonic()
            click.echo(f"sent {self._count} messages, up to {record.time}", err=True)


@click.command()
@click.argument("files", metavar="FILE...", type=_FILE, nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="The server.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=61613, show_default=True,
    help="Its port for STOMP over TCP.",
)  # fmt: skip
@click.option("--login", help="Who sends; without it, nobody.")
@click.option(
    "--passcode-file", type=_FILE,
    help="A file with the passcode; without it $ROMP_PASSCODE is used.",
)  # fmt: skip
@click.option(
    "--destination", "destinations", metavar="NAME", multiple=True,
    help="Only messages to it. A pattern such as /queue/**; may be repeated.",
)  # fmt: skip
@click.option(
    "--from", "begin", callback=_moment, help="Only messages since then (UTC)."
)
@click.option("--to", "end", callback=_moment, help="Only messages before then (UTC).")
@click.option(
    "--skip", type=click.IntRange(0), default=0, help="Leave out the first N."
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Messages a second at most."
)
@click.option("--dry-run", is_flag=True, help="Count what would be sent, send nothing.")
def replay(
    files: tuple[Path, ...],
    host: str,
    port: int,
    login: str | None,
    passcode_file: Path | None,
    destinations: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    skip: int,
    rate: float | None,
    dry_run: bool,
) -> None:
    """Send the messages of a message log again.

    Several files are taken in the order of their first messages, so that all files of
    one log can be named in any order. Each message is sent with a receipt, and with the
    headers and the body that it had. What is damaged in a file is told and passed over.
    """
    selection = _Selection(
        sorted(files, key=_first),
        [compile_pattern(name) for name in destinations],
        begin,
        end,
        skip,
    )
    if dry_run:
        _count(selection)
        return
    sender = Replay(host, port, login, read_passcode(login, passcode_file))
    try:
        with _Progress(selection) as progress:
            asyncio.run(sender.run(selection, rate=rate, progress=progress))
    except ReplayError as exc:
        _fail(sender, skip, str(exc))
    except KeyboardInterrupt:
        _fail(sender, skip, "interrupted")
    click.echo(f"sent {_messages(sender.confirmed)}")


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _first(file: Path) -> int:
    """The id of the first message, which grows with the time."""
    records = (part.id for part in read(file) if isinstance(part, Record))
    return next(records, 0)


def _count(selection: _Selection) -> None:
    counts = Counter(record.destination for record in selection)
    width = max(map(len, counts), default=0)
    for name, count in sorted(counts.items()):
        shown = repr(name)[1:-1]
        click.echo(f"{shown:{width}}  {count}")
    click.echo(f"{_messages(counts.total())} would be sent")


def _messages(count: int) -> str:
    return f"{count} message" if count == 1 else f"{count} messages"


def _fail(sender: Replay, skip: int, reason: str) -> NoReturn:
    click.echo(f"romp-asgi: {reason}", err=True)
    open_ones = sender.sent - sender.confirmed
    arrived = f"{_messages(sender.confirmed)} arrived"
    if open_ones:
        arrived += f", and perhaps some of the next {open_ones}"
    to_skip = skip + sender.confirmed
    click.echo(
        f"romp-asgi: {arrived}; to go on, repeat the command with --skip {to_skip}",
        err=True,
    )
    sys.exit(1)
