"""SENDs that begin alike are read as any others, whatever comes after that."""

import pytest
from hypothesis import example, given, settings, strategies as st

from romp_asgi.errors import LimitExceeded
from romp_asgi.stomp import VERSIONS, Frame, Limits, Parser
from romp_asgi.stomp.blocks import Blocks
from romp_asgi.stomp.frame import encode_message_tail
from romp_asgi.stomp.headers import Beginning, Headers
from romp_asgi.stomp.parser import _LEARN_EVERY
from romp_asgi.stomp.versions import STOMP_1_2
from tests.stomp.wire import NO_LIMITS, check, feed, outcome, parser, wire

#: Until it is known what they begin with.
LEARNT = 2 * _LEARN_EVERY


FIRST = "destination:/queue/a\ntype:t"


def send(*lines: str, first: str = FIRST) -> str:
    return "\n".join(["SEND", first, *lines, "", "body^@"])


def own(numbers: range, first: str = FIRST) -> list[str]:
    """SENDs of which each has a header that no other one has."""
    return [send(f"id-{number}:x", first=first) for number in numbers]


def learnt(limits: Limits = NO_LIMITS, first: str = FIRST) -> Parser:
    """One that knows what these begin with."""
    receiver = parser(limits=limits)
    texts = own(range(LEARNT), first)
    check(feed(receiver, wire("".join(texts))), texts)
    return receiver


def is_begun(receiver: Parser, text: str) -> bool:
    """Whether a part of its headers was not read; they are right all the same."""
    [frame] = frames = feed(receiver, wire(text))
    expected = feed(Parser(NO_LIMITS), wire(text))
    check(frames, [text])
    check_tails(frames, expected)
    headers = frame.headers
    assert isinstance(headers, Headers)
    return isinstance(headers.template, Beginning)


def check_tails(frames: list[Frame], expected: list[Frame]) -> None:
    """What is sent to subscribers is the same, octet for octet."""
    for one, other in zip(frames, expected, strict=True):
        for version in VERSIONS.values():
            assert encode_message_tail(
                1, one.headers, one.body, version
            ) == encode_message_tail(1, other.headers, other.body, version)


def test_lines_that_all_begin_with_are_not_read_again() -> None:
    receiver = parser()
    for text in own(range(LEARNT)):
        assert not is_begun(receiver, text)
    assert is_begun(receiver, send("id-x:y"))
    assert is_begun(receiver, send("a:b", "größe:ü:x", "c:"))


def test_where_they_go_and_how_long_they_are_is_not_read_again_either() -> None:
    receiver = learnt(NO_LIMITS, first="destination:/queue/a\ncontent-length:4")
    beginning = receiver._beginning
    assert beginning is not None
    assert beginning.first == b"SEND\ndestination:/queue/a\ncontent-length:4\n"
    assert beginning.length == 4
    beginning.target = object()
    text = send("x:y", first="destination:/queue/a\ncontent-length:4")
    [frame] = feed(receiver, wire(text))
    check([frame], [text])
    assert isinstance(frame.headers, Headers)
    assert frame.headers.target is beginning.target


@pytest.mark.parametrize("at", [_LEARN_EVERY, 2 * _LEARN_EVERY])
def test_nothing_is_learnt_from_one_that_is_not_so_simple(at: int) -> None:
    receiver = parser()
    texts = own(range(LEARNT))
    texts[at - 1] = send("x:\\n")
    check(feed(receiver, wire("".join(texts))), texts)
    assert receiver._beginning is None


@pytest.mark.parametrize(
    "lines",
    [
        ["a\\cb:x"],
        ["a:\\n"],
        ["a:b^M"],
        ["type:again"],
        ["a:1", "a:2"],
        [":x"],
        ["x"],
        [],
    ],
)
def test_what_has_to_be_looked_at_is(lines: list[str]) -> None:
    text = send(*lines)
    receiver = learnt()
    assert outcome(receiver, wire(text)) == outcome(parser(), wire(text))
    if not receiver._is_broken:
        assert not is_begun(learnt(), text)


@pytest.mark.parametrize("value", ["\udcff", "a^@", "^@", "a\n^@"])
def test_a_line_that_is_wrong_is_the_same_error(value: str) -> None:
    data = wire(send(f"x:{value}") + send("a:b"))
    found = outcome(learnt(), data)
    assert found == outcome(parser(), data)
    assert found[1]


def test_a_block_that_only_begins_as_a_line_does_is_another() -> None:
    receiver = learnt()
    assert not is_begun(receiver, send("x:y", first="destination:/queue/a\ntype:tt"))
    assert not is_begun(receiver, send("x:y", first="destination:/queue/ab\ntype:t"))
    assert not is_begun(receiver, send("x:y", first="destination:/queue/a"))
    assert is_begun(receiver, send("x:y"))


@pytest.mark.parametrize(
    ("before", "after"),
    [("\ncontent-length:4", ""), ("", "content-length:4"), ("", "content-length:5")],
)
def test_the_length_of_the_body_is_where_it_is(before: str, after: str) -> None:
    def with_nul(number: object) -> str:
        first = f"destination:/queue/a{before}"
        lines = [first, f"id-{number}:x", *filter(None, [after])]
        body = "a^@bcd" if after.endswith("5") else "a^@bc"
        return "\n".join(["SEND", *lines, "", f"{body}^@"])

    receiver = parser()
    texts = [with_nul(number) for number in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    assert is_begun(receiver, with_nul("new"))


@pytest.mark.parametrize("length", ["x", "-1", "1_0", "²", "9" * 19, ""])
def test_a_length_that_is_none_is_the_same_error(length: str) -> None:
    data = wire(send("x:y", f"content-length:{length}"))
    found = outcome(learnt(), data)
    assert found == outcome(parser(), data)
    assert found[1]


def test_the_length_is_only_known_where_it_is_in_common() -> None:
    receiver = parser()
    texts = [send(f"id-{n}:x", "content-length:4") for n in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    assert is_begun(receiver, send("x:y", "content-length:2").replace("body", "ab"))
    assert is_begun(receiver, send("x:y").replace("body", ""))


def test_a_body_that_does_not_end_where_it_should_is_the_same_error() -> None:
    first = "destination:/queue/a\ncontent-length:3"
    receiver = parser()
    for number in range(LEARNT):
        feed(receiver, wire(send(f"id-{number}:x", first=first).replace("body", "bod")))
    assert receiver._beginning is not None
    text = send("x:y", first=first)
    found = outcome(receiver, wire(text))
    assert found == outcome(parser(), wire(text))
    assert found[1]


def test_without_a_destination_in_common_nothing_is_known() -> None:
    receiver = parser()
    for number in range(3 * LEARNT):
        text = f"SEND\ntype:t\nid-{number}:x\ndestination:/queue/{number % 2}\n\n^@"
        assert not is_begun(receiver, text)


@pytest.mark.parametrize("line", ["receipt:1", "transaction:1"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("abridges", [True, False])
def test_what_asks_for_something_does_not_lead_where_others_do(
    line: str, is_first: bool, abridges: bool
) -> None:
    receiver = parser()
    receiver.switch(STOMP_1_2, NO_LIMITS, Blocks(), abridges=abridges)
    first, rest = (f"{line}\n{FIRST}", []) if is_first else (FIRST, [line])
    texts = [send(f"id-{n}:x", *rest, first=first) for n in range(2 * LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    beginning = receiver._beginning
    assert (beginning is None) is (line == "receipt:1" and not abridges)
    if beginning is not None:
        beginning.target = object()
    text = send("id-new:x", *rest, first=first)
    [frame] = feed(receiver, wire(text))
    check([frame], [text])
    assert isinstance(frame.headers, Headers)
    assert frame.headers.target is frame.headers.template is None


def test_what_they_begin_with_may_change() -> None:
    receiver = learnt()
    # By now only one of eight is looked at.
    texts = own(range(8 * LEARNT), "destination:/queue/b")
    check(feed(receiver, wire("".join(texts))), texts)
    assert is_begun(receiver, send("id-c:x", first="destination:/queue/b"))
    # One that goes elsewhere now and then changes nothing.
    texts = own(range(1000, 1000 + 32 * LEARNT), "destination:/queue/b")
    texts[::7] = own(range(len(texts[::7])), "destination:/queue/c")
    for text in texts:
        assert is_begun(receiver, text) is ("/c" not in text)
    # And it does not, where all begin with it and some with more.
    for text in own(range(8 * LEARNT, 16 * LEARNT), "destination:/queue/b\ntype:u"):
        assert is_begun(receiver, text)
    assert is_begun(receiver, send("id-d:x", first="destination:/queue/b"))


def test_limits_hold() -> None:
    limits = Limits(max_headers=3, max_header_len=60, max_header_size=60)
    receiver = learnt(limits)
    size = 60 - len("SEND\ndestination:/queue/a\ntype:t\nx:")
    assert is_begun(receiver, send("x:" + "y" * size))
    for lines in (["x:" + "y" * (size + 1)], ["x:y", "z:y"]):
        with pytest.raises(LimitExceeded):
            feed(learnt(limits), wire(send(*lines)))


def test_a_line_may_be_as_long_as_ever() -> None:
    """Where all of a block may be longer than one of its lines."""
    receiver = learnt(Limits(max_header_len=40, max_header_size=1000))
    text = send("x:" + "y" * 38)
    assert not is_begun(receiver, text)
    with pytest.raises(LimitExceeded):
        feed(receiver, wire(send("x:" + "y" * 39)))


def test_one_that_comes_again_is_known_and_leads_there_itself() -> None:
    receiver = learnt()
    texts = [send("x:y")] * 3
    frames = feed(receiver, *map(wire, texts))
    check(frames, texts)
    headers = frames[-1].headers
    assert isinstance(headers, Headers)
    assert headers is frames[-2].headers
    assert headers.is_known
    assert headers.template is None


def test_a_new_version_begins_anew() -> None:
    receiver = learnt()
    receiver.switch(STOMP_1_2, NO_LIMITS, Blocks())
    assert not is_begun(receiver, send("x:y"))


LINES = st.lists(
    st.text(st.sampled_from("ab:ü \t\\cnr"), max_size=5)
    | st.sampled_from(["x:^M", "type:b", "x:\0", "x:\udcff", "receipt:1", "", "y:z"]),
    max_size=4,
)


@given(
    st.sampled_from(
        ["destination:a", "b:c\ndestination:a\nx:y", "destination:a\nb:\\c"]
    ),
    st.lists(LINES, max_size=6),
    st.sampled_from(["1.0", "1.1", "1.2"]),
    st.integers(1, 60),
)
@example("destination:a", [["a:b"], ["y:z", "a:"]], "1.2", 9)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_whatever_comes_after_it_the_frames_are_the_same(
    first: str, drawn: list[list[str]], version: str, step: int
) -> None:
    start = wire("".join(send(f"id-{n}:x", first=first) for n in range(LEARNT)))
    rest = wire("".join(send(*lines, first=first) for lines in drawn))
    pieces = [start, *(rest[i : i + step] for i in range(0, len(rest), step))]

    def result(blocks: Blocks | None) -> tuple[list[Frame], object]:
        return outcome(Parser(NO_LIMITS, VERSIONS[version], None, blocks), *pieces)

    frames, error = result(Blocks())
    expected, expected_error = result(None)
    assert error == expected_error
    assert frames == expected
    assert [list(f.headers.items()) for f in frames] == [
        list(f.headers.items()) for f in expected
    ]
    check_tails(frames, expected)
