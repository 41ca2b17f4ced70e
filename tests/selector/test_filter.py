"""romp's filters, `<header><op><value>`, as romp has them."""

import pytest

from romp_asgi.errors import SelectorError
from romp_asgi.selector import parse_filter

# A filter, a header `type` or none, whether it matches.
MATCHES = [
    ("type=a", "a", True),
    ("type=a", "b", False),
    ("type=a", "A", False),
    ("type=a", None, False),
    ("type=", "", True),
    ("type=", None, False),
    ("type=7", "+7", False),
    ("type= a", " a", True),
    ("type=a=b", "a=b", True),
    ("type=a<b", "a<b", True),
    ("type=a\nb", "a\nb", True),
    ("type!=a", "b", True),
    ("type!=a", "a", False),
    ("type!=a", None, False),
    ("type!=", "a", True),
    ("type!=", "", False),
    ("type==7", "7", True),
    ("type==7", "+07", True),
    ("type==-7", "-7", True),
    ("type==7", "8", False),
    ("type==7", "7.0", False),
    ("type==7", " 7", False),
    ("type==7", "seven", False),
    ("type==7", "", False),
    ("type==7", "\u0667", False),
    ("type==10", "1_0", False),
    ("type==7", None, False),
    ("type<7", "6", True),
    ("type<7", "7", False),
    ("type<7", "-9223372036854775808", True),
    ("type<7", "-9223372036854775809", False),
    ("type<7", "x", False),
    ("type<7", None, False),
    ("type>7", "8", True),
    ("type>7", "7", False),
    ("type>7", "9223372036854775807", True),
    ("type>7", "9223372036854775808", False),
    ("type>7", "9" * 10_000, False),
    ("type>-9223372036854775808", "0", True),
    ("type<9223372036854775807", "0", True),
    ("type>7", None, False),
]


@pytest.mark.parametrize(("text", "value", "expected"), MATCHES)
def test_match(text: str, value: str | None, expected: bool) -> None:
    headers = {"other": "a"} if value is None else {"other": "a", "type": value}
    assert parse_filter(text)(headers) is expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("content-type=a", "content-type"),
        ("a!b=a", "a!b"),
        ("two words=a", "two words"),
        ("type =a", "type "),
        ("x.y/z=a", "x.y/z"),
    ],
)
def test_the_name_is_all_that_is_before_the_operator(text: str, name: str) -> None:
    assert parse_filter(text)({name: "a"})


def test_names_are_compared_in_their_case() -> None:
    assert not parse_filter("Type=a")({"type": "a"})


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "expected '=', '!=', '==', '<' or '>' after a header's name"),
        ("type", 4, "expected '=', '!=', '==', '<' or '>' after a header's name"),
        ("type!a", 6, "expected '=', '!=', '==', '<' or '>' after a header's name"),
        ("=a", 0, "expected the name of a header"),
        ("!=a", 0, "expected the name of a header"),
        ("a==", 3, "expected a 64-bit integer after '=='"),
        ("a==x", 3, "expected a 64-bit integer after '=='"),
        ("a== 7", 3, "expected a 64-bit integer after '=='"),
        ("a>7.5", 2, "expected a 64-bit integer after '>'"),
        ("a>9223372036854775808", 2, "expected a 64-bit integer after '>'"),
        ("a<" + "1" * 10_000, 2, "expected a 64-bit integer after '<'"),
        ("a<=7", 2, "expected a 64-bit integer after '<'"),
        ("a>=7", 2, "expected a 64-bit integer after '>'"),
        ("a<>7", 2, "expected a 64-bit integer after '<'"),
    ],
)
def test_error(text: str, position: int, reason: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_filter(text)
    assert (caught.value.position, caught.value.reason) == (position, reason)
    assert caught.value.header == "filter"
    assert caught.value.text == text
