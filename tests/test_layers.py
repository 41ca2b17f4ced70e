"""The layers: who may import whom, and that the pure ones stay pure."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import romp_asgi

ROOT = Path(romp_asgi.__file__).parent

#: What stomp/ and broker/ may use beside the package itself; nothing else. No clock, no
#: chance, no input or output, no loop, no log.
PURE = {
    "__future__",
    "abc",
    "array",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "heapq",
    "itertools",
    "math",
    "mypy_extensions",
    "operator",
    "re",
    "types",
    "typing",
    "typing_extensions",
}

#: The lower layers, and all that they may import of the package. Imports go one way:
#: errors ← stomp, broker ← …; the broker knows the words of STOMP, not the rest.
MAY_IMPORT = {
    "errors": (),
    "stomp": ("romp_asgi.errors", "romp_asgi.stomp"),
    "selector": ("romp_asgi.errors", "romp_asgi.selector"),
    "broker": ("romp_asgi.errors", "romp_asgi.broker", "romp_asgi.stomp.spec"),
    "message_log": (
        "romp_asgi.errors",
        "romp_asgi.config",
        "romp_asgi.stomp",
        "romp_asgi.broker",
        "romp_asgi.message_log",
    ),
}

#: The upper layers, from low to high. None may import one that comes after it; those
#: that are not named here may be anywhere between.
ORDER = (
    "outbox",
    "session",
    "access_log",
    "tcp",
    "routes",
    "app",
    "server",
    "cli",
    "__main__",
)


def sources(layer: str) -> list[Path]:
    """The files of a module or package."""
    package = ROOT / layer
    return sorted(package.rglob("*.py")) if package.is_dir() else [ROOT / f"{layer}.py"]


def imports(source: str) -> Iterator[str]:
    """The dotted names that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                # `from romp_asgi.stomp import spec` may import a module or a name.
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                yield "."
            case _:
                pass


def impurities(source: str) -> list[str]:
    """What a source does that a pure one may not."""
    found = [
        name
        for name in imports(source)
        if name.partition(".")[0] not in PURE | {"romp_asgi"}
    ]
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith()
            ):
                found.append(type(node).__name__)
            case ast.Call(
                func=ast.Name("open" | "print" | "input" | "__import__" as name)
            ):
                found.append(name)
            case ast.Global(names):
                found.append(f"global {', '.join(names)}")
            case _:
                pass
    return found


def is_within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in allowed)


PURE_FILES = [
    pytest.param(path, id=str(path.relative_to(ROOT)))
    for layer in ("errors", "stomp", "selector", "broker")
    for path in sources(layer)
]
LOWER_FILES = [
    pytest.param(layer, path, id=str(path.relative_to(ROOT)))
    for layer in MAY_IMPORT
    for path in sources(layer)
]
UPPER_FILES = [
    pytest.param(layer, path, id=str(path.relative_to(ROOT)))
    for layer in ORDER
    for path in sources(layer)
    if path.exists()
]


@pytest.mark.parametrize("path", PURE_FILES)
def test_a_pure_module_has_no_io_no_clock_and_no_loop(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(("layer", "path"), LOWER_FILES)
def test_a_lower_layer_imports_only_those_below_it(layer: str, path: Path) -> None:
    own = [n for n in imports(path.read_text()) if n.partition(".")[0] == "romp_asgi"]
    assert [name for name in own if not is_within(name, MAY_IMPORT[layer])] == []


@pytest.mark.parametrize(("layer", "path"), UPPER_FILES)
def test_an_upper_layer_imports_none_above_it(layer: str, path: Path) -> None:
    above = tuple(f"romp_asgi.{name}" for name in ORDER[ORDER.index(layer) + 1 :])
    names = list(imports(path.read_text()))
    assert [name for name in names if is_within(name, above)] == []


@pytest.mark.parametrize("layer", ["stomp", "selector", "broker"])
def test_the_files_of_a_layer_are_found(layer: str) -> None:
    assert len(sources(layer)) > 5


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio",
        "import socket as s",
        "import os.path",
        "from time import monotonic",
        "from starlette.websockets import WebSocket",
        "def f():\n    import logging",
        "if TYPE_CHECKING:\n    import ssl",
        "from . import frame",
        "async def f(): pass",
        "open('x')",
        "print()",
        "def f():\n    global x\n    x = 1",
    ],
)
def test_an_impurity_is_found(source: str) -> None:
    assert impurities(source)


def test_what_is_pure_is_not_found() -> None:
    assert (
        impurities("import re\nfrom collections.abc import Mapping\nx = min(1, 2)")
        == []
    )


@pytest.mark.parametrize(
    ("layer", "source", "is_allowed"),
    [
        ("errors", "from romp_asgi.stomp.spec import Command", False),
        ("stomp", "from romp_asgi.errors import FrameError", True),
        ("stomp", "from romp_asgi.stomp import spec", True),
        ("stomp", "from romp_asgi.broker import Message", False),
        ("stomp", "import romp_asgi", False),
        ("broker", "from romp_asgi.stomp.spec import AckMode", True),
        ("broker", "from romp_asgi.stomp import spec", True),
        ("broker", "from romp_asgi.stomp import Frame", False),
        ("broker", "from romp_asgi.stomp.spectre import x", False),
    ],
)
def test_an_import_against_the_order_is_found(
    layer: str, source: str, is_allowed: bool
) -> None:
    allowed = all(is_within(name, MAY_IMPORT[layer]) for name in imports(source))
    assert allowed == is_allowed
