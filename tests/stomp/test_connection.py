"""Conversations: one test a rule."""

import pytest

from romp_asgi.errors import (
    AuthError,
    BrokerError,
    HeaderError,
    InternalError,
    PeerError,
    StateError,
    TimeoutExceeded,
)
from romp_asgi.stomp import (
    VERSIONS,
    Command,
    Connection,
    Frame,
    HeartBeat,
    Limits,
    Parser,
)
from romp_asgi.stomp.connection import State
from romp_asgi.stomp.spec import SERVER_COMMANDS
from tests.stomp.conversation import Conversation, connected
from tests.stomp.wire import NO_LIMITS, feed, wire

COMMANDS = (
    "SEND, SUBSCRIBE, UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT, DISCONNECT, "
    "CONNECT, STOMP"
)


# § Connecting


def test_a_connection_begins_with_connecting() -> None:
    connection = Conversation().connection
    assert connection.state is State.CONNECTING
    assert connection.next_deadline() == 10
    assert connection.events_received() == []


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
def test_connect_opens_the_connection(command: str) -> None:
    conversation = Conversation()
    conversation.play(
        f"""
        C: {command}
           accept-version:1.2
           host:stomp.github.org

           ^@
        S: CONNECTED
           version:1.2
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        """
    )
    assert conversation.connection.state is State.CONNECTED
    assert conversation.connection.version is VERSIONS["1.2"]
    assert conversation.connect_headers == {
        "accept-version": "1.2",
        "host": "stomp.github.org",
    }


def test_host_is_not_required() -> None:
    Conversation().play(
        """
        C: CONNECT
           accept-version:1.1

           ^@
        S: CONNECTED
           version:1.1
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        """
    )


def test_connect_with_cr_lf_before_the_version_is_known() -> None:
    conversation = Conversation()
    conversation.play(
        """
        C: CONNECT^M
           accept-version:1.1^M
           passcode:a^M
           ^M
           ^@
        S: CONNECTED
           version:1.1
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        """
    )
    assert conversation.connect_headers["passcode"] == "a"


def test_connect_is_not_unescaped() -> None:
    conversation = Conversation()
    conversation.receive(wire("CONNECT\naccept-version:1.2\npasscode:a\\nb:\\x\n\n^@"))
    assert conversation.connect_headers["passcode"] == "a\\nb:\\x"


def test_frame_before_connect_is_an_error() -> None:
    conversation = Conversation()
    conversation.play(
        """
        C: SEND
           destination:/queue/a
           receipt:1

           hello^@
        S: ERROR
           message:denied
           receipt-id:1
           content-type:text/plain

           SEND is not possible before CONNECT.
           ^@
        S: (closed)
        """
    )
    assert conversation.frames == []


def test_second_connect_is_an_error() -> None:
    conversation = connected()
    conversation.play(
        """
        C: CONNECT
           accept-version:1.0

           ^@
        S: ERROR
           message:syntax
           content-type:text/plain

           CONNECT is not possible now: the connection is open already.
           ^@
        S: (closed)
        """
    )
    assert conversation.connection.version is VERSIONS["1.2"]


def test_disconnect_before_connect_is_possible() -> None:
    Conversation().play(
        """
        C: DISCONNECT
           receipt:1

           ^@
        S: RECEIPT
           receipt-id:1

           ^@
        S: (closed)
        """
    )


def test_connect_has_to_come_in_time() -> None:
    conversation = Conversation()
    conversation.play(
        """
        at 9.9
        C: ^J
        at 10
        S: ERROR
           message:timeout
           content-type:text/plain

           CONNECT did not come in time.
           ^@
        S: (closed)
        at 100
        """
    )


def test_a_connection_that_is_open_has_no_time_limit() -> None:
    connected().play("at 1000000")


def test_the_limits_before_connect_are_others() -> None:
    conversation = Conversation(
        login_limits=Limits(max_headers=2), limits=Limits(max_headers=3)
    )
    conversation.play(
        """
        C: CONNECT
           a:1
           b:2
           c:3

           ^@
        S: ERROR
           message:hdr flup
           content-type:text/plain

           The frame is larger than allowed: max_headers is 2.
           ^@
        S: (closed)
        """
    )


def test_the_limits_after_connect_hold_in_the_same_read() -> None:
    conversation = Conversation(
        login_limits=Limits(max_message_size=0), limits=Limits(max_message_size=5)
    )
    conversation.play(
        """
        C: CONNECT

           ^@SEND
           destination:a

           hello^@SEND
           destination:a
           receipt:1

           hello!^@
        S: CONNECTED
           version:1.0
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        S: ERROR
           message:msg flup
           receipt-id:1
           content-type:text/plain

           The frame is larger than allowed: max_message_size is 5.
           ^@
        S: (closed)
        """
    )
    assert [frame.body for frame in conversation.frames] == [b"hello"]


# § Protocol Negotiation


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("accept-version:1.0,1.1,2.0", "1.1"),
        ("accept-version:1.2,1.1,1.0", "1.2"),
        ("accept-version:1.0", "1.0"),
        ("accept-version: 1.1, 1.2", "1.2"),
        ("no-accept-version:1.2", "1.0"),
    ],
)
def test_the_highest_common_version_is_used(line: str, version: str) -> None:
    conversation = Conversation()
    conversation.play(
        f"""
        C: CONNECT
           {line}

           ^@
        S: CONNECTED
           version:{version}
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        """
    )
    assert conversation.connection.version.name == version


def test_no_common_version_is_an_error_that_lists_ours() -> None:
    conversation = Conversation()
    conversation.play(
        """
        C: CONNECT
           accept-version:2.0,3

           ^@
        S: ERROR
           message:unsupported version
           version:1.0,1.1,1.2
           content-type:text/plain

           The client accepts the STOMP versions '2.0,3'; supported here are 1.0, 1.1, 1.2.
           ^@
        S: (closed)
        """  # noqa: E501
    )


def test_a_refused_connect_changes_nothing() -> None:
    connection = Conversation(heart_beat=HeartBeat(1000, 1000)).connection
    for headers in (
        {"accept-version": "2.0", "heart-beat": "1000,1000"},
        {"accept-version": "1.1", "heart-beat": "x"},
    ):
        with pytest.raises(PeerError):
            connection.negotiate(Frame(Command.CONNECT, headers))
        assert connection.state is State.CONNECTING
        assert connection.version is VERSIONS["1.2"]
        assert connection.heart_beat == HeartBeat()


def test_a_1_0_connect_is_trimmed() -> None:
    """The version is known only after it was read."""
    conversation = Conversation()
    conversation.play(
        """
        C: CONNECT
           login : me
           passcode: \tge heim\t

           ^@
        S: CONNECTED
           version:1.0
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        C: SEND
           destination : /queue/a\\n

           ^@
        """
    )
    assert conversation.connect_headers == {"login": "me", "passcode": "ge heim"}
    assert conversation.frames == [Frame(Command.SEND, {"destination": "/queue/a\\n"})]


def test_a_1_0_connect_takes_the_first_of_headers_that_trimming_makes_equal() -> None:
    conversation = Conversation()
    conversation.receive(wire("CONNECT\nlogin:first\nlogin :second\n\n^@"))
    assert conversation.connect_headers == {"login": "first"}


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_newer_connect_is_not_trimmed(version: str) -> None:
    conversation = Conversation()
    conversation.receive(
        wire(f"CONNECT\naccept-version:{version}\npasscode: a \n login:me\n\n^@")
    )
    assert conversation.connect_headers == {
        "accept-version": version,
        "passcode": " a ",
        " login": "me",
    }


def test_what_was_read_before_connect_is_read_anew_after_it() -> None:
    """DISCONNECT aside, a session may leave the connection open after an error."""
    connection = Conversation().connection
    send = wire("SEND\ndestination:\\c\n\n^@")
    connection.receive_data(send + wire("CONNECT\n\n^@") + send, 0)
    first, connect = connection.events_received()
    connection.negotiate(connect)
    connection.accept("romp/0.1", "s1")
    (second,) = connection.events_received()
    assert first.headers == {"destination": ":"}
    assert second.headers == {"destination": "\\c"}


# § Heart-beating


def test_heart_beats_are_agreed_on() -> None:
    conversation = Conversation(heart_beat=HeartBeat(send_ms=30, receive_ms=40))
    conversation.play(
        """
        C: CONNECT
           accept-version:1.1
           heart-beat:50,20

           ^@
        S: CONNECTED
           version:1.1
           heart-beat:30,40
           server:romp/0.1
           session:s1

           ^@
        """
    )
    assert conversation.connection.heart_beat == HeartBeat(send_ms=30, receive_ms=50)


def test_1_0_has_no_heart_beats() -> None:
    """And so none are declared, which a client might wait for."""
    conversation = Conversation(heart_beat=HeartBeat(1000, 1000))
    conversation.play(
        """
        C: CONNECT
           accept-version:1.0
           heart-beat:1000,often

           ^@
        S: CONNECTED
           version:1.0
           heart-beat:0,0
           server:romp/0.1
           session:s1

           ^@
        at 1000
        """
    )
    assert conversation.connection.heart_beat == HeartBeat()
    assert conversation.connection.next_deadline() is None


def test_a_heart_beat_header_that_is_not_two_numbers_is_an_error() -> None:
    conversation = Conversation()
    conversation.play(
        """
        C: CONNECT
           accept-version:1.2
           heart-beat:1000

           ^@
        S: ERROR
           message:ecg syntax
           content-type:text/plain

           The header heart-beat must be two numbers of milliseconds with a comma between, such as 10000,10000, not '1000'.
           ^@
        S: (closed)
        """  # noqa: E501
    )


def test_the_server_sends_a_heart_beat_within_each_interval() -> None:
    connected(heart_beat="0,1000").play(
        """
        at 0.79
        at 0.8
        S: ^J
        at 1.6
        S: ^J
        at 3.2
        S: ^J
        S: ^J
        """
    )


def test_whatever_the_server_sends_is_a_heart_beat() -> None:
    connected(heart_beat="0,1000").play(
        """
        at 0.7
        C: BEGIN
           transaction:1
           receipt:1

           ^@
        S: RECEIPT
           receipt-id:1

           ^@
        at 1.4
        at 1.5
        S: ^J
        """
    )


def test_a_client_that_is_silent_for_too_long_is_an_error() -> None:
    """With "an error margin": here twice the interval."""
    connected(heart_beat="1000,0").play(
        """
        at 1.99
        at 2
        S: ERROR
           message:timeout
           content-type:text/plain

           Neither a frame nor a heart-beat came in time: every 1000 ms was agreed on.
           ^@
        S: (closed)
        at 100
        """
    )


def test_whatever_the_client_sends_is_a_heart_beat() -> None:
    connected(heart_beat="1000,0").play(
        """
        at 1.9
        C: ^J
        at 3.8
        C: SEN
        at 5.7
        C: D
           destination:a

           ^@
        at 7.6
        C: ^M
        at 9.5
        C: ^J
        at 11.4
        at 11.5
        S: ERROR
           message:timeout
           content-type:text/plain

           Neither a frame nor a heart-beat came in time: every 1000 ms was agreed on.
           ^@
        S: (closed)
        """
    )


def test_heart_beats_both_ways_at_their_own_intervals() -> None:
    conversation = connected(heart_beat="5000,2000")
    assert conversation.connection.heart_beat == HeartBeat(2000, 5000)
    conversation.play(
        """
        at 1.6
        S: ^J
        at 3.2
        S: ^J
        C: ^J
        at 8
        S: ^J
        S: ^J
        S: ^J
        at 13.1
        S: ^J
        S: ^J
        S: ^J
        at 13.2
        S: ERROR
           message:timeout
           content-type:text/plain

           Neither a frame nor a heart-beat came in time: every 5000 ms was agreed on.
           ^@
        S: (closed)
        """
    )


def test_the_next_deadline_is_the_earlier_one() -> None:
    connection = connected(heart_beat="1000,1000").connection
    assert connection.next_deadline() == 0.8
    connection.check_deadlines(now=0.8, sent_at=0.0)
    assert connection.next_deadline() == 1.6
    connection.check_deadlines(now=1.5, sent_at=1.5)
    assert connection.next_deadline() == 2.0, "the client's, with its margin"


def test_nothing_is_due_between_deadlines() -> None:
    connection = connected(heart_beat="1000,1000").connection
    assert connection.check_deadlines(now=0.5, sent_at=0.0) == b""
    assert connection.check_deadlines(now=0.5, sent_at=0.0) == b""
    assert Conversation().connection.check_deadlines(now=5, sent_at=0) == b""


# § Client Frames

MISSING = [
    ("1.0", "SEND", "destination"),
    ("1.0", "SUBSCRIBE", "destination"),
    ("1.0", "ACK", "message-id"),
    ("1.0", "BEGIN", "transaction"),
    ("1.1", "SEND", "destination"),
    ("1.1", "SUBSCRIBE\ndestination:a", "id"),
    ("1.1", "SUBSCRIBE\nid:a", "destination"),
    ("1.1", "UNSUBSCRIBE\ndestination:a", "id"),
    ("1.1", "ACK\nid:1", "message-id"),
    ("1.1", "NACK\nsubscription:1", "message-id"),
    ("1.2", "SUBSCRIBE\ndestination:a", "id"),
    ("1.2", "UNSUBSCRIBE\ndestination:a", "id"),
    ("1.2", "ACK\nmessage-id:1", "id"),
    ("1.2", "NACK\nmessage-id:1", "id"),
    ("1.2", "BEGIN", "transaction"),
    ("1.2", "COMMIT", "transaction"),
    ("1.2", "ABORT", "transaction"),
]


@pytest.mark.parametrize(("version", "head", "header"), MISSING)
def test_a_frame_without_a_required_header_is_an_error(
    version: str, head: str, header: str
) -> None:
    conversation = connected(version)
    command, _, lines = head.partition("\n")
    conversation.play(
        f"""
        C: {command}
           receipt:7
           {lines or "a:b"}

           ^@
        S: ERROR
           message:syntax
           receipt-id:7
           content-type:text/plain

           {command} must have a header {header}.
           ^@
        S: (closed)
        """
    )
    assert conversation.frames == []


def test_a_missing_header_closes_only_if_the_config_says_so() -> None:
    with pytest.raises(HeaderError) as caught:
        connected().connection.check(Frame(Command.SEND))
    assert not caught.value.fatal


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1.0", "SUBSCRIBE\ndestination:a\n\n^@"),
        ("1.0", "UNSUBSCRIBE\ndestination:a\n\n^@"),
        ("1.0", "ACK\nmessage-id:1\n\n^@"),
        ("1.1", "ACK\nmessage-id:1\n\n^@"),  # without `subscription`
        ("1.1", "NACK\nmessage-id:1\nsubscription:1\n\n^@"),
        ("1.2", "ACK\nid:1\n\n^@"),
        ("1.2", "SEND\ndestination:\n\n^@"),  # empty is not missing
        ("1.2", "DISCONNECT\n\n^@"),
    ],
)
def test_a_frame_with_what_it_needs_is_possible(version: str, text: str) -> None:
    conversation = connected(version)
    conversation.receive(wire(text))
    assert len(conversation.frames) == 1


def test_an_unknown_command_is_an_error() -> None:
    connected("1.1").play(
        f"""
        C: PUBLISH
           receipt:1

           ^@
        S: ERROR
           message:syntax
           content-type:text/plain

           The command 'PUBLISH' is unknown; STOMP 1.1 has {COMMANDS}.
           ^@
        S: (closed)
        """
    )


def test_frames_before_an_error_in_the_same_read_are_processed() -> None:
    conversation = connected()
    conversation.play(
        """
        C: SEND
           destination:a
           receipt:1

           one^@SEND
           destination

           two^@SEND
           destination:a
           receipt:3

           three^@
        S: RECEIPT
           receipt-id:1

           ^@
        S: ERROR
           message:syntax
           content-type:text/plain

           A header line of SEND is not name:value: 'destination'.
           ^@
        S: (closed)
        C: SEND
           destination:a
           receipt:4

           four^@
        """
    )
    assert [frame.body for frame in conversation.frames] == [b"one"]


def test_an_undefined_escape_is_an_error() -> None:
    connected("1.1").play(
        r"""
        C: SEND
           destination:a\rb

           ^@
        S: ERROR
           message:syntax
           content-type:text/plain

           A header has the undefined escape '\\r'; STOMP 1.1 defines \\, \n, \c.
           ^@
        S: (closed)
        """
    )


@pytest.mark.parametrize(
    ("version", "value"), [("1.0", r"a\c\n:"), ("1.1", r"a\c\n\c"), ("1.2", r"a\c\n\c")]
)
def test_a_receipt_is_what_was_asked_for(version: str, value: str) -> None:
    connected(version).play(
        rf"""
        C: BEGIN
           transaction:1
           receipt:a\c\n:

           ^@
        S: RECEIPT
           receipt-id:{value}

           ^@
        """
    )


def test_nothing_is_read_after_disconnect() -> None:
    conversation = connected()
    conversation.play(
        """
        C: DISCONNECT
           receipt:77

           ^@
        S: RECEIPT
           receipt-id:77

           ^@
        S: (closed)
        C: BEGIN
           transaction:1
           receipt:78

           ^@
        at 1000
        """
    )
    connection = conversation.connection
    assert connection.state is State.CLOSED
    assert connection.events_received() == []
    assert connection.next_deadline() is None
    assert connection.check_deadlines(now=1000, sent_at=0) == b""


def test_no_frame_that_was_read_with_it_is_possible_after_the_end() -> None:
    connection = connected().connection
    connection.close()
    with pytest.raises(StateError, match="the connection is closed"):
        connection.check(Frame(Command.CONNECT))


# § ERROR


def decoded(octets: bytes) -> Frame:
    (frame,) = feed(Parser(NO_LIMITS, commands=SERVER_COMMANDS), octets)
    return frame


@pytest.mark.parametrize(
    "error",
    [
        TimeoutExceeded("It was too long: ä\ud800."),
        AuthError("No."),
        BrokerError("No."),
        InternalError(),
    ],
)
def test_every_error_has_message_content_type_and_a_sentence(error: PeerError) -> None:
    frame = decoded(Conversation().connection.error(error))
    assert frame.command is Command.ERROR
    assert frame.headers == {
        "message": error.message,
        "content-type": "text/plain",
        "content-length": str(len(frame.body)),
    }
    assert frame.body == error.detail.encode("utf-8", "replace") + b"\n"


def test_an_error_names_the_receipt_of_the_frame() -> None:
    error = BrokerError("No.")
    error.receipt_id = "a:b"
    assert decoded(connected().connection.error(error)).headers["receipt-id"] == "a:b"


def test_an_error_does_not_close_by_itself() -> None:
    connection: Connection = connected().connection
    connection.error(BrokerError("No."))
    assert connection.state is State.CONNECTED
