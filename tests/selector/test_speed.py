"""Nothing that a client writes makes matching, or parsing, take long.

The bounds are wide, for slow machines and for coverage: what they guard against takes
many times as long, or for ever. Measured times are some fiftieth of them.
"""

from collections.abc import Callable
from time import perf_counter

import pytest

from romp_asgi.errors import SelectorError
from romp_asgi.selector import parse_filter, parse_selector

LONG = 8192


def seconds(call: Callable[[], object], count: int = 1) -> float:
    """The shortest of five times of so many calls."""
    times = []
    for _ in range(5):
        start = perf_counter()
        for _ in range(count):
            call()
        times.append(perf_counter() - start)
    return min(times)


def joined(text: str, count: int) -> str:
    return " OR ".join([text] * count)


# A selector that is as bad as it may be, and the worst header for it, by its length.
WORST: list[tuple[str, Callable[[int], str]]] = [
    (f"a LIKE '%_{'a' * 62}b%'", lambda size: "a" * size),
    (f"a LIKE '%{'a' * 31}_{'a' * 31}b%'", lambda size: "a" * size),
    (joined("a LIKE'%_b%'", 32), lambda size: "a" * size),
    (joined("a LIKE'%_ab%'", 21), lambda size: "a" * size),
    (joined("a LIKE'%bab%'", 60), lambda size: "aab" * (size // 3)),
    (f"a LIKE '%{'a' * 400}b{'a' * 400}%'", lambda size: "a" * size),
    (f"a LIKE '{'%a' * 490}%b'", lambda size: "a" * size),
    (f"a LIKE '{'%ab' * 320}%b'", lambda size: "a" * size),
    (f"a LIKE '{'_' * 900}%b'", lambda size: "a" * size),
    (joined("a > 0", 50), lambda size: "9" * size),
    (joined("a = TRUE", 50), lambda size: "É" * size),
    (joined("a IN ('b')", 60), lambda size: "b" * size),
]


@pytest.mark.parametrize(("text", "header"), WORST)
def test_matching_is_linear(text: str, header: Callable[[int], str]) -> None:
    matches = parse_selector(text)
    short, long = {"a": header(LONG)}, {"a": header(16 * LONG)}
    assert not matches(long)
    assert seconds(lambda: matches(short)) < 0.05
    # Sixteen times the text: 256 times the time, if it were not linear.
    assert seconds(lambda: matches(long)) < 64 * seconds(lambda: matches(short), 10)


@pytest.mark.parametrize(
    "text",
    [
        "(" + "+".join(["a"] * 97) + ") BETWEEN 1 AND 2",
        "*".join(["a"] * 99) + " = 2",
        "-" * 1000 + "a = 0",
        joined("a / a = 2", 33),
    ],
)
@pytest.mark.parametrize("header", ["1." + "0" * 62, "9223372036854775807", "1e308"])
def test_arithmetic_is_bounded(text: str, header: str) -> None:
    matches = parse_selector(text)
    assert not matches({"a": header})
    assert seconds(lambda: matches({"a": header})) < 0.02


def test_filters_are_bounded() -> None:
    for text in ("a=b", "a!=" + "9" * LONG, "a==1", "a<0"):
        matches = parse_filter(text)
        assert seconds(lambda: matches({"a": "9" * LONG})) < 0.01  # noqa: B023


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1024,
        "NOT " * 256,
        "-" * 1024,
        "'" * 1023,
        '"' * 1023,
        "'" + "''" * 500,
        "1" * 1024,
        "1." * 512,
        "a-" * 512,
        "a" * 1024,
        "a IN ('" + "','" * 300 + "')",
        "a LIKE '" + "%_" * 500 + "'",
        "a LIKE '" + "_" * 1000 + "'",
        joined("a LIKE '%a%'", 70),
        joined("a", 250),
        "a+" * 512,
        "\x00" * 1024,
        " " * 1024,
        "hyphenated_props:" * 60,
        "=" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_parsing_is_bounded(text: str) -> None:
    def parse() -> None:
        try:
            parse_selector(text)
        except SelectorError as error:
            str(error)

    assert seconds(parse) < 0.1


def test_fifty_selectors_cost_little_each() -> None:
    """The aim is 2 µs; they take 0.1 to 0.5."""
    headers = {
        "destination": "/topic/prices",
        "content-type": "application/json",
        "type": "a17",
        "price": "150",
    }
    matchers = [
        parse_selector(f"type = 'a{number}' AND price > 100") for number in range(50)
    ]
    assert [matches(headers) for matches in matchers].count(True) == 1

    def match_all() -> None:
        for matches in matchers:
            matches(headers)

    assert seconds(match_all, 20) / 20 / len(matchers) < 20e-6
