"""SENDs that differ only in some values are read as any others."""

import pytest
from hypothesis import example, given, settings, strategies as st

from romp_asgi.errors import LimitExceeded
from romp_asgi.stomp import VERSIONS, Frame, Limits, Parser
from romp_asgi.stomp.abridged import ReceiptSend
from romp_asgi.stomp.blocks import Blocks
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.parser import _LEARN_EVERY, _LOOK_AT_EACH
from romp_asgi.stomp.varied import MAX_NAMES
from romp_asgi.stomp.versions import STOMP_1_2
from tests.stomp.wire import NO_LIMITS, check, check_equal, feed, outcome, parser, wire

#: Until what varies is known, and no more is looked at each.
LEARNT = 3 * _LEARN_EVERY + _LOOK_AT_EACH


def send(number: object, *lines: str, first: str = "") -> str:
    rest = "".join(f"\n{line}" for line in lines)
    return f"SEND\n{first}destination:/queue/a\nnumber:{number}{rest}\n\n{number}^@"


def learnt(blocks: Blocks | None = None, limits: Limits = NO_LIMITS) -> Parser:
    """One that knows that numbers vary."""
    receiver = parser(blocks=blocks, limits=limits)
    texts = [send(number) for number in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    assert made(receiver, send("new"))
    return receiver


def made(receiver: Parser, text: str) -> bool:
    """Whether its headers are made of those of another; they are right all the same."""
    frames = feed(receiver, wire(text))
    headers = frames[0].headers
    assert isinstance(headers, Headers)
    # What they are encoded to is made with them.
    is_made = bool(headers.encoded_version)
    check(frames, [text])
    return is_made


@pytest.mark.parametrize(
    "lines",
    [
        ["destination:/queue/a", "number:{}"],
        ["number:{}", "destination:/queue/a"],
        ["destination:/queue/a", "number:{}", "content-length:1", "x:y"],
        ["time:1{}", "destination:/queue/a", "number:{}"],
        ["time:{}", "number:1{}", "id:2{}", "other:x{}y", "destination:/queue/a"],
        ["destination:/queue/a", "größe:{}ü"],
        ["destination:/queue/a", "100%%:%s", "number:{}", "transaction:t"],
    ],
)
def test_values_that_vary_are_found_wherever_they_are(lines: list[str]) -> None:
    receiver = parser()
    text = "\n".join(["SEND", *lines, "", "b^@"])
    texts = [text.replace("{}", str(number)) for number in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    assert made(receiver, text.replace("{}", "other"))
    assert made(receiver, text.replace("{}", ""))


def test_a_kind_is_known_to_all_connections_but_what_varies_is_found_for_each() -> None:
    blocks = Blocks()
    learnt(blocks)
    other = parser(blocks=blocks)
    assert not made(other, send(1))
    texts = [send(f"a{number}") for number in range(_LEARN_EVERY)]
    texts.append(send("one more"))
    check(feed(other, wire("".join(texts))), texts)
    assert made(other, send("b"))


@pytest.mark.parametrize("value", ["\\x", "\udcff", "a^@", "^@", "\\"])
def test_a_value_that_is_wrong_is_the_same_error(value: str) -> None:
    data = wire(send(value) + send(1))
    found = outcome(learnt(), data)
    assert found == outcome(parser(), data)
    assert found[1]


@pytest.mark.parametrize(
    ("value", "is_made"),
    [
        ("2026-11-27T06:20:41", True),
        ("2026-11-27T06\\c20\\c41", True),
        ("ID:host-1:2\\c3", True),
        ("\\\\", True),
        ("a\\nb", True),
        ("\\r", True),
        ("x^M", False),
        ("x^My", False),
    ],
)
def test_a_value_with_colons_and_escapes_is_what_it_is(
    value: str, is_made: bool
) -> None:
    assert made(learnt(), send(value)) is is_made
    # And if all have such values.
    receiver = parser()
    texts = [send(f"{value}{number}") for number in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    assert made(receiver, send(f"{value}y")) is ("^M" not in value)


def test_what_they_have_in_common_may_have_escapes() -> None:
    receiver = parser()
    lines = "a\\cb:1:2", "x:\\n\\\\\\c:"
    texts = [send(number, *lines) for number in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    assert made(receiver, send("x", *lines))


def test_a_name_with_an_escape_is_not_taken_for_another() -> None:
    receiver = parser()
    text = "SEND\ndestination:/queue/a\na:b:{}\na\\cb:{}\n\n^@"
    texts = [text.format(1, number) for number in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    check(feed(receiver, wire(text.format(2, "x"))), [text.format(2, "x")])


def test_sends_that_come_one_by_one_are_learnt_as_well() -> None:
    receiver = parser()
    texts = [send(number) for number in range(LEARNT)]
    check(feed(receiver, *map(wire, texts)), texts)
    assert made(receiver, send("x"))


def test_a_receipt_that_varies_with_an_id_is_read_by_itself() -> None:
    receiver = Parser(NO_LIMITS)
    receiver.switch(STOMP_1_2, NO_LIMITS, Blocks(), abridges=True)
    texts = [send(n, f"receipt:r{n}", "a:b") for n in range(LEARNT)]
    frames = feed(receiver, wire("".join(texts)))
    assert [frame.receipt() for frame in frames] == [f"r{n}" for n in range(LEARNT)]
    last = frames[-1]
    assert isinstance(last, ReceiptSend)
    assert isinstance(last.headers, Headers)
    assert last.headers.template is not None
    expected = {"destination": "/queue/a", "number": str(LEARNT - 1), "a": "b"}
    assert list(last.headers.items()) == list(expected.items())
    # Without a receipt it is of the same kind.
    assert made(receiver, send("x", "a:b"))


def test_lines_in_another_order_or_beside_others_are_another_kind() -> None:
    receiver = learnt()
    for text in (
        "SEND\nnumber:x\ndestination:/queue/a\n\n^@",
        send("x", "number:2"),
        send("x", "more:2"),
        send("x", first="number:2\n"),
        "SEND\ndestination:/queue/a\nnumbers:x\n\n^@",
        "SEND\ndestination:/queue/a\nx\\nnumber:x\n\n^@",
        "SEND\ndestination:/queue/b\nnumber:x\n\n^@",
    ):
        assert not made(receiver, text)
        assert made(receiver, send("x"))


def test_what_a_kind_has_in_common_is_no_block() -> None:
    """A frame with too many LFs, or too few colons, gets nobody else's value."""
    for block in (
        "SEND\ndestination:/queue/a\nnumber:\n",
        "SEND\ndestination:/queue/a\nnumber\n\n",
        "SEND\ndestination:/queue/a\nnumber\n",
    ):
        data = wire(block + "\n^@")
        assert outcome(learnt(), data) == outcome(parser(), data)


def test_the_values_of_one_kind_are_not_those_of_another() -> None:
    """What is left of both blocks is the same."""
    blocks = Blocks()
    receiver = parser(blocks=blocks)
    one = "SEND\na:{}\nb:\n\n^@"
    other = "SEND\na:\nb:{}\n\n^@"
    for text in (one, other):
        receiver = parser(blocks=blocks)
        texts = [text.format(number) for number in range(LEARNT)]
        check(feed(receiver, wire("".join(texts))), texts)
        assert made(receiver, text.format("x"))


def test_values_that_come_again_are_known_with_each_of_them() -> None:
    receiver = learnt()
    values = [send(number % 20 + 1000) for number in range(100)]
    # Of the first ones few are looked at.
    texts = values * 8
    check(feed(receiver, wire("".join(texts))), texts)
    frames = feed(receiver, wire("".join(values)))
    check(frames, values)
    assert len({id(frame.headers) for frame in frames}) == 20


def test_kinds_in_turn_are_all_known_and_none_is_taken_for_another() -> None:
    receiver = parser()
    kinds = ("x:y",), ("x:z",), ("x:z", "a\\nb:c:d"), ()
    texts = [send(n, *kinds[n % len(kinds)]) for n in range(LEARNT * len(kinds))]
    check(feed(receiver, wire("".join(texts))), texts)
    # In other turns than before, too.
    for step in 1, 3, 2:
        for number in range(16):
            assert made(receiver, send("x", *kinds[number * step % len(kinds)]))


@pytest.mark.parametrize("known", [True, False])
def test_one_that_comes_in_pieces_is_read_as_ever(known: bool) -> None:
    receiver = learnt()
    texts = [send("a" if known else f"a{number}", "x:y") for number in range(LEARNT)]
    octets = wire("".join(texts))
    pieces = [octets[start : start + 7] for start in range(0, len(octets), 7)]
    check(feed(receiver, *pieces), texts)


def test_another_name_that_varies_is_found_later() -> None:
    receiver = learnt()
    for names in (["time"], ["time", "id"]):
        texts = [
            send(number, *[f"{name}:{number // 3}" for name in names])
            for number in range(LEARNT)
        ]
        check(feed(receiver, wire("".join(texts))), texts)
        assert made(receiver, send("x", *[f"{name}:y" for name in names]))


def test_too_many_names_that_vary_are_not_looked_for() -> None:
    for count, is_made in (MAX_NAMES, True), (MAX_NAMES + 1, False):
        receiver = parser()
        texts = [
            send(number, *[f"name-{index}:{number}" for index in range(1, count)])
            for number in range(LEARNT)
        ]
        check(feed(receiver, wire("".join(texts))), texts)
        last = send("x", *[f"name-{index}:y" for index in range(1, count)])
        assert made(receiver, last) is is_made


@pytest.mark.parametrize("name", ["destination", "receipt", "ack"])
def test_what_a_kind_has_in_common_does_not_vary(name: str) -> None:
    receiver = parser()
    text = f"SEND\na:b\n{name}:%\n\n"
    texts = [
        text.replace("%", str(number)) + number * "x" + "^@" for number in range(LEARNT)
    ]
    check(feed(receiver, wire("".join(texts))), texts)
    last = text.replace("%", str(LEARNT)) + LEARNT * "x" + "^@"
    assert not made(receiver, last)


@pytest.mark.parametrize(
    "lines",
    [
        ["destination:/queue/a", "content-length:{}"],
        ["content-length:{}", "destination:/queue/a"],
        ["destination:/queue/a", "number:1{}", "content-length:{}", "x:y"],
        ["content-length:{}", "a:{}", "b:{}", "c:{}", "d:1{}", "destination:/queue/a"],
    ],
)
def test_the_length_of_the_body_may_vary(lines: list[str]) -> None:
    def text(length: str, body: str) -> str:
        return "\n".join(["SEND", *lines, "", body]).replace("{}", length) + "^@"

    receiver = parser()
    texts = [text(str(size), size * "^@") for size in range(LEARNT)]
    check(feed(receiver, wire("".join(texts))), texts)
    for size in (0, 7, 5000):
        assert made(receiver, text(str(size), size * "^@"))
    assert made(receiver, text("007", 7 * "^@"))
    for length in ("-1", "x", "", "1" * 19, "7\n", "²", "7^M"):
        data = wire(text(length, "body"))
        found = outcome(receiver, data)
        assert found == outcome(parser(), data)
        receiver = parser()
        check(feed(receiver, wire("".join(texts))), texts)


def test_a_body_that_does_not_end_where_it_should_is_the_same_error() -> None:
    texts = [f"SEND\na:b\ncontent-length:{n}\n\n{n * 'x'}^@" for n in range(LEARNT)]
    for length, body in (3, "xx"), (3, "xxxx"), (1 << 21, "x"):
        limits = Limits()
        receiver = parser(limits=limits)
        check(feed(receiver, wire("".join(texts))), texts)
        data = wire(f"SEND\na:b\ncontent-length:{length}\n\n{body}^@x")
        found = outcome(receiver, data)
        assert found == outcome(parser(limits=limits), data)
        assert found[1]


def test_limits_hold() -> None:
    limits = Limits(max_headers=2, max_header_len=60, max_header_size=60)
    receiver = learnt(limits=limits)
    size = 60 - len("SEND\ndestination:/queue/a\nnumber:")
    check(feed(receiver, wire(send("x" * size))), [send("x" * size)])
    with pytest.raises(LimitExceeded):
        feed(receiver, wire(send("x" * (size + 1))))


def test_a_long_block_is_read_as_ever() -> None:
    receiver = learnt()
    size = 512 - len("SEND\ndestination:/queue/a\nnumber:")
    assert made(receiver, send("x" * size))
    assert not made(receiver, send("x" * (size + 1)))


def test_a_new_version_begins_anew() -> None:
    receiver = learnt()
    receiver.switch(STOMP_1_2, NO_LIMITS, Blocks())
    assert not made(receiver, send("x"))


VALUES = st.text(st.sampled_from("ab1-ü \t:\\cnr"), max_size=6) | st.sampled_from(
    ["^M", "\0", "\udcff", "\\c", "\\x", "a\nb:c", "a\nnumber:c"]
)


@given(
    st.permutations(["destination", "number", "time", "x"]),
    st.lists(
        st.tuples(st.booleans(), VALUES, VALUES, st.sampled_from("12")), max_size=6
    ),
    st.sampled_from(["1.0", "1.1", "1.2"]),
    st.integers(1, 60),
)
@example(["destination", "number", "time", "x"], [(True, "1", "", "1")] * 2, "1.2", 9)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_whatever_varies_the_frames_are_the_same(
    names: list[str],
    drawn: list[tuple[bool, str, str, str]],
    version: str,
    step: int,
) -> None:
    def text(values: dict[str, str], left_out: str = "") -> str:
        lines = [f"{name}:{values[name]}" for name in names if name != left_out]
        return "\n".join(["SEND", *lines, "", "body^@"])

    values = {"destination": "/queue/a", "x": "y"}
    texts = [
        text({**values, "number": str(number), "time": str(number // 2)})
        for number in range(LEARNT)
    ]
    for is_whole, number, time, x in drawn:
        new = {**values, "number": number, "time": time, "x": x}
        texts.append(text(new, "" if is_whole else "time"))
    octets = wire("".join(texts))
    head = len(wire("".join(texts[:LEARNT])))
    pieces = [octets[:head]]
    pieces += [octets[i : i + step] for i in range(head, len(octets), step)]

    def result(blocks: Blocks | None) -> tuple[list[Frame], object]:
        receiver = Parser(NO_LIMITS, VERSIONS[version], None, blocks)
        return outcome(receiver, *pieces)

    frames, error = result(Blocks())
    expected, expected_error = result(None)
    assert error == expected_error
    check_equal(frames, expected)
