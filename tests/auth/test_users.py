"""The user file."""

import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from romp_asgi.auth import User, hashes, users
from romp_asgi.auth.user import is_name
from romp_asgi.auth.users import Entry, Users, parse, parse_line
from romp_asgi.errors import ConfigErrors
from tests.auth.test_hashes import SALTED, SHA256

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "tests" / "configs"


def lines(errors: ConfigErrors) -> list[str]:
    return str(errors).split("\n")


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (f"harry:{SHA256}", Entry(User("harry"), SHA256)),
        (f"harry:{SHA256}:true", Entry(User("harry", is_admin=True), SHA256)),
        (f"harry:{SALTED}:true", Entry(User("harry", is_admin=True), SALTED)),
        (f"  harry:{SALTED} \r", Entry(User("harry"), SALTED)),
        (f"Harry M. Müller/#1:{SHA256}", Entry(User("Harry M. Müller/#1"), SHA256)),
        ("", None),
        (" \t\r", None),
        ("# harry", None),
        (f"#harry:{SHA256}", None),
        ("  # harry", None),
    ],
)
def test_line(line: str, entry: Entry | None) -> None:
    assert parse_line(line) == entry
    if entry is not None:
        assert parse_line(str(entry)) == entry


@pytest.mark.parametrize(
    ("name", "is_good"),
    [
        ("harry", True),
        ("a", True),
        ("the boss", True),
        ("größe", True),
        ("a#b", True),
        ("", False),
        ("#harry", False),
        ("a:b", False),
        (" harry", False),
        ("harry\t", False),
        ("harry\u00a0", False),
        ("a\nb", False),
    ],
)
def test_name(name: str, is_good: bool) -> None:
    assert is_name(name) is is_good


@given(st.text(st.characters(codec="utf-8")), st.booleans())
def test_a_good_name_is_read_as_it_was_written(name: str, is_admin: bool) -> None:
    entry = Entry(User(name, is_admin), SHA256)
    if is_name(name):
        assert parse("f", f"# users\n{entry}\n") == {2: entry}


def test_file_of_romp() -> None:
    read = Users.read(CONFIGS / "romp.passwd")
    assert len(read) == 4
    assert not read.is_slow
    assert read.check("xtomp", "passcode") == User("xtomp")
    assert read.check("harry", "xyzzy") == User("harry", is_admin=True)
    assert read.check("admin2", "plugh") == User("admin2", is_admin=True)
    assert read.check("guest", "") == User("guest")


@pytest.mark.parametrize("ending", ["\r\n", "\n", ""])
def test_file_from_an_editor_on_windows(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "users"
    file.write_bytes(f"\ufeffharry:{SHA256}{ending}".encode())
    assert Users.read(file).check("harry", "passcode") == User("harry")


def test_an_empty_file_has_no_users(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.touch()
    read = Users.read(file)
    assert len(read) == 0
    assert read.check("", "") is None


def test_all_bad_lines_are_told_at_once() -> None:
    file = CONFIGS / "mistakes.passwd"
    text = file.read_text(encoding="utf-8").split("\n")
    expected = [
        f"{file}: line {number + 1}: {line.removeprefix('#! ')}"
        for number, line in enumerate(text, 1)
        if line.startswith("#! ")
    ]
    with pytest.raises(ConfigErrors) as caught:
        Users.read(file)
    assert len(expected) == 11
    assert lines(caught.value) == expected
    assert [error.file for error in caught.value.errors] == [str(file)] * 11


def test_bad_lines_show_neither_passcodes_nor_hashes() -> None:
    with pytest.raises(ConfigErrors) as caught:
        Users.read(CONFIGS / "mistakes.passwd")
    assert "hush" not in str(caught.value)
    assert not re.search("[0-9a-f]{20}", str(caught.value))


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse("f", f"a\x1b[2Jb\rc:{SHA256}\n" * 2)
    line = r"f: line 2: a\x1b[2Jb\rc has a line already, line 1"
    assert str(caught.value) == line
    assert str(User("x" * 1000)) == "x" * 200


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("none", None, "cannot be read: No such file or directory"),
        ("", None, "cannot be read: Is a directory"),
        ("users", b"# a\nb\xff:c\n", "line 2: not UTF-8"),
    ],
)
def test_file_that_cannot_be_read(
    tmp_path: Path, name: str, data: bytes | None, reason: str
) -> None:
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigErrors) as caught:
        Users.read(file)
    assert lines(caught.value) == [f"{file}: {reason}"]


def test_shipped_file_has_examples_only() -> None:
    text = (ROOT / "etc" / "romp.passwd").read_text(encoding="utf-8")
    assert parse("f", text) == {}
    examples = re.findall(r"^# (\w+:\S*[0-9a-zA-Z]{20}\S*)$", text, re.MULTILINE)
    read = Users(parse("f", "\n".join(examples)).values())
    assert len(read) == 2
    assert read.check("harry", "passcode") == User("harry")
    assert read.check("romp", "passcode") == User("romp", is_admin=True)


# What a check costs


@pytest.mark.parametrize(
    ("file", "cost"),
    [("romp.passwd", ["sha256"]), ("mixed.passwd", ["argon2"])],
)
@pytest.mark.parametrize(
    ("name", "passcode"),
    [
        ("harry", "xyzzy"),
        ("harry", "wrong"),
        ("romp", "passcode"),
        ("romp", "wrong"),
        ("nobody", "wrong"),
        ("", ""),
    ],
)
def test_a_check_costs_the_same_whoever_it_is(
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    cost: list[str],
    name: str,
    passcode: str,
) -> None:
    read = Users.read(CONFIGS / file)
    spent: list[str] = []

    def spy(hash: str, passcode: str) -> bool:
        spent.append("argon2" if hashes.is_salted(hash) else "sha256")
        return hashes.verify(hash, passcode)

    monkeypatch.setattr(users, "verify", spy)
    read.check(name, passcode)
    # Beside a salted hash the other kind's cost is nothing.
    assert [each for each in spent if each in cost] == cost


@pytest.mark.parametrize(
    ("name", "passcode", "user"),
    [
        ("harry", "xyzzy", User("harry")),
        ("harry", "plugh", None),
        ("the boss", "plugh", User("the boss", is_admin=True)),
        ("romp", "passcode", User("romp")),
        ("romp", "xyzzy", None),
        ("HARRY", "xyzzy", None),
        ("", "", None),
    ],
)
def test_hashes_of_both_kinds_in_one_file(
    name: str, passcode: str, user: User | None
) -> None:
    read = Users.read(CONFIGS / "mixed.passwd")
    assert read.is_slow
    assert read.check(name, passcode) == user


def test_what_was_good_once_is_recalled() -> None:
    read = Users.read(CONFIGS / "mixed.passwd")
    assert read.recall("harry", "xyzzy") is None
    read.remember(User("harry"), "xyzzy")
    assert read.recall("harry", "xyzzy") == User("harry")
    assert read.recall("harry", "plugh") is None
    assert read.recall("romp", "xyzzy") is None
    assert read.recall("nobody", "xyzzy") is None
    assert "xyzzy" not in repr(vars(read))
