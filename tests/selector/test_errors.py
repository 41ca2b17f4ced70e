"""What a client is told of a selector that is wrong."""

import pytest

from romp_asgi.errors import BrokerError, SelectorError
from romp_asgi.selector import parse_filter, parse_selector
from romp_asgi.selector.parser import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, MAX_WILD

# A selector with | where it is wrong, and why.
ERRORS = [
    # Values
    ("price = |", "expected a value after '='"),
    ("price = \t|", "expected a value after '='"),
    ("|= 5", "expected a value"),
    ("price = |= 5", "expected a value after '='"),
    ("price = 5 AND |", "expected a value after 'AND'"),
    ("price = 5 or |and b", "expected a value after 'or'"),
    ("NOT|", "expected a value after 'NOT'"),
    ("(|)", "expected a value after '('"),
    ("price + |* 2 > 1", "expected a value after '+'"),
    ("- |", "expected a value after '-'"),
    ("price = |NULL", "NULL is only for IS NULL and IS NOT NULL"),
    ("price = |NOT b", "expected a value after '='"),
    ("price > |(b = 2)", "expected a value, not a condition"),
    ("price + |(b = 2) > 1", "expected a value, not a condition"),
    ("- |(b = 2) > 1", "expected a value, not a condition"),
    ("price BETWEEN |(b = 2) AND 1", "expected a value, not a condition"),
    ("price BETWEEN 1 AND |(b = 2)", "expected a value, not a condition"),
    # Conditions
    ("3 + 5|", "expected a comparison after '5'"),
    ("'a'|", "expected a comparison after 'a'"),
    ("3 |AND a = 1", "expected a comparison after '3'"),
    ("a = 1 OR 3|", "expected a comparison after '3'"),
    ("NOT 3|", "expected a comparison after '3'"),
    ("a |b", "expected a comparison, AND, OR or the end after 'a'"),
    ("a = 1 |AMD b = 2", "expected AND, OR or the end after '1'"),
    ("a = b |= c", "expected AND, OR or the end after 'b'"),
    ("(a = 1) |+ 2", "expected AND, OR or the end after ')'"),
    ("(a = 1) |= TRUE", "expected AND, OR or the end after ')'"),
    ("a = 1|)", "expected AND, OR or the end after '1'"),
    ("(a = 1|", "expected AND, OR or ')' after '1'"),
    ("(a = 1 |b", "expected AND, OR or ')' after '1'"),
    ("((a)|", "expected a comparison, AND, OR or ')' after ')'"),
    # IS, BETWEEN, LIKE, IN
    ("a IS |5", "expected NULL after 'IS'"),
    ("a IS NOT|", "expected NULL after 'NOT'"),
    ("|1 IS NULL", "IS NULL needs a header before it"),
    ("|a + 1 IS NULL", "IS NULL needs a header before it"),
    ("a NOT |= 1", "expected BETWEEN, LIKE or IN after 'NOT'"),
    ("a BETWEEN 1 |OR 2", "expected AND after '1'"),
    ("|'a' LIKE 'b'", "LIKE needs a header before it"),
    ("a LIKE |b", "expected a text in single quotes after 'LIKE'"),
    ("a LIKE 'b' ESCAPE |", "expected a text in single quotes after 'ESCAPE'"),
    ("a LIKE 'b' ESCAPE |''", "expected one character"),
    ("a LIKE 'b' ESCAPE |'!!'", "expected one character"),
    ("a LIKE |'x!y' ESCAPE '!'", "in it '!' must be before '%', '_' or '!'"),
    ("a LIKE |'x!' ESCAPE '!'", "in it '!' must be before '%', '_' or '!'"),
    ("|1 IN ('a')", "IN needs a header before it"),
    ("a IN |'a'", "expected '(' after 'IN'"),
    ("a IN (|)", "expected a text in single quotes after '('"),
    ("a IN (|1)", "expected a text in single quotes after '('"),
    ("a IN ('a' |'b')", "expected ')' after 'a'"),
    ("a IN ('a',|)", "expected a text in single quotes after ','"),
    # Kinds
    ("a < |'x'", "'<' needs a number here, not a text"),
    ("|'x' >= a", "'>=' needs a number here, not a text"),
    ("a > |TRUE", "'>' needs a number here, not a truth value"),
    ("|'x' = 1", "'=' needs a number here, not a text"),
    ("1 <> |TRUE", "'<>' needs a number here, not a truth value"),
    ("|'true' = TRUE", "'=' needs a number here, not a text"),
    ("a + 1 = |'x'", "'=' needs a number here, not a text"),
    ("a + |'x' = 'y'", "'+' needs a number here, not a text"),
    ("-|'x' = 1", "'-' needs a number here, not a text"),
    ("a BETWEEN |'a' AND 'b'", "'BETWEEN' needs a number here, not a text"),
    ("|TRUE BETWEEN 1 AND 2", "'BETWEEN' needs a number here, not a truth value"),
    ("(|'a') < 1", "'<' needs a number here, not a text"),
    # Numbers
    ("a = |9223372036854775808", "the number is too large, or too long"),
    ("a = -|9223372036854775809", "the number is too large, or too long"),
    ("a = |1E999", "the number is too large, or too long"),
    ("a = |0." + "0" * 63, "the number is too large, or too long"),
    ("a = 0|x1F", "expected AND, OR or the end after '0'"),
    # Tokens
    ("a = |'abc", "the string has no end"),
    ("a = |'it''s", "the string has no end"),
    ('|"abc', "the name has no end, or nothing in it"),
    ('|"" = 1', "the name has no end, or nothing in it"),
    ("a |! = 1", "unexpected '!'"),
    ("x|.y = 1", "unexpected '.'"),
    ("hyphenated_props:a = |", "expected a value after '='"),
    # Limits
    (" " * MAX_LENGTH + "|a", f"it may have {MAX_LENGTH} characters, and has 1025"),
    ("(" * MAX_DEPTH + "|((a", f"it may have {MAX_DEPTH} parentheses in each other"),
    ("a+" * MAX_TERMS + "|a>0", f"it may have {MAX_TERMS} names and values"),
    ("-1*" * MAX_TERMS + "-|1>0", f"it may have {MAX_TERMS} names and values"),
    (
        f"a LIKE '%_{'x' * 40}%' OR a LIKE |'%_{'x' * 40}%'",
        f"more than {MAX_WILD} characters between two %, where there is a _",
    ),
]


@pytest.mark.parametrize(("marked", "reason"), ERRORS)
def test_it_points_at_the_place(marked: str, reason: str) -> None:
    before, _, after = marked.partition("|")
    with pytest.raises(SelectorError) as caught:
        parse_selector(before + after)
    error = caught.value
    assert (error.text, error.position, error.header) == (
        before + after,
        len(before),
        "selector",
    )
    assert error.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "a-b > 5",
        "5 < a-b",
        "a-b = 5",
        "c = a-b",
        "a-b + 1 = 2",
        "1 * a-b = 2",
        "-a-b = 2",
        "a-b BETWEEN 1 AND 2",
        "c BETWEEN a-b AND 2",
        "1 < " + "a-b" * 300,
    ],
)
def test_a_hyphen_that_may_be_a_minus_is_refused(text: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(text)
    assert caught.value.position == text.index("a-b")
    assert caught.value.reason == (
        "a header or a difference? Put it in double quotes, or blanks around the -"
    )
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "price = ",
            (
                "The selector is wrong at character 9: expected a value after '=': "
                '"price = |"'
            ),
        ),
        (
            "\"content-type\" = 'a' x",
            (
                "The selector is wrong at character 22: expected AND, OR or the end "
                "after 'a': \"\"content-type\" = 'a' |x\""
            ),
        ),
        (
            "a = 1" + " AND a = 1" * 9 + " AND a = " + " OR a = 1" * 5,
            (
                "The selector is wrong at character 106: expected a value after '=': "
                '"… AND a = 1 AND a = 1 AND a = 1 AND a =  |'
                'OR a = 1 OR a = 1 OR a = 1 OR a = 1 OR a…"'
            ),
        ),
        (
            "a LIKE '%" + "x" * 500 + "' b",
            (
                "The selector is wrong at character 512: expected AND, OR or the end "
                f"after '%{'x' * 19}…': \"…{'x' * 38}' |b\""
            ),
        ),
    ],
    ids=["the end", "quotes", "long", "long token"],
)
def test_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(text)
    assert str(caught.value) == caught.value.detail == sentence


def test_sentence_of_a_filter() -> None:
    with pytest.raises(SelectorError) as caught:
        parse_filter("price>cheap")
    assert str(caught.value) == (
        "The filter is wrong at character 7: expected a 64-bit integer after '>': "
        '"price>|cheap"'
    )


def test_message() -> None:
    error = SelectorError("a", 0, "expected more")
    assert isinstance(error, BrokerError)
    assert error.message == "syntax"
    assert not error.fatal


def test_romp_closes_after_a_wrong_filter() -> None:
    assert SelectorError("a", 0, "expected more", "filter").fatal


def test_what_a_client_wrote_stays_on_one_line_of_a_log() -> None:
    for text in ("'\n2026 ERROR\r\x1b[2J' b", '"\n2026 ERROR\x1b[2J" b', "\x1b[2J"):
        with pytest.raises(SelectorError) as caught:
            parse_selector(text)
        assert str(caught.value).isprintable()
