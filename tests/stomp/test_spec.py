"""The words, and that they are all there is: STOMP 1.2 § Augmented BNF."""

import pytest

from romp_asgi.stomp import spec
from romp_asgi.stomp.spec import (
    BODY_COMMANDS,
    CLIENT_COMMANDS,
    CONNECT_COMMANDS,
    SERVER_COMMANDS,
    UNESCAPED_COMMANDS,
    AckMode,
    Command,
)

GRAMMAR_CLIENT = (
    "SEND SUBSCRIBE UNSUBSCRIBE BEGIN COMMIT ABORT ACK NACK DISCONNECT CONNECT STOMP"
)
GRAMMAR_SERVER = "CONNECTED MESSAGE RECEIPT ERROR"


def test_the_commands_are_those_of_the_grammar() -> None:
    assert set(CLIENT_COMMANDS) == set(GRAMMAR_CLIENT.split())
    assert set(SERVER_COMMANDS) == set(GRAMMAR_SERVER.split())
    assert set(Command) == {*CLIENT_COMMANDS.values(), *SERVER_COMMANDS.values()}


def test_the_tables_are_frozen() -> None:
    for table in (CLIENT_COMMANDS, SERVER_COMMANDS):
        with pytest.raises(TypeError):
            table["X"] = Command.SEND  # type: ignore[index]


def test_frames_that_may_have_a_body() -> None:
    assert set(BODY_COMMANDS) == {Command.SEND, Command.MESSAGE, Command.ERROR}


def test_frames_that_are_not_escaped() -> None:
    assert set(UNESCAPED_COMMANDS) == CONNECT_COMMANDS | {Command.CONNECTED}


def test_the_ack_modes() -> None:
    assert list(AckMode) == ["auto", "client", "client-individual"]


def test_a_sender_cannot_write_the_servers_headers() -> None:
    server = {"ack", "message-id", "subscription", "redelivered", "content-length"}
    assert server <= spec.RESERVED_HEADERS
    # "The user defined headers MUST be passed through."
    assert not spec.RESERVED_HEADERS & {
        spec.DESTINATION,
        spec.CONTENT_TYPE,
        spec.ID,
        spec.ORIGINAL_DESTINATION,
        "reply-to",
    }
