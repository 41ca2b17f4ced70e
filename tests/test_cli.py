"""The program: commands, what they print, how they end."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from romp_asgi import __version__
from romp_asgi.cli import main
from tests.program import command, free_port, running

CONNECT = "CONNECT\naccept-version:1.2\nhost:x\n\n\0"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_version() -> None:
    assert run("--version") == (0, f"romp-asgi, version {__version__}\n")


def test_help_names_the_commands() -> None:
    code, output = run("--help")
    assert code == 0
    assert "serve" in output
    assert "check" in output


def test_check_prints_what_a_file_makes(tmp_path: Path) -> None:
    file = tmp_path / "romp.toml"
    file.write_text(
        "ports = [8081, 61700]\nenable_console = true\nserver_flgas = []\n"
        '[destinations."/queue/a"]\ntype = "queue"\noverflow = "block"\n'
    )
    code, output = run("check", str(file))
    assert code == 0
    assert f"{file}: good" in output
    assert "server_flags" in output
    assert "enable_console: no effect without login and passcode" in output
    assert "127.0.0.1:8081" in output
    assert "127.0.0.1:61700" in output
    assert "/queue/a  queue overflow=block" in output


def test_check_prints_plug_ins_and_links(tmp_path: Path) -> None:
    file = tmp_path / "romp.toml"
    file.write_text(
        'plugins = ["mine:install"]\n'
        '[downstreams.edge]\naddress = "edge.test:61614"\n'
        'destinations = ["/queue/a", "/topic/b"]\n'
        'local_destinations = ["/queue/x", "/queue/y"]\n'
        '[downstreams.other]\ndestinations = ["/queue/a"]\npasscode = "hush"\n'
        "[downstreams.idle]\n"
    )
    code, output = run("check", str(file))
    assert code == 0
    assert "\nPlug-ins\n  mine:install\n" in output
    assert output.endswith(
        "\nDownstreams\n"
        "  edge  edge.test:61614  /queue/a → /queue/x\n"
        "  edge  edge.test:61614  /topic/b → /queue/y\n"
        "  other  127.0.0.1:61614  /queue/a → /queue/a\n"
    )
    assert "[downstreams.idle] destinations: nothing to subscribe to" in output
    assert "hush" not in output


def test_check_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROMP_CONF", raising=False)
    code, output = run("check")
    assert code == 0
    assert "built-in defaults: good" in output
    assert "/topic/**  topic" in output


@pytest.mark.parametrize("name", ["check", "serve"])
def test_every_mistake_is_a_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "romp.toml"
    file.write_text('max_subs = "four"\nprots = [1]\n')
    option = [] if name == "check" else ["--config"]
    code, output = run(name, *option, str(file))
    assert code == 1
    lines = [line for line in output.splitlines() if line.startswith("romp-asgi: ")]
    assert len(lines) == 2
    assert "max_subs" in lines[0]
    assert "did you mean ports?" in lines[1]


def test_start_says_in_three_lines_where_it_listens(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        assert program.stop() == 0
    log = program.log.read_text()
    assert f"romp-asgi {__version__} is ready: STOMP 1.0, 1.1 and 1.2\n" in log
    assert f"  WebSocket  ws://127.0.0.1:{program.http}/ " in log
    assert f"  TCP        127.0.0.1:{program.tcp} (admin: off)\n" in log


@pytest.mark.parametrize("server", ["romp-asgi", "uvicorn"])
def test_a_port_that_is_taken_ends_the_start_with_a_sentence(
    server: str, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "romp.toml"
        file.write_text(f"ports = [{port}]\nadmin_port = 0\n")
        result = subprocess.run(
            command(server, free_port()),
            env={"ROMP_CONF": str(file)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert result.returncode > 0
    sentence = f"cannot listen on 127.0.0.1:{port}: another program has the port"
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_the_port_of_http_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "romp.toml"
        file.write_text("ports = [0]\nadmin_port = 0\n")
        code, output = run("serve", "-c", str(file), "--port", str(port))
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}: another program" in output


def test_a_bad_config_ends_uvicorn_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "romp.toml"
    file.write_text("prots = [1]\n")
    result = subprocess.run(
        command("uvicorn", free_port()),
        env={"ROMP_CONF": str(file)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 3
    assert "did you mean ports?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_tells_the_clients_and_ends_with_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with (
        running(tmp_path) as program,
        socket.create_connection(("127.0.0.1", program.tcp), 10) as tcp,
        connect(program.websocket_url) as websocket,
    ):
        tcp.sendall(CONNECT.encode())
        websocket.send(CONNECT)
        assert tcp.recv(1000).startswith(b"CONNECTED\n")
        assert str(websocket.recv()).startswith("CONNECTED\n")
        program.process.send_signal(number)
        assert str(websocket.recv(10)).startswith("ERROR\nmessage:shutdown\n")
        with pytest.raises(ConnectionClosed) as caught:
            websocket.recv(10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
        told = b""
        while data := tcp.recv(1000):
            told += data
        assert told.startswith(b"ERROR\nmessage:shutdown\n")
        tcp.close()
        assert program.process.wait(10) == 0
    assert "shutdown requested" in program.log.read_text()


def test_python_without_arguments_serves() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "romp_asgi", "--help"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    assert "Run the broker." in help_text
