"""What a client is told, over a real socket: romp's words, in romp's order.

Each situation is tried with ``close_on_error = true``, where the connection closes
after every ERROR, and with ``false``, where it closes after those only after which romp
closes, too.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import pytest

from romp_asgi import Config, Romp
from romp_asgi.stomp import Frame
from romp_asgi.stomp.spec import Command
from tests.client import Client

pytestmark = pytest.mark.anyio

QUEUE = {"type": "queue", "max_messages": 1}
CONFIG: dict[str, Any] = {
    "ports": [0],
    "admin_port": 0,
    "login": "ann",
    "passcode": "secret",
    "max_subs": 2,
    "max_message_size": 100,
    "max_headers": 8,
    "max_header_len": 100,
    "max_header_size": 300,
    "connect_timeout": 60,
    "destinations": {
        "/queue/a": QUEUE,
        "/queue/small": {**QUEUE, "max_message_size": 4},
        "/queue/one": {**QUEUE, "max_connections": 1},
        "/queue/auto": {**QUEUE, "auto_ack": True},
        "/queue/closed": {
            **QUEUE,
            "write_block": True,
            "read_block": True,
            "max_message_size": 4,
            "max_connections": 1,
        },
        "/count": {"min_delivery": 2, "max_messages": 1},
        "/user": {"type": "topic", "sub_by_user": True},
        "/topic/*": {"type": "topic"},
    },
}

CONNECT = "CONNECT\naccept-version:{}\nlogin:ann\npasscode:secret\n\n^@"
TWO_SUBSCRIPTIONS = (
    "SUBSCRIBE\ndestination:/topic/a\nid:a\n\n^@"
    "SUBSCRIBE\ndestination:/topic/b\nid:b\n\n^@"
)
FULL = "SEND\ndestination:{}\n\n^@"
AUTO = (
    "SUBSCRIBE\ndestination:/queue/auto\nid:auto\nack:client\n\n^@"
    "SEND\ndestination:/queue/auto\n\n^@"
)
OF_AUTO = "subscription:auto\nreceipt:r\n\n^@"


@dataclass
class Situation:
    """What a client does, and what it is told.

    Attributes:
        id: of the test.
        frame: what is wrong; of STOMP {message-id} is that of the last message.
        message: the ``message`` of the ERROR.
        closes: whether the connection closes even with ``close_on_error = false``.
        words: something of the sentence.
        before: frames that are good.
        has_receipt: whether the ERROR has the ``receipt-id`` of the frame, which is
            known only of what could be read.
        version: of STOMP; empty for a client that has not sent CONNECT.
        other: frames that another client sends first.
    """

    id: str
    frame: str
    message: str
    closes: bool
    words: str
    before: str = ""
    has_receipt: bool = True
    version: str = "1.2"
    other: str = ""


SITUATIONS = [
    # syntax
    Situation(
        "not a command", "NONSENSE\n\n^@", "syntax", True, "command", has_receipt=False
    ),
    Situation(
        "a bad content-length",
        "SEND\ndestination:/queue/a\ncontent-length:x\nreceipt:r\n\n^@",
        "syntax",
        True,
        "content-length",
    ),
    Situation(
        "SEND without destination",
        "SEND\nreceipt:r\n\n^@",
        "syntax",
        False,
        "destination",
    ),
    Situation(
        "SUBSCRIBE without destination",
        "SUBSCRIBE\nid:1\nreceipt:r\n\n^@",
        "syntax",
        False,
        "destination",
    ),
    Situation(
        "SUBSCRIBE without id",
        "SUBSCRIBE\ndestination:/queue/a\nreceipt:r\n\n^@",
        "syntax",
        False,
        "id",
    ),
    Situation(
        "a second CONNECT",
        CONNECT.format("1.2").replace("\n\n", "\nreceipt:r\n\n"),
        "syntax",
        True,
        "CONNECT",
    ),
    Situation(
        "nobody's name",
        "SEND\ndestination:/user\nto:\nreceipt:r\n\n^@",
        "syntax",
        False,
        "name of a user",
    ),
    Situation(
        "a filter that does not parse",
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nfilter:x\nreceipt:r\n\n^@",
        "syntax",
        True,
        "filter",
    ),
    Situation(
        "a selector that does not parse",
        "SUBSCRIBE\ndestination:/queue/a\nid:1\nselector:x =\nreceipt:r\n\n^@",
        "syntax",
        False,
        "selector",
    ),
    # Limits
    Situation(
        "a body over the server's limit",
        f"SEND\ndestination:/queue/a\nreceipt:r\n\n{'x' * 101}^@",
        "msg flup",
        True,
        "max_message_size",
    ),
    Situation(
        "a body over the destination's limit",
        "SEND\ndestination:/queue/small\nreceipt:r\n\n12345^@",
        "msg flup",
        True,
        "/queue/small",
    ),
    Situation(
        "too many headers",
        "SEND\n" + "a:b\n" * 9 + "\n^@",
        "hdr flup",
        True,
        "max_headers",
        has_receipt=False,
    ),
    Situation(
        "a header that is too long",
        f"SEND\na:{'x' * 99}\n\n^@",
        "hdr flup",
        True,
        "max_header_len",
        has_receipt=False,
    ),
    Situation(
        "a subscription too many on a connection",
        "SUBSCRIBE\ndestination:/topic/c\nid:c\nreceipt:r\n\n^@",
        "subs flup",
        False,
        "max_subs is 2",
        before=TWO_SUBSCRIPTIONS,
    ),
    Situation(
        "a subscription too many of a destination",
        "SUBSCRIBE\ndestination:/queue/one\nid:1\nreceipt:r\n\n^@",
        "subs flup",
        False,
        "max_connections is 1",
        other="SUBSCRIBE\ndestination:/queue/one\nid:1\nreceipt:r\n\n^@",
    ),
    Situation(
        "a second subscription of one connection where each user has one",
        "SUBSCRIBE\ndestination:/user\nid:2\nreceipt:r\n\n^@",
        "subs flup",
        False,
        "sub_by_user",
        before="SUBSCRIBE\ndestination:/user\nid:1\n\n^@",
    ),
    *(
        Situation(
            f"a full {name}",
            f"SEND\ndestination:{name}\nreceipt:r\n\n^@",
            "destination flup",
            False,
            "max_messages is 1",
            before=FULL.format(name),
        )
        for name in ("/queue/a", "/count")
    ),
    # Destinations
    *(
        Situation(
            f"{command} to an unknown destination",
            f"{command}\ndestination:{name}\nid:1\nreceipt:r\n\n^@",
            "destination unknown",
            False,
            name,
        )
        for command in ("SEND", "SUBSCRIBE")
        for name in ("/nowhere", "/virt/nowhere", "/topic/a/b")
    ),
    *(
        Situation(
            f"{command} to a blocked destination",
            f"{command}\ndestination:/queue/closed\nid:1\nreceipt:r\n\n^@",
            "blocked",
            False,
            block,
        )
        for command, block in (("SEND", "write_block"), ("SUBSCRIBE", "read_block"))
    ),
    # Logins
    Situation(
        "SEND before CONNECT",
        "SEND\ndestination:/queue/a\nreceipt:r\n\n^@",
        "denied",
        False,
        "CONNECT",
        version="",
    ),
    Situation(
        "a wrong login",
        "CONNECT\naccept-version:1.2\nlogin:ann\npasscode:wrong\nreceipt:r\n\n^@",
        "auth err",
        True,
        "passcode",
        version="",
    ),
    Situation(
        "a heart-beat that is none",
        CONNECT.format("1.2").replace("\n\n", "\nheart-beat:often\nreceipt:r\n\n"),
        "ecg syntax",
        True,
        "heart-beat",
        version="",
    ),
    # Acknowledgements
    *(
        Situation(
            f"{command} of what was never given",
            f"{command}\nid:7\nreceipt:r\n\n^@",
            "ack err",
            False,
            "7",
        )
        for command in ("ACK", "NACK")
    ),
    *(
        Situation(
            f"{command} of STOMP {version} where all is ack:auto",
            frame,
            "ack err",
            False,
            "never given",
            version=version,
            before=AUTO,
        )
        for command in ("ACK", "NACK")
        for version, frame in (
            ("1.0", f"{command}\nmessage-id:{{message-id}}\nreceipt:r\n\n^@"),
            ("1.1", f"{command}\nmessage-id:{{message-id}}\n{OF_AUTO}"),
            ("1.2", f"{command}\nid:{{message-id}}\nreceipt:r\n\n^@"),
        )
        if (command, version) != ("NACK", "1.0")
    ),
    # The order of what is looked at. SEND: blocks, full, too large.
    Situation(
        "blocked goes before too large",
        "SEND\ndestination:/queue/closed\nreceipt:r\n\n12345^@",
        "blocked",
        False,
        "write_block",
    ),
    Situation(
        "full goes before too large",
        "SEND\ndestination:/queue/small\nreceipt:r\n\n12345^@",
        "destination flup",
        False,
        "max_messages",
        before=FULL.format("/queue/small"),
    ),
    # SUBSCRIBE: max_subs, no destination, unknown, blocks, a filter that is wrong,
    # max_connections.
    *(
        Situation(
            f"{words} goes before a filter that does not parse",
            f"SUBSCRIBE\ndestination:{name}\nid:1\nfilter:x\nreceipt:r\n\n^@",
            message,
            False,
            words,
            before=before,
        )
        for name, before, message, words in (
            ("/queue/a", TWO_SUBSCRIPTIONS, "subs flup", "max_subs"),
            ("/nowhere", "", "destination unknown", "/nowhere"),
            ("/queue/closed", "", "blocked", "read_block"),
        )
    ),
    Situation(
        "a filter that does not parse goes before max_connections",
        "SUBSCRIBE\ndestination:/queue/one\nid:1\nfilter:x\nreceipt:r\n\n^@",
        "syntax",
        True,
        "filter",
        other="SUBSCRIBE\ndestination:/queue/one\nid:1\nreceipt:r\n\n^@",
    ),
    Situation(
        "max_subs goes before a destination that is missing",
        "SUBSCRIBE\nid:c\nreceipt:r\n\n^@",
        "subs flup",
        False,
        "max_subs",
        before=TWO_SUBSCRIPTIONS,
    ),
    Situation(
        "max_subs goes before a destination that is unknown",
        "SUBSCRIBE\nid:c\ndestination:/nowhere\nreceipt:r\n\n^@",
        "subs flup",
        False,
        "max_subs",
        before=TWO_SUBSCRIPTIONS,
    ),
]


async def client_of(romp: Romp, version: str) -> Client:
    host, port = romp.addresses[0].split(":")
    client = Client(*await asyncio.open_connection(host, int(port)))
    if version:
        client.send(CONNECT.format(version))
        assert (await client.frame()).command is Command.CONNECTED
    return client


async def go_through(
    client: Client, situation: Situation, other: Client | None
) -> Frame:
    if other is not None:
        other.send(situation.other)
        assert (await other.frame()).command is Command.RECEIPT
    client.send(situation.before)
    message_id = ""
    if "{message-id}" in situation.frame:
        message_id = (await client.frame()).headers["message-id"]
    client.send(situation.frame.replace("{message-id}", message_id))
    return await client.frame()


@pytest.mark.parametrize("close_on_error", [True, False])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.id)
async def test_what_a_client_is_told(
    situation: Situation, close_on_error: bool
) -> None:
    romp = Romp(Config.from_dict({**CONFIG, "close_on_error": close_on_error}))
    async with romp.lifespan():
        client = await client_of(romp, situation.version)
        other = await client_of(romp, "1.2") if situation.other else None
        try:
            frame = await go_through(client, situation, other)
            assert frame.command is Command.ERROR, frame
            assert frame.headers["message"] == situation.message
            receipt_id = "r" if situation.has_receipt else None
            assert frame.headers.get("receipt-id") == receipt_id
            assert frame.headers["content-type"] == "text/plain"
            assert re.fullmatch(r"[A-Z\"].*[.\"]\n", frame.body.decode())
            assert situation.words in frame.body.decode()
            if situation.closes or close_on_error:
                with pytest.raises(EOFError):
                    await client.frame()
            else:
                # It is as it was: what is good is done.
                if not situation.version:
                    client.send(CONNECT.format("1.2"))
                    assert (await client.frame()).command is Command.CONNECTED
                client.send("SEND\ndestination:/topic/z\nreceipt:s\n\n^@")
                assert (await client.frame()).headers == {"receipt-id": "s"}
        finally:
            for each in (client, other):
                if each is not None:
                    await each.close()


@pytest.mark.parametrize("close_on_error", [True, False])
async def test_no_connect_in_time(close_on_error: bool) -> None:
    keys = {"close_on_error": close_on_error, "connect_timeout": 0.1}
    romp = Romp(Config.from_dict({**CONFIG, **keys}))
    async with romp.lifespan():
        client = await client_of(romp, "")
        assert (await client.frame()).headers["message"] == "timeout"
        with pytest.raises(EOFError):
            await client.frame()
        await client.close()


@pytest.mark.parametrize("close_on_error", [True, False])
async def test_who_is_there_when_the_server_stops(close_on_error: bool) -> None:
    romp = Romp(Config.from_dict({**CONFIG, "close_on_error": close_on_error}))
    async with romp.lifespan():
        client = await client_of(romp, "1.2")
        stopping = asyncio.create_task(romp.stop())
        assert (await client.frame()).headers["message"] == "shutdown"
        # SUBSCRIBE while shutting down is not read any more.
        client.send("SUBSCRIBE\ndestination:/topic/a\nid:1\nreceipt:r\n\n^@")
        with pytest.raises(EOFError):
            await client.frame()
        await client.close()
        await stopping
