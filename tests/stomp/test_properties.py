"""What holds for all frames, all octets and all ways to split them."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings, strategies as st

from romp_asgi.errors import ProtocolError, VersionError
from romp_asgi.stomp import (
    VERSIONS,
    Command,
    Frame,
    HeartBeat,
    Limits,
    Parser,
    Version,
    encode_frame,
    negotiate,
)
from romp_asgi.stomp.blocks import Blocks
from romp_asgi.stomp.heartbeat import parse_heart_beat
from romp_asgi.stomp.spec import BODY_COMMANDS, CONTENT_LENGTH, UNESCAPED_COMMANDS
from romp_asgi.stomp.versions import negotiate_version
from tests.stomp.wire import ALL_COMMANDS, feed, octets, parser, wire

quick = settings(max_examples=150, derandomize=True, deadline=None)

#: Small, so that short inputs reach them.
SMALL = Limits(
    max_headers=3, max_header_len=12, max_header_size=40, max_message_size=10
)


# Frames


@st.composite
def frames(draw: st.DrawFn, version: Version) -> Frame:
    """What a version can say: a header's characters depend on it."""
    command = draw(st.sampled_from(Command))
    if command in UNESCAPED_COMMANDS or version.name == "1.0":
        lines, names = "\0\n\r", "\0\n\r:"
    else:
        lines = names = "\0"

    def text(excluded: str, min_size: int) -> st.SearchStrategy[str]:
        interesting = st.sampled_from([c for c in ":\\\n\rcnr \t" if c not in excluded])
        characters = interesting | st.characters(
            exclude_characters=excluded, exclude_categories=["Cs"]
        )
        trimmed = st.text(characters, min_size=min_size, max_size=8)
        if version.trims:
            trimmed = trimmed.map(lambda value: value.strip(" \t"))
        return trimmed.filter(lambda value: len(value) >= min_size)

    headers = draw(st.dictionaries(text(names, 1), text(lines, 0), max_size=5))
    headers.pop(CONTENT_LENGTH, None)
    body = b""
    if command in BODY_COMMANDS:
        body = draw(st.binary(max_size=20))
        headers[CONTENT_LENGTH] = str(len(body))
    return Frame(command, headers, body)


def versions_and_frames() -> st.SearchStrategy[tuple[Version, list[Frame]]]:
    return st.sampled_from(list(VERSIONS.values())).flatmap(
        lambda version: st.tuples(
            st.just(version), st.lists(frames(version), min_size=1, max_size=4)
        )
    )


@quick
@given(versions_and_frames())
def test_what_is_encoded_is_decoded(
    version_and_frames: tuple[Version, list[Frame]],
) -> None:
    version, expected = version_and_frames
    data = b"".join(encode_frame(frame, version) for frame in expected)
    assert feed(parser(version), data) == expected
    assert feed(parser(version), *octets(data)) == expected


@quick
@given(versions_and_frames())
def test_a_frame_has_as_many_lines_as_headers(
    version_and_frames: tuple[Version, list[Frame]],
) -> None:
    """No header can begin another, or the body."""
    version, (frame, *_) = version_and_frames
    head = encode_frame(frame, version).partition(b"\n\n")[0]
    assert head.count(b"\n") == len(frame.headers)


# Octets

WHOLE = [
    "SEND\nid:1\n\nbody^@",
    "SEND\nid:1\n\n\n\n^@\n",
    "SEND\ncontent-length:3\n\na^@b^@",
    "MESSAGE\na:1\nb: 2\nc:\\c\n\n^@",
    "CONNECT\nlogin:a\n\n^@",
    "STOMP^M\nlogin:a^M\n^M\n^@",
    "ACK\nid:1\n\n^@",
    "DISCONNECT\n\n^@\n\n",
]
PARTS = [
    *(f"{command}\n" for command in Command),
    "SEND^M\n",
    "ACK\nid:1\n^M\n^@",
    "SEND",
    "content-length:",
    "3",
    "id:a\n",
    "id:a^M\n",
    "\n",
    "\n\n",
    "^M",
    "^M\n",
    "^@",
    ":",
    " ",
    "\\c",
    "\\",
    "\udcff",
    "☃",
    "\u00a0",
    "x" * 9,
]

#: Some frames, then anything.
streams = st.tuples(
    st.lists(st.sampled_from(WHOLE), max_size=6),
    st.lists(st.sampled_from(PARTS), max_size=15),
).map(lambda texts: wire("^J" + "".join([*texts[0], *texts[1]])))


def outcome(receiver: Parser, pieces: list[bytes]) -> tuple[list[Frame], bool]:
    """The frames before an error, and whether there was one."""
    frames: list[Frame] = []
    try:
        for piece in pieces:
            receiver.receive_data(piece)
            while more := receiver.frames():
                frames += more
    except ProtocolError:
        return frames, True
    return frames, False


@st.composite
def splits(draw: st.DrawFn) -> list[bytes]:
    """A stream in pieces."""
    data = draw(streams)
    at = draw(st.lists(st.integers(0, len(data)), max_size=10))
    return [data[start:end] for start, end in pairwise(sorted([0, len(data), *at]))]


versions = pytest.mark.parametrize("version", VERSIONS)
limits = pytest.mark.parametrize("limits", [Limits(), SMALL], ids=["large", "small"])


@versions
@limits
@quick
@given(pieces=splits())
@example(pieces=[b"SEND\xc2", b"\xa0\n\n\0"])
@example(pieces=[b"SEND\xc2\xa0\n\n\0"])
@example(pieces=[b"SEND\n\n\0SEND\n\n\0SEND\n\n\0SEND\n\n\0SEND\n\n\0SEN", b"D\n\n\0"])
def test_a_split_changes_nothing(
    version: str, limits: Limits, pieces: list[bytes]
) -> None:
    data = b"".join(pieces)

    def result(pieces: list[bytes]) -> tuple[list[Frame], bool]:
        return outcome(Parser(limits, VERSIONS[version], ALL_COMMANDS), pieces)

    whole = result([data])
    assert result(pieces) == whole
    assert result(octets(data)) == whole


@versions
@limits
@quick
@given(data=st.binary(max_size=200) | streams)
def test_any_octets_raise_nothing_but_a_protocol_error(
    version: str, limits: Limits, data: bytes
) -> None:
    receiver = Parser(limits, VERSIONS[version])
    frames, _ = outcome(receiver, [data, data])
    for frame in frames:
        assert len(frame.headers) <= limits.max_headers
        assert len(frame.body) <= limits.max_message_size
        assert str(frame).isprintable()


@versions
@limits
@quick
@given(pieces=splits())
def test_remembered_blocks_change_nothing(
    version: str, limits: Limits, pieces: list[bytes]
) -> None:
    def result(blocks: Blocks | None) -> tuple[list[Frame], bool]:
        receiver = Parser(limits, VERSIONS[version], ALL_COMMANDS, blocks)
        return outcome(receiver, pieces * 4)

    remembering = Blocks()
    assert result(None) == result(remembering) == result(remembering)
    assert result(None) == result(Blocks(max_size=1500))


# Values


@versions
@quick
@given(text=st.text(st.sampled_from(":\\\n\rcnrx") | st.characters()))
def test_escapes_have_an_inverse(version: str, text: str) -> None:
    row = VERSIONS[version]
    escaped = row.escape(text)
    assert "\n" not in escaped
    assert ":" not in row.escape_name(text)
    if row.unescapes:
        assert row.unescape(escaped) == text
        assert row.unescape(row.escape_name(text)) == text
        assert ":" not in escaped


@quick
@given(
    offered=st.lists(
        st.sampled_from(["1.0", "1.1", "1.2", "1.3", "2.0", "", "x"]), max_size=6
    ),
    comma=st.sampled_from([",", ", ", " ,"]),
)
def test_the_version_is_the_highest_in_common(offered: list[str], comma: str) -> None:
    common = sorted(set(offered) & set(VERSIONS))
    if common:
        assert negotiate_version(comma.join(offered)).name == common[-1]
    else:
        with pytest.raises(VersionError):
            negotiate_version(comma.join(offered))


heart_beats = st.builds(
    HeartBeat, st.integers(0, 10**10 - 1), st.integers(0, 10**10 - 1)
) | st.builds(HeartBeat, st.integers(0, 1), st.integers(0, 1))


@quick
@given(client=heart_beats, server=heart_beats)
def test_both_sides_agree_on_the_same_heart_beats(
    client: HeartBeat, server: HeartBeat
) -> None:
    agreed = negotiate(client, server)
    mirrored = negotiate(server, client)
    assert (agreed.send_ms, agreed.receive_ms) == (
        mirrored.receive_ms,
        mirrored.send_ms,
    )
    for ms, sender, receiver in (
        (agreed.send_ms, server.send_ms, client.receive_ms),
        (agreed.receive_ms, client.send_ms, server.receive_ms),
    ):
        assert (ms == 0) == (sender == 0 or receiver == 0)
        assert ms == 0 or ms == max(sender, receiver)


@quick
@given(heart_beat=heart_beats)
def test_a_heart_beat_header_is_read_as_it_was_written(heart_beat: HeartBeat) -> None:
    assert parse_heart_beat(str(heart_beat)) == heart_beat


@quick
@given(value=st.text(max_size=12) | st.from_regex(r"[0-9]{0,12},[0-9]{0,12}\n?"))
def test_any_heart_beat_header_is_two_numbers_or_an_error(value: str) -> None:
    try:
        heart_beat = parse_heart_beat(value)
    except ProtocolError:
        return
    assert [int(number) for number in value.split(",")] == [
        heart_beat.send_ms,
        heart_beat.receive_ms,
    ]
