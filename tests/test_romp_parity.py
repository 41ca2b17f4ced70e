"""What docs/romp-parity.md names is there, and no row is without its test."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "romp-parity.md").read_text(encoding="utf-8")

ROWS = [
    line
    for line in TEXT.splitlines()
    if line.startswith("| ") and line not in ("| romp | here | test |",)
    if not line.startswith("| ---")
]
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?:romp_asgi|etc|docs)/[\w./-]+)`", TEXT)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:50])
def test_a_row_names_a_file_and_a_test(row: str) -> None:
    _, _, here, shown, _ = re.split(r"(?<!\\)\|", row)
    assert re.search(r"`(?:romp_asgi|etc|docs)/[\w./-]+`", here)
    assert re.search(r"`tests/[\w/]+\.py::\w+`", shown)


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_is_there(file: str, name: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", text, re.MULTILINE)


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_there(file: str) -> None:
    assert (ROOT / file).is_file()


def test_each_section_has_one_table() -> None:
    sections = re.findall(r"^## (\d+)\. ", TEXT, re.MULTILINE)
    assert sections == sorted(set(sections), key=int)
    assert TEXT.count("| romp | here | test |") == len(sections)
    assert len(ROWS) > 50
