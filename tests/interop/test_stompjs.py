"""@stomp/stompjs under Node, over WebSocket and TCP."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import stomp

from tests.interop.test_stomp_py import Listener
from tests.program import Program, need

NODE = Path(__file__).parent / "node"


def start(program: Program, door: str, scenario: str) -> subprocess.Popen[str]:
    node = need("node")
    assert (NODE / "node_modules").is_dir(), "npm ci --prefix tests/interop/node"
    port = program.http if door == "ws" else program.tcp
    return subprocess.Popen(
        [node, "client.mjs", door, str(port), scenario],
        cwd=NODE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("text", {"body": "Grüße ☃", "a": "b:c\n\\d", "version": "1.2"}),
        ("versions", [["1.0", "1.0"], ["1.1", "1.1"], ["1.2", "1.2"]]),
        ("binary", {"same": True}),
        ("large", {"same": True, "length": 1048576}),
        ("many", {"inOrder": 10000}),
        ("acknowledge", ["false", "true"]),
        ("transactions", {"body": "commit"}),
        ("heartbeats", {"stayed": True}),
        ("error", {"message": "destination unknown", "receipt": "lost"}),
    ],
)
@pytest.mark.parametrize("door", ["ws", "tcp"])
def test_scenario(program: Program, door: str, scenario: str, expected: Any) -> None:
    with start(program, door, scenario) as process:
        output, errors = process.communicate(timeout=40)
    assert process.returncode == 0, errors
    assert json.loads(output) == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_stomp_py_over_tcp_talks_to_stompjs_over_websocket(program: Program) -> None:
    connection = stomp.Connection12([("127.0.0.1", program.tcp)])
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True)
    connection.subscribe("/topic/js.answers", id="1", receipt="subscribed")
    listener.receipts.get(timeout=5)
    with start(program, "ws", "answer") as process:
        for question in ("hello", "from python"):
            connection.send("/queue/js.questions", question)
            assert listener.message().body == question.upper()
        connection.send("/queue/js.questions", "stop")
        output, errors = process.communicate(timeout=40)
    connection.disconnect()
    assert json.loads(output) == "stopped", errors
