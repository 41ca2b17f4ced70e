"""What is logged of clients, and what is not."""

import base64
import hashlib
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from romp_asgi.access_log import FrameLoggedSession, LoggedSession, session_type
from romp_asgi.config import Config
from romp_asgi.hub import Hub
from romp_asgi.session import Session
from tests.program import free_port, running
from tests.test_session import Client, World

CONFIGS = Path(__file__).parent / "configs"
ACCESS = "romp_asgi.access"


class LoggedClient(Client):
    """A client of a server whose access log is on."""

    def __init__(self, world: World, **more: Any) -> None:
        super().__init__(world, **more)
        self.session = session_type(world.hub)(
            world.hub, self, peer="test:1", is_web=False, is_admin=False, now=world.now
        )


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for name, _, text in caplog.record_tuples if name == ACCESS]


CONNECT = "CONNECT\naccept-version:1.2\nhost:x\nlogin:harry\npasscode:hush\n\n^@"


@pytest.mark.parametrize(
    ("level", "kind"),
    [
        ("Off", Session),
        ("Error", Session),
        ("Warn", Session),
        ("Info", LoggedSession),
        ("Debug", FrameLoggedSession),
        ("Trace", FrameLoggedSession),
    ],
)
def test_sessions_are_plain_unless_there_is_something_to_log(
    level: str, kind: type[Session]
) -> None:
    assert session_type(Hub(Config.from_dict({"access_log": level}))) is kind
    assert session_type(Hub(Config())) is Session


def test_a_line_for_each_frame_in_the_words_of_romp(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, ACCESS)
    client = LoggedClient(World(access_log="Info"))
    client.send(
        CONNECT,
        "SUBSCRIBE\nid:1\nack:client\ndestination:/queue/a\n\n^@",
        "SEND\ndestination:/queue/a\n\nbody^@",
        "SEND\ndestination:/queue/a\n\nbody^@",
        "ACK\nid:1\n\n^@ACK\nid:2\n\n^@",
        "UNSUBSCRIBE\nid:1\n\n^@",
        "DISCONNECT\n\n^@",
        "SEND\ndestination:/queue/a\n\ntoo late^@",
    )
    client.session.connection_lost()
    assert lines(caplog) == [
        "CONNECT",
        "login usr=harry",
        "SUBSCRIBE q=/queue/a usr=harry",
        "SEND usr=harry",
        "SEND usr=harry",
        "ACK usr=harry",
        "ACK usr=harry",
        "UNSUBSCRIBE usr=harry",
        "DISCONNECT usr=harry",
        f"session shutdown usr=harry id={client.session.id}",
    ]


def test_frames_are_shown_with_headers_and_body(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, ACCESS)
    client = LoggedClient(World(access_log="Debug"))
    client.send(CONNECT, "SEND\ndestination:/queue/a\ncolour:red\n\nbody\n^@")
    assert lines(caplog) == [
        "CONNECT",
        "test:1 CONNECT accept-version:1.2 host:x login:harry passcode:… [0 bytes]",
        "login usr=harry",
        "SEND usr=harry",
        r"test:1 SEND destination:/queue/a colour:red [5 bytes] b'body\n'",
    ]


def test_nobody_can_write_lines_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, ACCESS)
    client = LoggedClient(World(access_log="Trace", close_on_error=False))
    evil = "/queue/a\\n2025-01-01 INFO login usr=root\\r\x1b[2J\x85\u2028"
    client.send(
        "CONNECT\naccept-version:1.2\nhost:x\nlogin:\x1b[31mroot\x85\n\n^@",
        f"SUBSCRIBE\nid:1\ndestination:{evil}\n\n^@",
        f"SEND\ndestination:{evil}\nx\\ny:z\n\n\n\x1b[2J^@",
    )
    assert len(lines(caplog)) == 7
    for line in lines(caplog):
        assert len(line.splitlines()) == 1
        assert line.isprintable()


def test_a_frame_without_login_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, ACCESS)
    client = LoggedClient(World(access_log="Info"))
    client.send("SEND\ndestination:/queue/a\n\n^@")
    client.session.connection_lost()
    assert lines(caplog) == ["SEND usr="]


def test_by_default_connects_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    for _ in range(3):
        world.client().session.connection_lost()
    assert caplog.messages == []


# Everything that a server logs


def say(port: int, login: str, passcode: str, *more: str) -> bytes:
    """Log in over TCP, and say something; return the answers."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall("".join((text(login, passcode), *more)).encode())
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer


def text(login: str, passcode: str) -> str:
    return (
        f"CONNECT\naccept-version:1.2\nhost:x\nlogin:{login}\npasscode:{passcode}\n\n\0"
    )


def say_on_web(url: str, login: str, passcode: str) -> str:
    with connect(url) as websocket:
        websocket.send(text(login, passcode))
        return str(websocket.recv(10))


def digest(passcode: str) -> str:
    return hashlib.sha256(f"{passcode}\n".encode()).hexdigest()


SEND = "SEND\ndestination:/topic/a\n\nbody of a message\0"


def test_no_secret_is_in_what_a_talkative_server_logs(tmp_path: Path) -> None:
    shared, wrong, wrong_web = "sharedPasscode1", "wrongPasscode2", "wrongPasscode3"
    user, admin = "userPasscode4", "adminPasscode5"
    hashes = digest(user), digest(admin)
    users = tmp_path / "romp.passwd"
    users.write_text(f"harry:{hashes[0]}\nboss:{hashes[1]}:true\n")
    admin_port = free_port()
    config = (
        f'login = "web"\npasscode = "{shared}"\nuser_file = "romp.passwd"\n'
        f'access_log = "Trace"\nmax_failed_logins = 0\n'
        f'message_log = "{tmp_path}/romp.mlog"\n'
    )
    with running(tmp_path, config, "talkative", admin_port) as program:
        for login, passcode in (("web", shared), ("harry", user), ("boss", admin)):
            assert say(program.tcp, login, passcode, SEND).startswith(b"CONNECTED")
            assert say_on_web(program.websocket_url, login, passcode)[:9] == "CONNECTED"
        for login, passcode in (("web", wrong), ("harry", wrong), (wrong, wrong)):
            assert b"auth err" in say(program.tcp, login, passcode)
        assert "auth err" in say_on_web(program.websocket_url, "web", wrong_web)
        assert say(admin_port, "boss", admin, SEND).startswith(b"CONNECTED")
        assert say(admin_port, "boss", wrong).startswith(b"CONNECTED")
        # A frame that is none, around a passcode.
        assert b"syntax" in say(program.tcp, "x", f"{shared}\nnonsense")
        assert program.stop() == 0
    log = program.log.read_text()
    for line in ("CONNECT\n", "login usr=harry", "SEND usr=boss", "body of a message"):
        assert line in log
    written = log + (tmp_path / "romp.mlog").read_text()
    secrets = (shared, user, admin, wrong_web, *hashes)
    assert [secret for secret in secrets if secret in written] == []
    # It was the login, too, once.
    shown = [line for line in log.splitlines() if wrong in line]
    assert all(f"login:{wrong} passcode:…" in line for line in shown)


def test_no_token_is_in_what_a_talkative_server_logs(tmp_path: Path) -> None:
    secret = "XIxoIl6ngolYKQOrXpunRLCMWxR6O0lDI+HycNN4Ffo="
    config = f'secret = "{secret}"\naccess_log = "Trace"\n'

    def sign(login: str) -> str:
        octets = hashlib.sha1(f"{login}{secret}".encode()).digest()
        return base64.b64encode(octets).decode()

    good, old = f"harry {int(time.time())} a", "harry 1000 a"
    with running(tmp_path, config, "talkative") as program:
        assert say(program.tcp, good, sign(good), SEND).startswith(b"CONNECTED")
        assert say_on_web(program.websocket_url, good, sign(good))[:9] == "CONNECTED"
        assert b"auth err" in say(program.tcp, old, sign(old))
        assert b"auth err" in say(program.tcp, good, "wrongToken")
        assert program.stop() == 0
    log = program.log.read_text()
    assert "SEND usr=harry\n" in log
    leaks = (secret, sign(good), sign(old), "wrongToken")
    assert [leak for leak in leaks if leak in log] == []
