"""The command line: ``serve``, ``check``, ``admin``, ``passwd`` and ``replay``."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from romp_asgi import __version__
from romp_asgi.commands.admin import admin
from romp_asgi.commands.passwd import passwd
from romp_asgi.commands.replay import replay
from romp_asgi.config import Config, find, load
from romp_asgi.errors import RompError

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-v", "--version", prog_name="romp-asgi")
def main() -> None:
    """A STOMP message broker for TCP and WebSocket clients."""


main.add_command(admin)
main.add_command(passwd)
main.add_command(replay)


@main.command()
@click.option(
    "-c",
    "--config",
    "path",
    type=_FILE,
    help="romp.toml; without it $ROMP_CONF, ./romp.toml, ./etc/romp.toml and "
    "/etc/romp/romp.toml are looked for.",
)
@click.option("--host", help="Address for HTTP and WebSocket.  [bind_address]")
@click.option("--port", type=click.IntRange(0, 65535), help="Its port.  [8080]")
def serve(path: Path | None, host: str | None, port: int | None) -> None:
    """Run the broker."""
    # uvicorn is a third of the start-up time, and `check` does without it.
    from romp_asgi import server, stand_alone

    # For plug-ins, as with uvicorn and `python -m romp_asgi`.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        stand_alone.set_up_log()
        server.serve(stand_alone.read_config(path), host, port)
    except RompError as exc:
        _fail(exc)


@main.command()
@click.argument("path", metavar="[FILE]", type=_FILE, required=False)
def check(path: Path | None) -> None:
    """Validate a romp.toml, and print what it makes."""
    try:
        path = path or find()
        config = Config() if path is None else load(path)
    except RompError as exc:
        _fail(exc)
    click.echo(f"{path or 'no romp.toml found, built-in defaults'}: good")
    for warning in config.warnings:
        click.echo(f"warning: {warning}")
    click.echo("\nListeners")
    click.echo(f"  HTTP, WebSocket  {config.bind_address}:{config.http_port}")
    for address, port, is_admin in config.opened(embedded=False):
        click.echo(f"  {'admin' if is_admin else 'STOMP':15}  {address}:{port}")
    click.echo("\nDestinations")
    width = max((len(name) for name in config.destinations), default=0)
    for name, table in config.destinations.items():
        settings: list[str] = [table.kind]
        for key, value in table.model_dump(exclude_defaults=True).items():
            if key not in {"name", "type"}:
                settings.append(f"{key}={value}")
        click.echo(f"  {name:{width}}  {' '.join(settings)}")
    if config.plugins:
        click.echo("\nPlug-ins")
    for name in config.plugins:
        click.echo(f"  {name}")
    if config.downstreams:
        click.echo("\nDownstreams")
    for link in config.downstreams.values():
        local = link.local_destinations or link.destinations
        for there, here in zip(link.destinations, local, strict=True):
            click.echo(f"  {link.name}  {link.address}  {there} → {here}")


def _fail(error: RompError) -> NoReturn:
    """Every error on a line of its own; the exit status says that there was one."""
    for line in str(error).splitlines():
        click.echo(f"romp-asgi: {line}", err=True)
    sys.exit(1)
