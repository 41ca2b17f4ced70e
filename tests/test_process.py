"""The process: its id in a file, its limits, what the service manager hears."""

import errno
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from romp_asgi import Config, Romp, allocator
from romp_asgi.allocator import give_memory_back, tune_allocator
from romp_asgi.process import notify, pid_file, raise_open_files
from tests.program import need, plain, running

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "etc" / "romp-asgi.service"


# The pid file


def test_a_pid_file_is_there_while_the_server_runs(tmp_path: Path) -> None:
    file = tmp_path / "romp.pid"
    file.write_text("1\n")  # of one that was killed
    with running(tmp_path, f'pid_file = "{file}"\n') as program:
        assert file.read_text() == f"{program.process.pid}\n"
        assert program.stop() == 0
    assert not file.exists()


@pytest.mark.parametrize("text", ["1\n", None, "\udcff"])
def test_a_pid_file_that_is_not_ours_stays(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "romp.pid"
    with pid_file(str(file)):
        if text is None:
            file.unlink()
        else:
            file.write_text(text, errors="surrogateescape")
    assert file.exists() == (text is not None)


def test_a_pid_file_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "missing" / "romp.pid")
    with pid_file(path):
        pass
    reason = f"cannot write the pid file {path}: No such file or directory"
    assert caplog.messages == [reason]


def test_without_the_key_there_is_no_pid_file() -> None:
    with pid_file(None):
        pass


# Memory

LARGE_MESSAGES = """
import asyncio, resource, sys
from pathlib import Path
from romp_asgi import allocator
from romp_asgi.allocator import give_memory_back, tune_allocator

if sys.argv[1:] == ["tuned"]:
    tune_allocator()

def hold(count):
    held = [b"x" * (256 * 1024 + number) for number in range(count)]

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

hold(8)
before = faults()
for _ in range(100):
    hold(8)
print(faults() - before)
before = pages()
hold(400)
print(pages() - before)

async def pinned():
    # Something small stays behind every 16 blocks.
    used = [200 << 20]
    trimming = asyncio.create_task(give_memory_back(lambda: used[0]))
    pins, held = [], []
    for number in range(100):
        held.append(b"x" * (1024 * 1024 + number))
        if number % 16 == 15:
            pins.append(bytes(2000))
    await asyncio.sleep(0.1)
    held.clear()
    used[0] = 0
    await asyncio.sleep(0.1)
    assert not trimming.done()

allocator._INTERVAL = 0.02
before = pages()
asyncio.run(pinned())
print(pages() - before)
"""


def large_messages(
    *arguments: str, env: dict[str, str] | None = None
) -> tuple[int, int, int]:
    """Page faults of 800 blocks; pages that stay of 100 MiB, and if some is in use."""
    command = [sys.executable, "-c", LARGE_MESSAGES, *arguments]
    clean = {k: v for k, v in os.environ.items() if k not in allocator._VARIABLES}
    result = subprocess.run(
        command,
        env={**clean, **(env or {})},
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    faults, stay, pinned = map(int, result.stdout.split())
    return faults, stay, pinned


@pytest.mark.skipif(allocator._glibc() is None, reason="another C library")
def test_the_memory_of_large_messages_is_used_again_and_given_back() -> None:
    faults, *stay = large_messages("tuned")
    assert faults < 1000
    assert max(stay) * resource.getpagesize() < 24 << 20
    # What the operator has set stays.
    untouched, *_ = large_messages("tuned", env={"MALLOC_MMAP_THRESHOLD_": "65536"})
    assert untouched > 800 * 256 * 1024 // resource.getpagesize()


@pytest.mark.anyio
async def test_where_there_is_no_glibc_memory_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> str:
        raise OSError(errno.EINVAL, "Invalid argument")  # as on musl

    with monkeypatch.context() as patch:
        patch.setattr(os, "confstr", refuse)
        tune_allocator()
        await give_memory_back(lambda: 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "confstr", lambda name: None)
        await give_memory_back(lambda: 0)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ctypes", None)
        tune_allocator()
        await give_memory_back(lambda: 0)


# Open files


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limit, soft and hard, as the system has it; the last one counts."""
    limits = [(1024, 4096)]

    def set_limit(what: int, limit: tuple[int, int]) -> None:
        assert what == resource.RLIMIT_NOFILE
        limits.append(limit)

    monkeypatch.setattr(resource, "getrlimit", lambda what: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    return limits


INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "wanted", "after", "line"),
    [
        ((1024, 4096), 2000, (2000, 4096), "2000, of 2000"),
        ((1024, 4096), 9999, (4096, 4096), "4096, of 9999"),
        ((1024, 4096), 100, (1024, 4096), "1024, of 100"),
        ((1024, INFINITY), 9999, (9999, INFINITY), "9999, of 9999"),
        ((INFINITY, INFINITY), 99, (INFINITY, INFINITY), "any number, of 99"),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(
    before: tuple[int, int],
    wanted: int,
    after: tuple[int, int],
    line: str,
    limit: list[tuple[int, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    limit.append(before)
    raise_open_files(wanted)
    assert limit[-1] == after
    assert caplog.messages == [f"open files: {line} that were asked for"]


def test_a_limit_that_cannot_be_raised_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    limit: list[tuple[int, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(what: int, limit: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_open_files(2000)
    assert "stays as it is: not allowed to raise maximum limit" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("table", "stand_alone", "is_raised"),
    [({}, True, True), ({}, False, False), ({"rlimit_nofile": 2000}, False, True)],
)
async def test_the_limit_of_an_application_is_not_touched_unasked(
    table: dict[str, object],
    stand_alone: bool,
    is_raised: bool,
    limit: list[tuple[int, int]],
) -> None:
    config = Config.from_dict({"ports": [0], "admin_port": 0, **table})
    async with Romp(config, stand_alone=stand_alone).lifespan():
        assert (len(limit) > 1) == is_raised


# The service manager


@pytest.mark.parametrize("prefix", ["", "@"])
def test_the_service_manager_hears_of_start_and_stop(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"romp-{os.getpid()}" if prefix else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if prefix else name)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", prefix + name)
        with running(tmp_path) as program:
            assert manager.recv(100) == b"READY=1"
            # Every port is open by then.
            for port in (program.http, program.tcp):
                socket.create_connection(("127.0.0.1", port), 5).close()
            assert program.stop(signal.SIGTERM) == 0
        assert manager.recv(100) == b"STOPPING=1"


def test_what_the_service_manager_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0romp-{os.getpid()}-own")
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@romp-{os.getpid()}-own")
        notify("STATUS=well")
        assert manager.recv(100) == b"STATUS=well"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "/nowhere/notify"])
def test_without_a_service_manager_nobody_hears(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def unit(folder: Path) -> Path:
    """The unit, with a program that is there."""
    program = Path(sys.executable).parent / "romp-asgi"
    text = UNIT.read_text()
    assert text.count("ExecStart=/opt/romp-asgi/bin/romp-asgi ") == 1
    copy = folder / UNIT.name
    copy.write_text(text.replace("/opt/romp-asgi/bin/romp-asgi", str(program)))
    return copy


def analyze(*arguments: object) -> tuple[int, str]:
    command = [need("systemd-analyze"), *(str(argument) for argument in arguments)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )
    return result.returncode, result.stdout + result.stderr


def test_the_unit_is_one_of_systemd(tmp_path: Path) -> None:
    file = unit(tmp_path)
    assert analyze("verify", "--man=no", file) == (0, "")
    file.write_text(file.read_text().replace("ProtectHome", "ProtectHouse"))
    assert "ProtectHouse" in analyze("verify", "--man=no", file)[1]


def test_the_unit_is_hardened(tmp_path: Path) -> None:
    # 100 is a service with every right, 20 is what systemd calls "OK".
    code, output = analyze(
        "security", "--offline=true", "--threshold=20", unit(tmp_path)
    )
    assert code == 0, plain(output)


def test_the_unit_makes_the_directories_of_the_docs() -> None:
    text = UNIT.read_text()
    docs = (ROOT / "docs" / "operations.md").read_text()
    assert "RuntimeDirectory=romp\n" in text
    assert 'pid_file = "/run/romp/romp.pid"' in docs
    assert "LogsDirectory=romp\n" in text
    assert 'message_log = "/var/log/romp/romp.mlog"' in docs


# Lines that people look for


def test_lines_of_a_life(tmp_path: Path) -> None:
    (tmp_path / "romp.passwd").write_text(f"harry:{'0' * 64}\n")
    config = (
        'user_file = "romp.passwd"\n[destinations."/queue/a"]\nexpiry = 1\n'
        'type = "queue"\n'
    )
    with running(tmp_path, config) as program:
        assert program.stop() == 0
    log = program.log.read_text()
    expected = (
        f"loaded 1 users from {tmp_path}/romp.passwd",
        "open files: ",
        "created destination /queue/a",
        f"listening on: 127.0.0.1:{program.tcp}",
        f"listening on: 127.0.0.1:{program.http}",
        "shutdown requested",
        "shutting down",
    )
    places = [log.find(f"INFO {line}") for line in expected]
    assert -1 not in places, log
    assert places == sorted(places)


@pytest.mark.anyio
async def test_lines_of_destinations(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    queue = {"type": "queue", "expiry": 1}
    romp = Romp(Config.from_dict({"ports": [0], "destinations": {"/queue/**": queue}}))
    async with romp.lifespan():
        await romp.publish("/queue/a\n", "x")
        romp._hub.sweep(1e12)
    assert r"created destination /queue/a\n" in caplog.messages
    assert "expired 1 messages" in caplog.messages
