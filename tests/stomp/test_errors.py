"""The sentences that a peer is told, and the words of ``message``."""

import pytest

from romp_asgi import errors
from romp_asgi.errors import PeerError, ProtocolError

# An error, its `message`, whether it is fatal in any case, its sentence.
SENTENCES = [
    (
        errors.FrameError("It was no frame."),
        "syntax",
        True,
        "It was no frame.",
    ),
    (
        errors.LimitExceeded("max_headers", 64),
        "hdr flup",
        True,
        "The frame is larger than allowed: max_headers is 64.",
    ),
    (
        errors.LimitExceeded("max_message_size", 10, "msg flup"),
        "msg flup",
        True,
        "The frame is larger than allowed: max_message_size is 10.",
    ),
    (
        errors.HeaderError("SEND", "destination"),
        "syntax",
        False,
        "SEND must have a header destination.",
    ),
    (
        errors.HeaderError("SUBSCRIBE", "ack", "must be auto"),
        "syntax",
        False,
        "The header ack of SUBSCRIBE must be auto.",
    ),
    (
        errors.HeartBeatError("often"),
        "ecg syntax",
        True,
        (
            "The header heart-beat must be two numbers of milliseconds "
            "with a comma between, such as 10000,10000, not 'often'."
        ),
    ),
    (
        errors.VersionError("2.0", ("1.0", "1.1")),
        "unsupported version",
        True,
        "The client accepts the STOMP versions '2.0'; supported here are 1.0, 1.1.",
    ),
    (
        errors.StateError("CONNECT", "the connection is open already"),
        "syntax",
        True,
        "CONNECT is not possible now: the connection is open already.",
    ),
    (
        errors.TimeoutExceeded("Nothing came in time."),
        "timeout",
        True,
        "Nothing came in time.",
    ),
    (
        errors.NotLoggedIn("SEND"),
        "denied",
        False,
        "SEND is not possible before CONNECT.",
    ),
    (
        errors.UnknownDestination("/queue/a"),
        "destination unknown",
        False,
        "There is no destination /queue/a.",
    ),
]


@pytest.mark.parametrize(
    ("error", "message", "fatal", "sentence"),
    SENTENCES,
    ids=[f"{type(error).__name__} {i}" for i, (error, *_) in enumerate(SENTENCES)],
)
def test_sentence(error: PeerError, message: str, fatal: bool, sentence: str) -> None:
    assert str(error) == error.detail == sentence
    assert (error.message, error.fatal) == (message, fatal)
    assert error.receipt_id is None


def test_every_protocol_error_is_in_the_table() -> None:
    tested = {type(error) for error, *_ in SENTENCES}
    assert set(ProtocolError.__subclasses__()) <= tested


HOSTILE = "/queue/a\n2026 ERROR the disk is full\r\x1b[2J"


@pytest.mark.parametrize(
    "error",
    [
        errors.HeartBeatError(HOSTILE),
        errors.VersionError(HOSTILE, ("1.2",)),
        errors.UnknownDestination(HOSTILE),
        errors.TooManyDestinations(HOSTILE, 1),
        errors.DestinationFull(HOSTILE, 1),
        errors.MessageTooLarge(HOSTILE, 1),
        errors.DestinationBlocked(HOSTILE, "write_block"),
        errors.DuplicateSubscription(HOSTILE),
        errors.UnknownSubscription(HOSTILE),
        errors.UnknownTransaction(HOSTILE),
        errors.DuplicateTransaction(HOSTILE),
        errors.UnknownAck(HOSTILE),
        errors.SlowConsumer(HOSTILE, 1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_peer_wrote_stays_on_one_line_of_a_log(error: PeerError) -> None:
    assert str(error).isprintable()
    assert "\\n" in str(error)


@pytest.mark.parametrize(
    "make",
    [
        errors.HeartBeatError,
        errors.UnknownDestination,
        errors.UnknownSubscription,
        errors.UnknownTransaction,
        errors.UnknownAck,
    ],
)
def test_what_a_peer_wrote_is_shown_within_bounds(
    make: type[errors.UnknownDestination],
) -> None:
    assert len(str(make("x" * 10_000))) < 400
