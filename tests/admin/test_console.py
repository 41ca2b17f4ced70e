"""The console, over real sockets."""

import asyncio
import os
import re
import subprocess
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from romp_asgi import Config, Romp
from romp_asgi.routes import console
from tests.auth.gate import Gate
from tests.program import need, running
from tests.test_websocket import serving

pytestmark = pytest.mark.anyio

CONFIGS = Path(__file__).parents[1] / "configs"
FILE = str(CONFIGS / "romp.passwd")
SLOW_FILE = str(CONFIGS / "mixed.passwd")
BOSS = ("boss", "hush")
LOGIN = {"login": "boss", "passcode": "hush"}
PRIVATE = (
    "/romp/ngin-config/",
    "/romp/ngin-info/",
    "/romp/destination-info/?destination=/queue/a",
    "/romp/console",
    "/romp/console/data",
)
PUBLIC = ("/", "/romp/health_check", "/health_check", "/romp/nothing")


@asynccontextmanager
async def http(**keys: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Romp]]:
    """A server with a console, and a client that has no login."""
    keys = {"enable_console": True, **LOGIN, **keys}
    async with serving("websockets-sansio", **keys) as (url, romp):
        base = url.replace("ws:", "http:")
        async with httpx.AsyncClient(base_url=base) as client:
            yield client, romp


# Who may


@pytest.mark.parametrize("path", PRIVATE)
async def test_it_takes_the_login_of_an_administrator(path: str) -> None:
    async with http(user_file=FILE) as (client, _):
        answer = await client.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == (
            'Basic realm="romp", charset="UTF-8"'
        )
        for auth in (("boss", "wrong"), ("nobody", "hush"), ("xtomp", "wrong")):
            assert (await client.get(path, auth=auth)).status_code == 401
        # A good login, but of no administrator.
        answer = await client.get(path, auth=("xtomp", "passcode"))
        assert (answer.status_code, answer.text) == (
            403,
            "This is for administrators.\n",
        )
        assert "www-authenticate" not in answer.headers
        for auth in (BOSS, ("harry", "xyzzy")):
            assert (await client.get(path, auth=auth)).status_code == 200
        assert (await client.post(path, auth=BOSS)).status_code == 405


@pytest.mark.parametrize("path", PRIVATE)
async def test_it_is_off_by_default(path: str) -> None:
    async with http(enable_console=False) as (client, _):
        assert (await client.get(path, auth=BOSS)).status_code == 404


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !",
        "Basic " + b64encode(b"\xff:hush").decode(),
        "Basic " + b64encode(b"boss").decode(),
        "Bearer " + b64encode(b"boss:hush").decode(),
    ],
)
async def test_what_is_no_login(header: str) -> None:
    async with http() as (client, _):
        headers = {"authorization": header}
        answer = await client.get("/romp/console", headers=headers)
        assert answer.status_code == 401


async def test_where_nobody_can_be_an_administrator() -> None:
    async with http(login=None, passcode=None) as (client, _):
        answer = await client.get("/romp/console", auth=BOSS)
        assert answer.status_code == 403
        assert answer.text.startswith("Nobody can be an administrator here: set login")


async def test_a_token_is_no_login_here() -> None:
    async with http(secret="at least 12 characters") as (client, _):
        assert (await client.get("/romp/console", auth=BOSS)).status_code == 200


async def test_slow_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    async with http(user_file=SLOW_FILE) as (client, _):
        auth = ("the boss", "plugh")
        asked = asyncio.create_task(client.get("/romp/console", auth=auth))
        await gate.until_running(1)
        # Others go on.
        assert (await client.get("/romp/console", auth=BOSS)).status_code == 200
        gate.is_open.set()
        assert (await asked).status_code == 200
        assert (await client.get("/romp/console", auth=auth)).status_code == 200
        assert gate.count == 1


async def test_failures_are_limited() -> None:
    async with http(max_failed_logins=2) as (client, _):
        # A browser that asks without a login has not failed.
        for _ in range(3):
            assert (await client.get("/romp/console")).status_code == 401
        for _ in range(2):
            answer = await client.get("/romp/console", auth=("boss", "wrong"))
            assert answer.status_code == 401
        answer = await client.get("/romp/console", auth=BOSS)
        assert answer.status_code == 429
        assert answer.text.startswith("Too many logins from this address have failed")


# Headers


@pytest.mark.parametrize("auth", [BOSS, ("boss", "wrong"), None])
@pytest.mark.parametrize("path", PRIVATE)
async def test_it_is_not_for_other_origins(path: str, auth: Any) -> None:
    async with http() as (client, _):
        answer = await client.get(path, auth=auth, headers={"origin": "http://a.de"})
        assert not [name for name in answer.headers if "allow-origin" in name]
        assert "access-control-expose-headers" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy


@pytest.mark.parametrize("path", PUBLIC)
async def test_the_rest_is_for_all(path: str) -> None:
    async with http() as (client, _):
        answer = await client.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "server"


async def raw(port: str, method: str, path: str) -> tuple[bytes, bytes]:
    """Head and body of an answer, as they come over the socket, to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    authorization = b64encode(b"boss:hush").decode()
    lines = f"Host: x\r\nAuthorization: Basic {authorization}\r\nConnection: close\r\n"
    writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head, body


def length(head: bytes) -> int:
    (found,) = re.findall(rb"(?im)^content-length: (\d+)\r?$", head)
    return int(found)


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE])
async def test_head_and_content_length(path: str) -> None:
    async with http() as (client, _):
        port = str(client.base_url.port)
        head, body = await raw(port, "GET", path)
        assert length(head) == len(body)
        of_head, nothing = await raw(port, "HEAD", path)
        assert nothing == b""
        assert of_head.split()[1] == head.split()[1]
        # Numbers grow between two of them.
        assert abs(length(of_head) - length(head)) < 5


# What it says


async def test_ngin_config() -> None:
    tables = {
        "memq": {"min_delivery": 1, "stats": True, "max_message_size": 10},
        "/queue/**": {"type": "queue", "name": "queues", "filter": False},
    }
    keys = {"heart_beat_read": 5000, "secret": "at least 12 characters"}
    config = Config.from_dict({"destinations": tables})
    async with http(destinations=config.destinations, **keys) as (client, romp):
        memq = romp._hub.broker.destinations["memq"]
        answer = await client.get("/romp/ngin-config/", auth=BOSS)
        assert answer.headers["content-type"] == "application/json"
        found = answer.json()
        assert list(found) == ["listen", "timeout", "websockets", "destinations"]
        assert found["listen"] == [61613]
        assert found["timeout"] == 5000
        assert found["websockets"] is True
        assert found["destinations"] == [
            {
                "name": "memq",
                "filter": True,
                "max_connections": 1_000_000,
                "max_messages": 100,
                "stats": True,
                "web_write_block": False,
                "web_read_block": False,
                "max_message_size": 10,
            },
            {
                "name": "queues",
                "filter": False,
                "max_connections": 1_000_000,
                "max_messages": 100,
                "stats": False,
                "web_write_block": False,
                "web_read_block": False,
                "max_message_size": 1_048_576,
            },
        ]
        assert memq.policy.stats


async def test_ngin_info() -> None:
    async with http() as (client, romp):
        found = (await client.get("/romp/ngin-info/", auth=BOSS)).json()
        assert list(found) == ["pid", "cmdline", "sock", "proc", "cc"]
        assert found["pid"] == os.getpid()
        assert "pytest" in found["cmdline"]
        assert found["sock"].keys() == {"sockets", "tcp"}
        assert re.fullmatch(r"used \d+", found["sock"]["sockets"])
        assert re.fullmatch(r"\d+ kB", found["proc"]["VmRSS"])
        assert all(name.startswith("Vm") for name in found["proc"])
        lastmod = found["cc"].pop("lastmod")
        assert found["cc"]["up"] <= lastmod < found["cc"]["up"] + 60
        up = romp._hub.statistics.up
        assert found["cc"] == {"sz": 0, "up": up, "Σ": 0, "Σµ": 0, "m": 0}


async def test_a_system_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_read", lambda path: "")
    async with http() as (client, _):
        found = (await client.get("/romp/ngin-info/", auth=BOSS)).json()
        assert found["cmdline"]
        assert found["sock"] == {"sockets": "", "tcp": ""}
        assert found["proc"] == {}
    monkeypatch.undo()
    assert console._read("/nothing/there") == ""


async def test_destination_info() -> None:
    async with http() as (client, romp):
        await romp.publish("/queue/a", "x")
        path = "/romp/destination-info/"
        answer = await client.get(path, params={"destination": "/queue/a"}, auth=BOSS)
        assert answer.text == '{"sz":0,"q":1,"Δ":1,"Σ":1}'
        for params in ({"destination": "nowhere/a"}, {}):
            answer = await client.get(path, params=params, auth=BOSS)
            assert answer.status_code == 404


async def test_data_of_the_page() -> None:
    async with http() as (client, romp):
        await romp.publish("/queue/a", "x")
        found = (await client.get("/romp/console/data", auth=BOSS)).json()
        assert found["destinations"]["total"] == 1
        assert found["destinations"]["destinations"][0]["waiting"] == 1
        assert found["sessions"] == {"sessions": [], "total": 0}
        assert 0 < found["memory"]["used"] < found["memory"]["limit"]


async def test_no_secret_is_in_any_answer() -> None:
    keys = {"secret": "at least 12 characters", "user_file": FILE}
    async with http(**keys) as (client, _):
        for path in PRIVATE:
            answer = await client.get(path, auth=BOSS)
            text = f"{answer.text}{answer.headers}"
            assert "hush" not in text
            assert keys["secret"] not in text


# The page


def test_the_page_has_nothing_of_others_and_is_what_its_policy_says() -> None:
    romp = Romp(Config.from_dict({"enable_console": True, **LOGIN}))
    app = Starlette(routes=[Mount("/app", romp)], lifespan=romp.lifespan)
    with TestClient(app) as client:
        answer = client.get("/app/romp/console", auth=BOSS)
        assert client.get("/app/romp/console/data", auth=BOSS).status_code == 200
    assert answer.status_code == 200
    assert "://" not in answer.text
    assert not re.search(r"\son\w+=|\sstyle=", answer.text)
    allowed = re.findall(r"'sha256-(.*?)'", answer.headers["content-security-policy"])
    parts = re.findall(r"<(?:script|style)>(.*?)</", answer.text, re.DOTALL)
    assert {b64decode(each) for each in allowed} == {
        sha256(part.encode()).digest() for part in parts
    }
    assert len(parts) == 2


def test_a_browser_shows_it(tmp_path: Path) -> None:
    chromium = need("chromium")
    keys = 'enable_console = true\nlogin = "boss"\npasscode = "hush"\n'
    with running(tmp_path, keys) as program:
        url = f"http://boss:hush@127.0.0.1:{program.http}/romp/console"
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path}/c",
        ]
        page = subprocess.run(
            [chromium, *flags, "--virtual-time-budget=3000", "--dump-dom", url],
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout.decode()
    assert re.search(r'id="state"[^>]*>live<', page), page
    assert re.search(r'id="sz">0<', page)
    assert re.search(r'id="memory"[^>]*>0 B<', page)
