"""Compiles the inner parts of romp_asgi with mypyc, if ROMP_ASGI_COMPILED=1 says so.

A wheel that is built so has the same modules twice: as source and as machine code,
which Python prefers. Without the variable this does nothing, and needs nothing.

    ROMP_ASGI_COMPILED=1 pip wheel .            a wheel
    python hatch_build.py build/compiled        a copy of the package, compiled in place
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What a message passes on its way, and what is pure beside it.
COMPILED = [
    "romp_asgi/stomp/*.py",
    "romp_asgi/broker/*.py",
    "romp_asgi/selector/*.py",
    "romp_asgi/busy_poll.py",
    "romp_asgi/headers.py",
    "romp_asgi/outbox.py",
    "romp_asgi/receiver.py",
    "romp_asgi/session.py",
    "romp_asgi/websocket_messages.py",
]

#: Classes with two bases, which mypyc does not know; those that are a dictionary, of
#: which it makes none with slots; and what only names others.
INTERPRETED = {
    "romp_asgi/broker/by_user.py",
    "romp_asgi/broker/kinds.py",
    "romp_asgi/broker/__init__.py",
    "romp_asgi/selector/__init__.py",
    "romp_asgi/stomp/__init__.py",
    "romp_asgi/stomp/headers.py",
}

REQUIREMENTS = ["mypy[mypyc]>=1.16", "setuptools>=65"]


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatchling's hook."""

    def dependencies(self) -> list[str]:
        """What a build needs beside hatchling: mypy reads what the modules import."""
        if not is_wanted():
            return []
        return [*REQUIREMENTS, *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add what comes of it to the wheel."""
        if not is_wanted() or version == "editable":
            return
        tree = Path(self.directory) / "compiled"
        for built in compile_copy(Path(self.root), tree):
            build_data["force_include"][str(built)] = str(built.relative_to(tree))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def is_wanted() -> bool:
    """Whether the environment asks for machine code."""
    return os.environ.get("ROMP_ASGI_COMPILED", "") not in ("", "0")


def compile_copy(root: Path, tree: Path) -> list[Path]:
    """Copy the package to a tree of its own and compile it there.

    Args:
        root: where the project is.
        tree: where the copy goes; what is there is replaced.

    Returns:
        The files of machine code, in the tree.
    """
    shutil.rmtree(tree, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(root / "romp_asgi", tree / "romp_asgi", ignore=ignored)
    subprocess.run([sys.executable, __file__, "--here"], cwd=tree, check=True)
    shutil.rmtree(tree / "build")
    return sorted(tree.rglob("*.so"))


def compile_here() -> None:
    """Compile the package in the current directory, in place."""
    from mypyc.build import mypycify
    from setuptools import setup

    # Not the project's own settings, which are for its checks.
    settings = Path("mypy.ini")
    settings.write_text("[mypy]\nignore_missing_imports = true\nstrict = true\n")
    sources = {str(path) for pattern in COMPILED for path in Path().glob(pattern)}
    extensions = mypycify(
        sorted(sources - INTERPRETED), opt_level="3", group_name="romp_asgi"
    )
    setup(
        name="romp-asgi-compiled",
        packages=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", "--inplace"],
    )
    settings.unlink()


if __name__ == "__main__":
    if sys.argv[1:] == ["--here"]:
        compile_here()
    else:
        compile_copy(Path(__file__).parent, Path(sys.argv[1]).absolute())
