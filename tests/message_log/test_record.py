"""Records and files of them: what is written is read, whatever has happened to it."""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from romp_asgi.broker import Message
from romp_asgi.message_log import Damage, Record, read
from romp_asgi.message_log.file import LogFile
from romp_asgi.message_log.record import Encoder
from romp_asgi.stomp import Limits, Parser
from romp_asgi.stomp.headers import Headers
from romp_asgi.stomp.spec import CLIENT_COMMANDS

NOW = 1735689599.25
TIME = datetime(2024, 12, 31, 23, 59, 59, 250_000, UTC)


def message(
    body: bytes = b"hello", number: int = 7, more: Mapping[str, str] = {}
) -> Message:
    made = Message("/queue/a", {"destination": "/queue/a", **more}, body)
    made.number = number
    return made


def record(body: bytes = b"hello", number: int = 7, user: str = "harry") -> bytes:
    return Encoder().encode(message(body, number), user, NOW)


def read_back(folder: Path, data: bytes) -> list[Record | Damage]:
    file = folder / "mlog"
    file.write_bytes(data)
    return list(read(file))


def bodies(parts: list[Record | Damage]) -> list[bytes]:
    return [part.body for part in parts if isinstance(part, Record)]


def test_a_record_octet_by_octet() -> None:
    assert record() == (
        b"MSG 7 44 5 2024-12-31T23:59:59.250Z harry\n"
        b"SEND\ndestination:/queue/a\ncontent-length:5\n\nhello\0\n"
    )


def test_what_belongs_to_the_send_alone_is_left_out() -> None:
    own = {"receipt": "r", "transaction": "t", "ack": "x", "message-id": "9"}
    sent = message(more={**own, "a": "b"})
    text = Encoder().encode(sent, "", NOW)
    assert b"\ndestination:/queue/a\na:b\ncontent-length:5\n\nhello\0\n" in text
    for name in (b"receipt", b"transaction", b"ack", b"message-id"):
        assert name not in text


def test_headers_that_were_encoded_for_receivers_are_used() -> None:
    sent = message()
    sent.headers = Headers(sent.headers)
    sent.headers.encoded = b"destination:/queue/a\nseen:yes\n"
    sent.headers.encoded_version = "1.2"
    assert b"seen:yes\ncontent-length:5" in Encoder().encode(sent, "", NOW)


def test_what_follows_the_first_line_is_a_frame_of_stomp() -> None:
    _, _, rest = record(b"a\0b\n").partition(b"\n")
    parser = Parser(Limits(), commands=CLIENT_COMMANDS)
    parser.receive_data(rest)
    (frame,) = parser.frames()
    assert (frame.command, frame.body) == ("SEND", b"a\0b\n")


def test_the_time_goes_on() -> None:
    encoder = Encoder()
    texts = [encoder.encode(message(), "", now) for now in (NOW, NOW + 0.5, NOW + 1)]
    times = [text.split()[4] for text in texts]
    assert times == [
        b"2024-12-31T23:59:59.250Z",
        b"2024-12-31T23:59:59.750Z",
        b"2025-01-01T00:00:00.250Z",
    ]


#: No frame can have a NUL in its headers.
TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


@settings(max_examples=60)
@given(
    st.text(TEXT, max_size=20),
    st.dictionaries(
        st.text(TEXT, min_size=1, max_size=9),
        st.text(TEXT, max_size=9),
    ),
    st.binary(),
)
def test_every_record_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    user: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    more = {f"x-{name}": value for name, value in headers.items()}
    data = Encoder().encode(message(body, more=more), user, NOW)
    (found,) = read_back(tmp_path_factory.mktemp("log"), data)
    assert found == Record(
        0, len(data), 7, TIME, user, {"destination": "/queue/a", **more}, body
    )
    assert isinstance(found, Record)
    assert found.destination == "/queue/a"


def test_a_user_cannot_forge_a_record(tmp_path: Path) -> None:
    data = record(user="x\n\r:\\" + record(b"forged").decode())
    (found,) = read_back(tmp_path, data)
    assert isinstance(found, Record)
    assert found.body == b"hello"


# Damage


@pytest.mark.parametrize("length", range(1, len(record())))
def test_a_torn_record_at_the_end_is_told_as_such(length: int, tmp_path: Path) -> None:
    whole = record(b"first")
    first, torn = read_back(tmp_path, whole + record()[:length])
    assert bodies([first]) == [b"first"]
    assert isinstance(torn, Damage)
    assert torn.is_torn
    assert (torn.offset, torn.size) == (len(whole), length)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        pytest.param(b"MSG 2 ", b"MSX 2 ", "no record begins here", id="word"),
        pytest.param(b"MSG 2 44 ", b"MSG 2 -4 ", "no record begins", id="sign"),
        pytest.param(b"MSG 2 44 ", b"MSG 2 45 ", "does not end where", id="length"),
        pytest.param(
            b"MSG 2 44 5 ", b"MSG 2 9999999999 5 ", "than the file", id="huge"
        ),
        pytest.param(
            b"MSG 2 44 5 2024-12-31", b"MSG 2 44 5 2024-13-31", "read", id="day"
        ),
        pytest.param(b"hello\0\n", b"hello\0X", "does not end where", id="end"),
        pytest.param(b"SEND\n", b"SEMD\n", "it cannot be read", id="command"),
        pytest.param(b"SEND\n", b"ACK\n\n", "not have a body", id="other-command"),
        pytest.param(b"destination:", b"destinatioN:", "no SEND", id="destination"),
        pytest.param(b"content-length:5", b"content-length:4", "read", id="content"),
        pytest.param(b"44 5 ", b"43 6 ", "no SEND of the size", id="sizes"),
        pytest.param(b"Z harry\n", b"Z \xffarry\n", "it cannot be read", id="utf-8"),
    ],
)
def test_a_damaged_record_is_told_and_the_next_one_is_read(
    before: bytes, after: bytes, reason: str, tmp_path: Path
) -> None:
    first, middle, last = (record(number=number) for number in (1, 2, 3))
    damaged = middle.replace(before, after)
    assert damaged != middle
    parts = read_back(tmp_path, first + damaged + last)
    assert [type(part) for part in parts] == [Record, Damage, Record]
    assert [part.id for part in parts if isinstance(part, Record)] == [1, 3]
    damage = parts[1]
    assert isinstance(damage, Damage)
    assert (damage.offset, damage.size) == (len(first), len(damaged))
    assert reason in damage.reason
    assert not damage.is_torn


def test_damage_at_the_end_is_not_torn(tmp_path: Path) -> None:
    (damage,) = read_back(tmp_path, b"nonsense\n")
    assert damage == Damage(0, 9, "no record begins here")


def test_what_is_far_behind_damage_is_found(tmp_path: Path) -> None:
    # The record lies across the end of what is searched at a time.
    junk = b"X" + record()[:-1] + b"MSG 1 2 3\n" * 210_000
    parts = read_back(tmp_path, junk + record() + record())
    assert [type(part) for part in parts] == [Damage, Record, Record]
    assert parts[0].size == len(junk)


def test_a_frame_that_is_none_of_the_log_is_damage(tmp_path: Path) -> None:
    frame = b"BEGIN\ntransaction:t\n\n"
    line = b"MSG 1 %d 0 2025-01-01T00:00:00.000Z \n" % len(frame)
    (damage,) = read_back(tmp_path, line + frame + b"\0\n")
    assert isinstance(damage, Damage)
    assert "no SEND" in damage.reason


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    assert read_back(tmp_path, b"") == []


# Files


def log_file(path: Path, **more: int) -> LogFile:
    settings = {"max_size": 0, "max_files": 3, **more}
    return LogFile(str(path), is_synced=True, **settings)


def write(file: LogFile, *records: bytes) -> None:
    left = deque(records)
    file.write(left)
    assert not left


def test_records_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "mlog"
    for number in (1, 2):
        file = log_file(path)
        file.open()
        write(file, record(number=number))
        file.close()
        file.close()
    assert [part.id for part in read(path) if isinstance(part, Record)] == [1, 2]
    assert path.stat().st_mode & 0o7 == 0


def test_a_full_file_makes_room_and_the_oldest_goes(tmp_path: Path) -> None:
    path, size = tmp_path / "mlog", len(record(number=1))
    file = log_file(path, max_size=2 * size + 1, max_files=2)
    write(file, *(record(number=number) for number in range(1, 10)))
    found = {
        each.name: [part.id for part in read(each) if isinstance(part, Record)]
        for each in tmp_path.iterdir()
    }
    assert found == {"mlog": [9], "mlog.1": [7, 8], "mlog.2": [5, 6]}


def test_a_record_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mlog"
    file = log_file(path, max_size=100)
    write(file, record(), record(bytes(500)), record())
    sizes = [
        len(bodies(list(read(tmp_path / n)))) for n in ("mlog.2", "mlog.1", "mlog")
    ]
    assert sizes == [1, 1, 1]


def test_a_file_whose_end_is_torn_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "mlog"
    for torn in (record()[:-1], b"M"):
        path.write_bytes(torn)
        file = log_file(path)
        file.open()
        write(file, record(b"new"))
        file.close()
        assert bodies(list(read(path))) == [b"new"]
        assert (tmp_path / "mlog.1").read_bytes() == torn


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    file, other = log_file(tmp_path / "mlog"), log_file(tmp_path / "mlog")
    file.open()
    with pytest.raises(OSError, match="another process writes it"):
        other.open()
    file.close()
    other.open()


def test_a_file_that_others_cut_off_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "mlog"
    file = log_file(path)
    write(file, record())
    path.write_bytes(b"")  # as logrotate does with copytruncate
    write(file, record(b"after"))
    assert bodies(list(read(path))) == [b"after"]


def test_what_cannot_be_written_whole_is_not_in_the_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "mlog"
    file = log_file(path)
    write(file, record())
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    left = deque([record(bytes(100)), record(b"last")])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        with pytest.raises(OSError, match="too large"):
            file.write(left)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.stat().st_size == size
    assert len(left) == 2
    file.write(left)
    assert bodies(list(read(path))) == [b"hello", bytes(100), b"last"]
