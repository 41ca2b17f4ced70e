"""What holds for all selectors, all headers and all texts."""

from collections.abc import Callable

from hypothesis import given, settings, strategies as st

from romp_asgi.errors import SelectorError
from romp_asgi.selector import Matcher, parse_filter, parse_selector
from romp_asgi.selector.tokens import KEYWORDS
from tests.selector import reference
from tests.selector.reference import Condition, Headers, tokens

quick = settings(max_examples=400, derandomize=True, deadline=None)

blanks = st.sampled_from([" ", "  ", "\t", "\r\n", "\f "])
cases = st.sampled_from([str.upper, str.lower, str.title])


@st.composite
def written(draw: st.DrawFn, condition: Condition) -> str:
    """A way to write a selector: its blanks, its keywords, more parentheses."""
    parts = tokens(condition)
    for _ in range(draw(st.integers(0, 2))):
        parts = ["(", *parts, ")"]
    case = draw(cases)
    parts = [case(part) if part in KEYWORDS else part for part in parts]
    return draw(blanks).join(parts)


@st.composite
def soups(draw: st.DrawFn) -> str:
    """Tokens in no order, with blanks or without."""
    words = [*sorted(KEYWORDS), *"()+-*/=<>,'\"%_.", "<>", "<=", "a", "b-c", "1", "'x'"]
    parts = draw(st.lists(st.sampled_from(words) | st.text(max_size=2), max_size=12))
    return draw(st.sampled_from(["", " "])).join(parts)


def parsed(parse: Callable[[str], Matcher], text: str) -> Matcher:
    """The matcher of a text; of one that is wrong, when its error is fit to be sent."""
    error: SelectorError
    try:
        return parse(text)
    except SelectorError as exc:
        error = exc
    assert 0 <= error.position <= len(text)
    assert str(error).isprintable()
    assert len(str(error)) < 400
    return lambda headers: False


@settings(quick, max_examples=1000)
@given(st.data(), reference.conditions, st.lists(reference.headers, max_size=6))
def test_it_is_as_a_slow_interpreter_has_it(
    data: st.DataObject, condition: Condition, messages: list[Headers]
) -> None:
    text = data.draw(written(condition))
    matches = parse_selector(text, max_length=100_000)
    is_false = parse_selector(f"NOT ({text})", max_length=100_000)
    for headers in [*messages, {}]:
        truth = reference.evaluate(condition, headers)
        assert (matches(headers), is_false(headers)) == (truth is True, truth is False)


@quick
@given(st.text() | soups(), reference.headers)
def test_a_text_is_a_selector_or_an_error(text: str, headers: Headers) -> None:
    matches = parsed(parse_selector, text)
    assert matches(headers) in (True, False)


@quick
@given(st.text(max_size=8), st.sampled_from(["=", "!=", "==", "<", ">", ""]), st.data())
def test_a_text_is_a_filter_or_an_error(
    name: str, symbol: str, data: st.DataObject
) -> None:
    text = name + symbol + data.draw(reference.values)
    headers = data.draw(st.dictionaries(st.just(name) | st.text(), reference.values))
    matches = parsed(parse_filter, text)
    assert matches(headers) in (True, False)
    assert not matches({})


@quick
@given(
    st.sampled_from(["=", "!=", "==", "<", ">"]),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**64), 2**64),
)
def test_a_filter_compares(symbol: str, limit: int, number: int) -> None:
    matches = parse_filter(f"price{symbol}{limit}")
    is_integer = -(2**63) <= number < 2**63
    expected = {
        "=": number == limit,
        "!=": number != limit,
        "==": is_integer and number == limit,
        "<": is_integer and number < limit,
        ">": is_integer and number > limit,
    }[symbol]
    assert matches({"price": str(number)}) == expected
