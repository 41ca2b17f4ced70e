"""The rows of the version table, escapes, and which version is agreed on."""

import pytest

from romp_asgi.errors import FrameError, VersionError
from romp_asgi.stomp import VERSIONS, Command, Version
from romp_asgi.stomp.spec import CLIENT_COMMANDS
from romp_asgi.stomp.versions import STOMP_1_0, STOMP_1_1, STOMP_1_2, negotiate_version

# § Value Encoding

ESCAPES = {
    "1.1": {"\\": r"\\", "\n": r"\n", ":": r"\c"},
    "1.2": {"\\": r"\\", "\n": r"\n", ":": r"\c", "\r": r"\r"},
}


@pytest.mark.parametrize("version", ESCAPES)
def test_each_escape(version: str) -> None:
    row = VERSIONS[version]
    for character, escaped in ESCAPES[version].items():
        assert row.escape(character) == row.escape_name(character) == escaped
        assert row.unescape(escaped) == character
    assert dict(row.escapes) == ESCAPES[version]


@pytest.mark.parametrize("version", ESCAPES)
def test_every_other_escape_is_undefined(version: str) -> None:
    row = VERSIONS[version]
    defined = {escape[1] for escape in row.escapes.values()}
    for number in (*range(256), 0x2028, 0x1F600):
        character = chr(number)
        if character not in defined:
            with pytest.raises(FrameError, match="undefined escape"):
                row.unescape("a\\" + character)


def test_an_escape_that_ends_with_the_text_is_undefined() -> None:
    with pytest.raises(FrameError, match="undefined escape"):
        STOMP_1_2.unescape("a\\")


@pytest.mark.parametrize("text", [r"\\n", r"\\\n", r"\\\\", r"a\cb\\c", ""])
def test_escapes_are_read_in_one_pass(text: str) -> None:
    assert STOMP_1_2.escape(STOMP_1_2.unescape(text)) == text


def test_1_0_writes_no_escape_but_for_what_would_end_a_line() -> None:
    assert STOMP_1_0.escape("a:b\\c\t") == "a:b\\c\t"
    assert STOMP_1_0.escape("a\r\nb") == r"a\r\nb"
    assert STOMP_1_0.escape_name("a:b") == r"a\cb"
    assert not STOMP_1_0.unescapes


# The table


def test_the_versions_from_old_to_new() -> None:
    assert list(VERSIONS) == ["1.0", "1.1", "1.2"]
    assert all(name == version.name for name, version in VERSIONS.items())


@pytest.mark.parametrize(
    ("version", "unknown"), [("1.0", {"NACK"}), ("1.1", set()), ("1.2", set())]
)
def test_the_commands_of_a_client(version: str, unknown: set[str]) -> None:
    commands = VERSIONS[version].commands
    assert set(commands) == set(CLIENT_COMMANDS) - unknown
    assert all(name == command.value for name, command in commands.items())


@pytest.mark.parametrize("version", VERSIONS)
def test_send_is_the_first_command_to_be_compared(version: str) -> None:
    """An unfinished command is compared with each; and errors list them so."""
    assert next(iter(VERSIONS[version].commands)) == "SEND"


REQUIRED = {
    # STOMP 1.0 § SEND … § ABORT
    "1.0": {
        "SEND": "destination",
        "SUBSCRIBE": "destination",
        "ACK": "message-id",
        "NACK": "message-id",
        "BEGIN": "transaction",
        "COMMIT": "transaction",
        "ABORT": "transaction",
    },
    # STOMP 1.1 § SUBSCRIBE id Header, § UNSUBSCRIBE; of § ACK not `subscription`
    "1.1": {
        "SEND": "destination",
        "SUBSCRIBE": "destination id",
        "UNSUBSCRIBE": "id",
        "ACK": "message-id",
        "NACK": "message-id",
        "BEGIN": "transaction",
        "COMMIT": "transaction",
        "ABORT": "transaction",
    },
    # STOMP 1.2 § Frames and Headers; of CONNECT neither
    "1.2": {
        "SEND": "destination",
        "SUBSCRIBE": "destination id",
        "UNSUBSCRIBE": "id",
        "ACK": "id",
        "NACK": "id",
        "BEGIN": "transaction",
        "COMMIT": "transaction",
        "ABORT": "transaction",
    },
}


@pytest.mark.parametrize("version", VERSIONS)
def test_required_headers(version: str) -> None:
    assert VERSIONS[version].required == {
        Command(command): tuple(headers.split())
        for command, headers in REQUIRED[version].items()
    }


@pytest.mark.parametrize(
    ("version", "header"), [("1.0", "message-id"), ("1.1", "message-id"), ("1.2", "id")]
)
def test_the_header_by_which_ack_names_a_message(version: str, header: str) -> None:
    assert VERSIONS[version].ack_header == header


# § Protocol Negotiation


@pytest.mark.parametrize(
    ("accept_version", "version"),
    [
        ("1.2", STOMP_1_2),
        ("1.1", STOMP_1_1),
        ("1.0", STOMP_1_0),
        ("1.0,1.1,1.2", STOMP_1_2),
        ("1.0,1.1,2.0", STOMP_1_1),  # the example
        ("1.2,1.1,1.0", STOMP_1_2),
        ("1.1,1.0", STOMP_1_1),
        ("1.0, 1.1 ,\t1.2", STOMP_1_2),
        ("1.3,1.0", STOMP_1_0),
        (",1.1,,", STOMP_1_1),
        (None, STOMP_1_0),
    ],
)
def test_the_highest_common_version(
    accept_version: str | None, version: Version
) -> None:
    assert negotiate_version(accept_version) is version


@pytest.mark.parametrize(
    "accept_version",
    ["", "2.0", "1", "1.20", "1.2;1.1", "v1.2", "01.2", "\uff11.\uff12"],
)
def test_no_common_version(accept_version: str) -> None:
    with pytest.raises(VersionError) as caught:
        negotiate_version(accept_version)
    assert caught.value.offered == accept_version
    assert caught.value.supported == ("1.0", "1.1", "1.2")
