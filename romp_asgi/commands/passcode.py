"""Where a command has its passcode from: a file or the environment."""

import os
from pathlib import Path

import click


def read_passcode(login: str | None, file: Path | None) -> str | None:
    """The passcode that goes with a login, if there is one.

    Not by an option: what a command line says every user of the machine can see.

    Raises:
        click.UsageError: if there is a login without one.
    """
    if login is None:
        return None
    passcode = os.environ.get("ROMP_PASSCODE")
    if file is not None:
        passcode = file.read_text().removesuffix("\n").removesuffix("\r")
    if not passcode:
        raise click.UsageError("--login needs --passcode-file or $ROMP_PASSCODE.")
    return passcode
