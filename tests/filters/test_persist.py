"""PersistFilter, over sockets, with real files."""

from pathlib import Path

import pytest

from romp_asgi import Config, Romp
from romp_asgi.errors import LogFileError
from romp_asgi.filters import PersistFilter
from romp_asgi.message_log.reader import read
from romp_asgi.message_log.record import Record
from tests.client import running

pytestmark = pytest.mark.anyio


async def test_what_is_sent_is_written(tmp_path: Path) -> None:
    path = tmp_path / "romp.mlog"
    romp = Romp(Config(ports=[0]))
    romp.stomp_filter(PersistFilter(str(path)))
    for run in "12":  # it is opened again by a second start
        async with running(romp) as (client,):
            client.send(
                f"SEND\ndestination:/queue/a\n\nfirst {run}^@",
                f"SEND\ndestination:/topic/b\nreceipt:r\nx:y\n\nsecond {run}^@",
            )
            assert (await client.frame()).headers == {"receipt-id": "r"}
            # With its receipt it is in the file.
            assert f"second {run}" in path.read_text()
    records = [record for record in read(path) if isinstance(record, Record)]
    assert [record.body for record in records] == [
        b"first 1",
        b"second 1",
        b"first 2",
        b"second 2",
    ]
    assert records[1].headers["destination"] == "/topic/b"
    assert records[1].headers["x"] == "y"
    assert len({record.id for record in records}) == 4


async def test_a_refused_send_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "romp.mlog"
    romp = Romp(Config(ports=[0]))
    romp.stomp_filter(PersistFilter(str(path)))
    async with running(romp) as (client,):
        client.send("SEND\ndestination:/nowhere/\nreceipt:r\n\nx^@")
        assert (await client.frame()).headers["message"] == "destination unknown"
    assert path.read_bytes() == b""


async def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    romp = Romp(Config(ports=[0]))
    romp.stomp_filter(PersistFilter(str(tmp_path / "no" / "romp.mlog")))
    with pytest.raises(LogFileError):
        async with romp.lifespan():
            pass


async def test_what_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    romp = Romp(Config(ports=[0]))
    persist = PersistFilter(str(tmp_path / "romp.mlog"))
    romp.stomp_filter(persist)
    async with running(romp, 2) as (client, other):

        def fail(records: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(persist._log._file, "write", fail)
        for each in (client, other):
            each.send("SEND\ndestination:/queue/a\nreceipt:r\n\nx^@")
            error = await each.frame()
            assert error.headers["receipt-id"] == "r"
            assert error.body.startswith(b"The message was accepted, but could not be")
        monkeypatch.undo()
