"""``plugins`` of romp.toml."""

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from romp_asgi import Config, Romp
from romp_asgi.errors import PluginError
from tests import plugged
from tests.client import running

pytestmark = pytest.mark.anyio


def test_a_function_gets_the_application() -> None:
    names = ["tests.plugged:install", "tests.plugged:install_partly"]
    romp = Romp(Config(plugins=names))
    assert plugged.installed == [romp, romp]
    plugged.installed.clear()


@pytest.mark.parametrize("name", ["Answer", "answer"])
async def test_a_filter_may_be_a_class_or_an_object(name: str) -> None:
    romp = Romp(Config(ports=[0], plugins=[f"tests.plugged:{name}"]))
    async with running(romp) as (client,):
        client.send("SEND\ndestination:/virt/answer\n\n^@")
        assert (await client.frame()).body == b"for "


def test_a_filter_of_http() -> None:
    romp = Romp(Config(plugins=["romp_asgi.filters:HelloFilter"]))
    http = TestClient(romp)
    assert http.get("/romp/hello").text == "hello\n"
    # And it sees no frames.
    assert not len(romp._filters)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests.plugged", "expected package.module:name"),
        (":install", "expected package.module:name"),
        ("tests.plugged:", "expected package.module:name"),
        ("no_such.module:install", "there is no module no_such"),
        ("tests.no_such:install", "there is no module tests.no_such"),
        ("tests.plugged:nothing", "tests.plugged has no nothing"),
        (
            "tests.plugged:number",
            "expected a function or a filter with do_filter(), not int",
        ),
        (
            "tests.plugged:Romp",
            "expected a function or a filter with do_filter(), not type",
        ),
        ("tests.plugged:fail", "it failed with ValueError: no luck"),
        (
            "tests.plugged:wait",
            "it failed with TypeError: it is async, and there is no loop yet",
        ),
        ("broken:install", "it failed with ZeroDivisionError: division by zero"),
        (
            "lacking:install",
            "it failed with ModuleNotFoundError: No module named 'xyz'",
        ),
    ],
)
def test_a_bad_name_is_a_sentence(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "lacking.py").write_text("import xyz\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError) as raised:
        Romp(Config(plugins=[name]))
    assert str(raised.value) == f'plugins: "{name}": {reason}'


@pytest.mark.parametrize(
    "command",
    [
        [str(Path(sys.executable).with_name("romp-asgi")), "serve"],
        [sys.executable, "-m", "romp_asgi"],
        [sys.executable, "-m", "uvicorn", "romp_asgi:app"],
    ],
    ids=["romp-asgi", "python -m", "uvicorn"],
)
def test_plug_ins_are_found_where_the_server_was_started(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def install(romp): raise ValueError('mine')\n")
    (tmp_path / "romp.toml").write_text('plugins = ["mine:install"]\n')
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert '"mine:install": it failed with ValueError: mine\n' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [str(Path(sys.executable).with_name("romp-asgi")), "serve"],
        [sys.executable, "-m", "uvicorn", "romp_asgi:app"],
    ],
    ids=["romp-asgi", "uvicorn"],
)
def test_a_filter_that_cannot_start_ends_the_start(
    command: list[str], tmp_path: Path
) -> None:
    """Under any server: nothing is served without it."""
    (tmp_path / "mine.py").write_text(
        "class Moderate:\n"
        "    def init(self): raise ValueError('no words')\n"
        "    def do_filter(self, context, message): pass\n"
    )
    (tmp_path / "romp.toml").write_text(
        'plugins = ["mine:Moderate"]\nports = [0]\nadmin_port = 0\n'
    )
    done = subprocess.run(
        [*command, "--port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    words = "the filter Moderate: init() failed with ValueError: no words\n"
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_name_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "romp.toml").write_text('plugins = ["mine:install"]\n')
    command = [str(Path(sys.executable).with_name("romp-asgi")), "serve"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert 'plugins: "mine:install": there is no module mine\n' in done.stderr
    assert "Traceback" not in done.stderr
