"""LIKE: patterns and texts."""

import pytest
from hypothesis import given, settings, strategies as st

from romp_asgi.selector import parse_selector
from tests.selector.reference import is_like, string

# A pattern, texts that are as it says, and texts that are not.
PATTERNS = [
    ("", [""], ["a"]),
    ("abc", ["abc"], ["", "ab", "abcd", "xabc", "ABC", "abc\n"]),
    ("a_c", ["abc", "a_c", "a\nc", "a\U0001f600c"], ["ac", "abbc", "abcd"]),
    ("___", ["abc"], ["ab", "abcd"]),
    ("%", ["", "a", "abc\n"], []),
    ("%%", ["", "a"], []),
    ("%_%", ["a", "ab"], [""]),
    ("_%", ["a", "ab"], [""]),
    ("a%", ["a", "abc", "a\n"], ["", "ba"]),
    ("%a", ["a", "cba", "aa"], ["", "ab"]),
    ("%a%", ["a", "bab"], ["", "bbb"]),
    ("a%a", ["aa", "aba", "aaa"], ["a", "ab"]),
    ("ab%ba", ["abba", "abxba"], ["aba", "ab", "ba"]),
    ("a%b%c", ["abc", "axbxc", "abcbc", "abbc"], ["ac", "acb", "abcd"]),
    ("%ab%ab%", ["abab", "xabxabx"], ["ab", "aab", "aba"]),
    ("%a_c%", ["abc", "xabcx", "aacac", "acacc"], ["ac", "acbb", "abbc"]),
    ("%a_b%b_c%", ["axbbxc", "aabbbc"], ["axbxc", "axb"]),
    ("_b%b_", ["abbc", "abxbc"], ["abc"]),
    ("%.*%", [".*", "a.*b"], ["a", "ab"]),
    ("(a|b)[c]^$\\d%", ["(a|b)[c]^$\\d!"], ["a", "ac1"]),
    ("it's%", ["it's so"], ["its so"]),
]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"), PATTERNS, ids=[row[0] for row in PATTERNS]
)
def test_pattern(pattern: str, good: list[str], bad: list[str]) -> None:
    matches = parse_selector(f"a LIKE {string(pattern)}")
    assert [text for text in good if not matches({"a": text})] == []
    assert [text for text in bad if matches({"a": text})] == []


ESCAPES = [
    (r"10\%", "\\", ["10%"], ["100", r"10\%"]),
    (r"\_%", "\\", ["_", "_a"], ["a", ""]),
    (r"%\%%", "\\", ["%", "a%b"], ["", "ab"]),
    (r"a\\b", "\\", [r"a\b"], [r"a\\b", "ab"]),
    ("a!_b", "!", ["a_b"], ["axb", "a!_b"]),
    ("%%a", "%", ["%a"], ["a", "xa"]),
    ("__a", "_", ["_a"], ["a", "xa"]),
    ("_%a", "_", ["%a"], ["a", "xa"]),
    ("''_", "'", ["_"], ["'a"]),
]


@pytest.mark.parametrize(("pattern", "escape", "good", "bad"), ESCAPES)
def test_escape(pattern: str, escape: str, good: list[str], bad: list[str]) -> None:
    written = pattern if escape == "'" else string(pattern)[1:-1]
    matches = parse_selector(f"a LIKE '{written}' ESCAPE {string(escape)}")
    assert [text for text in good if not matches({"a": text})] == []
    assert [text for text in bad if matches({"a": text})] == []


@settings(max_examples=1000, derandomize=True, deadline=None)
@given(
    st.lists(st.sampled_from("%%__ab"), max_size=12).map("".join),
    st.lists(st.sampled_from("ab_%"), max_size=16).map("".join),
)
def test_it_is_as_a_table_has_it(pattern: str, text: str) -> None:
    matches = parse_selector(f"a LIKE '{pattern}'")
    assert matches({"a": text}) == is_like(text, pattern, None)
