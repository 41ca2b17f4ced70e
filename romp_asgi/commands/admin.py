"""``romp-asgi admin``: what administrators ask of a running server, and its answers."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import tomli

from romp_asgi.commands.ask import AskError, Server
from romp_asgi.commands.passcode import read_passcode
from romp_asgi.config import find, load
from romp_asgi.errors import RompError

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_ADMIN_PORT: Final = 61616

#: Addresses to listen at that are none to connect to.
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the server is, and who asks it."""

    host: str
    port: int
    login: str | None
    passcode: str | None

    @contextmanager
    def connected(self) -> Iterator[Server]:
        """A connection; what goes wrong with it ends the command."""
        try:
            server = Server(self.host, self.port, self.login, self.passcode)
            with closing(server):
                yield server
        except AskError as exc:
            _fail(str(exc))

    def ask(self, command: str, **arguments: object) -> Report:
        with self.connected() as server:
            return server.ask(command, arguments)


@click.group()
@click.option(
    "-c", "--config", "path", type=_FILE,
    help="A romp.toml that says where the admin port is; without it the usual one.",
)  # fmt: skip
@click.option("--host", help="The server.  [admin_bind_address, or 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Its admin port.  [admin_port]"
)
@click.option("--login", help="Who asks; on the machine itself nobody has to say.")
@click.option(
    "--passcode-file", type=_FILE,
    help="A file with the passcode; without it $ROMP_PASSCODE is used.",
)  # fmt: skip
@click.pass_context
def admin(
    context: click.Context,
    path: Path | None,
    host: str | None,
    port: int | None,
    login: str | None,
    passcode_file: Path | None,
) -> None:
    """Ask a running server, or tell it what to do.

    It needs enable_admin = true in its configuration.
    """
    if host is None or port is None:
        address, configured = _configured(path)
        host, port = host or address, port or configured
    passcode = read_passcode(login, passcode_file)
    context.obj = _Place(host, port, login, passcode)


def _configured(path: Path | None) -> tuple[str, int]:
    """Where a config has the admin port."""
    try:
        path = path or find()
        if path is None:
            return "127.0.0.1", _ADMIN_PORT
        config = load(path)
    except RompError as exc:
        _fail(str(exc))
    if not config.admin_port:
        _fail(f"{path}: there is no admin port: admin_port is 0; see --host and --port")
    return _ANY.get(config.admin_address, config.admin_address), config.admin_port


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_limit = click.option(
    "--limit", type=click.IntRange(1), default=1000, help="How many at most.  [1000]"
)
_Function = Callable[..., Any]


# Lists


@admin.command()
@_limit
@_as_json
@click.pass_obj
def destinations(place: _Place, limit: int, as_json: bool) -> None:
    """List the destinations that there are."""
    found = place.ask("destinations", limit=limit)
    if as_json:
        _print_json(found)
        return
    head = ("NAME", "KIND", "STATE", "SUBS", "WAITING", "SIZE", "ACCEPTED")
    keys = ("name", "kind", "state", "subscriptions", "waiting", "octets", "accepted")
    _print_table(head, [[each[key] for key in keys] for each in found["destinations"]])
    _print_rest(found, "destinations")


@admin.command()
@_limit
@_as_json
@click.pass_obj
def sessions(place: _Place, limit: int, as_json: bool) -> None:
    """List who is connected, the oldest first."""
    found = place.ask("sessions", limit=limit)
    if as_json:
        _print_json(found)
        return
    head = ("ID", "USER", "ADMIN", "FROM", "BY", "SINCE", "SUBS", "UNACKED", "PENDING")
    rows = [
        [
            each["id"] or "-",
            each["user"] or "-",
            "yes" if each["admin"] else "no",
            each["peer"],
            each["transport"],
            _time(each["since"]),
            each["subscriptions"],
            each["unacknowledged"],
            each["pending_output"],
        ]
        for each in found["sessions"]
    ]
    _print_table(head, rows)
    _print_rest(found, "sessions")


@admin.command()
@_as_json
@click.pass_obj
def stat(place: _Place, as_json: bool) -> None:
    """Show what the server counts."""
    found = place.ask("stat")
    if as_json:
        _print_json(found)
        return
    cc, memory = found["cc"], found["memory"]
    _print_pairs(
        {
            "up since": _time(cc["up"]),
            "connections": cc["sz"],
            "connections ever": cc["Σ"],
            "messages ever": cc["Σµ"],
            "memory": f"{memory['used']} of {memory['limit']} octets",
        }
    )
    if found["destinations"]:
        click.echo()
        keys = ("dest", "sz", "q", "Δ", "Σ")
        rows = [[each[key] for key in keys] for each in found["destinations"]]
        _print_table(("NAME", "SUBS", "WAITING", "NEW", "ACCEPTED"), rows)
    if found["downstreams"]:
        click.echo()
        rows = [
            [
                each["downstream"],
                each["address"],
                "up" if each["up"] else "down",
                _time(each["since"]),
                each["Σ"],
                each["refused"],
                "" if each["up"] else each["error"],
            ]
            for each in found["downstreams"]
        ]
        head = ("DOWNSTREAM", "ADDRESS", "IS", "SINCE", "MESSAGES", "REFUSED", "ERROR")
        _print_table(head, rows)


# One destination


@admin.command()
@click.argument("name")
@_as_json
@click.pass_obj
def destination(place: _Place, name: str, as_json: bool) -> None:
    """Show a destination and its settings."""
    _print_destination(place.ask("destination", name=name), as_json)


@admin.command()
@click.argument("name")
@_as_json
@click.pass_obj
def purge(place: _Place, name: str, as_json: bool) -> None:
    """Forget the messages that wait in a destination."""
    found = place.ask("purge", name=name)
    if as_json:
        _print_json(found)
    else:
        count = found["purged"]
        messages = "1 message" if count == 1 else f"{count} messages"
        click.echo(f"{messages} of {_printable(name)} forgotten")


@admin.command()
@click.argument("name")
@click.option(
    "--now", is_flag=True, help="End its subscriptions and forget its messages, too."
)
@click.option("--undo", is_flag=True, help="Let it take messages again.")
@_as_json
@click.pass_obj
def drain(place: _Place, name: str, now: bool, undo: bool, as_json: bool) -> None:
    """Let a destination take no more messages, while consumers empty it."""
    if now and undo:
        raise click.UsageError("--now and --undo do not go together.")
    found = place.ask("drain", name=name, now=now, undo=undo)
    if as_json:
        _print_json(found)
    else:
        waiting, consumers = found["waiting"], found["subscriptions"]
        click.echo(
            f"{_printable(name)} is {found['state']}: {waiting} waiting, "
            f"{consumers} subscribed"
        )


@admin.command()
@click.argument("name")
@click.argument("settings", metavar="KEY=VALUE...", nargs=-1, required=True)
@_as_json
@click.pass_obj
def reconfigure(
    place: _Place, name: str, settings: Sequence[str], as_json: bool
) -> None:
    """Change settings of a destination until the server stops.

    The keys are those of romp.toml: max_connections, max_messages, max_message_size,
    expiry, write_block, read_block, web_write_block and web_read_block.
    """
    values = dict(map(_setting, settings))
    _print_destination(place.ask("reconfigure", name=name, settings=values), as_json)


def _setting(text: str) -> tuple[str, object]:
    """A key and its value, as TOML has it."""
    key, equals, value = (part.strip() for part in text.partition("="))
    try:
        if not key or not equals:
            raise ValueError
        return key, tomli.loads(f"value = {value}")["value"]
    except ValueError:
        reason = f"{text!r} is not like max_messages=1000 or write_block=true."
        raise click.BadParameter(reason, param_hint="KEY=VALUE") from None


# Ends


@admin.command()
@click.argument("id")
@_as_json
@click.pass_obj
def close(place: _Place, id: str, as_json: bool) -> None:
    """Close the connection of a session."""
    found = place.ask("close", id=id)
    if as_json:
        _print_json(found)
    else:
        click.echo(f"{_printable(id)} is closed")


@admin.command()
@_as_json
@click.pass_obj
def shutdown(place: _Place, as_json: bool) -> None:
    """Stop the server: clients are told, and get what is queued to them."""
    with place.connected() as server:
        found = server.ask("shutdown", {})
        server.wait_for_end()
    _ended(found, as_json, "the server shuts down")


@admin.command()
@_as_json
@click.pass_obj
def kill(place: _Place, as_json: bool) -> None:
    """End the process of the server at once, with exit status 99."""
    with place.connected() as server:
        server.tell("kill", {})
        server.wait_for_end()
    _ended({}, as_json, "the server was killed")


def _ended(found: Report, as_json: bool, text: str) -> None:
    if as_json:
        _print_json(found)
    else:
        click.echo(text)


# How it looks


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_destination(found: Report, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    settings, changed = found["settings"], found["changed"]
    pairs = {key: value for key, value in found.items() if key not in _NESTED}
    _print_pairs({key.replace("_", " "): value for key, value in pairs.items()})
    click.echo()
    _print_pairs(
        {
            key: f"{_value(value)}{'  (changed)' if key in changed else ''}"
            for key, value in settings.items()
        }
    )


_NESTED: Final = ("settings", "changed")


def _print_pairs(pairs: Report) -> None:
    width = max(map(len, pairs))
    for name, value in pairs.items():
        click.echo(f"{name:{width}}  {_value(value)}")


def _print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns, aligned; numbers to the right."""
    lines = [list(head), *([_value(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    is_number = [
        bool(rows) and all(isinstance(row[column], int) for row in rows)
        for column in range(len(head))
    ]
    for line in lines:
        cells = (
            f"{cell:>{width}}" if right else f"{cell:{width}}"
            for cell, width, right in zip(line, widths, is_number, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def _print_rest(found: Report, what: str) -> None:
    """Say that a list is not the whole."""
    shown, total = len(found[what]), found["total"]
    if shown < total:
        click.echo(f"… {shown} of {total} {what}; --limit shows more", err=True)


def _value(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case _:
            return _printable(str(value))


def _printable(text: str) -> str:
    """Other people's text, with nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _fail(reason: str) -> NoReturn:
    for line in reason.splitlines():
        click.echo(f"romp-asgi: {_printable(line)}", err=True)
    sys.exit(1)
