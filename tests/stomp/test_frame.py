"""Frames → octets, and what a log shows of them."""

import pytest

from romp_asgi.stomp import VERSIONS, Command, Frame, encode_frame
from romp_asgi.stomp.frame import (
    encode_headers,
    encode_message_tail,
    encode_passed_on,
)
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.spec import RESERVED_HEADERS
from tests.stomp.vectors import VECTORS, Vector
from tests.stomp.wire import feed, parser, wire


@pytest.mark.parametrize("vector", VECTORS)
def test_encode(vector: Vector) -> None:
    octets = encode_frame(vector.frame, VERSIONS[vector.version])
    assert octets == wire(vector.encoded)


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        # STOMP 1.0 and 1.1 cannot say these. They are written as later versions
        # write them, but never so that a header line begins or ends by them.
        ("1.0", r"a\cb\n\r\:c:d\n\r" + "\\\n"),
        ("1.1", "a\\cb\\n^M\\\\:c\\cd\\n^M\\\\\n"),
        ("1.2", r"a\cb\n\r\\:c\cd\n\r" + "\\\\\n"),
    ],
)
def test_a_header_never_begins_another(version: str, lines: str) -> None:
    headers = {"a:b\n\r\\": "c:d\n\r\\"}
    assert encode_headers(headers, VERSIONS[version]).encode() == wire(lines)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ({}, ""),
        ({"a": "b"}, "a:b\n"),
        ({"a": ""}, "a:\n"),
        ({"a": "b", "c": " d "}, "a:b\nc: d \n"),
    ],
)
def test_plain_headers_are_the_same_in_all_versions(
    version: str, headers: dict[str, str], lines: str
) -> None:
    assert encode_headers(headers, VERSIONS[version]) == lines


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "headers",
    [
        # As many colons and line ends as plain headers have.
        {"a": "1:2", "b\n": ""},
        {"a": "\n", "b": ":"},
        {"a:": "", "b": "2"},
        {"a\nb": "c:d", "e": "f"},
    ],
)
def test_what_only_counts_as_plain_is_escaped(
    version: str, headers: dict[str, str]
) -> None:
    encoded = encode_headers(headers, VERSIONS[version])
    assert encoded.count("\n") == len(headers)
    assert all(line.count(":") >= 1 for line in encoded.splitlines())


@pytest.mark.parametrize("command", ["SEND", "MESSAGE", "ERROR"])
def test_content_length_is_that_of_the_body(command: str) -> None:
    headers = {"content-length": "77", "a": "b"}
    frame = Frame(Command(command), headers, b"12345")
    assert encode_frame(frame, VERSIONS["1.2"]) == wire(
        f"{command}\na:b\ncontent-length:5\n\n12345^@"
    )
    assert headers == {"content-length": "77", "a": "b"}, "as it was"


def test_content_length_is_not_said_where_there_is_no_body() -> None:
    frame = Frame(Command.RECEIPT, {"receipt-id": "1", "content-length": "0"})
    assert encode_frame(frame, VERSIONS["1.2"]) == wire("RECEIPT\nreceipt-id:1\n\n^@")


# § MESSAGE


def test_the_tail_of_a_message() -> None:
    headers = {"destination": "/queue/a", "content-type": "text/plain", "x": "y"}
    tail = encode_message_tail(7, headers, b"hello\0", VERSIONS["1.2"])
    assert b"MESSAGE\nsubscription:0\n" + tail == wire(
        """
        MESSAGE
        subscription:0
        message-id:7
        destination:/queue/a
        content-type:text/plain
        x:y
        content-length:6

        hello^@^@
        """
    )


def test_the_servers_headers_are_not_the_senders_to_write() -> None:
    headers = dict.fromkeys(RESERVED_HEADERS, "spoofed") | {"a": "b"}
    tail = encode_message_tail(7, headers, b"", VERSIONS["1.2"])
    assert tail == wire("message-id:7\na:b\ncontent-length:0\n\n^@")


@pytest.mark.parametrize(
    ("version", "line"),
    [("1.0", r"a\b:c:d\n\r"), ("1.1", "a\\\\b:c\\cd\\n^M"), ("1.2", r"a\\b:c\cd\n\r")],
)
def test_a_message_is_written_as_its_receivers_version_has_it(
    version: str, line: str
) -> None:
    tail = encode_message_tail(7, {"a\\b": "c:d\n\r"}, b"", VERSIONS[version])
    assert tail == wire(f"message-id:7\n{line}\ncontent-length:0\n\n^@")


NEW = {"is_known": True, "encoded_version": "", "encoded_others": None, "plain": None}


def test_header_lines_are_encoded_once_for_each_version() -> None:
    headers = Headers({"a": "b:c", "receipt": "1"})
    for name, value in NEW.items():
        setattr(headers, name, value)
    for number in (1, 2):
        for version, lines in (("1.0", b"a:b:c\n"), ("1.2", b"a:b\\cc\n")):
            tail = encode_message_tail(number, headers, b"x", VERSIONS[version])
            assert tail == b"message-id:%d\n%bcontent-length:1\n\nx\0" % (number, lines)
    assert (headers.encoded_version, headers.encoded) == ("1.0", b"a:b:c\n")
    assert headers.encoded_others == {"1.2": b"a:b\\cc\n"}
    kept = encode_passed_on(headers, VERSIONS["1.0"])
    assert encode_passed_on(headers, VERSIONS["1.0"]) is kept


@pytest.mark.parametrize(
    "lines",
    [
        "a:1",
        "content-length:0",
        "content-length:0|a:1",
        "a:1|content-length:0",
        "a:1|content-length:0|b:2",
        "x-content-length:7|content-length:0",
        "content-length:0|x-content-length:7",
        "x-content-length:7",
        "a:content-length|content-length:0",
        "a:b:c|content-length:0",
        "a:1|receipt:2",
        "a:1|a:2|content-length:0",
        "a:\\n|content-length:0",
        "a:1^M",
        " a : 1 |content-length:0",
    ],
)
@pytest.mark.parametrize("sent", VERSIONS)
@pytest.mark.parametrize("received", VERSIONS)
def test_lines_that_are_passed_on_as_read_are_what_they_would_be_encoded_as(
    sent: str, received: str, lines: str
) -> None:
    octets = wire("SEND\n" + lines.replace("|", "\n") + "\n\n^@")
    frames = feed(parser(sent), octets * 3)
    version = VERSIONS[received]
    again = encode_headers(frames[0].headers, version, RESERVED_HEADERS).encode()
    assert [encode_passed_on(frame.headers, version) for frame in frames] == [again] * 3


@pytest.mark.parametrize(
    ("lines", "passed_on"),
    [
        ("a:1|content-length:2|b:2", "a:1|content-length:2|b:2"),
        ("content-length:2", "content-length:2"),
        ("a:1", "a:1|content-length:2"),
        ("content-length:2|ack:x", "content-length:2"),
        ("content-length:2|message-id:x|a:1", "a:1|content-length:2"),
        ("content-length:2|a:b:c", "a:b\\cc|content-length:2"),
        ("content-length:2|content-length:3", "content-length:2"),
        ("content-length:02|a:1", "a:1|content-length:2"),
    ],
)
def test_a_message_that_came_once_has_its_lines_in_their_order(
    lines: str, passed_on: str
) -> None:
    (frame,) = feed(parser(), wire("SEND\n" + lines.replace("|", "\n") + "\n\nxy^@"))
    tail = encode_message_tail(7, frame.headers, frame.body, VERSIONS["1.2"])
    head = "message-id:7\n" + passed_on.replace("|", "\n") + "\n\n"
    assert tail == wire(head + "xy^@")
    # A filter may have changed its body.
    tail = encode_message_tail(7, frame.headers, b"other", VERSIONS["1.2"])
    assert tail.count(b"content-length") == 1
    assert tail.endswith(b"content-length:5\n\nother\0")


def test_frames_with_equal_headers_share_what_was_encoded() -> None:
    _, one, two = feed(parser(), wire("SEND\na:1\n\n^@" * 3))
    encode_message_tail(1, one.headers, b"", VERSIONS["1.2"])
    assert isinstance(two.headers, Headers)
    assert (two.headers.encoded_version, two.headers.encoded) == ("1.2", b"a:1\n")


def test_headers_that_are_a_plain_mapping_are_encoded_each_time() -> None:
    headers = {"a": "b"}
    first = encode_message_tail(1, headers, b"", VERSIONS["1.2"])
    headers["a"] = "c"
    assert b"a:b\n" in first
    assert b"a:c\n" in encode_message_tail(1, headers, b"", VERSIONS["1.2"])


# A frame as a value


def test_frames_are_equal_by_value() -> None:
    frame = Frame(Command.SEND, {"a": "b"}, b"c")
    assert frame == Frame(Command.SEND, Headers({"a": "b"}), b"c")
    assert frame != Frame(Command.MESSAGE, {"a": "b"}, b"c")
    assert frame != Frame(Command.SEND, {"a": "c"}, b"c")
    assert frame != Frame(Command.SEND, {"a": "b"}, b"")
    assert frame != "SEND"
    assert Frame(Command.SEND) == Frame(Command.SEND, {}, b"")


def test_frames_have_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Frame(Command.SEND))


# A frame in a log


def test_a_log_shows_command_headers_and_size() -> None:
    frame = Frame(Command.SEND, {"destination": "/queue/ä", "a": "b"}, b"secret")
    assert str(frame) == "SEND destination:/queue/ä a:b [6 bytes]"
    assert repr(frame) == (
        "Frame(SEND, {'destination': '/queue/ä', 'a': 'b'}, b'secret')"
    )


@pytest.mark.parametrize("name", ["passcode", " passcode", "passcode ", "Passcode\t"])
def test_a_log_shows_no_passcode(name: str) -> None:
    """A STOMP 1.0 client may pad the name, before its version is known."""
    frame = Frame(Command.CONNECT, {"login": "me", name: "geheim"})
    assert "geheim" not in str(frame)
    assert "geheim" not in repr(frame)
    assert "login:me" in str(frame)


def test_a_log_is_bounded() -> None:
    headers = {f"{number:03}" + "n" * 1000: "v" * 1000 for number in range(100)}
    frame = Frame(Command.SEND, headers, b"x" * 1_000_000)
    assert len(str(frame)) < 20 * 402 + 100
    assert len(repr(frame)) < 20 * 410 + 200


def test_a_frame_is_one_line_of_a_log() -> None:
    frame = Frame(
        Command.SEND,
        {"destination": "a\n2026 ERROR the disk is full\r\x1b[2J\u2028", "b\n": "c"},
    )
    assert str(frame) == (
        "SEND destination:a\\n2026 ERROR the disk is full\\r\\x1b[2J\\u2028 "
        "b\\n:c [0 bytes]"
    )
    assert str(frame).isprintable()
