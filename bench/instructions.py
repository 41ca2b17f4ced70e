"""How many instructions the pure core takes for a message, beside a baseline.

Counted by valgrind's callgrind, which other processes cannot disturb: the same for the
same code, Python and machine type. Two lengths of the workload are counted, and the
difference is what a message takes, without start and imports.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from bench.errors import BenchError
from bench.workload import MESSAGES_PER_ROUND

ROOT = Path(__file__).parent.parent
BASELINES = ROOT / "bench" / "instructions.json"
_MICRO = re.compile(r"(?<=\d\.\d{2})\.\d+")

#: How far a count may be from its baseline: a run differs from the next by far less.
TOLERANCE = 0.03

_SHORT, _LONG = 5, 15  # rounds
_TIMEOUT = 120.0
_COLLECTED = re.compile(r"Collected : (\d+)")


def available() -> bool:
    """Whether they can be counted here."""
    return shutil.which("valgrind") is not None


def count(tree: Path = ROOT) -> tuple[str, float]:
    """Count.

    Args:
        tree: Where the package is; one that was compiled is counted as such.

    Returns:
        What a baseline of this is called, and the instructions a message takes.

    Raises:
        BenchError: They cannot be counted.
    """
    _, least = _counted(tree, _SHORT)
    kind, most = _counted(tree, _LONG)
    messages = (_LONG - _SHORT) * MESSAGES_PER_ROUND
    return f"{_interpreter()}-{kind}", (most - least) / messages


def baselines() -> dict[str, float]:
    """Instructions a message took when each baseline was made."""
    found: dict[str, float] = json.loads(BASELINES.read_text())
    return found


def baseline(name: str) -> float | None:
    """The baseline of this very Python, or else that of its minor version."""
    found = baselines()
    return found.get(name) or found.get(_MICRO.sub("", name, count=1))


def count_and_print(trees: Iterable[Path], *, update: bool) -> None:
    """Count, and compare with the baselines, or make them the baselines.

    Raises:
        BenchError: They cannot be counted.
    """
    for tree in trees:
        name, counted = count(tree)
        before = baseline(name)
        print(f"{name}: {counted:,.0f} instructions a message", end="")
        print(f", {counted / before - 1:+.1%} to the baseline" if before else "")
        if update:
            merged = {**baselines(), name: round(counted)}
            BASELINES.write_text(json.dumps(merged, indent=2, sort_keys=True) + "\n")


def _interpreter() -> str:
    """Which Python; with profile-guided optimization it runs other instructions."""
    built = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimized = "-pgo" if "--enable-optimizations" in built else ""
    major, minor, micro = sys.version_info[:3]
    return f"{sys.implementation.name}-{major}.{minor}.{micro}{optimized}"


def _counted(tree: Path, rounds: int) -> tuple[str, int]:
    """Whether it is compiled, and the instructions of so many rounds with the start."""
    if not available():
        raise BenchError("instructions are counted with valgrind, which is not here")
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "bench.workload", str(rounds)]
    # Nothing of the caller's environment, and of all places the tree is the first.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(tree), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT
    )
    found = _COLLECTED.search(done.stderr)
    if done.returncode or not found:
        raise BenchError(f"callgrind failed: {done.stderr[-1000:]}")
    return done.stdout.strip(), int(found[1])
