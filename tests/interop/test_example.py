"""The example of live prices, in headless Chromium."""

import json
import subprocess
import sys
from pathlib import Path

from tests.program import Program, free_port, need, wait_until_ready

ROOT = Path(__file__).parents[2]


def test_live_prices_in_a_browser(tmp_path: Path) -> None:
    node, chromium = need("node"), need("chromium")
    port = free_port()
    server = [sys.executable, "-m", "uvicorn", "--app-dir", "examples/prices"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*server, "app:app", "--port", str(port)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        # No TCP listener is open in an embedded broker: HTTP stands for both.
        wait_until_ready(Program(port, port, process, log), path="/prices")
        url = f"http://127.0.0.1:{port}/"
        result = subprocess.run(
            [node, "browse.mjs", chromium, url, str(tmp_path)],
            cwd=ROOT / "tests" / "interop" / "node",
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        seen = json.loads(result.stdout)
        assert seen["prices"] == 3
        assert seen["answer"].startswith("You have one ACME for ")
        assert seen["address"] == f"ws://127.0.0.1:{port}/romp/"
    finally:
        process.terminate()
        process.wait(15)
    assert "Traceback" not in log.read_text()
