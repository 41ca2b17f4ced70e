"""``romp-asgi passwd``: the user file, without an editor."""

import sys
from pathlib import Path
from typing import NoReturn

import click

from romp_asgi.auth import User, edit
from romp_asgi.auth.hashes import hash_passcode
from romp_asgi.auth.user import is_name
from romp_asgi.auth.users import Entry
from romp_asgi.errors import RompError


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("name", metavar="USER")
@click.option("--admin", is_flag=True, help="Make the user an administrator.")
@click.option("--delete", is_flag=True, help="Take the user out of the file.")
def passwd(path: Path, name: str, admin: bool, delete: bool) -> None:
    """Add a user to a user file, or change the passcode of one.

    The passcode is asked for, twice; if standard input is no terminal it is read from
    there, one line. The file is made if it is not there. A user that is changed is an
    administrator afterwards if --admin is given, and only then.

    A running server knows of it when it starts again.
    """
    if admin and delete:
        raise click.UsageError("--admin and --delete do not go together.")
    try:
        if delete:
            _delete(path, name)
        else:
            _put(path, name, admin)
    except RompError as exc:
        _fail(str(exc))
    except UnicodeError:
        _fail("the name and the passcode must be UTF-8")
    except OSError as exc:
        _fail(f"{path}: cannot be written: {exc.strerror or exc}")


def _put(path: Path, name: str, is_admin: bool) -> None:
    name.encode()
    if not is_name(name):
        raise click.BadParameter(
            "a name has no colon and no line end, does not begin with #, and neither "
            "begins nor ends with white space.",
            param_hint="USER",
        )
    entry = Entry(User(name, is_admin), hash_passcode(_ask()))
    replaced = edit.put(path, entry)
    done = "added to" if replaced is None else "changed in"
    who = f"{name}, an administrator," if is_admin else name
    click.echo(f"{who} was {done} {path}")
    if replaced is not None and replaced.user.is_admin and not is_admin:
        click.echo(f"{name} is no administrator any more: there was no --admin")


def _delete(path: Path, name: str) -> None:
    if not edit.delete(path, name):
        _fail(f"{path}: there is no user {name}")
    click.echo(f"{name} was deleted from {path}")


def _ask() -> str:
    """The new passcode."""
    if sys.stdin.isatty():
        return click.prompt(
            "Passcode", hide_input=True, confirmation_prompt="Again", err=True
        )
    line = sys.stdin.buffer.readline().decode()
    passcode = line.removesuffix("\n").removesuffix("\r")
    if not passcode:
        _fail("there is no passcode on standard input")
    return passcode


def _fail(reason: str) -> NoReturn:
    for line in reason.splitlines():
        click.echo(f"romp-asgi: {line}", err=True)
    sys.exit(1)
