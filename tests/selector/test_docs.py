"""The tables of docs/selectors.md are true."""

import re
from pathlib import Path

import pytest

from romp_asgi.errors import SelectorError
from romp_asgi.selector import parse_filter, parse_selector, parser

DOCS = (Path(__file__).parents[2] / "docs" / "selectors.md").read_text()


def examples() -> list[tuple[str, str, str, str]]:
    """The rows of tables that have headers and a match: by what, and the cells."""
    rows = []
    for table in re.findall(r"(?:^\|.*\|\n)+", DOCS, re.MULTILINE):
        title, _, *lines = table.splitlines()
        if not title.endswith("| headers | match |"):
            continue
        by = title.split("`")[1]
        for line in lines:
            text, headers, match = (
                line.removeprefix("| ").removesuffix(" |").split("| ")
            )
            rows.append((by, text.strip(" `"), headers.strip(), match))
    return rows


def test_there_are_examples() -> None:
    assert {by for by, *_ in examples()} == {"filter", "selector"}
    assert len(examples()) == 29


@pytest.mark.parametrize(("by", "text", "headers", "match"), examples())
def test_example(by: str, text: str, headers: str, match: str) -> None:
    parse = parse_filter if by == "filter" else parse_selector
    message = dict(pair.split(":") for pair in re.findall(r"`(.*?)`", headers))
    if match == "ERROR":
        with pytest.raises(SelectorError):
            parse(text)
    else:
        assert parse(text)(message) is (match == "yes")


def test_the_blocks_of_selectors_are_good() -> None:
    selectors = re.search(r"```text\n(type.*?)```", DOCS, re.DOTALL)
    assert selectors is not None
    for line in selectors.group(1).splitlines():
        parse_selector(line)


def test_the_limits() -> None:
    limits = [
        int(number) for number in re.findall(r"^\| (\d+) \| [a-z]", DOCS, re.MULTILINE)
    ]
    assert limits == [
        parser.MAX_LENGTH,
        parser.MAX_TERMS,
        parser.MAX_DEPTH,
        parser.MAX_WILD,
    ]
