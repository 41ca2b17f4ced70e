"""Changing a user file, whose other lines stay as they are."""

import contextlib
import os
import tempfile
from pathlib import Path

from romp_asgi.auth.users import Entry, parse, read_text


def put(path: Path, entry: Entry) -> Entry | None:
    """Add a user, or replace the line of one of that name.

    Args:
        path: the file; made if it is not there.
        entry: the line.

    Returns:
        The line that was replaced, if one was.

    Raises:
        ConfigErrors: if the file has bad lines; it is left as it is then.
        OSError: if it cannot be written.
    """
    text = read_text(path) if path.exists() else ""
    lines = text.split("\n")
    number, replaced = _find(path, text, entry.user.name)
    if replaced is not None:
        lines[number - 1] = str(entry)
    else:
        if not lines[-1].strip():
            lines.pop()
        lines += [str(entry), ""]
    _write(path, "\n".join(lines))
    return replaced


def delete(path: Path, name: str) -> bool:
    """Take out the line of a user.

    Returns:
        Whether there was one.

    Raises:
        ConfigErrors: if the file cannot be read, or has bad lines; it is left as it
            is then.
        OSError: if it cannot be written.
    """
    text = read_text(path)
    number, entry = _find(path, text, name)
    if entry is None:
        return False
    lines = text.split("\n")
    del lines[number - 1]
    _write(path, "\n".join(lines))
    return True


def _find(path: Path, text: str, name: str) -> tuple[int, Entry | None]:
    """The line of a user, by number, if there is one."""
    # All of it: a file that is something else altogether is not to be written to.
    for number, entry in parse(str(path), text).items():
        if entry.user.name == name:
            return number, entry
    return 0, None


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, for its owner's eyes only."""
    target = path.resolve()  # where a symbolic link leads, not the link
    # In the same directory, so that it is one move; its mode is 0600 from the start.
    descriptor, temporary = tempfile.mkstemp(prefix=".passwd-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # A file that root changes stays that of the account that reads it.
            with contextlib.suppress(OSError):
                status = target.stat()
                os.fchown(descriptor, status.st_uid, status.st_gid)
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
