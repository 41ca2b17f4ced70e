"""Names with ``*`` and ``**``."""

import re
from functools import cache

import pytest
from hypothesis import example, given, settings, strategies as st

from romp_asgi.broker.patterns import MAX_NAME, compile_pattern, is_pattern


def matches(pattern: str, name: str) -> bool:
    """What ``compile_pattern`` has to say, by trying everything."""
    parts = re.findall(r"\*{2,}|\*|[^*]+", pattern)

    @cache
    def rest_matches(part: int, start: int) -> bool:
        if part == len(parts):
            return start == len(name)
        text = parts[part]
        if not text.startswith("*"):
            end = start + len(text)
            return name[start:end] == text and rest_matches(part + 1, end)
        return any(
            (text != "*" or "/" not in name[start:end]) and rest_matches(part + 1, end)
            for end in range(start + 1, len(name) + 1)
        )

    return rest_matches(0, 0)


def compiled_matches(pattern: str, name: str) -> bool:
    return compile_pattern(pattern).fullmatch(name) is not None


@pytest.mark.parametrize("name", ["*", "**", "/queue/*", "a*b", "/queue/**"])
def test_a_name_with_a_star_is_a_pattern(name: str) -> None:
    assert is_pattern(name)


@pytest.mark.parametrize("name", ["", "/queue/a", "/queue/?", "a.b"])
def test_a_name_without_a_star_is_none(name: str) -> None:
    assert not is_pattern(name)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("*", ["a", "DLQ", "a.b", "a\nb", "*"], ["", "/", "/a", "a/", "a/b"]),
        ("**", ["a", "/", "/a/b", "a\nb"], [""]),
        ("/q/*", ["/q/a"], ["/q/", "/q", "/q/a/b", "x/q/a", "/q/a/"]),
        ("/q/**", ["/q/a", "/q/a/b", "/q//"], ["/q/", "/q", "x/q/a"]),
        ("/*/a", ["/q/a"], ["//a", "/q/r/a", "/q/ab"]),
        ("/**/a", ["/q/a", "/q/r/a", "/a/a"], ["//a", "/a"]),
        ("a*b*c", ["axbxc", "abbbc", "axbbc"], ["abc", "axbc", "a/bxc", "axbxcx"]),
        ("a.c*", ["a.cd"], ["abcd", "a.c"]),
        ("(a|b)*", ["(a|b)c"], ["ac"]),
        ("***", ["a", "a/b"], [""]),
        ("a****b", ["axb", "a/b"], ["ab"]),
        ("**a*b**c", ["xaybbc", "/a.b/c"], ["xabbc", "xa/bbc"]),
    ],
)
def test_examples(pattern: str, good: list[str], bad: list[str]) -> None:
    compiled = compile_pattern(pattern)
    assert [name for name in good if not compiled.fullmatch(name)] == []
    assert [name for name in bad if compiled.fullmatch(name)] == []
    assert all(matches(pattern, name) for name in good)
    assert not any(matches(pattern, name) for name in bad)


@given(
    st.text("ab/*", max_size=14).map(lambda text: text.replace("aa", "*")),
    st.text("ab/", max_size=16),
)
@example("**a*b**c", "xaybbc")
@settings(max_examples=1500, derandomize=True, deadline=None)
def test_a_pattern_matches_what_the_slow_matcher_says(pattern: str, name: str) -> None:
    assert compiled_matches(pattern, name) == matches(pattern, name)


@given(st.data())
@settings(max_examples=500, derandomize=True, deadline=None)
def test_a_pattern_matches_what_is_made_from_it(data: st.DataObject) -> None:
    pattern = data.draw(st.text("ab/*", min_size=1, max_size=12))
    parts = re.findall(r"\*{2,}|\*|[^*]+", pattern)
    name = ""
    for part in parts:
        if part.startswith("*"):
            alphabet = "ab" if part == "*" else "ab/"
            name += data.draw(st.text(alphabet, min_size=1, max_size=5))
        else:
            name += part
    assert compiled_matches(pattern, name)


#: Where a matcher that goes back and tries again gets lost.
NASTY = [
    ("*a" * 20 + "b", "a"),
    ("**a" * 20 + "b", "a"),
    ("**a*a" * 10 + "b", "a"),
    ("a*a**a*b", "a"),
    ("*a*a*a**a*a*a*b", "a"),
    ("**a*a**a*a**b", "a"),
    ("**/a*/**/*a/**b", "/a"),
    ("**ab*ab**ab*abc", "ab"),
    ("**" + "a" * 30 + "**" + "a" * 30 + "*b", "a"),
]


@pytest.mark.timeout(5)
@pytest.mark.parametrize(("pattern", "repeated"), NASTY)
def test_matching_takes_no_time_whatever_the_name(pattern: str, repeated: str) -> None:
    name = (repeated * MAX_NAME)[: MAX_NAME - 1]
    compiled = compile_pattern(pattern)
    # Each of them less than 50 ms: it may be wanted at every SEND.
    for _ in range(100):
        assert not compiled.fullmatch(name + "c")
