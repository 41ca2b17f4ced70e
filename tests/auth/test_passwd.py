"""``romp-asgi passwd``."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner, Result

from romp_asgi.auth import User, edit, hashes
from romp_asgi.auth.users import Entry, Users
from romp_asgi.cli import main
from tests.auth.test_hashes import CHEAP, SHA256


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "_HASHER", CHEAP)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "romp.passwd"


def passwd(*arguments: str | Path, stdin: str | bytes = "xyzzy\n") -> Result:
    return CliRunner().invoke(main, ["passwd", *map(str, arguments)], input=stdin)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_the_file_is_made(file: Path) -> None:
    result = passwd(file, "harry")
    assert (result.exit_code, result.output) == (0, f"harry was added to {file}\n")
    assert mode(file) == 0o600
    assert file.read_text().startswith("harry:$argon2id$")
    assert file.read_text().count("\n") == 1
    assert Users.read(file).check("harry", "xyzzy") == User("harry")
    assert [path.name for path in file.parent.iterdir()] == ["romp.passwd"]


@pytest.mark.parametrize(
    ("stdin", "passcode"),
    [
        ("xyzzy\n", "xyzzy"),
        ("xyzzy", "xyzzy"),
        ("xyzzy\r\n", "xyzzy"),
        (" two words \nmore\n", " two words "),
        ("grün\n", "grün"),
        ("a:b#c\n", "a:b#c"),
        ("p" * 5000, "p" * 5000),
    ],
)
def test_passcode_of_standard_input(file: Path, stdin: str, passcode: str) -> None:
    assert passwd(file, "harry", stdin=stdin).exit_code == 0
    assert Users.read(file).check("harry", passcode) == User("harry")


@pytest.mark.parametrize(
    ("stdin", "reason"),
    [
        ("", "there is no passcode on standard input"),
        ("\n", "there is no passcode on standard input"),
        (b"\xff\n", "the name and the passcode must be UTF-8"),
    ],
)
def test_passcode_that_is_none(file: Path, stdin: str | bytes, reason: str) -> None:
    result = passwd(file, "harry", stdin=stdin)
    assert (result.exit_code, result.output) == (1, f"romp-asgi: {reason}\n")
    assert not file.exists()


def test_the_other_lines_stay_as_they_are(file: Path) -> None:
    before = f"# Users\r\n\n  harry:{SHA256}:true\n#\n\tromp:{SHA256} \r\nlast:{SHA256}"
    file.write_bytes(before.encode())
    file.chmod(0o644)

    result = passwd(file, "harry", "--admin")
    assert result.output == f"harry, an administrator, was changed in {file}\n"
    assert mode(file) == 0o600
    after = file.read_bytes().decode().split("\n")
    assert after[2].startswith("harry:$argon2id$")
    assert after[2].endswith(":true")
    expected = before.split("\n")
    assert after[:2] + after[3:] == expected[:2] + expected[3:]

    passwd(file, "new")
    *kept, new, end = file.read_bytes().decode().split("\n")
    assert kept == after
    assert new.startswith("new:$argon2id$")
    assert end == ""


def test_a_user_keeps_admin_only_if_it_is_said(file: Path) -> None:
    passwd(file, "harry", "--admin")
    assert Users.read(file).check("harry", "xyzzy") == User("harry", is_admin=True)
    result = passwd(file, "harry", stdin="plugh")
    assert result.output == (
        f"harry was changed in {file}\n"
        "harry is no administrator any more: there was no --admin\n"
    )
    assert Users.read(file).check("harry", "plugh") == User("harry")
    assert Users.read(file).check("harry", "xyzzy") is None


def test_delete(file: Path) -> None:
    file.write_text(f"# a\nharry:{SHA256}\n# b\nromp:{SHA256}\n")
    result = passwd(file, "harry", "--delete")
    assert (result.exit_code, result.output) == (0, f"harry was deleted from {file}\n")
    assert file.read_text() == f"# a\n# b\nromp:{SHA256}\n"
    assert mode(file) == 0o600


def test_delete_of_nobody(file: Path) -> None:
    file.write_text(f"harry:{SHA256}\n")
    result = passwd(file, "romp", "--delete")
    assert result.exit_code == 1
    assert result.output == f"romp-asgi: {file}: there is no user romp\n"
    file.unlink()
    result = passwd(file, "romp", "--delete")
    assert result.exit_code == 1
    assert (
        result.output
        == f"romp-asgi: {file}: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize("more", [[], ["--delete"]])
def test_a_file_that_is_something_else_is_left_alone(
    file: Path, more: list[str]
) -> None:
    text = '[destinations."/queue/a"]\ntype = "queue"\n'
    file.write_text(text)
    result = passwd(file, "harry", *more)
    assert result.exit_code == 1
    expected = "expected name:hash, or name:hash:true of an admin"
    assert result.output == (
        f"romp-asgi: {file}: line 1: {expected}\n"
        f"romp-asgi: {file}: line 2: {expected}\n"
    )
    assert file.read_text() == text


@pytest.mark.parametrize("name", ["", "a:b", "#a", " a", "a\nb"])
def test_a_name_that_no_line_can_have(file: Path, name: str) -> None:
    result = passwd(file, name)
    assert result.exit_code == 2
    assert "Invalid value for USER" in result.output
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["f"], "Missing argument 'USER'"),
        ([], "Missing argument 'FILE'"),
        (["/", "harry"], "is a directory"),
        (["f", "harry", "--admin", "--delete"], "do not go together"),
    ],
)
def test_usage(arguments: list[str], reason: str) -> None:
    result = passwd(*arguments)
    assert result.exit_code == 2
    assert reason in result.output


def test_a_name_that_is_not_utf_8(file: Path) -> None:
    result = passwd(file, "a\udcff")
    assert result.output == "romp-asgi: the name and the passcode must be UTF-8\n"
    assert not file.exists()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "none" / "romp.passwd"
    result = passwd(file, "harry")
    assert result.exit_code == 1
    assert (
        result.output
        == f"romp-asgi: {file}: cannot be written: No such file or directory\n"
    )


def test_a_failure_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    passwd(file, "harry")
    before = file.read_text()
    monkeypatch.setattr(os, "fsync", fail)
    result = passwd(file, "romp")
    assert result.exit_code == 1
    assert "cannot be written: No space left on device" in result.output
    assert file.read_text() == before
    assert [path.name for path in file.parent.iterdir()] == ["romp.passwd"]


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "users"
    target.parent.mkdir()
    target.write_text("# users\n")
    file.symlink_to("elsewhere/users")
    assert passwd(file, "harry").exit_code == 0
    assert file.is_symlink()
    assert target.read_text().startswith("# users\nharry:")
    assert mode(target) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(file: Path) -> None:
    file.write_text("")
    os.chown(file, 12345, 23456)
    assert passwd(file, "harry").exit_code == 0
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)


def test_the_file_is_nobody_elses_at_any_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    replace = os.replace

    def spy(source: str, target: Path) -> None:
        modes.append(mode(Path(source)))
        replace(source, target)

    monkeypatch.setattr(os, "replace", spy)
    before = os.umask(0)
    try:
        edit.put(file, Entry(User("harry"), SHA256))
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert mode(file) == 0o600


def at_a_terminal(file: Path, *answers: str) -> tuple[int, str]:
    """Run the program at a terminal; its exit status, and all that is shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "romp_asgi", "passwd", str(file), "harry"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        for answer in answers:
            while not shown.rstrip(b" ").endswith(b":"):
                shown += os.read(ours, 1000)
            shown += b"|"
            os.write(ours, f"{answer}\n".encode())
        while data := read_to_end(ours):
            shown += data
        status = process.wait(10)
    os.close(ours)
    return status, shown.decode()


def read_to_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except OSError:  # what Linux says when the other end is closed
        return b""


def test_at_a_terminal_it_is_asked_for_twice_without_an_echo(file: Path) -> None:
    status, shown = at_a_terminal(file, "xyzzy", "plugh", "xyzzy", "xyzzy")
    assert status == 0
    assert "xyzzy" not in shown
    assert "plugh" not in shown
    assert shown.count("Passcode:") == 2
    assert shown.count("Again:") == 2
    assert f"harry was added to {file}" in shown
    assert Users.read(file).check("harry", "xyzzy") == User("harry")
    hash = file.read_text().strip().removeprefix("harry:")
    assert not PasswordHasher(2, 19456, 1).check_needs_rehash(hash)
