"""Finding and reading ``romp.toml``."""

import os
from pathlib import Path
from typing import Final

import tomli

from romp_asgi.config.server import Config
from romp_asgi.errors import ConfigError, ConfigErrors

_FILE: Final = "romp.toml"
_SEARCHED: Final = (Path(_FILE), Path("etc", _FILE), Path("/etc/romp", _FILE))


def find() -> Path | None:
    """Where the config is: what ``ROMP_CONF`` names, else the first that exists.

    Returns:
        The file, or None if there is none, which leaves the built-in defaults.

    Raises:
        ConfigErrors: if ``ROMP_CONF`` names a directory or file, and no config is
            there.
    """
    if named := os.environ.get("ROMP_CONF"):
        path = Path(named)
        if os.path.isdir(path):  # which says no where it may not look
            path /= _FILE
        if not _exists(path):
            raise _error(path, "not found, but ROMP_CONF names it")
        return path
    return next((path for path in _SEARCHED if _exists(path)), None)


def load(path: Path) -> Config:
    """Read a config.

    Raises:
        ConfigErrors: if the file cannot be read, is not TOML, or has keys or values
            that are not good: all of them at once.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows write a BOM
        table = tomli.loads(text)
    except OSError as exc:
        reason = f"cannot be read: {exc.strerror or exc}"
    except tomli.TOMLDecodeError as exc:
        reason = f"line {exc.lineno}, column {exc.colno}: {exc.msg}"
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        reason = f"line {line}: not UTF-8"
    except (ValueError, RecursionError) as exc:  # numbers or tables beyond all measure
        reason = f"not readable as TOML: {exc}"
    else:
        return Config.from_dict(table, str(path))
    raise _error(path, reason)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # reading it will tell what is wrong
    return True


def _error(path: Path, reason: str) -> ConfigErrors:
    return ConfigErrors((ConfigError(str(path), None, None, reason),))
