"""What docs/supported-stomp.md names is there."""

import re
from pathlib import Path

import pytest

import romp_asgi
from tests.stomp.test_parser import REFUSED
from tests.stomp.vectors import VECTORS

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "supported-stomp.md"
TEXT = PAGE.read_text()

TESTS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?!tests/)(?:\w+/)?\w+\.py)`", TEXT)))
NAMED = sorted(set(re.findall(r"([Vv]ector|[Rr]efused) “([^”]+)”", TEXT)))


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_is_there(file: str, name: str) -> None:
    path = HERE.parents[1] / file if file.startswith("tests/") else HERE / file
    assert re.search(rf"^(?:async )?(?:def|class) {name}\b", path.read_text(), re.M)


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_there(file: str) -> None:
    assert (Path(romp_asgi.__file__).parent / file).is_file()


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_a_vector_is_there(kind: str, name: str) -> None:
    if kind.lower() == "refused":
        assert name in REFUSED
    else:
        # The id begins with the version.
        assert name in {str(vector.id)[4:] for vector in VECTORS}


def test_every_heading_has_a_section() -> None:
    headings = set(re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE))
    words = {word for heading in headings for word in heading.split(", ")}
    assert words >= {
        "STOMP Frames",
        "Value Encoding",
        "Body",
        "Header content-length",
        "Header content-type",
        "Header receipt",
        "Repeated Header Entries",
        "Size Limits",
        "Connection Lingering",
        "Connecting",
        "CONNECT or STOMP Frame",
        "CONNECTED Frame",
        "Protocol Negotiation",
        "Heart-beating",
        "Client Frames",
        "SEND",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
        "DISCONNECT",
        "Server Frames",
        "MESSAGE",
        "RECEIPT",
        "ERROR",
        "Frames and Headers",
        "Augmented BNF",
    }
